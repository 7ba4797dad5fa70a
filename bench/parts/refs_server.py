#!/usr/bin/env python3
"""A Git server over HTTP that has references and nothing else: any number of repositories, answered from memory.

It speaks what a look needs, over connections that stay: GET /rN.git/info/refs?service=git-upload-pack (the
capabilities of protocol v2, or all references for a client that asks for v0) and POST /rN.git/git-upload-pack with the
command ls-refs (gitprotocol-v2(5)), ref-prefix lines heeded. It runs as a process of its own, so that its CPU time is
nobody else's: serve() starts it, Server talks to it over a pipe.
"""
import asyncio
import json
import re
import subprocess
import sys
import time
import zlib

TIP = "1" * 40
REFS = {"HEAD": TIP, "refs/heads/main": TIP}
MAX_REQUEST = 64 * 1024
PATH = re.compile(r"^/r(\d+)\.git/(info/refs|git-upload-pack)(?:\?(.*))?$")
FLUSH = b"0000"


def packet(text):
    return b"%04x" % (len(text) + 4) + text.encode()


CAPABILITIES = (packet("# service=git-upload-pack\n") + FLUSH + packet("version 2\n") + packet("agent=git/bench\n") +
                packet("ls-refs=unborn\n") + packet("fetch=shallow\n") + packet("object-format=sha1\n") + FLUSH)
ADVERTISEMENT = packet("# service=git-upload-pack\n") + FLUSH + packet(
    f"{TIP} HEAD\0symref=HEAD:refs/heads/main object-format=sha1 agent=git/bench\n") + packet(
    f"{TIP} refs/heads/main\n") + FLUSH


def packets(body):
    """The lines of a request; flush and delimiter packets are None."""
    at = 0
    while at + 4 <= len(body):
        size = int(body[at:at + 4], 16)
        yield body[at + 4:at + size].decode().rstrip("\n") if size >= 4 else None
        at += max(size, 4)


def ls_refs(body):
    """The answer to an ls-refs command, or None when the request is something else."""
    lines = [line for line in packets(body) if line]
    if lines[:1] != ["command=ls-refs"]:
        return None
    prefixes = tuple(line[len("ref-prefix "):] for line in lines if line.startswith("ref-prefix ")) or ("",)
    return b"".join(packet(f"{tip} {name}\n") for name, tip in REFS.items() if name.startswith(prefixes)) + FLUSH


class Tally:
    """Looks since the last reset: how many, and for each repository the longest time between two of them. The look
    before the reset counts as the first; the end of a report as the last, for those that wait too long."""

    def __init__(self):
        self.last = {}
        self.reset()

    def reset(self):
        self.gaps, self.looks, self.refused = {}, 0, 0

    def look(self, repository):
        now = time.monotonic()
        if repository in self.last:
            self.gaps[repository] = max(self.gaps.get(repository, 0.0), now - self.last[repository])
        self.last[repository] = now
        self.looks += 1

    def report(self):
        now = time.monotonic()
        gaps = [max(self.gaps.get(repository, 0.0), now - last) for repository, last in self.last.items()]
        return {"looks": self.looks, "refused": self.refused, "gaps": sorted(gaps)}


class Connection(asyncio.Protocol):
    tally = Tally()

    def connection_made(self, transport):
        self.transport, self.pending = transport, b""

    def data_received(self, data):
        self.pending += data
        while True:
            head, found, rest = self.pending.partition(b"\r\n\r\n")
            if not found:
                break
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(headers.get("content-length", 0))
            if headers.get("expect", "").lower() == "100-continue" and len(rest) < length:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(rest) < length:
                break
            body, self.pending = rest[:length], rest[length:]
            if headers.get("content-encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            self.answer(lines[0].split(" "), headers, body)
        if len(self.pending) > MAX_REQUEST:
            self.transport.close()

    def answer(self, request, headers, body):
        match = PATH.match(request[1])
        content, kind = None, "application/x-git-upload-pack-result"
        if match and request[0] == "GET" and match[3] == "service=git-upload-pack":
            modern = "version=2" in headers.get("git-protocol", "")
            content, kind = CAPABILITIES if modern else ADVERTISEMENT, "application/x-git-upload-pack-advertisement"
            if not modern:
                self.tally.look(match[1])
        elif match and request[0] == "POST" and match[2] == "git-upload-pack":
            content = ls_refs(body)
            if content is not None:
                self.tally.look(match[1])
        if content is None:
            self.tally.refused += 1
        status = b"200 OK" if content is not None else b"404 Not Found"
        content = content or b""
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-cache\r\n\r\n" %
                             (status, kind.encode(), len(content)) + content)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line == b"reset\n":
            Connection.tally.reset()
            print("{}", flush=True)
        else:
            print(json.dumps(Connection.tally.report()), flush=True)


class Server:
    """The server as a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def url(self, i):
        return f"http://127.0.0.1:{self.port}/r{i}.git"

    def ask(self, question):
        self.process.stdin.write(question.encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def reset(self):
        self.ask("reset")

    def report(self):
        return self.ask("report")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve())
