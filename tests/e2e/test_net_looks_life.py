"""phantom_ci-net --looks over its pipes: many looks, its end, garbage, secrets, and what it may do."""
import os
import random
import re
import resource
import subprocess
import sys
import time

import pytest

from env import receiver as replies
from env.looks import LOGIN, LOOK, LOOKED, REFS, Looks, look
from env.lookserver import FIXED_REFS
from env.net import CANCEL, NET, clean_environment, message, request, sanitized
from env.waiting import wait_until

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc, strace, seccomp")


def answer(body=FIXED_REFS):
    return replies.status(200, body, [("Content-Type", "application/x-git-upload-pack-result")])


@pytest.fixture
def server(receiver):
    receiver.default = answer()
    return receiver


def good(looks, server, **options):
    assert looks.ask(server.url("/app"), road="v2", **options).outcome == "refs"


# ---------------------------------------------------------------------------------------------------- many, cancel, end


def test_more_looks_than_it_takes_on_wait_in_the_pipe_and_none_is_lost(looks, look_server):
    count = 6000
    for i in range(0, count, 500):
        looks.write(b"".join(look(j, look_server.url(area="fixed"), road="v2", timeout_ms=300_000)
                             for j in range(i, i + 500)))
    wait_until(lambda: len(looks.answers) == count, 300, "all answers")
    assert {a.outcome for a in looks.answers} == {"refs"} and len({a.id for a in looks.answers}) == count
    if not sanitized():
        assert looks.resident_kib() < 48 * 1024


def test_hosts_that_hang_hold_up_no_other(looks, server, make_receiver):
    hung = [make_receiver() for _ in range(3)]
    for i, one in enumerate(hung):
        one.default = replies.hang()
        for j in range(50):
            looks.send(f"h{i}-{j}", one.url("/x"), timeout_ms=100_000)
    for one in hung:
        one.wait_requests(16)
    for _ in range(10):
        good(looks, server)
    assert len(looks.answers) == 10


def test_a_look_that_waits_behind_others_ends_at_its_own_time(looks, server):
    server.default = replies.hang()
    for i in range(16):
        looks.send(i, server.url("/x"), timeout_ms=100_000)
    server.wait_requests(16)
    looks.send("late", server.url("/x"), timeout_ms=300)
    seen = looks.answer("late")
    assert seen.outcome == "timeout" and "was not asked within 300 ms" in seen.error
    for i in range(16):
        looks.cancel(i)
    server.default = answer()
    good(looks, server)
    assert {a.id for a in looks.answers} == {"late", "n1"}, "the canceled have made room and are not answered"


def test_what_is_canceled_while_it_waits_is_never_asked(looks, server):
    server.default = replies.hang()
    for i in range(16):
        looks.send(i, server.url("/x"), timeout_ms=100_000)
    server.wait_requests(16)
    looks.send("waiting", server.url("/waiting"))
    looks.cancel("waiting")
    looks.cancel("never-heard-of")
    server.default = answer()
    for i in range(16):
        looks.cancel(i)
    good(looks, server)
    assert not [r for r in server.requests if "waiting" in r.path]


def test_the_end_of_the_input_lets_what_is_under_way_finish(start_looks, server):
    looks = start_looks()
    server.script(replies.Reply(lambda receiver, connection: (
        wait_until(lambda: looks.process.stdin.closed, 20, "the end of the input"),
        answer().act(receiver, connection))))
    looks.send(1, server.url("/x"))
    server.wait_requests(1)
    looks.close_input()
    assert looks.wait() == 0
    assert looks.answer(1).outcome == "refs"
    looks.check()


def test_nobody_to_read_the_answers_is_the_end(place, server):
    server.default = replies.hang()
    answers_end, its_end = os.pipe()
    process = subprocess.Popen([NET, "--looks"], stdin=subprocess.PIPE, stdout=its_end, env=clean_environment(place),
                               bufsize=0)
    os.close(its_end)
    process.stdin.write(look(1, server.url("/x"), timeout_ms=60_000))
    server.wait_requests(1)
    os.close(answers_end)
    assert process.wait(30) == 0
    process.stdin.close()


def test_it_ends_by_itself_after_nothing_to_do(start_looks, server):
    looks = start_looks("--idle-ms", "400", logins=True)
    good(looks, server)
    assert looks.wait(30) == 0
    assert looks.errors == b""


def assert_it_sleeps(looks):
    wait_until(lambda: looks.state() == "S", 30, "its sleep")
    idle = looks.switches()
    time.sleep(1)  # a span to measure, not a wait for something
    assert looks.switches() == idle


@on_linux
def test_waiting_costs_no_processor_time_and_idling_no_wake_up(start_looks, server):
    """Also with connections that are kept, and a login pipe."""
    looks = start_looks(logins=True)
    for _ in range(3):
        good(looks, server)
    server.script(replies.hang())
    before = looks.processor_s()
    assert looks.ask(server.url("/app"), timeout_ms=1500).outcome == "timeout"
    assert looks.processor_s() - before < 0.3
    assert_it_sleeps(looks)


@on_linux
def test_a_login_pipe_that_has_ended_costs_nothing(start_looks, server):
    looks = start_looks(logins=True)
    looks.close_logins()
    good(looks, server)
    assert_it_sleeps(looks)


@pytest.mark.parametrize("point, seen", [("net.look", 0), ("net.refs", 1)])
def test_killed_before_asking_and_after_the_servers_answer_it_answers_nothing(start_looks, server, point, seen):
    looks = start_looks(env={"PHANTOM_CI_FAULT": f"{point}:2:KILL"})
    good(looks, server)
    looks.send("second", server.url("/second"), road="v2")
    assert looks.wait() == -9
    assert [a.id for a in looks.answers] == ["n0"]
    assert len([r for r in server.requests if "second" in r.path]) == seen


def test_a_look_that_fails_inside_it_is_refused_or_lost_alone(start_looks, server):
    looks = start_looks(env={"PHANTOM_CI_FAULT": "net.look:1:EIO,net.refs:2:EIO"})
    assert looks.ask(server.url("/app")).outcome == "refused"
    good(looks, server)
    looks.send("lost", server.url("/lost"), road="v2")
    server.wait_requests(2)
    good(looks, server)
    assert looks.stop() == 0
    assert "lost" not in [a.id for a in looks.answers]


def test_kill_9_in_the_middle_leaves_no_half_answer_that_would_be_taken_for_one(start_looks, server):
    server.default = answer(b"".join(b"%04x%s" % (len(line) + 4, line) for line in (
        f"{i:040x} refs/heads/b{i}\n".encode() for i in range(1, 3000))) + b"0000")
    for _ in range(10):
        looks = start_looks()
        looks.write(b"".join(look(i, server.url("/x"), road="v2", wanted="refs/heads/*") for i in range(30)))
        server.wait_requests(1)
        looks.kill()
        assert {len(a.refs) for a in looks.answers} <= {2999}
        server.requests.clear()


# -------------------------------------------------------------------------------------------------------------- garbage


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\xff" * 100, message(REFS, b"1", b""), message(LOOKED, *[b""] * 7),
    message(CANCEL, b"a b"), message(LOOK, b"1"), message(LOOK, *[b""] * 7), look(1, "http://h/a")[:-1], b"\x01",
    (2**20).to_bytes(4, "little") + LOOK.to_bytes(4, "little"), request(1, "http://127.0.0.1:1/x"),
    message(LOGIN, b"http://h/", b"u", b"p"), random.Random(2).randbytes(5000)],
    ids=lambda data: f"{len(data)}-{data[:8].hex()}")
def test_garbage_is_the_end_with_one_line_and_no_answer(start_looks, data):
    looks = start_looks()
    looks.write(data)
    looks.close_input()
    assert looks.wait() == 2
    assert looks.errors.startswith(b"phantom_ci-net: ") and looks.errors.count(b"\n") == 1, looks.errors
    assert looks.answers == []
    looks.check()


@pytest.mark.parametrize("data", [b"\xff" * 20, message(LOOK, *[b""] * 7), message(LOGIN, b"h", b"u", b"canary"),
                                  message(CANCEL, b"1"), message(LOGIN, b"http://h/", b"u\n", b"canary")])
def test_garbage_in_the_login_pipe_is_the_end(start_looks, data):
    looks = start_looks(logins=True)
    os.write(looks.login_pipe, data)
    assert looks.wait() == 2
    assert b"descriptor 3" in looks.errors and b"canary" not in looks.errors


def test_a_look_for_the_role_that_sends_messages_is_the_end_of_it(start_net):
    net = start_net()
    net.write(look(1, "http://127.0.0.1:1/x"))
    assert net.wait() == 2
    assert b'type "look"' in net.errors


def test_random_bytes_for_fields_never_crash_it(start_looks, server):
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    fields = [b"1", server.url("/app").encode(), b"refs/heads/main", b"", b"sslVerify=true", b"v2", b"2000"]
    looks = start_looks()
    for number in range(300):
        changed = [str(number).encode(), *fields[1:]]
        at = dice.randrange(1, 7)
        field = bytearray(fields[at])
        for _ in range(dice.randrange(1, 4)):
            where = dice.randrange(len(field) + 1)
            field[where:where + dice.randrange(3)] = dice.randbytes(dice.randrange(4))
        # nowhere but to this machine
        if at != 1 or b"127.0.0.1" in field:
            changed[at] = bytes(field)
            looks.write(message(LOOK, *changed))
            looks.answer(number)
    assert looks.stop() == 0


@pytest.mark.parametrize("args", [["--readable", "/etc"], ["--looks", "x"], ["--looks", "--idle-ms", "0"],
                                  ["--looks", "--readable"]])
def test_wrong_arguments_are_a_usage_error(place, args):
    result = subprocess.run([NET, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment(place), timeout=30)
    assert result.returncode == 2 and result.stderr.startswith(b"phantom_ci-net: ") and result.stdout == b""


# -------------------------------------------------------------------------------------------------------------- secrets


SECRETS = ["canaryuser", "canarypassword", "canaryheader", "canaryproxy"]


@pytest.mark.demand("E3")
def test_secrets_are_in_no_error_no_argument_and_no_environment(start_looks, server, make_receiver):
    tls = make_receiver(tls=True)
    looks = start_looks(logins=True)
    looks.log_in(server.url("/"), "canaryuser", "canarypassword")
    looks.log_in(tls.url("/"), "canaryuser", "canarypassword")
    options = "extraHeader=X-Key: canaryheader"
    server.script(replies.hang(), replies.reset(), replies.close(), replies.raw(b"nonsense"), replies.endless_headers(),
                  replies.redirect("http://canaryuser:canarypassword@elsewhere.invalid/x"),
                  *[replies.status(404)] * 3, replies.status(401))
    targets = [(server.url("/x"), options)] * 8 + [
        (tls.url("/x"), options), ("http://127.0.0.1:1/x", "proxy=http://canaryuser:canaryproxy@127.0.0.1:1"),
        ("https://canaryuser:canarypassword@h/x", ""), ("http://h/x", "proxy=canaryproxy\x01"),
        ("http://h/x", "extraHeader=canaryheader")]
    for url, options in targets:
        seen = looks.ask(url, options=options, timeout_ms=3000)
        assert seen.outcome != "same" and seen.error
        assert not [word for word in SECRETS if word in seen.error + seen.location], seen
    assert server.requests[0].headers["x-key"] == "canaryheader", "they were there"
    assert "authorization" in server.requests[0].headers
    with open(f"/proc/{looks.pid}/cmdline", "rb") as file:
        assert b"canary" not in file.read()


def ask_six(looks, server, name, outcome):
    """At once, so that each has a handle of its own."""
    looks.write(b"".join(look(f"{name}{i}", server.url("/app"), road="v2") for i in range(6)))
    assert {looks.answer(f"{name}{i}").outcome for i in range(6)} == {outcome}


@on_linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a process that is not dumpable")
@pytest.mark.parametrize("tls", [False, True])
def test_a_login_that_was_taken_back_is_in_no_memory(start_looks, make_receiver, tls):
    import base64
    server = make_receiver(tls=tls)
    server.default = answer()
    looks = start_looks(logins=True, env={"GIT_SSL_CAINFO": server.ca})
    secret = "canary" + "q" * 30
    sent = base64.b64encode(f"bot:{secret}".encode())
    looks.log_in(server.url("/"), "bot", secret)
    ask_six(looks, server, "first", "refs")
    assert server.requests[-1].headers["authorization"].encode() == b"Basic " + sent
    assert looks.memory_holds(secret.encode()), "while it is known it is there, so the search works"
    looks.log_in(server.url("/"))
    good(looks, server)
    assert "authorization" not in server.requests[-1].headers
    assert not looks.memory_holds(secret.encode())
    assert not looks.memory_holds(sent)
    looks.log_in(server.url("/"), "bot", secret)
    server.script(*[replies.status(401)] * 6)
    ask_six(looks, server, "second", "login-refused")
    good(looks, server)
    assert not looks.memory_holds(secret.encode())
    assert not looks.memory_holds(sent)


@on_linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a process that is not dumpable")
def test_a_login_that_was_taken_back_is_in_no_memory_of_a_connection_of_http_2(start_looks, look_server, repo):
    """But for the header as it was sent: nghttp2 does not overwrite what it frees."""
    looks = start_looks(logins=True, env={"GIT_SSL_CAINFO": look_server.ca})
    url = look_server.url(area="auth", kind="h2")
    looks.log_in(look_server.prefix("h2"), "bot", "s3cret")
    looks.write(b"".join(look(i, url, road="v2") for i in range(6)))
    assert {looks.answer(i).outcome for i in range(6)} == {"refs"}
    assert looks.memory_holds(b"s3cret")
    looks.log_in(look_server.prefix("h2"))
    assert looks.ask(url, road="v2").outcome == "login"
    assert not looks.memory_holds(b"s3cret")
    assert len(set(look_server.connections(7))) == 1, "the connection was kept"


@on_linux
def test_it_leaves_no_core_file(start_looks, server):
    looks = start_looks()
    good(looks, server)
    assert resource.prlimit(looks.pid, resource.RLIMIT_CORE) == (0, 0)
    with open(f"/proc/{looks.pid}/status") as file:
        status = file.read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


# ---------------------------------------------------------------------------------------------------------- confinement


@on_linux
def test_the_work_itself_meets_no_refused_call_but_the_known_ones(place, start_looks, look_server, repo):
    repo.commit_and_push({"a": "1"})
    log = place / "log"
    looks = start_looks(wrapper=["strace", "-f", "-qq", "-o", str(log)],
                        env={"GIT_SSL_CAINFO": look_server.ca, "ASAN_OPTIONS": "detect_leaks=0"})
    for kind in ("http", "https", "h2"):
        url = look_server.url(kind=kind).replace("127.0.0.1", "localhost")
        assert looks.ask(url).outcome == "refs"
        assert looks.ask(look_server.url(kind=kind, area="v0")).outcome == "refs"
    assert looks.ask("http://127.0.0.1:1/x").outcome == "unreachable"
    assert looks.stop() == 0
    work = log.read_text().rpartition("SECCOMP_SET_MODE_FILTER")[2]
    assert "connect(" in work and "epoll_wait(" in work
    # The resolver asks for services behind sockets (nscd) and for addresses of this machine; it does without both.
    known = re.compile(r"socket\((AF_UNIX|AF_NETLINK)|clone3\(|<\.\.\. (socket|clone3) resumed>")
    refused = [line for line in work.splitlines()
               if re.search(r"= -1 (EPERM|EACCES|ENOSYS) ", line) and not known.search(line)]
    assert refused == []


@on_linux
@pytest.mark.parametrize("kind", ["http", "https", "h2"])
def test_without_epoll_it_works_as_well(place, start_looks, look_server, kind):
    """What other systems have: strace plays a kernel without it."""
    log = place / "log"
    looks = start_looks(wrapper=["strace", "-f", "-qq", "-o", str(log), "-e", "trace=epoll_create1,epoll_wait", "-e",
                                 "inject=epoll_create1:error=ENOSYS"],
                        env={"GIT_SSL_CAINFO": look_server.ca, "ASAN_OPTIONS": "detect_leaks=0"})
    looks.write(b"".join(look(i, look_server.url(area="fixed", kind=kind), road="v2") for i in range(200)))
    assert {(seen.outcome, seen.error) for seen in (looks.answer(i, 60) for i in range(200))} == {("refs", "")}
    assert looks.ask("http://127.0.0.1:1/x").outcome == "unreachable"
    assert looks.stop() == 0
    assert "epoll_create1" in log.read_text() and "epoll_wait" not in log.read_text()


@on_linux
def test_few_descriptors_are_enough(place, look_server):
    """A limit as low as that of macOS: fewer looks are on their way at once, and none is lost."""
    looks = Looks(place, wrapper=["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"])
    looks.write(b"".join(look(i, look_server.url(area="fixed").replace("127.0.0.1", f"127.0.0.{i % 100 + 1}"),
                              road="v2", timeout_ms=100_000) for i in range(300)))
    wait_until(lambda: len(looks.answers) == 300, 120, "all answers")
    # nginx listens at one of these addresses; at the others nobody does.
    assert {a.outcome for a in looks.answers} == {"refs", "unreachable"}
    assert not [a for a in looks.answers if "many open files" in a.error]
    assert looks.stop() == 0
