#!/usr/bin/env python3
"""Client CPU of a look at a remote over http(s): `phantom_ci-net --looks` beside `git ls-remote`, in the same run.

First against a server that answers at once with fixed bytes (nginx), so that the client is what is measured; then against
nginx with git-http-backend. The server's work is not counted.
"""
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time

from common import BUILD, ROOT, git_environment, make_repository

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from env.looks import LOOKED, look  # noqa: E402
from env.lookserver import LookServer  # noqa: E402

FAST_LOOKS, REAL_LOOKS, GIT_LOOKS = 10_000, 500, 30
KINDS = {"http": "http", "https, HTTP/1.1": "https", "https, HTTP/2": "h2"}

def ours(directory, urls, ca, known=""):
    """CPU seconds, wall seconds and the most memory (MB) of one process for all of these looks, and its start."""
    env = {"PATH": os.environ["PATH"], "GIT_SSL_CAINFO": ca, "HOME": str(directory)}
    process = subprocess.Popen([BUILD / "src" / "phantom_ci-net", "--looks"], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    data = b"".join(look(i, url, known=known, road="v2", timeout_ms=600_000) for i, url in enumerate(urls))
    begin = time.monotonic()

    def write():
        process.stdin.write(data)
        process.stdin.close()
    writer = threading.Thread(target=write)
    writer.start()
    answers = process.stdout.read()
    writer.join()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    assert status == 0
    good = at = 0
    while at < len(answers):
        length, kind = struct.unpack_from("<II", answers, at)
        good += kind == LOOKED and any(word in answers[at:at + 8 + length] for word in (b"same", b"refs"))
        at += 8 + length
    assert good == len(urls), (good, len(urls), answers[:300])
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024


def theirs(directory, urls, ca):
    env = {**git_environment(directory), "GIT_SSL_CAINFO": ca}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    for url in urls:
        subprocess.run(["git", "ls-remote", "-q", url, "refs/heads/main"], env=env, check=True, stdout=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin


def compare(directory, name, url, ca, looks):
    start = ours(directory, [url], ca)[0]
    cpu, wall, memory = ours(directory, [url] * looks, ca)
    git_cpu, git_wall = theirs(directory, [url] * GIT_LOOKS, ca)
    mine, rival = (cpu - start) / (looks - 1) * 1000, git_cpu / GIT_LOOKS * 1000
    print(f"  {name:28} {mine:8.3f} ms CPU a look, {looks / wall:7.0f} looks/s, {memory:5.1f} MB"
          f"   git ls-remote {rival:7.1f} ms, {GIT_LOOKS / git_wall:5.0f} looks/s   ratio {rival / mine:6.0f}")


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        directory = pathlib.Path(name)
        (directory / "remotes").mkdir()
        make_repository(directory / "remotes", "app", {"file": "x\n"})
        server = LookServer(directory, directory / "remotes")
        # A bundle of the usual size, as git meets it on each start.
        bundle = directory / "bundle.pem"
        system = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        bundle.write_text((system.read_text() if system.exists() else "") + pathlib.Path(server.ca).read_text())
        try:
            print(f"fixed answers, {FAST_LOOKS} looks at one host:")
            for title, kind in KINDS.items():
                compare(directory, title, server.url(area="fixed", kind=kind), str(bundle), FAST_LOOKS)
            print(f"git-http-backend, {REAL_LOOKS} looks:")
            for title, kind in KINDS.items():
                compare(directory, title, server.url(kind=kind), str(bundle), REAL_LOOKS)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
