"""The program under test, with directories of its own."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

from .gitrepo import toml_string
from .processes import processes_of
from .waiting import LIMIT, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("PHANTOM_CI_BUILD_DIR", ROOT / "build" / "gcc")).resolve()
# conftest.py sets it where users without an account can't reach the build.
PROGRAMS_VARIABLE = "PHANTOM_CI_TEST_PROGRAMS"
FINAL = {"success", "failed", "error", "timeout", "canceled", "interrupted", "superseded", "skipped", "blocked"}


def programs():
    """The directory of src/ and tests/ with the programs under test, which everybody can reach."""
    return pathlib.Path(os.environ.get(PROGRAMS_VARIABLE, BUILD))


class Daemon:
    """A running daemon; its lines are collected as they come."""

    def __init__(self, phantom, *args, env=None):
        self.lines = []
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen(
            phantom.command("--ready-fd", str(write_end), *args), env={**phantom.env, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[write_end],
            cwd=phantom.home)
        os.close(write_end)
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()
        ready = os.read(read_end, 1)
        os.close(read_end)
        if not ready:
            self.process.wait(LIMIT)
            self.reader.join(LIMIT)
            raise AssertionError(f"the daemon did not start: {self.text()}")

    def _collect(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return "\n".join(self.lines)

    def wait_event(self, pattern, limit=LIMIT):
        """The first line that matches."""
        def find():
            return next((line for line in list(self.lines) if re.search(pattern, line)), None)
        try:
            return wait_until(find, limit, f"a line like {pattern!r}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.text()}") from None

    def is_alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill9(self):
        self.process.kill()
        self.process.wait(LIMIT)

    def stop(self, limit=LIMIT):
        """SIGTERM, and the exit code."""
        if self.is_alive():
            self.process.terminate()
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the daemon did not stop:\n{self.text()}") from None
        self.reader.join(0.2)  # jobs that go on still hold the pipe
        return code


class Phantom:
    wrapper = ()  # a command in front of the program: as another user, say

    def __init__(self, directory):
        self.directory = directory
        self.home = directory / "home"
        self.config = directory / "config"
        self.state = directory / "state"
        self.cache = directory / "cache"
        self.home.mkdir(mode=0o700)
        self.config.mkdir(mode=0o700)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "USER": "tester",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "NO_COLOR": "1",
            "PHANTOM_CI_LIBEXEC_DIR": str(programs() / "src"),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.daemons = []
        self.errors = []  # what commands wrote to standard error

    def command(self, *args):
        return [*self.wrapper, str(programs() / "src" / "phantom_ci"), "--config-dir", str(self.config), "--state-dir", str(self.state),
                "--cache-dir", str(self.cache), *map(str, args)]

    # ------------------------------------------------------------ configuration

    def write_repo_toml(self, text):
        temporary = self.config / "Repo.toml.new"
        temporary.write_text(text)
        temporary.chmod(0o600)
        temporary.rename(self.config / "Repo.toml")

    def watch(self, repo, name="app", branch="main", **keys):
        """Appends a section; `repo` is a GitRepo or a URL."""
        url = repo if isinstance(repo, str) else repo.url
        keys.setdefault("poll_interval", "100ms")
        text = f"[{name}]\npath = {toml_string(url)}\n"
        if isinstance(branch, str):
            text += f"target_branch = {toml_string(branch)}\n"
        else:
            text += "target_branch = [" + ", ".join(map(toml_string, branch)) + "]\n"
        for key, value in keys.items():
            if isinstance(value, bool):
                value = "true" if value else "false"
            elif isinstance(value, str):
                value = toml_string(value)
            elif isinstance(value, dict):
                value = "{ " + ", ".join(f"{k} = {toml_string(v)}" for k, v in value.items()) + " }"
            elif isinstance(value, list):
                value = "[" + ", ".join(map(toml_string, value)) + "]"
            text += f"{key} = {value}\n"
        path = self.config / "Repo.toml"
        before = path.read_text() if path.exists() else ""
        self.write_repo_toml(before + text + "\n")

    def configure(self, text):
        path = self.config / "config.toml"
        path.write_text(text)
        path.chmod(0o600)

    # ----------------------------------------------------------------- running

    def cli(self, *args, check=None, input=None, env=None, limit=LIMIT):
        """Runs a command; `check` is the exit code that is expected, None for any."""
        result = subprocess.run(self.command(*args), env={**self.env, **(env or {})}, input=input,
                                stdin=None if input is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=limit, cwd=self.home)
        result.out = result.stdout.decode(errors="replace")
        result.err = result.stderr.decode(errors="replace")
        self.errors.append(result.err)
        if check is not None and result.returncode != check:
            raise AssertionError(f"{args}: exit {result.returncode}, expected {check}\n{result.out}\n{result.err}")
        return result

    def json(self, *args):
        return json.loads(self.cli(*args, "--json").out)

    def start(self, *args, env=None):
        daemon = Daemon(self, *args, env=env)
        self.daemons.append(daemon)
        return daemon

    def stop_all(self):
        for daemon in self.daemons:
            if daemon.is_alive():
                daemon.stop()

    def check_sanitizers(self):
        """A finding in a job's process changes no exit code that a test looks at, so it is looked for here."""
        for text in [*self.errors, *(daemon.text() for daemon in self.daemons)]:
            assert not re.search(r"ERROR: (Address|Leak)Sanitizer|runtime error:", text), text

    # -------------------------------------------------------------- questions

    def jobs(self, **wanted):
        """All jobs, oldest first, that have these values."""
        jobs = sorted(self.json("jobs", "--limit", "0"), key=lambda job: job["id"])
        return [job for job in jobs if all(job[key] == value for key, value in wanted.items())]

    def job(self, number):
        return self.json("job", str(number))[0]

    def wait_job(self, limit=LIMIT, **wanted):
        """The first job with these values, once it is over (or in the state that is named)."""
        def find():
            for job in self.jobs(**wanted):
                if "state" in wanted or job["state"] in FINAL:
                    return job
            return None
        try:
            return wait_until(find, limit, f"a job {wanted}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\njobs: {self.jobs()}\n{self.daemon_text()}") from None

    def wait_idle(self, limit=LIMIT):
        wait_until(lambda: all(job["state"] in FINAL for job in self.jobs()), limit, "the end of all jobs")

    def wait_until(self, condition, limit=LIMIT, what="the condition"):
        try:
            return wait_until(condition, limit, what)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.daemon_text()}") from None

    def wait_baseline(self, name="app", branch="main", limit=LIMIT):
        """Until the branch's tip is known."""
        def known():
            for repo in self.json("repo"):
                if repo["name"] == name:
                    return any(b["name"] == branch and b["tip"] for b in repo["branches"])
            return False
        self.wait_until(known, limit, f"the baseline of {name} {branch}")

    def repo(self, name="app"):
        return next(repo for repo in self.json("repo") if repo["name"] == name)

    def log(self, number):
        return self.cli("logs", str(number), check=0).stdout

    def daemon_text(self):
        return "\n".join(f"--- daemon {daemon.pid}\n{daemon.text()}" for daemon in self.daemons)

    def processes(self):
        return processes_of(self.directory)

    def job_processes(self):
        """Processes of jobs: phantom_ci-job and what runs below it."""
        return [p for p in self.processes() if p[0] not in {d.pid for d in self.daemons}]

    def kill_daemon_group(self, daemon):
        os.kill(daemon.pid, signal.SIGKILL)
