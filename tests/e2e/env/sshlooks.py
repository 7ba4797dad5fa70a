"""phantom_ci-ssh over its pipes, and the server that it looks at."""
import os
import subprocess

from .looks import Looks
from .net import Net, clean_environment
from .phantom import BUILD
from .processes import processes_of
from .servers import GitSsh

SSH = str(BUILD / "src" / "phantom_ci-ssh")


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE).stdout.decode()
    return [int(word) for word in out.split()]


def environment(place, runtime, **more):
    return clean_environment(place, **{"PATH": f"{place}/sshbin:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(runtime),
                                       **more})


class SshLooks(Looks):
    """A running phantom_ci-ssh. Its ssh has the configuration of the file `place`/ssh_config: the real one takes its own
    from the home directory that the user database names. `runtime`: a directory whose path is short enough for sockets."""
    program = SSH

    def __init__(self, place, runtime, *args, env=None, **options):
        self.place, self.runtime = place, runtime
        self.parts = {}
        bin_directory = place / "sshbin"
        if not bin_directory.exists():
            bin_directory.mkdir()
            self.install_ssh('exec /usr/bin/ssh -F "$config" "$@"')
        self.login_pipe = None
        Net.__init__(self, place, *args, env=environment(place, runtime, **(env or {})), **options)

    def send(self, number, url, **options):
        super().send(number, url, **{"timeout_ms": 120_000, **options})

    def answer(self, number, limit=150.0):
        return super().answer(number, limit)

    def install_ssh(self, script):
        """What is found under the name ssh; $config is the configuration."""
        path = self.place / "sshbin" / "ssh"
        new = path.with_name("new")
        new.write_text(f"#!/bin/sh\nconfig={self.place}/ssh_config\n{script}\n")
        new.chmod(0o755)
        new.rename(path)

    def masters(self):
        """Its ssh processes."""
        return children(self.pid)

    def sockets(self):
        """All that lies in the directory for sockets."""
        return sorted(str(path.relative_to(self.runtime)) for path in self.runtime.rglob("*"))


class Sshd(GitSsh):
    """An sshd that the ssh of SshLooks trusts. Its sessions have a home directory of the test: what the shell of the user
    who runs it does at each start is not what is tested. `protocol`: what GIT_PROTOCOL is whatever the client sends."""

    def __init__(self, place, settings="", protocol=None):
        home = place / "home"
        variables = f"HOME={home}" + (f" GIT_PROTOCOL=version={protocol}" if protocol else "")
        super().__init__(place, home, f"SetEnv {variables}\n{settings}")
        self.place = place
        self.configure()
        self.trust()

    def configure(self, *lines, identity=True):
        """The user's ssh_config: these lines, and what makes it reach this server."""
        (self.place / "ssh_config").write_text("".join(f"{line}\n" for line in [
            *lines, "Host *", f"UserKnownHostsFile {self.known_hosts}", "IdentitiesOnly yes",
            f"IdentityFile {self.key if identity else 'none'}"]))

    def force(self, script, restrict=True, key="id"):
        """What a login with this key runs, whatever it asks for."""
        words = (self.directory / f"{key}.pub").read_text()
        program = self.directory / f"forced-{key}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        lines = (self.directory / "authorized_keys").read_text().splitlines(keepends=True)
        others = [line for line in lines if words.strip() not in line]
        options = f'command="{program}"' + (",restrict" if restrict else "")
        (self.directory / "authorized_keys").write_text("".join(others) + f"{options} {words}")

    def connections(self):
        """The processes of sshd that serve one connection each."""
        return children(self.daemon.pid)

    def commands(self):
        """The forced commands that run."""
        return [pid for pid, command in processes_of(self.directory) if "forced-" in command]

    def logins(self):
        """How many there have been."""
        return (self.directory / "sshd.log").read_text().count("Accepted publickey")
