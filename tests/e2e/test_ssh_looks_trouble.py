"""phantom_ci-ssh and servers that refuse, limit, hang, die or talk nonsense."""
import os
import signal
import socket
import time

import pytest

from env.servers import free_port
from env.waiting import wait_until

RUN = 'eval "$SSH_ORIGINAL_COMMAND"'
HANG = "cat >/dev/null"  # until the session is closed
MAIN = "refs/heads/main"


def send_many(ssh_looks, url, count, **options):
    for number in range(count):
        ssh_looks.send(number, url, **options)


def refs_of_many(ssh_looks, count, limit=300):
    return [ssh_looks.answer(number, limit).refs for number in range(count)]


# ------------------------------------------------------------------------------------------------------------- refusals


def test_an_unknown_host_key_is_untrusted_and_the_answer_says_how_to_accept_it(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    sshd.known_hosts.write_text("")
    answer = ssh_looks.ask(sshd.url(repo.bare))
    assert answer.outcome == "untrusted"
    assert "is not known; compare its fingerprint with the operator's, then: ssh -o StrictHostKeyChecking=accept-new" in \
        answer.error
    assert f"-p {sshd.port} {sshd.user}@127.0.0.1 exit" in answer.error
    sshd.trust()
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}, "the next look is a new try"


def test_a_changed_host_key_is_untrusted_and_both_fingerprints_are_told(ssh_looks, sshd, repo):
    repo.commit_and_push()
    assert ssh_looks.ask(sshd.url(repo.bare)).outcome == "refs"
    for master in ssh_looks.masters():
        os.kill(master, signal.SIGKILL)
    wait_until(lambda: not ssh_looks.masters(), 60, "the end of the connection")
    sshd.swap_host_key()
    answer = ssh_looks.ask(sshd.url(repo.bare))
    assert answer.outcome == "untrusted" and answer.refs is None
    assert sshd.fingerprint("host_a") in answer.error and sshd.fingerprint("host_b") in answer.error
    assert "has changed" in answer.error and "ssh-keygen -R" in answer.error


def test_a_key_that_the_server_does_not_know_is_told_with_a_hint(ssh_looks, sshd, repo):
    sshd.configure(identity=False)
    answer = ssh_looks.ask(sshd.url(repo.bare), options=f"key={sshd.make_key('stranger')}")
    assert answer.outcome == "failed"
    assert "Permission denied (publickey)" in answer.error and "check ssh_key_path" in answer.error


def test_an_absent_repository_is_absent_and_the_connection_stays(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    for road in ("", "v2", "v0"):
        answer = ssh_looks.ask(sshd.url("/absent.git"), road=road)
        assert answer.outcome == "absent"
        assert answer.error == (f"ssh://127.0.0.1:{sshd.port}/absent.git: fatal: '/absent.git' does not appear to be a git "
                                "repository (check the path in the address)")
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    assert sshd.logins() == 1


@pytest.mark.parametrize("script,outcome,words", [
    ("echo 'ERROR: Repository not found.' >&2; exit 1", "absent", "Repository not found"),
    ("echo 'FATAL: R any app bot DENIED by fallthru' >&2; exit 1", "failed", "DENIED by fallthru"),
    ("echo 'nothing to say: Connection refused' >&2; exit 3", "failed", "Connection refused"),
    ("exit 7", "failed", "exit 7, without a word"),
    ("exit 0", "failed", ""),
    ("kill -9 $$", "unreachable", "twice"),
    ("printf '0011ERR no entry\\n'; exit 0", "failed", "no entry"),
    ("printf 'Welcome to the machine\\n'; exec git-upload-pack /", "nonsense", "Welcome to the machine"),
    ("yes", "nonsense", "y"),
    ("printf '000eversion 3\\n0000'; cat >/dev/null", "use-git", ""),
    ("printf '000eversion 2\\n0012agent=x/1.2.3\\n0000'; cat >/dev/null", "use-git", ""),
])
@pytest.mark.parametrize("road", ["", "v2"])
def test_other_answers_of_a_command_are_told_apart(ssh_looks, sshd, script, outcome, words, road):
    sshd.force(script)
    answer = ssh_looks.ask(sshd.url("/app.git"), road=road)
    assert answer.outcome == outcome, answer
    assert words in answer.error and answer.error.startswith("ssh://127.0.0.1")
    assert answer.road == ("git" if outcome == "use-git" else "")


def test_control_characters_of_a_server_reach_nobody(ssh_looks, sshd):
    sshd.force(r"printf '\033[31mfatal: \007red\n' >&2; exit 1")
    answer = ssh_looks.ask(sshd.url("/app.git"))
    assert r"\x1b[31mfatal: \x07red" in answer.error


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("sessions,connections,at_once", [(1, 4, 4), (2, 4, 8), (5, 2, 10), (10, 1, 8)])
def test_a_server_that_opens_few_sessions_gets_more_connections(ssh_looks, make_sshd, repo, place, sessions, connections,
                                                                at_once):
    sshd = make_sshd(f"MaxSessions {sessions}\n")
    tip = repo.commit_and_push()
    sshd.force(f"echo x >>{place}/begun; until [ -e {place}/go ]; do sleep 0.1; done; {RUN}")
    send_many(ssh_looks, sshd.url(repo.bare), 20, timeout_ms=300_000)
    wait_until(lambda: (place / "begun").exists() and len((place / "begun").read_text()) == 2 * at_once, 60, "the sessions")
    assert len(ssh_looks.masters()) == connections
    (place / "go").touch()
    assert refs_of_many(ssh_looks, 20) == [{MAIN: tip}] * 20
    send_many(ssh_looks, sshd.url(repo.bare), 20, road="v2", timeout_ms=300_000)
    ssh_looks.answers.clear()
    assert refs_of_many(ssh_looks, 20) == [{MAIN: tip}] * 20
    assert sshd.logins() <= 4 and len(ssh_looks.masters()) == sshd.logins()


def test_a_server_that_opens_no_session_is_told(ssh_looks, make_sshd, repo):
    sshd = make_sshd("MaxSessions 0\n")
    answer = ssh_looks.ask(sshd.url(repo.bare))
    assert answer.outcome in ("failed", "unreachable") and answer.error


def test_a_server_that_takes_no_more_logins_is_unreachable_for_now(ssh_looks, make_sshd, repo):
    sshd = make_sshd("MaxStartups 1\nLoginGraceTime 600\n")
    tip = repo.commit_and_push()
    with socket.create_connection(("127.0.0.1", sshd.port)) as other:
        assert other.recv(3) == b"SSH"
        answer = ssh_looks.ask(sshd.url(repo.bare))
        assert answer.outcome == "unreachable" and "it may be overloaded" in answer.error
    wait_until(lambda: not sshd.connections(), 60, "the end of the other one")
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}


# The first session of a connection is answered, and then that ends.
ONE_SESSION = ("if mkdir {place}/turn-$PPID 2>/dev/null; then {run}; (sleep 0.3; kill $PPID) </dev/null >/dev/null 2>&1 & "
               "else {hang}; fi")


def test_a_server_that_hangs_up_after_each_session_gets_a_connection_a_look(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.force(ONE_SESSION.format(place=place, run=RUN, hang=HANG))
    for number in range(6):
        assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}, number
        wait_until(lambda: not sshd.connections(), 60, "the end of the connection")
    assert not ssh_looks.masters() and sshd.logins() == 6
    send_many(ssh_looks, sshd.url(repo.bare), 8, road="v2", timeout_ms=300_000)
    assert refs_of_many(ssh_looks, 8) == [{MAIN: tip}] * 8
    assert sshd.logins() == 14


def test_many_looks_over_connections_that_take_one_each_are_all_answered(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.force(ONE_SESSION.format(place=place, run=RUN, hang=HANG))
    send_many(ssh_looks, sshd.url(repo.bare), 6, road="v2", timeout_ms=300_000)
    assert refs_of_many(ssh_looks, 6) == [{MAIN: tip}] * 6


# ---------------------------------------------------------------------------------------------------------------- ends


def test_a_look_whose_connection_dies_is_tried_once_more(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.force(f"echo x >>{place}/begun; [ -e {place}/go ] || {HANG}; {RUN}")
    ssh_looks.send("slow", sshd.url(repo.bare), timeout_ms=300_000)
    wait_until((place / "begun").exists, 60, "the look")
    (place / "go").touch()
    for master in ssh_looks.masters():
        os.kill(master, signal.SIGKILL)
    assert ssh_looks.answer("slow").refs == {MAIN: tip}
    assert (place / "begun").read_text() == "x\nx\n" and sshd.logins() == 2


def test_a_server_that_is_gone_is_unreachable_until_it_is_back(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.force(f"touch {place}/begun; [ -e {place}/go ] || {HANG}; {RUN}")
    ssh_looks.send("under-way", sshd.url(repo.bare), timeout_ms=300_000)
    wait_until((place / "begun").exists, 60, "the look")
    connections = sshd.connections()
    sshd.stop()
    for pid in connections:
        os.kill(pid, signal.SIGKILL)
    for answer in (ssh_looks.answer("under-way"), ssh_looks.ask(sshd.url(repo.bare))):
        assert answer.outcome == "unreachable"
        assert "Connection refused (nothing listens there: check host and port)" in answer.error
    (place / "go").touch()
    sshd.start("host_a")
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}


def test_while_a_server_is_away_it_is_tried_more_and_more_rarely(ssh_looks, sshd, repo, place):
    sshd.stop()
    ssh_looks.install_ssh(f'echo x >>{place}/tries; exec /usr/bin/ssh -F "$config" "$@"')
    begun = time.monotonic()
    for number in range(40):
        ssh_looks.send(number, sshd.url(repo.bare), timeout_ms=100)
        assert ssh_looks.answer(number).outcome in ("unreachable", "timeout")
    passed, allowed = time.monotonic() - begun, 1
    for pause in (1, 2, 4, 8, 15, 15, 15, 15):
        passed -= pause
        allowed += passed > 0
    assert len((place / "tries").read_text().splitlines()) <= allowed


def test_a_name_that_is_not_known_is_unreachable_with_a_hint(ssh_looks, sshd):
    sshd.configure("Host nowhere", "HostName nowhere.invalid", "Host *")
    answer = ssh_looks.ask("nowhere:app.git")
    assert answer.outcome == "unreachable" and "the name of the host is not known" in answer.error


# ----------------------------------------------------------------------------------------------------------------- hangs


@pytest.mark.parametrize("road", ["", "v2"])
def test_a_repository_that_hangs_is_a_timeout_and_nothing_to_the_others(ssh_looks, sshd, repo, place, road):
    tip = repo.commit_and_push()
    sshd.force(f'case "$SSH_ORIGINAL_COMMAND" in *stuck*) echo x >>{place}/begun; {HANG};; esac; {RUN}')
    for timeout_ms in (1500, 6000, 25_000):  # more time for a machine on which no session is opened in less
        assert ssh_looks.ask(sshd.url(repo.bare), road=road).refs == {MAIN: tip}
        logins = sshd.logins()
        answer = ssh_looks.ask(sshd.url("/stuck.git"), timeout_ms=timeout_ms, road=road)
        assert answer.outcome == "timeout"
        if (place / "begun").exists():
            break
    assert f"no answer within {timeout_ms} ms: the server did not answer" in answer.error
    assert ssh_looks.ask(sshd.url(repo.bare), road=road).refs == {MAIN: tip}
    assert sshd.logins() == logins, "the connection is alive"


@pytest.fixture
def freeze():
    frozen = []

    def stop(*pids):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)
    yield stop
    for pid in frozen:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def all_below(pid):
    from env.sshlooks import children
    return [pid] + [below for child in children(pid) for below in all_below(child)]


@pytest.mark.parametrize("road", ["", "v2"])
def test_a_connection_that_hangs_is_thrown_away_at_the_end_of_a_look(ssh_looks, sshd, repo, freeze, road):
    tip = repo.commit_and_push()
    assert ssh_looks.ask(sshd.url(repo.bare), road=road).refs == {MAIN: tip}
    freeze(*[pid for connection in sshd.connections() for pid in all_below(connection)])
    answer = ssh_looks.ask(sshd.url(repo.bare), road=road, timeout_ms=1500)
    assert answer.outcome == "timeout"
    assert ssh_looks.ask(sshd.url(repo.bare), road=road).refs == {MAIN: tip}
    assert sshd.logins() == 2


@pytest.mark.parametrize("who", ["server", "master"])
def test_a_connection_that_opens_no_session_is_replaced_within_the_look(ssh_looks, sshd, repo, freeze, who):
    """As after a suspend, or when a firewall has forgotten the connection."""
    tip = repo.commit_and_push()
    assert ssh_looks.ask(sshd.url(repo.bare), road="v2").refs == {MAIN: tip}
    freeze(*(ssh_looks.masters() if who == "master" else
             [pid for connection in sshd.connections() for pid in all_below(connection)]))
    ssh_looks.send("patient", sshd.url(repo.bare), road="v2", timeout_ms=300_000)
    assert ssh_looks.answer("patient").refs == {MAIN: tip}
    assert sshd.logins() == 2


def test_a_master_that_hangs_is_thrown_away(ssh_looks, sshd, repo, freeze):
    tip = repo.commit_and_push()
    assert ssh_looks.ask(sshd.url(repo.bare), road="v2").refs == {MAIN: tip}
    freeze(*ssh_looks.masters())
    assert ssh_looks.ask(sshd.url(repo.bare), road="v2", timeout_ms=1500).outcome == "timeout"
    wait_until(lambda: not ssh_looks.masters(), 60, "the end of the old one")
    assert ssh_looks.ask(sshd.url(repo.bare), road="v2").refs == {MAIN: tip}


def test_a_server_that_never_answers_is_a_timeout(ssh_looks, sshd, hung):
    sshd.configure()
    answer = ssh_looks.ask(f"ssh://127.0.0.1:{hung.port}/app.git", timeout_ms=1500)
    assert answer.outcome == "timeout" and answer.error.endswith("no ssh connection was made")


def test_one_server_that_hangs_holds_up_no_other(ssh_looks, sshd, repo, hung):
    tip = repo.commit_and_push()
    for number in range(100):
        ssh_looks.send(f"h{number}", f"ssh://127.0.0.1:{hung.port}/app{number}.git", timeout_ms=60_000)
    assert ssh_looks.ask(sshd.url(repo.bare)).refs == {MAIN: tip}
    for number in range(100):
        ssh_looks.cancel(f"h{number}")


def test_nothing_listens_is_told_at_once(ssh_looks, sshd):
    port = free_port()
    answer = ssh_looks.ask(f"ssh://127.0.0.1:{port}/app.git", timeout_ms=60_000)
    assert answer.outcome == "unreachable" and f"port {port}: Connection refused" in answer.error
