"""A git in front of the real one: it notes its calls, and may fail, hang or do something first."""
import os
import shlex
import shutil


class FakeGit:
    """Give `env` to a daemon or a command; the real git does the work in the end."""

    def __init__(self, directory):
        self.directory = directory / "fakegit"
        self.directory.mkdir()
        self.log = self.directory / "calls"
        self.log.touch()
        self.rules = []
        self.real = shutil.which("git")
        self._write()

    @property
    def env(self):
        return {"PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}

    def on(self, pattern, script):
        """Runs a shell script before the calls whose arguments match a shell pattern (as words between spaces)."""
        self.rules.append(f'case " $* " in {pattern}) {script}\n;; esac\n')
        self._write()

    def fail(self, pattern, condition, message):
        """Fails, with git's exit code for it, while a shell condition is true."""
        self.on(pattern, f"if {condition}; then echo {shlex.quote(message)} >&2; exit 128; fi")

    def hang(self, pattern):
        """Never ends, with a child that never ends either."""
        self.on(pattern, "sleep 1000 & sleep 1000")

    def calls(self, command):
        """How many calls had this word as an argument."""
        return sum(command in line.split() for line in self.log.read_text().splitlines())

    def _write(self):
        directory = self.directory / "bin"
        directory.mkdir(exist_ok=True)
        text = f'#!/bin/sh\nprintf "%s\\n" "$*" >>{shlex.quote(str(self.log))}\n'
        text += "".join(self.rules) + f'exec {shlex.quote(self.real)} "$@"\n'
        new = directory / "git.new"
        new.write_text(text)
        new.chmod(0o755)
        new.rename(directory / "git")
