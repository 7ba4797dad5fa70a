"""phantom_ci-net over its pipes, against a server that answers as a script says."""
import email.utils
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from env import receiver as replies
from env.net import CANCEL, NET, REQUEST, Net, clean_environment, message, request
from env.receiver import Proxy, read_head
from env.servers import free_port
from env.waiting import wait_until


@pytest.fixture
def start(place):
    """Starts phantom_ci-net; at the end each must come to a clean end."""
    started = []

    def make(*args, **options):
        started.append(Net(place, *args, **options))
        return started[-1]
    yield make
    for net in started:
        if net.process.poll() is None:
            assert net.stop() == 0, net.errors


@pytest.fixture
def net(start):
    return start()


# --------------------------------------------------------------------------------------------- good and bad answers


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
                    replies.retry_after(email.utils.formatdate(time.time() + 100, usegmt=True)),
                    replies.retry_after(email.utils.formatdate(time.time() - 100, usegmt=True)),
                    replies.retry_after("9" * 30))
    answers = [net.ask(receiver.url()) for _ in range(6)]
    assert [a.status for a in answers] == [429, 503, 429, 429, 429, 429]
    waits = [a.retry_after_ms for a in answers]
    assert waits[:3] == [3000, 0, -1] and waits[4:] == [0, 24 * 3600 * 1000]
    assert 95_000 < waits[3] <= 100_000


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


# ------------------------------------------------------------------------------------------------ servers that misbehave


@pytest.mark.demand("G2")
def test_a_server_that_hangs_is_a_timeout_in_time(net, receiver):
    receiver.script(replies.hang())
    begin = time.monotonic()
    answer = net.ask(receiver.url("/canary"), timeout_ms=700)
    assert (answer.outcome, answer.status) == ("timeout", 0)
    assert 0.6 < time.monotonic() - begin < 10
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
    net.send(1, receiver.url(), timeout_ms=120_000)
    answer = net.answer(1, 60)
    assert answer.outcome == "timeout" and "less than 16 bytes a second for 20 s" in answer.error
    assert 15 < time.monotonic() - begin < 50


@pytest.mark.parametrize("code", [200, 500])
def test_a_body_that_drips_for_ever_does_not_change_the_status(net, receiver, code):
    receiver.script(replies.drip_body(code=code))
    answer = net.ask(receiver.url(), timeout_ms=800)
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
        begin = time.monotonic()
        answer = net.ask(receiver.url())
        assert (answer.outcome, answer.status, answer.error) == ("http", code, "")
        assert answer.body == b"y" * 2048
        assert time.monotonic() - begin < 10
    if not sanitized():
        assert resident_kib(net.pid) < 64 * 1024


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
    import gzip
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


def test_a_netrc_is_not_read(place, start, receiver):
    (place / ".netrc").write_text("machine 127.0.0.1 login me password netrccanary\n")
    (place / ".netrc").chmod(0o600)
    start().ask(receiver.url())
    assert "authorization" not in receiver.requests[0].headers


def test_an_early_answer_while_a_large_body_is_sent_is_the_answer_or_a_broken_connection(net, receiver):
    receiver.script(replies.early(413))
    answer = net.ask(receiver.url(), body=b"x" * 1_000_000)
    assert (answer.outcome, answer.status) in {("http", 413), ("unreachable", 0)}


# ------------------------------------------------------------------------------------------------------- redirects


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
    begin = time.monotonic()
    assert net.ask(receiver.url(), timeout_ms=1000).outcome == "timeout"
    assert time.monotonic() - begin < 10


def test_a_redirect_from_https_to_http_is_not_followed(start, receiver, make_receiver):
    tls = make_receiver(tls=True)
    net = start(env={"SSL_CERT_FILE": tls.ca})
    tls.script(replies.redirect(receiver.url("/plain")))
    assert net.ask(tls.url()).status == 307
    assert receiver.connections == 0


# --------------------------------------------------------------------------------------------------- names and places


def test_a_refused_connection_is_unreachable(net):
    answer = net.ask(f"http://127.0.0.1:{free_port()}/canary")
    assert answer.outcome == "unreachable"
    assert answer.error.startswith("cannot connect to http://127.0.0.1:") and answer.error.endswith("Connection refused")


def test_an_unknown_host_is_unreachable(net):
    answer = net.ask("http://no-such-host.invalid/canary", timeout_ms=20_000)
    assert answer.outcome in ("unreachable", "timeout")
    assert "http://no-such-host.invalid" in answer.error and "canary" not in answer.error


def test_a_name_is_resolved_inside_the_confinement(net, receiver):
    assert net.ask(receiver.url(host="localhost")).status == 200


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/canary", "file:///etc/passwd#canary", "http:///canary", "gopher://h/canary",
                                 "http://h/canary canary", "http://[::canary/x", "http://127.0.0.1:99999/canary"])
def test_an_address_that_is_none_is_refused_and_not_shown(net, url):
    answer = net.ask(url)
    assert (answer.outcome, answer.status) == ("refused", 0)
    assert answer.error and "canary" not in answer.error


def test_a_request_that_breaks_a_rule_is_refused_and_the_next_is_served(net, receiver):
    for options in ({"method": b"DELETE"}, {"headers": b"Host: canary"}, {"timeout_ms": 0}, {"timeout_ms": 10**9},
                    {"headers": b"A: b\r\nC: canary"}, {"method": b"GET", "body": b"canary"}):
        answer = net.ask(receiver.url(), **options)
        assert answer.outcome == "refused" and answer.error and "canary" not in answer.error, options
    assert net.ask(receiver.url()).status == 200
    assert len(receiver.requests) == 1


# ------------------------------------------------------------------------------------------------------------- TLS


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(net, make_receiver):
    tls = make_receiver(tls=True)
    answer = net.ask(tls.url("/canary"))
    assert (answer.outcome, answer.status) == ("tls", 0)
    assert "is not trusted" in answer.error and "certificate" in answer.error and "canary" not in answer.error
    assert tls.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_DIR"])
def test_the_usual_variables_name_the_authority(place, start, make_receiver, variable):
    tls = make_receiver(tls=True)
    value = tls.ca
    if variable == "SSL_CERT_DIR":
        certificates = place / "certificates"
        certificates.mkdir()
        (certificates / "ca.pem").write_bytes((tls.directory / "ca.pem").read_bytes())
        subprocess.run(["openssl", "rehash", str(certificates)], check=True)
        value = str(certificates)
    net = start(env={variable: value})
    assert net.ask(tls.url()).status == 200
    assert net.ask(tls.url(host="localhost")).status == 200


def test_a_certificate_for_another_name_or_out_of_date_is_refused(start, make_receiver):
    other_name = make_receiver(tls=True, names="DNS:elsewhere.example")
    expired = make_receiver(tls=True, days=-1)
    for tls in (other_name, expired):
        answer = start(env={"SSL_CERT_FILE": tls.ca}).ask(tls.url(host="localhost"))
        assert answer.outcome == "tls" and tls.requests == []


def test_a_file_of_authorities_that_is_not_there_fails_closed(place, start, make_receiver):
    tls = make_receiver(tls=True)
    answer = start(env={"SSL_CERT_FILE": str(place / "absent.pem")}).ask(tls.url())
    assert answer.outcome == "tls" and tls.requests == []


def test_plain_text_on_a_tls_port_and_tls_on_a_plain_one_are_errors(net, receiver, make_receiver):
    tls = make_receiver(tls=True)
    assert net.ask(tls.url().replace("https", "http"), timeout_ms=5000).outcome in ("unreachable", "protocol")
    assert net.ask(receiver.url().replace("http", "https"), timeout_ms=2000).outcome in ("tls", "timeout", "unreachable")


def test_http_2_is_spoken_where_the_server_has_it(place, start):
    """nginx, for Python has no HTTP/2."""
    from env.receiver import make_certificates
    directory = place / "h2"
    directory.mkdir()
    make_certificates(directory)
    user = "user root;" if os.geteuid() == 0 else ""
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {directory}/{name};" for name in
                         ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
    (directory / "nginx.conf").write_text(
        f"{user} worker_processes 1; daemon on; pid {directory}/pid; error_log {directory}/error.log;\n"
        f"events {{}} http {{ {temporary} access_log off;\n"
        f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {directory}/server.pem;\n"
        f"ssl_certificate_key {directory}/server.key; location / {{ return 200 $server_protocol; }} }} }}\n")
    subprocess.run(["/usr/sbin/nginx", "-p", directory, "-c", directory / "nginx.conf"], check=True,
                   stderr=subprocess.DEVNULL)
    try:
        answer = start(env={"SSL_CERT_FILE": str(directory / "ca.pem")}).ask(f"https://localhost:{port}/")
        assert (answer.status, answer.body) == (200, b"HTTP/2.0")
    finally:
        os.kill(int((directory / "pid").read_text()), signal.SIGQUIT)
        wait_until(lambda: not (directory / "pid").exists(), 10, "the end of nginx")


# ----------------------------------------------------------------------------------------------------------- proxies


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.stop()


def test_the_proxy_of_the_environment_is_used_for_http(start, receiver, proxy):
    net = start(env={"http_proxy": proxy.url})
    assert net.ask(receiver.url("/p", host="only-the-proxy-knows.invalid")).status == 200
    assert proxy.targets == [f"POST http://only-the-proxy-knows.invalid:{receiver.port}/p"]
    assert receiver.requests[0].body == b"hello"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_https_goes_through_the_proxy_in_a_tunnel_that_hides_the_path(start, make_receiver, proxy, variable):
    tls = make_receiver(tls=True)
    net = start(env={variable: proxy.url, "SSL_CERT_FILE": tls.ca})
    assert net.ask(tls.url("/canary", host="localhost")).status == 200
    assert proxy.targets == [f"CONNECT localhost:{tls.port}"]


def test_no_proxy_is_honoured(start, receiver, proxy):
    net = start(env={"http_proxy": proxy.url, "no_proxy": "127.0.0.1"})
    assert net.ask(receiver.url()).status == 200
    assert proxy.targets == []


def test_a_dead_or_unwilling_proxy_is_unreachable_and_said_to_be_one(start, make_receiver):
    tls = make_receiver(tls=True)
    unwilling = make_receiver()
    unwilling.default = replies.status(407)
    dead = start(env={"https_proxy": f"http://127.0.0.1:{free_port()}"}).ask(tls.url("/canary"))
    assert dead.outcome == "unreachable" and "a proxy is set" in dead.error
    refused = start(env={"https_proxy": unwilling.url("")}).ask(tls.url("/canary"))
    assert refused.outcome == "unreachable" and "the proxy refused" in refused.error and "407" in refused.error
    assert tls.requests == []


def test_the_proxys_own_answer_is_never_taken_for_the_servers(start, make_receiver, proxy):
    tls = make_receiver(tls=True)
    answer = start(env={"https_proxy": proxy.url}).ask(tls.url())
    assert proxy.targets and (answer.outcome, answer.status) == ("tls", 0), "the tunnel's 200 is no answer"
    tls.script(replies.close())
    answer = start(env={"https_proxy": proxy.url, "SSL_CERT_FILE": tls.ca}).ask(tls.url())
    assert (answer.outcome, answer.status) == ("unreachable", 0)


def test_a_proxys_password_is_in_no_error(start, receiver, proxy):
    net = start(env={"http_proxy": proxy.url.replace("//", "//canary:canarypassword@")})
    assert net.ask(receiver.url()).status == 200
    answer = start(env={"http_proxy": f"http://canary:canarypassword@127.0.0.1:{free_port()}"}).ask(receiver.url())
    assert answer.outcome == "unreachable" and "canary" not in answer.error
    answer = start(env={"http_proxy": "http://canary:canarypassword@nowhere.invalid:1"}).ask(receiver.url())
    assert answer.outcome == "unreachable" and "canary" not in answer.error and "proxy" in answer.error


# ---------------------------------------------------------------------------------------------------- many, cancel, end


def test_a_hundred_requests_at_once_are_all_answered_with_few_connections(net, receiver):
    gate = []

    def act(server, connection):
        wait_until(lambda: gate or server.stopped.is_set(), 60, "the gate")
        replies.ok().act(server, connection)
    receiver.default = replies.Reply(act)
    net.write(b"".join(request(i, receiver.url(), body=b"%d" % i) for i in range(100)))
    wait_until(lambda: len(receiver.requests) == 16, 30, "the first sixteen")
    gate.append(True)
    assert {net.answer(i, 60).status for i in range(100)} == {200}
    assert sorted(int(r.body) for r in receiver.requests) == list(range(100)), "each once"


def test_more_than_the_queue_holds_waits_in_the_pipe_and_nothing_is_lost(net, receiver):
    count = 700
    data = b"".join(request(i, receiver.url(), body=b"z" * 20_000, timeout_ms=120_000) for i in range(count))
    import threading
    writer = threading.Thread(target=net.write, args=(data,), daemon=True)
    writer.start()
    wait_until(lambda: len(net.answers) == count, 120, "all answers")
    writer.join(10)
    assert {a.outcome for a in net.answers} == {"http"} and len({a.id for a in net.answers}) == count
    if not sanitized():
        assert resident_kib(net.pid) < 96 * 1024


def test_a_request_that_waits_behind_others_ends_at_its_own_time(net, receiver):
    receiver.default = replies.hang()
    for i in range(16):
        net.send(i, receiver.url(), timeout_ms=60_000)
    receiver.wait_requests(16)
    net.send("late", receiver.url(), timeout_ms=300)
    answer = net.answer("late", 10)
    assert answer.outcome == "timeout" and "no connection was made" in answer.error
    for i in range(16):
        net.cancel(i)
    assert net.ask(receiver.url(), timeout_ms=500).outcome == "timeout", "the canceled have made room"
    assert {a.id for a in net.answers} == {"late", "n1"}, "and are not answered"


def test_what_is_canceled_while_it_waits_is_never_sent(net, receiver):
    receiver.default = replies.hang()
    for i in range(16):
        net.send(i, receiver.url(), timeout_ms=60_000)
    receiver.wait_requests(16)
    net.send("waiting", receiver.url("/waiting"))
    net.cancel("waiting")
    net.cancel("never-heard-of")
    receiver.default = replies.ok()
    for i in range(16):
        net.cancel(i)
    assert net.ask(receiver.url("/last")).status == 200
    assert "/waiting" not in [r.path for r in receiver.requests]


def test_the_end_of_the_input_lets_what_is_under_way_finish(start, receiver):
    net = start()
    receiver.script(replies.Reply(lambda server, connection: (
        wait_until(lambda: net.process.stdin.closed, 20, "the end of the input"), replies.ok().act(server, connection))))
    net.send(1, receiver.url())
    receiver.wait_requests(1)
    net.close_input()
    assert net.wait() == 0
    assert net.answer(1).status == 200
    net.check()


def test_nobody_to_read_the_answers_is_the_end(place, receiver):
    receiver.default = replies.hang()
    answers_end, its_end = os.pipe()
    process = subprocess.Popen([NET], stdin=subprocess.PIPE, stdout=its_end, env=clean_environment(place), bufsize=0)
    os.close(its_end)
    process.stdin.write(request(1, receiver.url(), timeout_ms=60_000))
    receiver.wait_requests(1)
    os.close(answers_end)
    assert process.wait(10) == 0
    process.stdin.close()


def test_it_ends_by_itself_after_nothing_to_do(start, receiver):
    net = start("--idle-ms", "400")
    assert net.ask(receiver.url()).status == 200
    begin = time.monotonic()
    assert net.wait(20) == 0
    assert 0.2 < time.monotonic() - begin
    assert net.errors == b""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/PID")
def test_waiting_costs_no_processor_time_and_idling_no_wake_up(net, receiver):
    def processor_s():
        with open(f"/proc/{net.pid}/stat") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def switches():
        with open(f"/proc/{net.pid}/status") as file:
            return [line for line in file if "ctxt_switches" in line]
    assert net.ask(receiver.url()).status == 200
    receiver.script(replies.hang())
    before = processor_s()
    assert net.ask(receiver.url(), timeout_ms=1500).outcome == "timeout"
    assert processor_s() - before < 0.3
    wait_until(lambda: state_of(net.pid) == "S", 10, "its sleep")
    idle = switches()
    time.sleep(1.5)  # a span to measure, not a wait for something
    assert switches() == idle


def test_a_request_under_way_is_not_idle(start, receiver):
    net = start("--idle-ms", "300")
    receiver.script(replies.hang())
    assert net.ask(receiver.url(), timeout_ms=1500).outcome == "timeout"
    assert net.wait(20) == 0


PARENT = """
import subprocess, sys, time
net, its_input, its_output, alive = sys.argv[1], *map(int, sys.argv[2:])
print(subprocess.Popen([net], stdin=its_input, stdout=its_output, pass_fds=[alive]).pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_its_parent_even_when_its_pipes_stay_open(place, receiver):
    receiver.default = replies.hang()
    alive, its_alive = os.pipe()
    its_input, requests = os.pipe()
    answers, its_output = os.pipe()
    passed = [its_input, its_output, its_alive]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, NET, *map(str, passed)], stdout=subprocess.PIPE,
                              env=clean_environment(place), pass_fds=passed)
    os.close(its_alive)
    pid = int(parent.stdout.readline())
    os.write(requests, request(1, receiver.url(), timeout_ms=60_000))
    receiver.wait_requests(1)
    with open(f"/proc/{pid}/cmdline") as file:
        assert "phantom_ci-net" in file.read()
    parent.kill()
    parent.wait(10)
    assert select.select([alive], [], [], 10)[0], "it is still there"
    assert os.read(alive, 1) == b"", "the last holder of the other end is gone"
    for fd in (alive, its_input, requests, answers, its_output):
        os.close(fd)
    parent.stdout.close()


def test_kill_9_in_the_middle_leaves_no_half_answer_that_would_be_taken_for_one(start, receiver):
    for _ in range(20):
        net = start()
        net.write(b"".join(request(i, receiver.url()) for i in range(30)))
        receiver.wait_requests(1)
        net.kill()
        assert {a.status for a in net.answers} <= {200}
        receiver.requests.clear()
    assert start().ask(receiver.url()).status == 200


# ------------------------------------------------------------------------------------------------------------ garbage


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\xff" * 100, message(3, b""), message(9, b"x"), message(CANCEL, b"a b"),
    message(CANCEL, b"a", b"b"), message(REQUEST, b"1"), message(REQUEST, *[b""] * 6), request(1, "http://h/")[:-1],
    b"\x01", (2**20 + 1).to_bytes(4, "little") + REQUEST.to_bytes(4, "little"), random.Random(1).randbytes(5000)], ids=lambda data: f"{len(data)}-{data[:4].hex()}")
def test_garbage_on_the_input_ends_it_with_an_error_and_no_crash(start, data):
    net = start()
    net.write(data)
    net.close_input()
    assert net.wait() == 2
    assert net.errors.startswith(b"phantom_ci-net: ") and net.errors.count(b"\n") == 1, net.errors
    assert net.answers == []
    net.check()


def test_random_bytes_for_fields_never_crash_it(start, receiver):
    import random
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    good = [b"1", receiver.url().encode(), b"POST", b"A: b", b"body", b"2000"]
    net = start()
    for number in range(300):
        fields = [str(number).encode(), *good[1:]]
        at = dice.randrange(1, 6)
        field = bytearray(fields[at])
        for _ in range(dice.randrange(1, 4)):
            field[dice.randrange(len(field)):dice.randrange(len(field) + 1)] = dice.randbytes(dice.randrange(4))
            if not field:
                break
        fields[at] = bytes(field)
        # nowhere but to this machine
        if at != 1 or b"127.0.0.1" in field:
            net.write(message(REQUEST, *fields))
            assert net.answer(number).outcome in ("http", "refused", "unreachable", "protocol", "timeout")
    assert net.stop() == 0


@pytest.mark.parametrize("args", [["--nonsense"], ["x"], ["--idle-ms", "0"], ["--idle-ms", "-5"], ["--idle-ms", "x"]])
def test_wrong_arguments_are_a_usage_error(place, args):
    result = subprocess.run([NET, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment(place), timeout=20)
    assert result.returncode == 2 and result.stderr.startswith(b"phantom_ci-net: ") and result.stdout == b""


def test_at_a_terminal_it_says_whose_it_is_instead_of_waiting(place):
    leader, follower = os.openpty()
    result = subprocess.run([NET], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment(place), timeout=20)
    os.close(leader)
    os.close(follower)
    assert result.returncode == 2 and b"started by phantom_ci, not by hand" in result.stderr


def test_help_and_version_say_what_it_is(place):
    def run(option):
        return subprocess.run([NET, option], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=clean_environment(place), timeout=20).stdout.decode()
    assert "Started by phantom_ci, not by hand" in run("--help")
    assert run("--version").startswith("phantom_ci-net 0.")


# ------------------------------------------------------------------------------------------------------------ secrets


@pytest.mark.demand("E3")
@pytest.mark.demand("S16")
def test_secrets_are_in_no_error_no_argument_and_no_environment(start, receiver, make_receiver):
    tls = make_receiver(tls=True)
    net = start()
    secrets = ["canaryuser", "canarypassword", "canarypath", "canaryquery", "canaryfragment", "canaryheader", "canarybody"]

    def address(authority, scheme="http"):
        return f"{scheme}://canaryuser:canarypassword@{authority}/canarypath/x?k=canaryquery#canaryfragment"
    here = f"127.0.0.1:{receiver.port}"
    receiver.script(replies.hang(), replies.reset(), replies.close(), replies.raw(b"nonsense"), replies.endless_headers(),
                    replies.redirect("http://elsewhere.invalid/canarypath"), replies.redirect("/canarypath", 302),
                    replies.lie(100, 1), replies.status(404, b""))
    urls = [*[address(here)] * 9, address(f"127.0.0.1:{free_port()}"), address("nowhere.invalid"),
            address(f"127.0.0.1:{tls.port}", "https"), address("127.0.0.1:99999"), address("h h"),
            address("127.0.0.1", "ftp")]
    for number, url in enumerate(urls):
        net.send(number, url, headers=b"X-Key: canaryheader", body=b"canarybody", timeout_ms=3000)
        answer = net.answer(number)
        assert not [word for word in secrets if word in answer.error], answer
        assert answer.error or answer.status == 404
    assert "canaryheader" in receiver.requests[0].headers["x-key"], "they were there"
    with open(f"/proc/{net.pid}/cmdline", "rb") as file:
        assert b"canary" not in file.read()
    try:
        with open(f"/proc/{net.pid}/environ", "rb") as file:
            assert b"canary" not in file.read()
    except PermissionError:
        pass  # not even its own user may look
    net.write(message(REQUEST, b"bad id", address(here).encode(), b"POST", b"X: canaryheader", b"canarybody", b"1"))
    assert net.wait() == 2
    assert b"canary" not in net.errors


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc/PID/mem")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a process that is not dumpable")
@pytest.mark.parametrize("tls", [False, True])
def test_after_an_answer_the_memory_holds_no_secret_of_the_request(start, make_receiver, tls):
    server = make_receiver(tls=tls)
    net = start(env={"SSL_CERT_FILE": server.ca})
    url, header, body = b"canaryurl" + b"q" * 20, b"canaryheader" + b"h" * 20, b"canarybody" + b"b" * 20
    server.script(replies.hang(), replies.ok())
    net.send(1, server.url("/hook?k=" + url.decode()), headers=b"X-Key: " + header, body=body, timeout_ms=1500)
    server.wait_requests(1)
    assert memory_holds(net.pid, url), "while it is under way it is there, so the search works"
    assert net.answer(1).outcome == "timeout"
    assert net.ask(server.url("/hook")).status == 200
    for secret in (url, header, body):
        assert not memory_holds(net.pid, secret), secret


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/PID/limits")
def test_it_leaves_no_core_file(start, receiver):
    net = start()
    net.ask(receiver.url())
    assert resource.prlimit(net.pid, resource.RLIMIT_CORE) == (0, 0)
    with open(f"/proc/{net.pid}/status") as file:
        status = file.read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


def memory_holds(pid, needle):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            words = line.split()
            if "w" not in words[1] or words[-1] in ("[vvar]", "[vsyscall]"):
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


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def sanitized():
    with open(NET, "rb") as file:
        return b"__asan_init" in file.read()
