"""A machine with systemd as its first process: systemd-nspawn on an overlay of this machine's own files.

Everything is mounted in a mount namespace of its own, so that nothing is left mounted when its processes are gone,
however they went. What is written lands in the test's directory.
"""
import os
import pathlib
import shutil
import signal
import subprocess

from .phantom import BUILD
from .waiting import LIMIT, wait_until

# Services of this machine that have no business in the guest.
WANTS = ("multi-user.target.wants", "timers.target.wants", "sockets.target.wants", "graphical.target.wants")


def why_not():
    """What is missing for it, or None."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    for program in ("systemd-nspawn", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


class Machine:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory) / "machine"
        self.upper, self.work, self.root = (self.directory / name for name in ("upper", "work", "root"))
        for path in (self.upper, self.work, self.root):
            path.mkdir(parents=True)
        self.leader = None
        self.session = []  # what a log-in puts into the environment of the user
        self._install()
        self._boot()

    def _install(self):
        # The build directory may be older than its sources; what is tested is what was built.
        subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", str(self.upper)],
                       check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        units = self.upper / "etc" / "systemd" / "system"
        units.mkdir(parents=True)
        for wants in WANTS:
            present = pathlib.Path("/etc/systemd/system") / wants
            for unit in present.iterdir() if present.is_dir() else []:
                (units / unit.name).symlink_to("/dev/null")
        (self.upper / "etc" / "hostname").write_text("guest\n")

    def _boot(self):
        mount = (f"mount -t overlay overlay -o lowerdir=/,upperdir={self.upper},workdir={self.work} {self.root} && "
                 f"exec systemd-nspawn --quiet --register=no --keep-unit -D {self.root} -b --private-network "
                 "--console=pipe --kill-signal=SIGRTMIN+3")
        self.log = open(self.directory / "console", "wb")
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", mount],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        try:
            self.leader = wait_until(self._find_leader, what="the first process of the guest")
            wait_until(self._is_up, what="the guest to be up")
        except AssertionError as failure:
            self.stop()
            console = (self.directory / "console").read_text(errors="replace")
            raise AssertionError(f"{failure}\n{console}") from None

    def _find_leader(self):
        if self.process.poll() is not None:
            raise AssertionError("systemd-nspawn ended")
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                children = file.read().split()
        except OSError:
            return None
        for child in children:
            with open(f"/proc/{child}/comm") as file:
                if file.read().strip() == "systemd":
                    return int(child)
        return None

    def _is_up(self):
        return self.run("systemctl", "is-system-running", check=None).out.strip() in ("running", "degraded")

    def command(self, *words, user=None):
        command = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i",
                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"]
        if user:
            command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", f"HOME=/home/{user}",
                        f"USER={user}", *self.session]
        return [*command, *map(str, words)]

    def start(self, *words, user=None):
        return subprocess.Popen(self.command(*words, user=user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd="/")

    def run(self, *words, user=None, check=0, limit=120):
        """Runs a command in the guest; `check` is the exit code that is expected, None for any."""
        result = subprocess.run(self.command(*words, user=user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=limit, cwd="/")
        result.out = result.stdout.decode(errors="replace")
        result.err = result.stderr.decode(errors="replace")
        if check is not None and result.returncode != check:
            raise AssertionError(f"{words}: exit {result.returncode}\n{result.out}\n{result.err}")
        return result

    def shell(self, script, user=None, check=0):
        return self.run("sh", "-ec", f"cd; {script}", user=user, check=check).out

    def start_session(self, user):
        """The user's own systemd, as after a log-in."""
        uid = self.run("id", "-u", user).out.strip()
        self.run("loginctl", "enable-linger", user)
        self.run("systemctl", "start", f"user@{uid}")
        self.session = [f"XDG_RUNTIME_DIR=/run/user/{uid}"]

    def property(self, name, unit="phantom_ci", user=None):
        return self.run("systemctl", *(["--user"] if user else []), "show", f"--property={name}", "--value", unit,
                        user=user).out.strip()

    def journal(self):
        return self.run("journalctl", "-u", "phantom_ci", "--no-pager", "-o", "cat", check=None).out

    def processes_of_unit(self):
        """Command lines in the control group of the unit, the daemon's apart."""
        group = self.property("ControlGroup")
        if not group:
            return []
        listed = self.run("systemd-cgls", "--no-pager", "-u", "phantom_ci.service", "--full", check=None).out
        return [line.strip(" ├└│─") for line in listed.splitlines()[2:]]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(LIMIT)
        self.log.close()
