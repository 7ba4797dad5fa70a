"""phantom_ci-net over its pipes: many requests, its end, garbage, secrets."""
import os
import random
import resource
import select
import subprocess
import sys
import threading
import time

import pytest

from env import receiver as replies
from env.net import CANCEL, NET, REQUEST, clean_environment, message, request, sanitized
from env.servers import free_port
from env.waiting import LIMIT, wait_until


# ---------------------------------------------------------------------------------------------------- many, cancel, end


def test_a_hundred_requests_at_once_are_all_answered_with_few_connections(net, receiver):
    gate = []

    def act(server, connection):
        wait_until(lambda: gate or server.stopped.is_set(), what="the gate")
        replies.ok().act(server, connection)
    receiver.default = replies.Reply(act)
    net.write(b"".join(request(i, receiver.url(), body=b"%d" % i) for i in range(100)))
    wait_until(lambda: len(receiver.requests) == 16, what="the first sixteen")
    gate.append(True)
    assert {net.answer(i, 60).status for i in range(100)} == {200}
    assert sorted(int(r.body) for r in receiver.requests) == list(range(100)), "each once"


def test_more_than_the_queue_holds_waits_in_the_pipe_and_nothing_is_lost(net, receiver):
    count = 700
    data = b"".join(request(i, receiver.url(), body=b"z" * 20_000, timeout_ms=120_000) for i in range(count))
    writer = threading.Thread(target=net.write, args=(data,), daemon=True)
    writer.start()
    wait_until(lambda: len(net.answers) == count, what="all answers")
    writer.join(LIMIT)
    assert {a.outcome for a in net.answers} == {"http"} and len({a.id for a in net.answers}) == count
    if not sanitized():
        assert net.resident_kib() < 96 * 1024


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


def test_the_end_of_the_input_lets_what_is_under_way_finish(start_net, receiver):
    net = start_net()
    receiver.script(replies.Reply(lambda server, connection: (
        wait_until(lambda: net.process.stdin.closed, what="the end of the input"), replies.ok().act(server, connection))))
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
    assert process.wait(LIMIT) == 0
    process.stdin.close()


def test_it_ends_by_itself_after_nothing_to_do(start_net, receiver):
    net = start_net("--idle-ms", "400")
    assert net.ask(receiver.url()).status == 200
    begin = time.monotonic()
    assert net.wait(LIMIT) == 0
    assert 0.2 < time.monotonic() - begin
    assert net.errors == b""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/PID")
def test_waiting_costs_no_processor_time_and_idling_no_wake_up(net, receiver):
    assert net.ask(receiver.url()).status == 200
    receiver.script(replies.hang())
    before = net.processor_s()
    assert net.ask(receiver.url(), timeout_ms=1500).outcome == "timeout"
    assert net.processor_s() - before < 0.3
    idle = wait_until(lambda: net.state() == "S" and net.switches(), what="its sleep")
    time.sleep(0.5)  # it may have slept on its way to rest
    idle = net.switches()
    time.sleep(1.5)  # a span to measure, not a wait for something
    assert net.switches() == idle


def test_a_request_under_way_is_not_idle(start_net, receiver):
    net = start_net("--idle-ms", "300")
    receiver.script(replies.hang())
    assert net.ask(receiver.url(), timeout_ms=1500).outcome == "timeout"
    assert net.wait(LIMIT) == 0


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
    parent.wait(LIMIT)
    assert select.select([alive], [], [], 10)[0], "it is still there"
    assert os.read(alive, 1) == b"", "the last holder of the other end is gone"
    for fd in (alive, its_input, requests, answers, its_output):
        os.close(fd)
    parent.stdout.close()


@pytest.mark.parametrize("point, seen", [("net.request", 0), ("net.answer", 1)])
def test_killed_before_sending_and_after_the_servers_answer_it_answers_nothing(start_net, receiver, point, seen):
    """The two sides of at least once: the daemon can't tell them apart."""
    net = start_net(env={"PHANTOM_CI_FAULT": f"{point}:2:KILL"})
    assert net.ask(receiver.url()).status == 200
    net.send("second", receiver.url("/second"))
    assert net.wait() == -9
    assert [a.id for a in net.answers] == ["n0"]
    assert len([r for r in receiver.requests if r.path == "/second"]) == seen


def test_an_answer_that_is_lost_inside_it_leaves_the_others_alone(start_net, receiver):
    net = start_net(env={"PHANTOM_CI_FAULT": "net.answer:1:EIO"})
    net.send("lost", receiver.url())
    receiver.wait_requests(1)
    assert net.ask(receiver.url()).status == 200
    assert net.stop() == 0
    assert [a.id for a in net.answers] == ["n0"]


def test_kill_9_in_the_middle_leaves_no_half_answer_that_would_be_taken_for_one(start_net, receiver):
    for _ in range(20):
        net = start_net()
        net.write(b"".join(request(i, receiver.url()) for i in range(30)))
        receiver.wait_requests(1)
        net.kill()
        assert {a.status for a in net.answers} <= {200}
        receiver.requests.clear()
    assert start_net().ask(receiver.url()).status == 200


# -------------------------------------------------------------------------------------------------------------- garbage


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\xff" * 100, message(3, b""), message(9, b"x"), message(CANCEL, b"a b"),
    message(CANCEL, b"a", b"b"), message(REQUEST, b"1"), message(REQUEST, *[b""] * 6), request(1, "http://h/")[:-1],
    b"\x01", (2**20 + 1).to_bytes(4, "little") + REQUEST.to_bytes(4, "little"), random.Random(1).randbytes(5000)],
    ids=lambda data: f"{len(data)}-{data[:4].hex()}")
def test_garbage_on_the_input_ends_it_with_an_error_and_no_crash(start_net, data):
    net = start_net()
    net.write(data)
    net.close_input()
    assert net.wait() == 2
    assert net.errors.startswith(b"phantom_ci-net: ") and net.errors.count(b"\n") == 1, net.errors
    assert net.answers == []
    net.check()


def test_random_bytes_for_fields_never_crash_it(start_net, receiver):
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    good = [b"1", receiver.url().encode(), b"POST", b"A: b", b"body", b"2000"]
    net = start_net()
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
                            env=clean_environment(place), timeout=LIMIT)
    assert result.returncode == 2 and result.stderr.startswith(b"phantom_ci-net: ") and result.stdout == b""


def test_at_a_terminal_it_says_whose_it_is_instead_of_waiting(place):
    leader, follower = os.openpty()
    result = subprocess.run([NET], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment(place), timeout=LIMIT)
    os.close(leader)
    os.close(follower)
    assert result.returncode == 2 and b"started by phantom_ci, not by hand" in result.stderr


def test_help_and_version_say_what_it_is(place):
    def run(option):
        return subprocess.run([NET, option], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=clean_environment(place), timeout=LIMIT).stdout.decode()
    assert "Started by phantom_ci, not by hand" in run("--help")
    assert run("--version").startswith("phantom_ci-net 0.")


# -------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.demand("E3")
@pytest.mark.demand("S16")
def test_secrets_are_in_no_error_no_argument_and_no_environment(start_net, receiver, make_receiver):
    tls = make_receiver(tls=True)
    net = start_net()
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
def test_after_an_answer_the_memory_holds_no_secret_of_the_request(start_net, make_receiver, tls):
    server = make_receiver(tls=tls)
    net = start_net(env={"SSL_CERT_FILE": server.ca})
    url, header, body = b"canaryurl" + b"q" * 20, b"canaryheader" + b"h" * 20, b"canarybody" + b"b" * 20
    searched = threading.Event()
    server.script(replies.Reply(lambda _, connection: (searched.wait(LIMIT), replies.ok().act(_, connection))))
    net.send(1, server.url("/hook?k=" + url.decode()), headers=b"X-Key: " + header, body=body)
    server.wait_requests(1)
    assert net.memory_holds(url), "while it is under way it is there, so the search works"
    searched.set()
    assert net.answer(1).status == 200
    assert net.ask(server.url("/hook")).status == 200
    for secret in (url, header, body):
        assert not net.memory_holds(secret), secret


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/PID/limits")
def test_it_leaves_no_core_file(start_net, receiver):
    net = start_net()
    net.ask(receiver.url())
    assert resource.prlimit(net.pid, resource.RLIMIT_CORE) == (0, 0)
    with open(f"/proc/{net.pid}/status") as file:
        status = file.read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
