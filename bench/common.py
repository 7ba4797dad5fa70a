"""What the benchmarks share: temporary repositories, the program, and a look into /proc."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import time

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


def make_many(directory, count):
    """Bare repositories r0.git to r<count - 1>.git in `directory`, with one commit on main, whose objects they share."""
    directory.mkdir()
    bare, _ = make_repository(directory, "shared", {"workflow/main.toml": "[0]\nrun = 'true'\n"})
    tip = git(directory, "rev-parse", "main", cwd=bare)
    config = (bare / "config").read_text()
    for i in range(count):
        repository = directory / f"r{i}.git"
        for path in ("refs/heads", "refs/tags", "objects/info"):
            (repository / path).mkdir(parents=True)
        (repository / "HEAD").write_text("ref: refs/heads/main\n")
        (repository / "config").write_text(config)
        (repository / "objects/info/alternates").write_text(f"{bare}/objects\n")
        (repository / "refs/heads/main").write_text(f"{tip}\n")
    return tip


def parser_of_roads(name, description, known):
    """Of a benchmark that takes roads in turn, and --json."""
    def roads(text):
        for road in text.split(","):
            if road not in known:
                raise argparse.ArgumentTypeError(f"no road {road!r}; there are {', '.join(known)}")
        return text.split(",")
    parser = argparse.ArgumentParser(prog=f"./dev bench {name}", description=description)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--roads", type=roads, default=list(known), help="of " + ",".join(known))
    return parser


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
        self.watch_all({name: url}, interval)

    def watch_all(self, urls, interval):
        path = self.directory / "config" / "Repo.toml"
        with path.open("a") as file:
            for name, url in urls.items():
                file.write(f'[{name}]\npath = "{url}"\ntarget_branch = "main"\npoll_interval = "{interval}"\n')
        path.chmod(0o600)

    def start(self, output, before=()):
        """The daemon, once it is ready; `before`: words in front of its command."""
        read_end, write_end = os.pipe()
        daemon = subprocess.Popen([*before, *self.command("--ready-fd", write_end)], env=self.env,
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[write_end])
        os.close(write_end)
        ready = os.read(read_end, 1)
        os.close(read_end)
        if not ready:
            raise SystemExit(f"the daemon did not start (exit code {daemon.wait(30)})")
        return daemon

    def run(self, *args):
        return subprocess.run(self.command(*args), env=self.env, check=True, stdout=subprocess.PIPE).stdout.decode()

    def ask(self, *args):
        """The answer of a command as data, whatever it says by its exit code."""
        out = subprocess.run(self.command(*args, "--json"), env=self.env, stdout=subprocess.PIPE).stdout
        return json.loads(out)

    def repos(self):
        return self.ask("repo")

    def wait_for_baselines(self, limit, every=0.5):
        """Until the branch of every section is known; SystemExit with what is in the way at the time limit."""
        deadline = time.monotonic() + limit
        while True:
            unknown = [repo for repo in self.repos() if not any(branch["tip"] for branch in repo["branches"])]
            if not unknown:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(unknown)} repositories were not seen within {limit} s; {unknown[0]['name']}: "
                                 f"{unknown[0]['last_error'] or 'not looked at yet'}")
            time.sleep(every)


def status(pid):
    """Resident memory in KiB, and how often the process has gone to sleep (voluntary context switches)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]), int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


def voluntary_switches(pid):
    """How often all threads together have gone to sleep."""
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        text = (thread / "status").read_text()
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
    return total


def cpu_seconds(pid):
    """User and system time of a process and of the children it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
