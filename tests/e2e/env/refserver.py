"""A git server over http that has one branch and no objects, and notes what it is asked: enough to look at."""
import http.server
import threading
import time

TIP = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def packet(text):
    return b"%04x" % (len(text) + 4) + text.encode()


class RefServer:
    """`verdict(path, number)`: called for each request with its number from 0 on; a status and headers instead of an
    answer, or None. `delay`: seconds that each answer takes. Every repository has the branch main at TIP."""

    def __init__(self):
        self.verdict = lambda path, number: None
        self.delay = 0
        self.lock = threading.Lock()
        self.asked = []  # (monotonic time, path, headers) of each request
        self.under_way = self.most_at_once = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer._answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def _answer(self, handler):
        with self.lock:
            number = len(self.asked)
            self.asked.append((time.monotonic(), handler.path, dict(handler.headers)))
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        time.sleep(self.delay)
        with self.lock:
            self.under_way -= 1
        verdict = self.verdict(handler.path, number)
        status, headers = verdict or (200, {"Content-Type": "application/x-git-upload-pack-result"})
        body = b"" if verdict else packet(f"{TIP} refs/heads/main\n") + b"0000"
        try:
            handler.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # nobody waits for it any more

    def times(self, name=None):
        """When it was asked, for one repository or for all."""
        with self.lock:
            return [at for at, path, _ in self.asked if name is None or path.startswith(f"/{name}.git/")]

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
