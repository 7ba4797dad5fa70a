"""What the benchmarks share: temporary repositories, the program, and a look into /proc."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("PHANTOM_CI_BUILD_DIR", ROOT / "build" / "release")).resolve()


def git_environment(directory):
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "b",
            "GIT_AUTHOR_EMAIL": "b@example.org", "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@example.org"}


def git(directory, *args, cwd=None):
    out = subprocess.run(["git", *map(str, args)], cwd=cwd, env=git_environment(directory), check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return out.stdout.decode().strip()


def make_repository(directory, name, files):
    """A bare repository with one commit, and a clone to push from."""
    bare, clone = directory / f"{name}.git", directory / f"{name}-clone"
    git(directory, "init", "-q", "--bare", "--initial-branch=main", bare)
    git(directory, "init", "-q", "--initial-branch=main", clone)
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    git(directory, "add", "-A", cwd=clone)
    git(directory, "commit", "-q", "-m", "first", cwd=clone)
    git(directory, "push", "-q", bare, "HEAD:refs/heads/main", cwd=clone)
    return bare, clone


class Phantom:
    def __init__(self, directory):
        self.directory = directory
        self.env = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8",
                    "PHANTOM_CI_LIBEXEC_DIR": str(BUILD / "src")}
        (directory / "config").mkdir(mode=0o700)

    def command(self, *args):
        return [str(BUILD / "src" / "phantom_ci"), "--config-dir", str(self.directory / "config"), "--state-dir",
                str(self.directory / "state"), "--cache-dir", str(self.directory / "cache"), *map(str, args)]

    def watch(self, name, url, interval):
        path = self.directory / "config" / "Repo.toml"
        with path.open("a") as file:
            file.write(f'[{name}]\npath = "{url}"\ntarget_branch = "main"\npoll_interval = "{interval}"\n')
        path.chmod(0o600)

    def start(self, output):
        read_end, write_end = os.pipe()
        daemon = subprocess.Popen(self.command("--ready-fd", write_end), env=self.env, stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=output, pass_fds=[write_end])
        os.close(write_end)
        os.read(read_end, 1)
        os.close(read_end)
        return daemon

    def run(self, *args):
        return subprocess.run(self.command(*args), env=self.env, check=True, stdout=subprocess.PIPE).stdout.decode()


def status(pid):
    """Resident memory in KiB, and how often the process has gone to sleep (voluntary context switches)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]), int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


def cpu_seconds(pid):
    """User and system time of a process and of the children it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
