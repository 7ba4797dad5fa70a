"""phantom_ci-net over its pipes: answers, good and bad, and servers that misbehave."""
import email.utils
import gzip
import os
import socket
import subprocess
import time

import pytest

from env import receiver as replies
from env.net import NET, sanitized


# ------------------------------------------------------------------------------------------------- good and bad answers


def test_a_message_arrives_byte_for_byte_with_its_headers(net, receiver):
    body = bytes(range(256)) * 40
    answer = net.ask(receiver.url("/a/b?c=d&e=%20"), body=body,
                     headers=b"Content-Type: application/json\nX-Signature: sha256=ab\nX-Empty:")
    assert (answer.outcome, answer.status, answer.body, answer.error) == ("http", 200, b"ok\n", "")
    assert (answer.retry_after_ms, answer.rate_remaining, answer.rate_reset_ms) == (-1, -1, -1)
    got, = receiver.requests
    assert (got.method, got.path, got.body) == ("POST", "/a/b?c=d&e=%20", body)
    version = subprocess.run([NET, "--version"], check=True, stdout=subprocess.PIPE).stdout.decode().split()[1]
    assert got.headers == {"host": f"127.0.0.1:{receiver.port}", "user-agent": f"phantom_ci/{version}", "accept": "*/*",
                           "content-type": "application/json", "x-signature": "sha256=ab", "x-empty": "",
                           "content-length": str(len(body))}


def test_no_header_is_sent_that_nobody_asked_for(net, receiver):
    net.ask(receiver.url(), headers=b"")
    assert set(receiver.requests[0].headers) == {"host", "user-agent", "accept", "content-length"}


def test_a_body_of_almost_a_mebibyte_arrives(net, receiver):
    body = os.urandom(1024 * 1024 - 200 - len(receiver.url()))
    assert net.ask(receiver.url(), body=body).status == 200
    assert receiver.requests[0].body == body


@pytest.mark.parametrize("code", [200, 201, 204, 400, 401, 403, 404, 413, 500, 502, 503, 599])
def test_each_status_is_reported_with_the_beginning_of_the_body(net, receiver, code):
    receiver.script(replies.status(code, b"because\n"))
    answer = net.ask(receiver.url())
    assert (answer.outcome, answer.status, answer.error) == ("http", code, "")
    assert answer.body == (b"" if code == 204 else b"because\n")


def test_get_and_head_have_no_body(net, receiver):
    assert net.ask(receiver.url(), method=b"GET", body=b"").body == b"ok\n"
    assert net.ask(receiver.url(), method=b"HEAD", body=b"").body == b""
    assert [(r.method, r.body) for r in receiver.requests] == [("GET", b""), ("HEAD", b"")]


def test_retry_after_in_seconds_and_as_a_date_is_the_time_to_wait(net, receiver):
    receiver.script(replies.retry_after("3"), replies.retry_after("0", code=503), replies.retry_after("soon"),
                    replies.retry_after(email.utils.formatdate(time.time() + 1000, usegmt=True)),
                    replies.retry_after(email.utils.formatdate(time.time() - 100, usegmt=True)),
                    replies.retry_after("9" * 30))
    answers = [net.ask(receiver.url()) for _ in range(6)]
    assert [a.status for a in answers] == [429, 503, 429, 429, 429, 429]
    waits = [a.retry_after_ms for a in answers]
    assert waits[:3] == [3000, 0, -1] and waits[4:] == [0, 24 * 3600 * 1000]
    assert 800_000 < waits[3] <= 1_000_000


def test_discords_rate_headers_are_reported(net, receiver):
    limits = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "1.25")]
    receiver.script(replies.status(204, headers=limits), replies.status(429, b"", limits))
    good, bad = net.ask(receiver.url()), net.ask(receiver.url())
    assert (good.rate_remaining, good.rate_reset_ms, good.retry_after_ms) == (0, 1250, -1)
    assert (bad.rate_remaining, bad.rate_reset_ms, bad.retry_after_ms) == (0, 1250, 1250), "no Retry-After: the reset"


def test_headers_of_an_interim_answer_do_not_count(net, receiver):
    receiver.script(replies.raw(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 77\r\n\r\n"
                                b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n"))
    answer = net.ask(receiver.url())
    assert (answer.status, answer.retry_after_ms) == (429, -1)


# ----------------------------------------------------------------------------------------------- servers that misbehave


@pytest.mark.demand("G2")
def test_a_server_that_hangs_is_a_timeout_in_time(net, receiver):
    receiver.script(replies.hang())
    begin = time.monotonic()
    answer = net.ask(receiver.url("/canary"), timeout_ms=700)
    assert (answer.outcome, answer.status) == ("timeout", 0)
    assert 0.6 < time.monotonic() - begin
    assert answer.error == f"no complete answer came from http://127.0.0.1:{receiver.port} within 700 ms"


def test_a_server_that_never_accepts_is_a_timeout(net):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = []
        try:
            for _ in range(8):  # the queue of the listener is full; the kernel drops what comes now
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            answer = net.ask(f"http://127.0.0.1:{port}/", timeout_ms=500)
        finally:
            for filler in fillers:
                filler.close()
    assert answer.outcome == "timeout" and answer.error.startswith("no ")


@pytest.mark.demand("G2")
@pytest.mark.parametrize("reply", ["reset", "reset_early", "close"])
def test_a_connection_that_breaks_is_unreachable_and_was_used_once(net, receiver, reply):
    receiver.script({"reset": replies.reset(), "reset_early": replies.reset(read_body=False), "close": replies.close()}[reply])
    answer = net.ask(receiver.url(), body=b"x" * 300_000)
    assert (answer.outcome, answer.status) == ("unreachable", 0) and answer.error
    assert net.ask(receiver.url()).status == 200
    assert len(receiver.requests) == 2, "the broken one was not sent again by itself"


def test_a_kept_connection_is_never_the_reason_to_send_a_message_twice(net, receiver):
    """libcurl repeats a request by itself when a connection that it reused gives no byte."""
    receiver.script(replies.ok(), replies.close(), replies.ok())
    assert net.ask(receiver.url()).status == 200
    assert net.ask(receiver.url()).outcome == "unreachable"
    assert len(receiver.requests) == 2
    assert {r.connection for r in receiver.requests} == {1, 2}


def test_a_head_that_drips_for_ever_ends_at_the_timeout(net, receiver):
    receiver.script(replies.drip_head())
    answer = net.ask(receiver.url(), timeout_ms=800)
    assert (answer.outcome, answer.status) == ("timeout", 0)


@pytest.mark.slow
def test_a_head_that_drips_too_slowly_ends_long_before_the_timeout(net, receiver):
    receiver.script(replies.drip_head(pause=0.3))
    begin = time.monotonic()
    net.send(1, receiver.url(), timeout_ms=600_000)
    answer = net.answer(1)
    assert answer.outcome == "timeout" and "less than 16 bytes a second for 20 s" in answer.error
    assert 15 < time.monotonic() - begin


@pytest.mark.parametrize("code", [200, 500])
def test_a_body_that_drips_for_ever_does_not_change_the_status(net, receiver, code):
    receiver.script(replies.drip_body(code=code))
    answer = net.ask(receiver.url(), timeout_ms=3000)
    assert (answer.outcome, answer.status) == ("http", code), "the server has taken the message"
    assert "body did not come to its end" in answer.error
    assert answer.body.startswith(b"x")


def test_a_server_that_lies_about_length_is_believed_its_status(net, receiver):
    receiver.script(replies.lie(100, 10), replies.lie(3, 10), replies.lie(10**15, 1, code=404))
    long, short, huge = (net.ask(receiver.url()) for _ in range(3))
    assert (long.outcome, long.status, long.body) == ("http", 200, b"x" * 10) and "body" in long.error
    assert (short.outcome, short.status, short.body, short.error) == ("http", 200, b"xxx", "")
    assert (huge.outcome, huge.status, huge.body) == ("http", 404, b"x")


def test_an_endless_body_is_cut_and_costs_no_memory(net, receiver):
    receiver.script(replies.endless_body(), replies.endless_body(code=500))
    for code in (200, 500):
        answer = net.ask(receiver.url(), timeout_ms=600_000)
        assert (answer.outcome, answer.status, answer.error) == ("http", code, "")
        assert answer.body == b"y" * 2048
    if not sanitized():
        assert net.resident_kib() < 64 * 1024


def test_an_endless_head_is_refused(net, receiver):
    receiver.script(replies.endless_headers())
    answer = net.ask(receiver.url())
    assert (answer.outcome, answer.status) == ("protocol", 0)
    assert "longer than 64 KiB" in answer.error


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/9.9 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"<html>hello",
                                  b"HTTP/1.1 700 What\r\nContent-Length: 0\r\n\r\n", b"\0" * 2000])
def test_what_is_no_http_is_a_protocol_error(net, receiver, data):
    receiver.script(replies.raw(data))
    answer = net.ask(receiver.url(), timeout_ms=3000)
    assert (answer.outcome, answer.status) == ("protocol", 0) and answer.error


def test_a_compressed_bomb_is_not_unpacked(net, receiver):
    bomb = gzip.compress(b"\0" * 50_000_000)
    receiver.script(replies.status(200, bomb, [("Content-Encoding", "gzip")]))
    answer = net.ask(receiver.url())
    assert answer.status == 200 and answer.body == bomb[:2048]
    assert "accept-encoding" not in receiver.requests[0].headers


def test_cookies_are_neither_kept_nor_sent(net, receiver):
    receiver.script(replies.status(200, headers=[("Set-Cookie", "a=b; Path=/")]))
    net.ask(receiver.url())
    net.ask(receiver.url())
    assert "cookie" not in receiver.requests[1].headers


def test_a_netrc_is_not_read(place, start_net, receiver):
    (place / ".netrc").write_text("machine 127.0.0.1 login me password netrccanary\n")
    (place / ".netrc").chmod(0o600)
    start_net().ask(receiver.url())
    assert "authorization" not in receiver.requests[0].headers


def test_an_early_answer_while_a_large_body_is_sent_is_the_answer_or_a_broken_connection(net, receiver):
    receiver.script(replies.early(413))
    answer = net.ask(receiver.url(), body=b"x" * 1_000_000)
    assert (answer.outcome, answer.status) in {("http", 413), ("unreachable", 0)}


# ------------------------------------------------------------------------------------------------------------ redirects


@pytest.mark.demand("S25")
def test_a_redirect_to_another_host_is_not_followed_and_the_other_host_sees_nothing(net, receiver, make_receiver):
    other = make_receiver()
    for code in (301, 302, 303, 307, 308):
        receiver.script(replies.redirect(other.url("/stolen"), code))
        answer = net.ask(receiver.url("/canarypath"))
        assert (answer.outcome, answer.status) == ("http", code)
        assert "another host is never followed" in answer.error and "stolen" not in answer.error
    receiver.script(replies.redirect(f"//localhost:{other.port}/stolen"))
    assert net.ask(receiver.url()).status == 307
    # the same address by another name is another host, too
    receiver.script(replies.redirect(receiver.url("/stolen", host="localhost")))
    assert net.ask(receiver.url()).status == 307
    # and so is the same host with a user of the server's choice
    receiver.script(replies.redirect(f"http://user:pw@127.0.0.1:{receiver.port}/stolen"))
    assert net.ask(receiver.url()).status == 307
    assert other.connections == 0
    assert all(r.path != "/stolen" for r in receiver.requests)


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirect_on_the_same_host_keeps_method_body_and_headers(net, receiver, code):
    receiver.script(replies.redirect("/new?x=y", code))
    answer = net.ask(receiver.url("/old"), headers=b"X-Key: k")
    assert (answer.outcome, answer.status, answer.error) == ("http", 200, "")
    assert [(r.method, r.path, r.body, r.headers["x-key"]) for r in receiver.requests] == [
        ("POST", "/old", b"hello", "k"), ("POST", "/new?x=y", b"hello", "k")]


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirect_that_would_turn_a_post_into_a_get_is_reported(net, receiver, code):
    receiver.script(replies.redirect("/canarynew", code))
    answer = net.ask(receiver.url("/canaryold"))
    assert (answer.outcome, answer.status) == ("http", code)
    assert f"status {code}" in answer.error and "configure the new address" in answer.error
    assert "canary" not in answer.error
    assert len(receiver.requests) == 1


def test_a_loop_of_redirects_ends_after_three(net, receiver):
    receiver.default = replies.redirect("/again", 308)
    answer = net.ask(receiver.url())
    assert (answer.outcome, answer.status) == ("http", 308)
    assert "more than 3 times" in answer.error
    assert len(receiver.requests) == 4


def test_redirects_do_not_prolong_the_time_of_a_request(net, receiver):
    receiver.script(replies.redirect("/next"), replies.hang())
    assert net.ask(receiver.url(), timeout_ms=1000).outcome == "timeout"


def test_a_redirect_from_https_to_http_is_not_followed(start_net, receiver, make_receiver):
    tls = make_receiver(tls=True)
    net = start_net(env={"SSL_CERT_FILE": tls.ca})
    tls.script(replies.redirect(receiver.url("/plain")))
    assert net.ask(tls.url()).status == 307
    assert receiver.connections == 0
