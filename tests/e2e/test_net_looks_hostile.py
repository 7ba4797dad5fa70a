"""phantom_ci-net --looks at servers that misbehave: each look has its answer, in bounded time and memory, and the next
look at a good server works."""
import gzip
import pathlib
import signal
import threading
import time
import zlib

import pytest

from env import receiver as replies
from env.looks import digest, look
from env.lookserver import FIXED_REFS, SERVICE, TIP, pkt
from env.net import sanitized
from env.servers import free_port
from env.waiting import wait_until

RESULT, ADVERTISEMENT = "application/x-git-upload-pack-result", "application/x-git-upload-pack-advertisement"
FLUSH = b"0000"
GOOD = FIXED_REFS
VERSION_2 = SERVICE + pkt("version 2\n") + pkt("agent=git/2\n") + pkt("ls-refs=unborn\n") + FLUSH
VERSION_0 = SERVICE + pkt(f"{TIP} HEAD\0agent=git/2\n") + pkt(f"{TIP} refs/heads/main\n") + FLUSH


def result(body, kind=RESULT, headers=()):
    return replies.status(200, body, [("Content-Type", kind), *headers])


def advertisement(body):
    return result(body, ADVERTISEMENT)


def stream(pieces, length=None, kind=RESULT, headers=()):
    """A body in pieces, until the other side has enough."""
    def act(server, connection):
        lengths = [("Content-Length", length)] if length is not None else []
        connection.sendall(replies.head(200, [("Content-Type", kind), *headers, *lengths]))
        for piece in pieces():
            if server.stopped.is_set():
                return
            connection.sendall(piece)
    return replies.Reply(act)


@pytest.fixture
def ask(start_looks, receiver):
    """Asks the scripted receiver; at the end the same process still does its work."""
    looks = start_looks()

    def ask(*script, **options):
        receiver.script(*script)
        return looks.ask(receiver.url("/app.git"), **options)
    ask.looks, ask.receiver = looks, receiver
    ask.url = receiver.url("/app.git")
    yield ask
    receiver.replies.clear()
    seen = ask(result(GOOD), road="v2")
    assert (seen.outcome, seen.refs) == ("refs", {"refs/heads/main": TIP})
    if not sanitized():
        assert looks.resident_kib() < getattr(ask, "limit_mib", 40) * 1024


def asked(receiver):
    return [f"{r.method} {r.path.rpartition('/')[2].partition('?')[0]}" for r in receiver.requests]


# ----------------------------------------------------------------------------------------------------- time and silence


def test_a_server_that_says_nothing_is_left_at_its_time(ask):
    begin = time.monotonic()
    seen = ask(replies.hang(), timeout_ms=700)
    assert seen.outcome == "timeout" and "did not answer completely within 700 ms" in seen.error
    assert seen.error.endswith("(the host did not answer in time: check the network)")
    assert 0.6 < time.monotonic() - begin


@pytest.mark.parametrize("reply", [replies.drip_head(), replies.drip_body()], ids=["head", "body"])
def test_a_server_that_drips_is_left_at_its_time(ask, reply):
    assert ask(reply, timeout_ms=1000).outcome == "timeout"


def test_the_second_question_of_a_look_has_only_the_rest_of_its_time(ask):
    begin = time.monotonic()
    assert ask(replies.status(404), replies.hang(), timeout_ms=1000).outcome == "timeout"
    assert time.monotonic() - begin < 20


def test_nobody_there_and_no_such_name_are_told(ask):
    seen = ask.looks.ask(f"http://127.0.0.1:{free_port()}/a")
    assert seen.outcome == "unreachable" and "Connection refused" in seen.error and "nothing listens" in seen.error
    seen = ask.looks.ask("http://nobody.invalid/a")
    assert seen.outcome in ("unreachable", "timeout") and "nobody.invalid" in seen.error


@pytest.mark.parametrize("reply", [replies.reset(), replies.reset(read_body=False), replies.close()],
                         ids=["reset", "reset-early", "close"])
def test_a_connection_that_breaks_is_told(ask, reply):
    seen = ask(reply)
    assert seen.outcome == "unreachable" and "http://127.0.0.1" in seen.error


def test_kept_connections_that_break_are_tried_on_new_ones(ask):
    assert ask(result(GOOD), road="v2").outcome == "refs", "the first look at a host does not keep its connection"
    for _ in range(12):
        assert ask(result(GOOD), road="v2").outcome == "refs"
        # The next request on the kept connection finds it dead; libcurl or we ask once more.
        assert ask(replies.close(), result(GOOD), road="v2").outcome == "refs"


# ----------------------------------------------------------------------------------------------------------- what comes


@pytest.mark.parametrize("body", [
    b"y" * 100_000, b"<html>hello</html>", b"003", GOOD[:10], GOOD[:-4], GOOD[:-1], pkt("nonsense\n") + FLUSH,
    pkt(f"{TIP}\n") + FLUSH, b"fff1" + b"z" * 70_000, b"0003", b"0001", GOOD[:-4] + b"0002", b"\0" * 1000,
    pkt(f"{TIP[:-1]} refs/heads/main\n") + FLUSH, VERSION_2, VERSION_0], ids=lambda body: f"{len(body)}-{body[:8]!r}")
def test_an_answer_that_is_none_is_nonsense(ask, body):
    """To the command after the capabilities: there is no other question left."""
    seen = ask(advertisement(VERSION_2), result(body), road="v2-asked")
    assert (seen.outcome, seen.road, seen.digest) == ("nonsense", "", "")
    assert asked(ask.receiver) == ["GET refs", "POST git-upload-pack"]


@pytest.mark.parametrize("body", [b"", b"<html>", GOOD[:10], pkt("ERR what is that?\n"), VERSION_0, b"y" * 100_000])
def test_a_command_that_is_not_understood_leads_to_the_capabilities(ask, body):
    for script, road in (([advertisement(VERSION_0)], "v0"), ([advertisement(VERSION_2), result(GOOD)], "v2-asked")):
        seen = ask(result(body), *script)
        assert (seen.outcome, seen.refs, seen.road) == ("refs", {"refs/heads/main": TIP}, road)


@pytest.mark.parametrize("code", [204, 400, 403, 404, 405, 406, 410, 415, 418, 422, 500, 501])
def test_a_command_that_is_refused_leads_to_the_capabilities(ask, code):
    seen = ask(replies.status(code), advertisement(VERSION_2), result(GOOD))
    assert (seen.outcome, seen.road) == ("refs", "v2-asked")


@pytest.mark.parametrize("body, outcome", [
    (VERSION_2[:-4], "nonsense"), (VERSION_0[:-4], "nonsense"), (SERVICE, "nonsense"), (b"y" * 10_000, "nonsense"),
    (SERVICE + pkt("version 3\n") + FLUSH, "use-git"), (SERVICE + pkt("version 2\n") + pkt("fetch\n") + FLUSH, "use-git"),
    (SERVICE + pkt("version 2\n") + pkt("ls-refs\n") + pkt("object-format=md5\n") + FLUSH, "use-git"),
    (b"", "use-git"), (f"{TIP}\trefs/heads/main\n".encode(), "use-git")], ids=lambda value: f"{value[:30]!r}")
def test_an_advertisement_of_another_kind_is_for_git_or_nonsense(ask, body, outcome):
    seen = ask(result(b""), advertisement(body))
    assert seen.outcome == outcome
    assert seen.road == ("git" if outcome == "use-git" else "")


def test_the_words_of_a_server_are_told_and_escaped(ask):
    words = "ERR access denied: \x1b[31mcall 555\u202e\r\n"
    seen = ask(result(pkt(words)), advertisement(SERVICE + pkt(words)))
    assert seen.outcome == "failed"
    assert "access denied: \\x1b[31mcall 555" in seen.error and "\x1b" not in seen.error and "\u202e" not in seen.error
    seen = ask(advertisement(VERSION_2), result(pkt(words)), road="v2-asked")
    assert seen.outcome == "failed" and "access denied" in seen.error


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", ""])
def test_another_type_is_told_as_what_it_is(ask, kind):
    seen = ask(result(GOOD, kind), result(VERSION_0, kind))
    assert seen.outcome == "nonsense"
    assert (kind.partition(";")[0] or "no Content-Type") in seen.error
    seen = ask(advertisement(VERSION_2), result(GOOD, kind), road="v2-asked")
    assert seen.outcome == "nonsense"


def test_a_type_cannot_smuggle_anything_into_the_error(ask):
    seen = ask(result(GOOD, "text/\u00e9\x1b[31m" + "z" * 1000), result(VERSION_0, "text/x\x1b[31m" + "z" * 1000))
    assert seen.outcome == "nonsense" and len(seen.error) < 400 and "\x1b" not in seen.error


@pytest.mark.parametrize("claimed, sent, outcome", [(len(GOOD) + 10, GOOD, "nonsense"), (len(GOOD) - 10, GOOD, "nonsense")],
                         ids=["too long", "too short"])
def test_a_length_that_is_a_lie_is_no_answer(ask, claimed, sent, outcome):
    seen = ask(advertisement(VERSION_2), stream(lambda: [sent], claimed), road="v2-asked")
    assert seen.outcome == outcome


def test_what_stands_behind_the_end_is_not_looked_at(ask):
    assert ask(result(GOOD + b"and more" * 100), road="v2").outcome == "refs"


def test_trailers_and_chunks_are_fine(ask):
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, GOOD[i:i + 1]) for i in range(len(GOOD)))
    head = replies.head(200, [("Content-Type", RESULT), ("Transfer-Encoding", "chunked")])
    seen = ask(replies.raw(head + chunks + b"0\r\nContent-Type: text/html\r\n\r\n"), road="v2")
    assert (seen.outcome, seen.refs) == ("refs", {"refs/heads/main": TIP})


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n" + GOOD,
                                  b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 999 No\r\n\r\n", b"\xff" * 5000])
def test_something_that_is_no_http_is_told(ask, data):
    seen = ask(replies.raw(data), replies.raw(data), replies.raw(data))
    assert seen.outcome in ("nonsense", "unreachable", "failed")


# --------------------------------------------------------------------------------------------------------------- bounds


def test_a_head_without_end_is_cut(ask):
    seen = ask(replies.endless_headers())
    assert seen.outcome == "nonsense" and "head longer than" in seen.error


@pytest.mark.parametrize("code", [200, 403, 404])
def test_a_body_without_end_is_cut(ask, code):
    seen = ask(replies.endless_body(code), replies.endless_body(code))
    assert seen.outcome == {200: "nonsense", 403: "failed", 404: "absent"}[code]


UNWANTED = b"".join(pkt(f"{TIP} refs/pull/{i}/head\n") for i in range(20_000))


def test_refs_without_end_are_cut_at_the_limit(ask):
    def pieces():
        while True:
            yield UNWANTED
    seen = ask(stream(pieces), road="v2", timeout_ms=300_000)
    assert seen.outcome == "nonsense" and "longer than 256 MiB" in seen.error


@pytest.mark.parametrize("road", ["v2", "v0"])
def test_a_million_refs_of_which_few_are_wanted_take_no_memory(ask, road):
    wanted = pkt(f"{TIP} refs/heads/main\n")

    def pieces():
        yield SERVICE if road == "v0" else b""
        for _ in range(25):
            yield UNWANTED
        yield wanted
        for _ in range(25):
            yield UNWANTED
        yield FLUSH
    seen = ask(stream(pieces, kind=ADVERTISEMENT if road == "v0" else RESULT), road=road, timeout_ms=300_000)
    assert (seen.outcome, seen.refs) == ("refs", {"refs/heads/main": TIP})


def branches(count, first=0):
    return {f"refs/heads/b{i}": f"{i:040x}" for i in range(first + 1, first + count + 1)}


def many(refs):
    return b"".join(pkt(f"{object_id} {name}\n") for name, object_id in refs.items()) + FLUSH


def test_many_wanted_refs_arrive_and_more_than_the_limit_are_refused(ask):
    ask.limit_mib = 200
    refs = branches(200_000)
    seen = ask(result(many(refs)), road="v2", wanted="refs/heads/*", timeout_ms=300_000)
    assert seen.refs == refs and seen.digest == digest(refs)
    seen = ask(result(many(branches(200_001))), road="v2", wanted="refs/heads/*", timeout_ms=300_000)
    assert seen.outcome == "nonsense" and "200000" in seen.error


def test_many_looks_with_many_refs_at_once_share_the_memory_for_four(ask):
    """50 MB in all; twenty at once would be 130."""
    ask.limit_mib = 90
    refs = branches(50_000)
    ask.receiver.default = result(many(refs))
    ask.looks.write(b"".join(look(f"m{i}", ask.url, road="v2", wanted="refs/heads/*", timeout_ms=300_000,
                                  options="maxConnections=20") for i in range(20)))
    for i in range(20):
        assert ask.looks.answer(f"m{i}", 300).refs == refs


class Halves:
    """Answers whose last `rest` bytes come when the test says so."""

    def __init__(self, body, rest):
        self.body, self.rest = body, rest
        self.port, self.released = 0, threading.Event()

    def reply(self):
        def act(_, connection):
            connection.sendall(replies.head(200, [("Content-Type", RESULT), ("Content-Length", len(self.body))]))
            connection.sendall(self.body[:-self.rest])
            self.port = connection.getpeername()[1]
            self.released.wait()
            connection.sendall(self.body[-self.rest:])
        return replies.Reply(act)

    def unread(self):
        """Bytes on the way to the reader, or with it and not yet taken; None before the first part was sent."""
        ends = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        on_the_way = [int(end[4].partition(":")[0], 16) for end in ends if end[2].endswith(f":{self.port:04X}")]
        there = [int(end[4].partition(":")[2], 16) for end in ends if end[1].endswith(f":{self.port:04X}")]
        return sum(on_the_way + there) if self.port else None


def state_of(looks):
    return pathlib.Path(f"/proc/{looks.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("_", range(4))
def test_a_look_that_finds_no_memory_while_the_last_large_ones_end_is_asked_again(ask, _):
    """Four large answers end and a fifth becomes large, in one turn of the loop: mostly, for a timer of libcurl's may
    come between. All come in the end either way."""
    refs = branches(5_000)
    large = [Halves(many(refs), 4096) for _ in range(4)]
    fifth = Halves(many(refs), len(many(refs)) - 256 * 1024 + 2048)
    ask.receiver.script(*(one.reply() for one in [*large, fifth]))
    ask.receiver.default = result(many(refs))
    try:
        for number, one in enumerate([*large, fifth]):
            ask.looks.write(look(f"m{number}", ask.url, road="v2", wanted="refs/heads/*", timeout_ms=300_000))
            wait_until(lambda one=one: one.unread() == 0, what="a first part")
        # Asleep: what it has heard of is then heard of in the order in which it comes.
        wait_until(lambda: state_of(ask.looks) == "S", what="sleep")
        ask.looks.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(ask.looks) == "T", what="the stop")
        for one in [*large, fifth]:
            one.released.set()
            wait_until(lambda one=one: one.unread() >= one.rest, what="a second part")
    finally:
        ask.looks.process.send_signal(signal.SIGCONT)
        for one in [*large, fifth]:
            one.released.set()
    for number in range(5):
        assert ask.looks.answer(f"m{number}", 300).refs == refs


def test_answers_that_nobody_takes_are_waited_for(place, receiver):
    """The reader of the pipe sleeps: what is begun is bounded, and all comes in the end."""
    import struct
    import subprocess
    from env.looks import LOOKED
    from env.net import NET, clean_environment
    receiver.default = result(many(branches(10_000)))
    process = subprocess.Popen([NET, "--looks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=clean_environment(place), bufsize=0)
    process.stdin.write(b"".join(look(i, receiver.url("/a"), road="v2", wanted="refs/heads/*", timeout_ms=300_000)
                                 for i in range(60)))
    receiver.wait_requests(1)
    time.sleep(1)  # a span in which too much could be begun, not a wait for something
    assert len(receiver.requests) < 40
    process.stdin.close()
    data, at, seen = process.stdout.read(), 0, []
    while at < len(data):
        length, kind = struct.unpack_from("<II", data, at)
        if kind == LOOKED:
            seen.append(data[at + 8:at + 8 + length])
        at += 8 + length
    assert len(seen) == 60 and all(b"refs" in one for one in seen)
    assert process.wait(30) == 0


def test_an_answer_in_gzip_is_read_and_a_bomb_is_cut(ask):
    packed = [("Content-Encoding", "gzip")]
    assert ask(result(gzip.compress(GOOD), headers=packed), road="v2").outcome == "refs"
    same = pkt(f"{TIP} refs/pull/1/head\n") * 20_000
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(same) for _ in range(220)) + packer.flush()
    assert 20 * len(bomb) < 256 * 1024 * 1024 < 220 * len(same)
    seen = ask(result(bomb, headers=packed), road="v2", timeout_ms=300_000)
    assert seen.outcome == "nonsense" and "256 MiB" in seen.error
    zeros = gzip.compress(b"\0" * 300 * 1024 * 1024, 1)
    seen = ask(advertisement(VERSION_2), result(zeros, headers=packed), road="v2-asked", timeout_ms=300_000)
    assert seen.outcome == "nonsense"


@pytest.mark.parametrize("encoding", ["gzip, gzip, gzip, gzip, gzip, gzip", "br", "zstd", "identity, gzip"])
def test_other_encodings_are_no_answer(ask, encoding):
    seen = ask(advertisement(VERSION_2), result(GOOD, headers=[("Content-Encoding", encoding)]), road="v2-asked")
    assert seen.outcome == "nonsense"


# ------------------------------------------------------------------------------------------------------------ redirects


def test_a_redirect_in_a_circle_is_seen(ask):
    there = replies.redirect("/app.git/git-upload-pack", 301)
    seen = ask(there, there)
    assert seen.outcome == "nonsense" and "in a circle" in seen.error
    assert len(ask.receiver.requests) <= 2
    seen = ask(replies.redirect("/b/git-upload-pack"), replies.redirect("/app.git/git-upload-pack"))
    assert seen.outcome == "nonsense" and "in a circle" in seen.error


def test_redirects_without_end_are_cut(ask):
    chain = [replies.redirect(f"/{i}/git-upload-pack", 302) for i in range(20)]
    seen = ask(*chain)
    assert seen.outcome == "nonsense" and "more than 5 times" in seen.error
    assert len(ask.receiver.requests) == 6


@pytest.mark.parametrize("follow", ["", "followRedirects=true"])
@pytest.mark.parametrize("target", [
    "file:///etc/passwd", "file:///srv/app/info/refs?service=git-upload-pack", "ftp://127.0.0.1/x", "gopher://h/",
    "ssh://127.0.0.1/a/info/refs?service=git-upload-pack", "/sign_in?token=canary", "http://u:canary@h/app.git/x", "",
    "//", "http://", "javascript:x", "http://h/\x7f"])
def test_a_redirect_to_something_else_is_not_followed(ask, target, follow):
    seen = ask(replies.redirect(target), replies.redirect(target), options=follow)
    assert seen.outcome in ("moved", "nonsense")
    assert seen.location == "" and "canary" not in seen.error and "passwd" not in seen.error.replace(target, "")
    assert asked(ask.receiver)[:2] == ["POST git-upload-pack", "GET refs"]


def test_a_redirect_away_from_tls_is_never_followed(start_looks, make_receiver):
    secure, plain = make_receiver(tls=True), make_receiver()
    plain.default = result(GOOD)
    secure.default = replies.redirect(plain.url("/app.git/git-upload-pack"), 301)
    looks = start_looks(env={"GIT_SSL_CAINFO": secure.ca})
    for options in ("", "followRedirects=true"):
        seen = looks.ask(secure.url("/app.git"), options=options)
        assert (seen.outcome, seen.location) == ("moved", plain.url("/app.git")) and "without TLS" in seen.error
    assert plain.requests == []


@pytest.mark.parametrize("code", [300, 301, 304, 307, 399])
def test_a_redirect_without_a_target_is_nonsense(ask, code):
    seen = ask(replies.status(code, b""), replies.status(code, b""))
    assert seen.outcome == "nonsense" and str(code) in seen.error


# -------------------------------------------------------------------------------------------------------------- refusals


def test_a_server_that_wants_a_login_for_ever_is_asked_once_a_look(start_looks, receiver):
    looks = start_looks(logins=True)
    receiver.default = replies.status(401, headers=[("WWW-Authenticate", "Basic realm=x")])
    assert looks.ask(receiver.url("/a")).outcome == "login"
    for i in range(3):
        looks.log_in(receiver.url("/"), "bot", f"canary{i}")
        assert looks.ask(receiver.url("/a")).outcome == "login-refused"
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("code, value, wait", [
    (429, None, -1), (429, "3", 3000), (429, "999999999", 24 * 3600 * 1000), (429, "soon", -1), (503, "7", 7000),
    (403, "60", 60_000)])
def test_a_server_that_is_busy_says_for_how_long(ask, code, value, wait):
    headers = [("Retry-After", value)] if value else []
    seen = ask(replies.status(code, headers=headers))
    assert (seen.outcome, seen.retry_after_ms) == ("busy", wait)
    assert "raise poll_interval" in seen.error
    assert len(ask.receiver.requests) == 1


@pytest.mark.parametrize("code", [502, 503, 504, 599])
def test_a_server_in_trouble_is_not_asked_another_question(ask, code):
    seen = ask(replies.status(code))
    assert (seen.outcome, seen.retry_after_ms) == ("failed", -1) and str(code) in seen.error
    assert len(ask.receiver.requests) == 1


def test_a_forbidden_repository_is_told(ask):
    seen = ask(replies.status(403), replies.status(403))
    assert seen.outcome == "failed" and seen.error.endswith("(the account may not read this repository)")
