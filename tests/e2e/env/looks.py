"""phantom_ci-net --looks over its pipes: an own writing of the messages of src/net/look_protocol.h, and of the digest."""
import hashlib
import os
import subprocess
import sys
import time

from .net import CANCEL, Net, fields_of, message

LOOK, REFS, LOOKED, LOGIN = 4, 5, 6, 7
LOGIN_FD = 3

# Started with the other end of the login pipe as LOGIN_FD.
AT_FD = ("import os, sys; os.dup2(int(sys.argv[1]), 3, True) if sys.argv[1] != '3' else os.set_inheritable(3, True); "
         "os.execv(sys.argv[2], sys.argv[2:])")


def look(number, url, wanted="refs/heads/main", known="", options="", road="", timeout_ms=30_000):
    return message(LOOK, *(str(field).encode() for field in (number, url, wanted, known, options, road, timeout_ms)))


class Looked:
    """`refs` is a dictionary of full names, None unless the outcome is "refs"."""

    def __init__(self, payload, refs):
        fields = [field.decode() for field in fields_of(payload)]
        self.id, self.outcome, self.road, self.digest, self.location, retry, self.error = fields
        self.retry_after_ms = int(retry)
        self.refs = refs if self.outcome == "refs" else None
        self.time = time.monotonic()

    def __repr__(self):
        return f"<{self.id} {self.outcome} {self.road!r} {self.error!r} {self.location!r} {self.refs}>"


class Looks(Net):
    """A running phantom_ci-net --looks."""

    def __init__(self, directory, *args, logins=False, wrapper=(), **options):
        self.parts = {}
        self.login_pipe = None
        if logins:
            its_end, self.login_pipe = os.pipe()
            wrapper = [sys.executable, "-c", AT_FD, str(its_end), *wrapper]
            options["pass_fds"] = [its_end]
            # The wrapper replaces itself; the program must be named by its path.
        super().__init__(directory, "--looks", *args, wrapper=wrapper, **options)
        if logins:
            os.close(its_end)

    def _take(self, kind, payload):
        if kind == REFS:
            number, lines = fields_of(payload)
            refs = self.parts.setdefault(number.decode(), {})
            for line in lines.decode().splitlines():
                object_id, _, name = line.partition(" ")
                assert name not in refs
                refs[name] = object_id
        else:
            assert kind == LOOKED, kind
            number = fields_of(payload)[0].decode()
            self.answers.append(Looked(payload, self.parts.pop(number, {})))

    def send(self, number, url, **options):
        self.write(look(number, url, **options))

    def cancel(self, number):
        self.write(message(CANCEL, str(number).encode()))

    def log_in(self, prefix, user="", password=""):
        os.write(self.login_pipe, message(LOGIN, prefix.encode(), user.encode(), password.encode()))

    def close_logins(self):
        if self.login_pipe is not None:
            os.close(self.login_pipe)
            self.login_pipe = None


def ls_remote(url, *patterns, env=None):
    """The refs as git itself sees them."""
    out = subprocess.run(["git", "ls-remote", url, *patterns], check=True, stdout=subprocess.PIPE,
                         env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(env or {})}).stdout.decode()
    return {name: object_id for object_id, name in (line.split("\t") for line in out.splitlines())}


def digest(refs):
    """Of a dictionary, as refset_digest() makes it."""
    return hashlib.sha256("".join(f"{refs[name]} {name}\n" for name in sorted(refs)).encode()).hexdigest()
