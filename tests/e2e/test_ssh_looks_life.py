"""phantom_ci-ssh: many looks, cancels, its end and that of its ssh processes, garbage."""
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from env.looks import look
from env.net import clean_environment, message, request, sanitized
from env.processes import processes_of
from env.sshlooks import SSH, environment
from env.waiting import wait_until

RUN = 'eval "$SSH_ORIGINAL_COMMAND"'
HANG = "cat >/dev/null"  # until the session is closed
MAIN = "refs/heads/main"


def test_two_hundred_looks_at_once_are_all_answered_over_one_connection(ssh_looks, sshd, make_repo):
    repos = [make_repo(f"r{number}") for number in range(5)]
    tips = [repo.commit_and_push() for repo in repos]
    ssh_looks.write(b"".join(look(number, sshd.url(repos[number % 5].bare), road=["v2", ""][number % 2], timeout_ms=300_000)
                             for number in range(200)))
    answers = [ssh_looks.answer(number, 300) for number in range(200)]
    assert [answer.refs for answer in answers] == [{MAIN: tips[number % 5]} for number in range(200)]
    assert len(ssh_looks.answers) == 200 and sshd.logins() == 1
    if not sanitized():
        assert ssh_looks.resident_kib() < 32 * 1024


def test_more_than_it_takes_on_waits_in_the_pipe(ssh_looks, sshd, repo):
    """1024 are the most that wait; the others are answered, too."""
    tip = repo.commit_and_push()
    answers = 1100
    ssh_looks.ask(sshd.url(repo.bare))
    sshd.stop()
    for master in ssh_looks.masters():
        os.kill(master, signal.SIGSTOP)
    data = b"".join(look(number, sshd.url(repo.bare), road="v2", timeout_ms=5000) for number in range(answers))
    ssh_looks.write(data)
    for number in (0, answers - 1):
        assert ssh_looks.answer(number, 120).outcome in ("timeout", "unreachable")
    wait_until(lambda: len(ssh_looks.answers) == answers + 1, 120, "all answers")
    sshd.start("host_a")
    assert ssh_looks.ask(sshd.url(repo.bare), timeout_ms=60_000).refs == {MAIN: tip}


def test_a_look_that_waits_behind_others_ends_at_its_own_time(ssh_looks, sshd, place):
    sshd.force(f"echo x >>{place}/begun; {HANG}")
    for number in range(8):
        ssh_looks.send(number, sshd.url("/app.git"), road="v2", timeout_ms=300_000)
    wait_until(lambda: (place / "begun").exists() and len((place / "begun").read_text()) == 16, 60, "eight sessions")
    late = ssh_looks.ask(sshd.url("/app.git"), timeout_ms=300)
    assert late.outcome == "timeout" and "it waited for other looks at the same server" in late.error
    for number in range(8):
        ssh_looks.cancel(number)
    wait_until(lambda: not sshd.commands(), 60, "the end of the sessions")
    assert len(ssh_looks.answers) == 1, "what was canceled is not answered"


def test_what_is_canceled_makes_room(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.force(f'case "$SSH_ORIGINAL_COMMAND" in *stuck*) echo x >>{place}/begun; {HANG};; esac; {RUN}')
    for number in range(12):
        ssh_looks.send(number, sshd.url("/stuck.git"), road="v2", timeout_ms=300_000)
    wait_until(lambda: (place / "begun").exists() and len((place / "begun").read_text()) == 16, 60, "eight sessions")
    for number in range(12):
        ssh_looks.cancel(number)
    ssh_looks.cancel("never-heard-of")
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert len(ssh_looks.answers) == 1


# -------------------------------------------------------------------------------------------------------------- its end


def test_the_end_of_the_input_lets_what_is_under_way_finish(start_ssh_looks, sshd, repo, place):
    ssh_looks = start_ssh_looks()
    tip = repo.commit_and_push()
    sshd.force(f"touch {place}/begun; until [ -e {place}/go ]; do sleep 0.1; done; {RUN}")
    ssh_looks.send(1, sshd.url(repo.bare), timeout_ms=120_000)
    wait_until((place / "begun").exists, 60, "the look")
    ssh_looks.close_input()
    (place / "go").touch()
    assert ssh_looks.wait(60) == 0
    assert ssh_looks.answer(1).refs == {MAIN: tip}
    assert not ssh_looks.sockets()
    wait_until(lambda: not sshd.connections(), 60, "the end of the connection")
    assert "disconnected by user" in (sshd.directory / "sshd.log").read_text(), "it said goodbye"


def test_it_ends_by_itself_after_nothing_to_do(start_ssh_looks, sshd, repo):
    repo.commit_and_push()
    ssh_looks = start_ssh_looks("--idle-ms", "2000")
    assert ssh_looks.ask(sshd.url(repo.bare)).outcome == "refs"
    assert ssh_looks.wait(30) == 0
    assert not ssh_looks.sockets() and ssh_looks.errors == b""
    wait_until(lambda: not sshd.connections(), 60, "the end of the connection")


def test_nobody_to_read_the_answers_is_the_end(ssh_looks, sshd, place):
    sshd.force(f"touch {place}/begun; {HANG}")
    answers, its_output = os.pipe()
    process = subprocess.Popen([SSH], stdin=subprocess.PIPE, stdout=its_output, env=environment(place, ssh_looks.runtime),
                               bufsize=0)
    os.close(its_output)
    process.stdin.write(look(1, sshd.url("/app.git"), timeout_ms=300_000))
    wait_until((place / "begun").exists, 60, "the look")
    os.close(answers)
    assert process.wait(30) == 0
    process.stdin.close()
    wait_until(lambda: not sshd.connections(), 60, "the end of the connection")
    assert len(ssh_looks.sockets()) == 1, "the empty directory of the other one"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_killed_it_leaves_no_process_and_the_next_one_removes_its_sockets(start_ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    first = start_ssh_looks()
    sshd.configure("Host jumped", "HostName 127.0.0.1", f"Port {sshd.port}", "ProxyJump direct", "Host direct",
                   "HostName 127.0.0.1", f"Port {sshd.port}")
    assert first.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert first.ask(f"jumped:{repo.bare}").refs == {MAIN: tip}
    assert len(first.masters()) == 2
    left = first.sockets()
    assert len(left) == 3, left
    first.kill()
    wait_until(lambda: not processes_of(first.runtime) and not processes_of(place / "ssh_config"), 60, "the end of all ssh")
    assert first.sockets() == left
    second = start_ssh_looks()
    assert second.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert not set(second.sockets()) & set(left) and len(second.sockets()) == 2


def test_two_at_once_do_not_disturb_each_other(start_ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    one, other = start_ssh_looks(), start_ssh_looks()
    for _ in range(2):
        assert one.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
        assert other.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert other.stop() == 0
    assert one.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert sshd.logins() == 2


PARENT = """
import subprocess, sys, time
program, its_input, its_output = sys.argv[1], *map(int, sys.argv[2:])
print(subprocess.Popen([program], stdin=its_input, stdout=its_output).pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_its_parent_even_when_its_pipes_stay_open(start_ssh_looks, ssh_looks, sshd, repo, place):
    sshd.force(f"touch {place}/begun; {HANG}")
    its_input, requests = os.pipe()
    answers, its_output = os.pipe()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, SSH, str(its_input), str(its_output)], stdout=subprocess.PIPE,
                              env=environment(place, ssh_looks.runtime), pass_fds=[its_input, its_output])
    pid = int(parent.stdout.readline())
    os.write(requests, look(1, sshd.url(repo.bare), timeout_ms=300_000))
    wait_until((place / "begun").exists, 60, "the look")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}") and not sshd.connections(), 60, "the end of it and of its ssh")
    for fd in (its_input, requests, answers, its_output):
        os.close(fd)
    start_ssh_looks()  # removes what that one left


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/PID")
def test_idling_costs_no_wake_up(ssh_looks, sshd, repo):
    repo.commit_and_push()
    assert ssh_looks.ask(sshd.url(repo.bare)).outcome == "refs"
    wait_until(lambda: ssh_looks.state() == "S", 60, "its sleep")
    time.sleep(1)  # what is left of the session ends
    idle = ssh_looks.switches()
    time.sleep(1.5)  # a span to measure, not a wait for something
    assert ssh_looks.switches() == idle


# -------------------------------------------------------------------------------------------------------------- garbage


@pytest.mark.parametrize("data", [b"\xff" * 8, struct.pack("<II", 4, 99), message(4, b"x"), message(5, b"1", b""),
                                  request(1, "http://127.0.0.1/"), look("", "ssh://h/x")])
def test_a_broken_message_is_the_end_with_a_word(start_ssh_looks, sshd, data):
    ssh_looks = start_ssh_looks()
    ssh_looks.write(data)
    assert ssh_looks.wait(30) == 2
    assert b"phantom_ci-ssh: " in ssh_looks.errors and not ssh_looks.sockets()


def test_an_input_that_is_cut_is_the_end_with_a_word(start_ssh_looks, sshd):
    ssh_looks = start_ssh_looks()
    ssh_looks.write(look(1, sshd.url("/app.git"))[:-1])
    ssh_looks.close_input()
    assert ssh_looks.wait(30) == 2 and b"in the middle of a message" in ssh_looks.errors


def test_a_terminal_gets_a_word_and_no_service(place):
    controller, terminal = os.openpty()
    result = subprocess.run([SSH], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                            env=clean_environment(place))
    assert result.returncode == 2 and b"started by phantom_ci, not by hand" in result.stderr
    os.close(controller)
    os.close(terminal)
