"""`git ls-remote`, one look after the other or several at once, with the CPU time of each.

wait4(2) tells the time of git and of all that it waited for (git-remote-http, ssh, git-upload-pack), and nothing of
the program that started it: a shell loop, as users have it, costs more.
"""
import os
import shutil
import time

from parts.tree import own_seconds

GIT = shutil.which("git")


class Sample:
    """Looks done, and what they cost in seconds."""

    def __init__(self, looks=0, cpu=0.0, wall=0.0):
        self.looks, self.cpu, self.wall = looks, cpu, wall

    def add(self, other):
        self.looks += other.looks
        self.cpu += other.cpu
        self.wall += other.wall

    def cpu_ms(self):
        return 1000 * self.cpu / self.looks

    def wall_ms(self):
        return 1000 * self.wall / self.looks


def ls_remote(urls, env, seconds, parallel=1, master=None):
    """Looks at the URLs in turn (an endless iterator) for so long. `master`: pid of the ssh master that they go
    through, whose time is part of the cost. A look that fails, or that does not find the branch, ends the benchmark."""
    sample = Sample()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    before = own_seconds(master) if master else 0.0
    running = {}
    begin = time.monotonic()
    while True:
        while len(running) < parallel and time.monotonic() - begin < seconds:
            url = next(urls)
            words = ["git", "ls-remote", "--exit-code", "--", url, "refs/heads/main"]
            running[os.posix_spawn(GIT, words, env, file_actions=quiet)] = url
        if not running:
            break
        pid, status, usage = os.wait4(-1, 0)
        url = running.pop(pid, None)
        if url is None:
            raise SystemExit(f"a server has ended (process {pid}, status {status})")
        if status != 0:
            raise SystemExit(f"git ls-remote {url}: {os.waitstatus_to_exitcode(status)}")
        sample.looks += 1
        sample.cpu += usage.ru_utime + usage.ru_stime
    sample.wall = time.monotonic() - begin
    sample.cpu += own_seconds(master) - before if master else 0.0
    return sample
