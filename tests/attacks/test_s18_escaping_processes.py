"""S18. I can push. My step leaves processes that outlive it, to mine, to wait for the next job's secrets, or to hold the runner up:
double forks, sessions of their own, deaf to SIGTERM, stopped, forking while they are killed, holding the output open."""
import pathlib

import pytest

from env.processes import processes_of

ESCAPE = r"""
import os, signal, sys, time
style = sys.argv[1]
def loop():
    while True:
        time.sleep(100)
def daemonise():
    os.setsid()
    if os.fork():
        os._exit(0)
if os.fork() == 0:
    if style == "double-fork":
        daemonise()
        os.close(1); os.close(2)
    elif style == "deaf":
        daemonise()
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
    elif style == "stopped":
        daemonise()
        os.kill(os.getpid(), signal.SIGSTOP)
    elif style == "forking":
        os.setsid()
        end = time.monotonic() + 60
        while time.monotonic() < end:  # always another one; each ends when it has a child
            if os.fork():
                os._exit(0)
    elif style == "renamed":
        daemonise()
        os.chdir("/")
        os.execve("/bin/sleep", [sys.argv[2], "1000"], {})
    loop()
print("escaped", style)
"""
STYLES = ["double-fork", "deaf", "stopped", "forking", "renamed"]


@pytest.mark.demand("S18")
def test_nothing_that_a_step_starts_outlives_it(site, level):
    # Defence: the pid namespace (its first process ends all), and in "off" the subreaper's loop of job/reap.c.
    site.repo.write({"escape.py": ESCAPE})
    name = f"[{site.directory.name}]"  # like a thread of the kernel, but this test's own
    out = site.attack(level, *[f"/usr/bin/python3 escape.py {style} {name}" for style in STYLES])
    if out is not None:
        assert [line.split()[1] for line in out.splitlines() if line.startswith("escaped")] == STYLES
    assert processes_of(site.directory) == []
    assert processes_by_name(name) == []


def processes_by_name(name):
    """Pids of processes whose first argument is this."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[0].decode(errors="replace") == name:
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found
