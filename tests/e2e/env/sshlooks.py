"""phantom_ci-ssh over its pipes, and the server that it looks at."""
import os
import subprocess

from .looks import Looks
from .net import Net
from .phantom import BUILD
from .servers import GitSsh

SSH = str(BUILD / "src" / "phantom_ci-ssh")


class SshLooks(Looks):
    """A running phantom_ci-ssh. Its ssh has the configuration of the file `place`/ssh_config: the real one takes its own
    from the home directory that the user database names."""
    program = SSH

    def __init__(self, place, *args, env=None, **options):
        self.place = place
        self.parts = {}
        self.runtime = place / "run"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        bin_directory = place / "sshbin"
        if not bin_directory.exists():
            bin_directory.mkdir()
            self.install_ssh('exec /usr/bin/ssh -F "$config" "$@"')
        path = f"{bin_directory}:{os.environ['PATH']}"
        self.login_pipe = None
        Net.__init__(self, place, *args, env={"PATH": path, "XDG_RUNTIME_DIR": str(self.runtime), **(env or {})}, **options)

    def install_ssh(self, script):
        """What is found under the name ssh; $config is the configuration."""
        path = self.place / "sshbin" / "ssh"
        new = path.with_name("new")
        new.write_text(f"#!/bin/sh\nconfig={self.place}/ssh_config\n{script}\n")
        new.chmod(0o755)
        new.rename(path)

    def sockets(self):
        return sorted(str(path.relative_to(self.runtime)) for path in self.runtime.rglob("*"))


class Sshd(GitSsh):
    """An sshd that the ssh of SshLooks trusts, whose connections can be found."""

    def __init__(self, place, settings=""):
        super().__init__(place, place / "home", settings)
        self.place = place
        self.configure()
        self.trust()

    def configure(self, *lines):
        (self.place / "ssh_config").write_text("".join(f"{line}\n" for line in [
            *lines, "Host *", f"UserKnownHostsFile {self.known_hosts}", f"IdentityFile {self.key}", "IdentitiesOnly yes"]))

    def connections(self):
        """The process ids of sshd's that serve a connection, as root's children of the daemon."""
        out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.daemon.pid)], stdout=subprocess.PIPE).stdout.decode()
        return [int(word) for word in out.split()]

    def sessions(self):
        """How many logins there were."""
        return (self.directory / "sshd.log").read_text().count("Accepted publickey")
