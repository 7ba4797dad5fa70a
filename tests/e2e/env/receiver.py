"""A web server that receives messages, records them, and answers as a script says; and a small proxy.

    receiver = Receiver(directory)                        # or tls=True: a certificate for localhost from an own CA
    receiver.script(status(500), retry_after("3"), ok())  # one reply a request, in this order; then receiver.default
    ... receiver.url("/hook") ... receiver.ca ...
    receiver.wait_requests(3)[0].body

A real server on real sockets: it listens before the constructor returns, one thread a connection. Every request is
also a line of DIRECTORY/receiver/requests.jsonl.
"""
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time

from .waiting import LIMIT, wait_until

HEAD_LIMIT = 256 * 1024


class Request:
    def __init__(self, method, path, headers, body, complete, connection):
        self.method = method
        self.path = path
        self.headers = headers  # names in lower case
        self.body = body
        self.complete = complete  # False: the reply came before the body was read, or the sender left
        self.connection = connection  # number of the connection, from 1
        self.time = time.time()
        self.monotonic = time.monotonic()

    def json(self):
        return json.loads(self.body)


class Reply:
    """What to do with one request: `act(server, connection)` is called once its head and body were read."""

    def __init__(self, act, read_body=True, keep_alive=False):
        self.act = act
        self.read_body = read_body
        self.keep_alive = keep_alive


def head(code, headers=()):
    reason = {200: "OK", 204: "No Content", 429: "Too Many Requests"}.get(code, "Whatever")
    lines = [f"HTTP/1.1 {code} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


def status(code, body=b"as the script says\n", headers=()):
    """A complete answer. Headers: pairs of name and value."""
    def act(_, connection):
        if code == 204 or code < 200:
            connection.sendall(head(code, headers))
        else:
            connection.sendall(head(code, [*headers, ("Content-Length", len(body))]) + body)
    return Reply(act, keep_alive=True)


def ok(body=b"ok\n"):
    return status(200, body)


def retry_after(value, code=429, headers=()):
    return status(code, b"slow down\n", [("Retry-After", value), *headers])


def redirect(location, code=307):
    return status(code, b"", [("Location", location)])


def raw(data):
    """These bytes, whatever they are, and the end of the connection."""
    return Reply(lambda _, connection: connection.sendall(data))


def hang():
    """Takes the request and says nothing until the server stops."""
    return Reply(lambda server, _: server.stopped.wait())


def close():
    """Takes the request and closes without an answer."""
    return Reply(lambda _, connection: None)


def reset(read_body=True):
    """RST instead of an answer; read_body=False: in the middle of the request."""
    def act(_, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return Reply(act, read_body)


def early(code=413):
    """Answers after the head of the request and closes, with its body unread."""
    return Reply(lambda _, connection: connection.sendall(head(code, [("Content-Length", 0), ("Connection", "close")])),
                 read_body=False)


def lie(claimed, sent, code=200):
    """Content-Length claims so many bytes, and so many come."""
    return Reply(lambda _, connection: connection.sendall(head(code, [("Content-Length", claimed)]) + b"x" * sent))


def _for_ever(server, connection, piece, pause):
    while not server.stopped.wait(pause):
        connection.sendall(piece)


def drip_head(pause=0.05):
    """An answer whose head comes a byte at a time and never ends."""
    def act(server, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        _for_ever(server, connection, b"x", pause)
    return Reply(act)


def drip_body(pause=0.05, code=200):
    """A good head, and then a byte at a time, without end."""
    def act(server, connection):
        connection.sendall(head(code, [("Content-Length", 10**9)]))
        _for_ever(server, connection, b"x", pause)
    return Reply(act)


def endless_body(code=200):
    """As many bytes as the other side takes."""
    def act(server, connection):
        connection.sendall(head(code))
        _for_ever(server, connection, b"y" * 65536, 0)
    return Reply(act)


def endless_headers():
    def act(server, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        _for_ever(server, connection, b"X-More: " + b"z" * 1000 + b"\r\n", 0)
    return Reply(act)


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def make_certificates(directory, names="DNS:localhost,IP:127.0.0.1", days=30):
    """ca.pem, server.pem and server.key."""
    d = pathlib.Path(directory)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl("req", "-x509", *curve, "-keyout", d / "ca.key", "-out", d / "ca.pem", "-days", "30", "-subj",
             "/CN=phantom_ci test CA", "-addext", "basicConstraints=critical,CA:TRUE")
    _openssl("req", *curve, "-keyout", d / "server.key", "-out", d / "server.csr", "-subj", "/CN=test server")
    (d / "extensions").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
    _openssl("x509", "-req", "-in", d / "server.csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key", "-CAcreateserial",
             "-days", days, "-extfile", d / "extensions", "-out", d / "server.pem")


class _Server:
    """Accepts on 127.0.0.1 and gives each connection a thread."""

    def __init__(self):
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.open = set()
        self.connections = 0
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(256)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
                self.open.add(connection)
            threading.Thread(target=self._run, args=(connection, number), daemon=True).start()

    def _run(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve(connection, number)
        except OSError:
            pass  # the other side left; what it sent is recorded
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close()

    def stop(self):
        self.stopped.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.lock:
            left = list(self.open)
        for connection in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(LIMIT)


def read_head(connection, buffer):
    """(method, target, headers, rest), or None at the end."""
    while b"\r\n\r\n" not in buffer:
        data = connection.recv(65536)
        if not data or len(buffer) > HEAD_LIMIT:
            return None
        buffer += data
    text, _, rest = buffer.partition(b"\r\n\r\n")
    lines = text.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return method, target, headers, rest


class Receiver(_Server):
    def __init__(self, directory, tls=False, names="DNS:localhost,IP:127.0.0.1", days=30, name="receiver"):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.requests = []
        self.default = ok()
        self.replies = []
        self.context = None
        if tls:
            make_certificates(self.directory, names, days)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(self.directory / "server.pem", self.directory / "server.key")
        super().__init__()

    @property
    def ca(self):
        return str(self.directory / "ca.pem")

    def url(self, path="/hook", host="127.0.0.1"):
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"

    def script(self, *replies):
        with self.lock:
            self.replies.extend(replies)

    def wait_requests(self, count=1, limit=LIMIT):
        """The first `count` requests, once that many came."""
        return wait_until(lambda: len(self.requests) >= count and self.requests[:count], limit, f"request {count}")

    def serve(self, connection, number):
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        buffer = b""
        while True:
            parts = read_head(connection, buffer)
            if not parts:
                return
            method, path, headers, rest = parts
            with self.lock:
                reply = self.replies.pop(0) if self.replies else self.default
            length = int(headers.get("content-length", 0))
            while reply.read_body and len(rest) < length:
                data = connection.recv(65536)
                if not data:
                    break
                rest += data
            body, buffer = rest[:length], rest[length:]
            request = Request(method, path, headers, body, len(body) == length, number)
            self._record(request)
            reply.act(self, connection)
            if not reply.keep_alive or not request.complete or "close" in headers.get("connection", ""):
                connection.close()
                return

    def _record(self, request):
        line = json.dumps({**vars(request), "body": request.body.decode("utf-8", "replace")})
        with self.lock:
            self.requests.append(request)
            with open(self.directory / "requests.jsonl", "a") as file:
                file.write(line + "\n")


class Proxy(_Server):
    """An HTTP proxy: CONNECT and absolute addresses. Whatever host is named, it connects to 127.0.0.1 on that port."""

    def __init__(self):
        self.targets = []  # "CONNECT name:port" or "POST http://name:port/path", as they came
        super().__init__()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection, number):
        parts = read_head(connection, b"")
        if not parts:
            return
        method, target, headers, rest = parts
        self.targets.append(f"{method} {target}")
        authority = target if method == "CONNECT" else target.split("/")[2]
        with socket.create_connection(("127.0.0.1", int(authority.rpartition(":")[2]))) as upstream:
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                upstream.sendall(rest)
            else:
                path = "/" + target.split("/", 3)[3]
                lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
                upstream.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + rest)
            back = threading.Thread(target=self._copy, args=(upstream, connection), daemon=True)
            back.start()
            self._copy(connection, upstream)
            back.join(LIMIT)

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
