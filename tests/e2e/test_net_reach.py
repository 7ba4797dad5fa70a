"""phantom_ci-net over its pipes: whom it reaches and whom it trusts. Names, TLS, proxies."""
import os
import signal
import subprocess

import pytest

from env import receiver as replies
from env.receiver import Proxy, make_certificates
from env.servers import free_port
from env.waiting import wait_until


# ----------------------------------------------------------------------------------------------------- names and places


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


# ------------------------------------------------------------------------------------------------------------------ TLS


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(net, make_receiver):
    tls = make_receiver(tls=True)
    answer = net.ask(tls.url("/canary"))
    assert (answer.outcome, answer.status) == ("tls", 0)
    assert "is not trusted" in answer.error and "certificate" in answer.error and "canary" not in answer.error
    assert tls.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_DIR"])
def test_the_usual_variables_name_the_authority(place, start_net, make_receiver, variable):
    tls = make_receiver(tls=True)
    value = tls.ca
    if variable == "SSL_CERT_DIR":
        certificates = place / "certificates"
        certificates.mkdir()
        (certificates / "ca.pem").write_bytes((tls.directory / "ca.pem").read_bytes())
        subprocess.run(["openssl", "rehash", str(certificates)], check=True)
        value = str(certificates)
    net = start_net(env={variable: value})
    assert net.ask(tls.url()).status == 200
    assert net.ask(tls.url(host="localhost")).status == 200


def test_a_certificate_for_another_name_or_out_of_date_is_refused(start_net, make_receiver):
    other_name = make_receiver(tls=True, names="DNS:elsewhere.example")
    expired = make_receiver(tls=True, days=-1)
    for tls in (other_name, expired):
        answer = start_net(env={"SSL_CERT_FILE": tls.ca}).ask(tls.url(host="localhost"))
        assert answer.outcome == "tls" and tls.requests == []


def test_a_file_of_authorities_that_is_not_there_fails_closed(place, start_net, make_receiver):
    tls = make_receiver(tls=True)
    answer = start_net(env={"SSL_CERT_FILE": str(place / "absent.pem")}).ask(tls.url())
    assert answer.outcome == "tls" and tls.requests == []


def test_plain_text_on_a_tls_port_and_tls_on_a_plain_one_are_errors(net, receiver, make_receiver):
    tls = make_receiver(tls=True)
    assert net.ask(tls.url().replace("https", "http"), timeout_ms=5000).outcome in ("unreachable", "protocol")
    assert net.ask(receiver.url().replace("http", "https"), timeout_ms=2000).outcome in ("tls", "timeout", "unreachable")


def test_http_2_is_spoken_where_the_server_has_it(place, start_net):
    """nginx, for Python has no HTTP/2."""
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
        answer = start_net(env={"SSL_CERT_FILE": str(directory / "ca.pem")}).ask(f"https://localhost:{port}/")
        assert (answer.status, answer.body) == (200, b"HTTP/2.0")
    finally:
        os.kill(int((directory / "pid").read_text()), signal.SIGQUIT)
        wait_until(lambda: not (directory / "pid").exists(), what="the end of nginx")


# -------------------------------------------------------------------------------------------------------------- proxies


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.stop()


def test_the_proxy_of_the_environment_is_used_for_http(start_net, receiver, proxy):
    net = start_net(env={"http_proxy": proxy.url})
    assert net.ask(receiver.url("/p", host="only-the-proxy-knows.invalid")).status == 200
    assert proxy.targets == [f"POST http://only-the-proxy-knows.invalid:{receiver.port}/p"]
    assert receiver.requests[0].body == b"hello"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "nonsense"])
def test_a_name_beyond_ascii_is_understood_whatever_the_locale(start_net, receiver, proxy, locale):
    net = start_net(env={"http_proxy": proxy.url, "LC_ALL": locale})
    assert net.ask(receiver.url("/p", host="b\u00fccher.example")).status == 200
    assert proxy.targets == [f"POST http://xn--bcher-kva.example:{receiver.port}/p"]


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_https_goes_through_the_proxy_in_a_tunnel_that_hides_the_path(start_net, make_receiver, proxy, variable):
    tls = make_receiver(tls=True)
    net = start_net(env={variable: proxy.url, "SSL_CERT_FILE": tls.ca})
    assert net.ask(tls.url("/canary", host="localhost")).status == 200
    assert proxy.targets == [f"CONNECT localhost:{tls.port}"]


def test_no_proxy_is_honoured(start_net, receiver, proxy):
    net = start_net(env={"http_proxy": proxy.url, "no_proxy": "127.0.0.1"})
    assert net.ask(receiver.url()).status == 200
    assert proxy.targets == []


def test_a_dead_or_unwilling_proxy_is_unreachable_and_said_to_be_one(start_net, make_receiver):
    tls = make_receiver(tls=True)
    unwilling = make_receiver()
    unwilling.default = replies.status(407)
    dead = start_net(env={"https_proxy": f"http://127.0.0.1:{free_port()}"}).ask(tls.url("/canary"))
    assert dead.outcome == "unreachable" and "a proxy is set" in dead.error
    refused = start_net(env={"https_proxy": unwilling.url("")}).ask(tls.url("/canary"))
    assert refused.outcome == "unreachable" and "the proxy refused" in refused.error and "407" in refused.error
    assert tls.requests == []


def test_the_proxys_own_answer_is_never_taken_for_the_servers(start_net, make_receiver, proxy):
    tls = make_receiver(tls=True)
    answer = start_net(env={"https_proxy": proxy.url}).ask(tls.url())
    assert proxy.targets and (answer.outcome, answer.status) == ("tls", 0), "the tunnel's 200 is no answer"
    tls.script(replies.close())
    answer = start_net(env={"https_proxy": proxy.url, "SSL_CERT_FILE": tls.ca}).ask(tls.url())
    assert (answer.outcome, answer.status) == ("unreachable", 0)


def test_a_proxys_password_is_in_no_error(start_net, receiver, proxy):
    net = start_net(env={"http_proxy": proxy.url.replace("//", "//canary:canarypassword@")})
    assert net.ask(receiver.url()).status == 200
    answer = start_net(env={"http_proxy": f"http://canary:canarypassword@127.0.0.1:{free_port()}"}).ask(receiver.url())
    assert answer.outcome == "unreachable" and "canary" not in answer.error
    answer = start_net(env={"http_proxy": "http://canary:canarypassword@nowhere.invalid:1"}).ask(receiver.url())
    assert answer.outcome == "unreachable" and "canary" not in answer.error and "proxy" in answer.error
