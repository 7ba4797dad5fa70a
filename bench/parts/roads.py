"""The four roads to the same repositories, each over a real server that the benchmark starts outside the tree of
processes that is measured, and how many looks each has seen."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from common import ROOT, git_environment

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from env.servers import GitHttp, GitSsh  # noqa: E402

# A program in a user namespace where inotify has no instances left.
WITHOUT_INOTIFY = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class LogCount:
    """Counts the lines of a growing file that match."""

    def __init__(self, path, pattern):
        self.path, self.pattern = path, re.compile(pattern)
        self.offset = self.count = 0

    def __call__(self):
        with self.path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        self.offset += end
        self.count += sum(bool(self.pattern.search(line)) for line in text[:end].decode(errors="replace").splitlines())
        return self.count


class Http:
    """nginx and git-http-backend; a look is a POST that was answered, whatever was asked before it."""

    name, tls = "http", False
    before = []  # words in front of the daemon's command
    server_name = "nginx, git-http-backend"
    targets = {"git ls-remote": 100}

    def __init__(self, directory, repositories):
        self.server = GitHttp(directory, repositories)
        self.git_env = git_environment(directory)
        self.phantom_env = {}
        self.looks = LogCount(self.server.directory / "access.log", r"^POST /git/r\d+\.git/git-upload-pack 200$")

    def url(self, i):
        return self.server.url(f"r{i}", self.tls)

    def rivals(self):
        """name -> arguments of rival.ls_remote() besides URLs, environment and time."""
        return {"git ls-remote": {}, "git ls-remote, 16 at once": {"parallel": 16}}

    def stop(self):
        self.server.stop()


class Https(Http):
    """The same with TLS and HTTP/2. The certificates that are trusted are those of this machine and the server's: what
    every git process reads anew on a real machine."""

    name, tls = "https", True
    server_name = "nginx with TLS and HTTP/2, git-http-backend"
    targets = {"git ls-remote": 200}

    def __init__(self, directory, repositories):
        super().__init__(directory, repositories)
        bundle = directory / "trusted.pem"
        system = next((path for path in SYSTEM_CA if os.path.exists(path)), None)
        bundle.write_text((pathlib.Path(system).read_text() if system else "") + pathlib.Path(self.server.ca).read_text())
        self.git_env["GIT_SSL_CAINFO"] = self.phantom_env["GIT_SSL_CAINFO"] = str(bundle)


class Ssh:
    """sshd; a look is a session, of which one connection may have many."""

    name = "ssh"
    before = []
    server_name = "sshd"
    targets = {"git ls-remote, multiplexed": 10, "git ls-remote": 100}

    def __init__(self, directory, repositories):
        home = directory / "home"
        home.mkdir()
        # More at once than sshd allows by itself, so that 16 rivals at once are not refused.
        self.server = GitSsh(directory, home, "LogLevel VERBOSE\nMaxStartups 200\nMaxSessions 100\n")
        self.server.trust()
        self.repositories = repositories
        self.looks = LogCount(self.server.directory / "sshd.log", r"Starting session: command for ")
        self.options = ["-F", "none", "-i", self.server.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                        f"UserKnownHostsFile={self.server.known_hosts}"]
        self.git_env = git_environment(directory)
        self.phantom_env = self._wrap_ssh(directory)
        self.master = self._start_master(directory)

    def _wrap_ssh(self, directory):
        """ssh takes the user's own files from the user database, not from HOME: these are named to it."""
        wrapper = directory / "bin" / "ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {" ".join(self.options)} "$@"\n')
        wrapper.chmod(0o755)
        return {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}

    def _start_master(self, directory):
        """The connection that the multiplexed rival goes through, in the foreground: its pid is known."""
        self.control = directory / "control"
        target = ["-p", str(self.server.port), f"{self.server.user}@127.0.0.1"]
        master = subprocess.Popen(["ssh", *self.options, "-M", "-N", "-S", str(self.control), *target],
                                  stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self.control.exists():
            if time.monotonic() > deadline or master.poll() is not None:
                raise SystemExit("the ssh master did not start")
            time.sleep(0.01)
        return master

    def url(self, i):
        return self.server.url(f"{self.repositories}/r{i}.git")

    def rivals(self):
        plain = {"GIT_SSH_COMMAND": " ".join(["ssh", *self.options])}
        shared = {"GIT_SSH_COMMAND": " ".join(["ssh", *self.options, "-S", str(self.control)])}
        return {"git ls-remote": {"env": plain},
                "git ls-remote, 16 at once": {"env": plain, "parallel": 16},
                "git ls-remote, multiplexed": {"env": shared, "master": self.master.pid},
                "git ls-remote, multiplexed, 16 at once": {"env": shared, "master": self.master.pid, "parallel": 16}}

    def stop(self):
        self.master.terminate()
        self.master.wait(30)
        self.server.stop()


class Local:
    """Paths on this machine. Nobody but the daemon knows how often it has looked; see detection.py. A repository that is
    watched needs no look, so that there would be none to measure: where it can be, the daemon is kept from watching."""

    name = "local"
    before = WITHOUT_INOTIFY if subprocess.run([*WITHOUT_INOTIFY, "true"], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL).returncode == 0 else []
    server_name = "paths of this machine"
    targets = {"git ls-remote": 500}
    looks = None

    def __init__(self, directory, repositories):
        self.repositories = repositories
        self.git_env = git_environment(directory)
        self.phantom_env = {}

    def url(self, i):
        return f"{self.repositories}/r{i}.git"

    def rivals(self):
        return {"git ls-remote": {}, "git ls-remote, 16 at once": {"parallel": 16}}

    def stop(self):
        pass


class Watched(Local):
    """The same paths, as a daemon that is kept from nothing sees them."""

    name = "watched"
    before = []
    server_name = "paths of this machine, watched"


ROADS = {road.name: road for road in (Http, Https, Ssh, Local, Watched)}
