"""phantom_ci-net over its pipes, as phantom_ci talks to it: an own writing of the messages of src/net/protocol.h."""
import os
import re
import struct
import subprocess
import threading
import time

from .phantom import BUILD
from .waiting import LIMIT, wait_until

NET = str(BUILD / "src" / "phantom_ci-net")
REQUEST, CANCEL, ANSWER = 1, 2, 3


def message(kind, *fields):
    payload = b"".join(struct.pack("<I", len(field)) + field for field in fields)
    return struct.pack("<II", len(payload), kind) + payload


def request(number, url, body=b"hello", headers=b"Content-Type: text/plain", timeout_ms=120_000, method=b"POST"):
    return message(REQUEST, str(number).encode(), url.encode(), method, headers, body, str(timeout_ms).encode())


def fields_of(payload):
    fields, at = [], 0
    while at < len(payload):
        length, = struct.unpack_from("<I", payload, at)
        fields.append(payload[at + 4:at + 4 + length])
        at += 4 + length
    return fields


class Answer:
    def __init__(self, payload):
        number, outcome, status, retry, remaining, reset, error, self.body = fields_of(payload)
        self.id = number.decode()
        self.outcome = outcome.decode()
        self.status = int(status)
        self.retry_after_ms = int(retry)
        self.rate_remaining = int(remaining)
        self.rate_reset_ms = int(reset)
        self.error = error.decode()
        self.time = time.monotonic()

    def __repr__(self):
        return f"<{self.id} {self.outcome} {self.status} {self.error!r} {self.body[:40]!r}>"


def clean_environment(directory, **more):
    """No proxy and no CA from the machine that runs the tests."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    return {**env, **more}


class Net:
    """A running phantom_ci-net; its answers are collected as they come."""

    program = NET

    def __init__(self, directory, *args, env=None, wrapper=(), **options):
        self.answers = []
        self.broken = b""
        self.process = subprocess.Popen(
            [*wrapper, self.program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(directory, **(env or {})), cwd=directory, bufsize=0, **options)
        self.threads = [threading.Thread(target=self._read_answers, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        self.errors = b""
        for thread in self.threads:
            thread.start()

    def _read_answers(self):
        buffer = bytearray()
        while data := self.process.stdout.read(65536):
            buffer += data
            at = 0
            while len(buffer) - at >= 8:
                length, kind = struct.unpack_from("<II", buffer, at)
                if len(buffer) - at < 8 + length:
                    break
                self._take(kind, bytes(buffer[at + 8:at + 8 + length]))
                at += 8 + length
            del buffer[:at]
        self.broken = bytes(buffer)

    def _take(self, kind, payload):
        assert kind == ANSWER, kind
        self.answers.append(Answer(payload))

    def _read_errors(self):
        while data := self.process.stderr.read(65536):
            self.errors += data

    @property
    def pid(self):
        return self.process.pid

    def write(self, data):
        self.process.stdin.write(data)

    def send(self, number, url, **options):
        self.write(request(number, url, **options))

    def cancel(self, number):
        self.write(message(CANCEL, str(number).encode()))

    def answer(self, number, limit=LIMIT):
        """The answer to this request, once it is there."""
        def find():
            return next((answer for answer in list(self.answers) if answer.id == str(number)), None)
        try:
            return wait_until(find, limit, f"the answer to {number}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.errors.decode(errors='replace')}\n{self.answers}") from None

    def ask(self, url, **options):
        number = f"n{len(self.answers)}"
        self.send(number, url, **options)
        return self.answer(number)

    def close_input(self):
        self.process.stdin.close()

    def wait(self, limit=LIMIT):
        """The exit code, with all that it wrote collected."""
        code = self.process.wait(limit)
        for thread in self.threads:
            thread.join(LIMIT)
        return code

    def stop(self):
        """To its good end; what it did must have been clean."""
        if not self.process.stdin.closed:
            self.close_input()
        code = self.wait()
        self.check()
        return code

    def check(self):
        text = self.errors.decode(errors="replace")
        assert not re.search(r"Sanitizer|runtime error:|\*\*\*|assertion failed", text), text
        assert not self.broken

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    # -------------------------------------------------------------- questions (Linux: /proc)

    def state(self):
        """"S" = it sleeps"""
        with open(f"/proc/{self.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]

    def processor_s(self):
        with open(f"/proc/{self.pid}/stat") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def switches(self):
        """How often its main thread slept and was woken."""
        with open(f"/proc/{self.pid}/status") as file:
            return [line for line in file if "ctxt_switches" in line]

    def resident_kib(self):
        """The most that it ever had in memory."""
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def memory_holds(self, needle):
        """Whether these bytes lie anywhere in its writable memory."""
        with open(f"/proc/{self.pid}/maps") as maps, open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            for line in maps:
                words = line.split()
                if "w" not in words[1]:
                    continue
                begin, end = (int(word, 16) for word in words[0].split("-"))
                if end - begin > 1 << 28:
                    continue  # the shadow of a sanitizer
                memory.seek(begin)
                try:
                    if needle in memory.read(end - begin):
                        return True
                except OSError:
                    continue
        return False


def sanitized():
    with open(NET, "rb") as file:
        return b"__asan_init" in file.read()
