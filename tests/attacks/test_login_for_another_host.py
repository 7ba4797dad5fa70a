"""I run a git server, or have taken one over. The runner logs in with a token that its user has put into git's configuration
(http.extraHeader, as hosted runners do). I answer its fetch with a redirect to a host of mine: the token shall come along."""
import http.server
import threading

import pytest


class Recorder(http.server.ThreadingHTTPServer):
    """Answers every request with `reply(handler)`, and keeps the headers."""

    def __init__(self, reply):
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                self.rfile.read(length)
                outer.seen.append((self.path, str(self.headers)))
                code, headers = reply(self)
                self.send_response(code)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


@pytest.fixture
def thief():
    server = Recorder(lambda handler: (404, []))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def traitor(thief):
    server = Recorder(lambda handler: (302, [("Location", f"http://localhost:{thief.port}{handler.path}")]))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("road", ["auto", "git"])
def test_a_redirect_takes_no_token_to_another_host(phantom, repo, thief, traitor, road):
    # Defence: http.followRedirects=false where a header of the user's goes along (git/settings.c); phantom_ci-net follows to one
    # scheme, host and port alone.
    (phantom.home / ".gitconfig").write_text(
        f'[http "http://127.0.0.1:{traitor.port}/"]\n\textraHeader = Authorization: Bearer canary\n\textraHeader = X-Token: canary\n')
    phantom.watch(f"http://127.0.0.1:{traitor.port}/app.git", road=road)
    daemon = phantom.start()
    daemon.wait_event("look failed repo=app")
    assert phantom.cli("run", "app").returncode != 0
    assert any("canary" in headers for _, headers in traitor.seen), "the token was sent where it belongs"
    assert not [headers for _, headers in thief.seen if "canary" in headers]
