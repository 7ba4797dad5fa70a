"""Repositories behind a login: git's credential helpers are asked, and the daemon never holds what they tell."""
import contextlib
import pathlib

import pytest

from env.net import sanitized
from env.processes import descendants

PASSWORD = "s3cret"  # of the user bot, as env/servers.py has it


def credential_helper(phantom, script):
    """A credential helper that notes what it is asked to do, and runs a script to answer `get`."""
    path = phantom.home / "helper"
    log = phantom.home / "helper.log"
    log.touch()
    path.write_text(f'#!/bin/sh\ninput=$(cat)\nprintf "%s %s\\n" "$1" "$(printf %s "$input" | tr "\\n" " ")" >>{log}\n'
                    f'[ "$1" = get ] || exit 0\n{script}\n')
    path.chmod(0o755)
    (phantom.home / ".gitconfig").write_text(f"[credential]\n\thelper = {path}\n")
    return lambda action: [line for line in log.read_text().splitlines() if line.startswith(action)]


def memory_of(pid):
    """All that a process can write to. A build with sanitizers has shadows of all memory, which is too much."""
    found = []
    if sanitized():
        return b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            addresses, permissions = line.split()[:2]
            if permissions.startswith("rw"):
                begin, end = (int(text, 16) for text in addresses.split("-"))
                with contextlib.suppress(OSError, ValueError):
                    memory.seek(begin)
                    found.append(memory.read(end - begin))
    return b"".join(found)


def test_a_login_of_a_credential_store_is_used_and_the_daemon_never_holds_it(phantom, repo, http):
    """Sixteen quiet looks later, too: in its memory, its arguments, its files and its words."""
    repo.workflow("true")
    http.log_in(phantom.home)
    phantom.watch(http.url("app", area="auth"), poll_interval="100ms")
    daemon = phantom.start()
    phantom.wait_baseline()
    phantom.wait_until(lambda: phantom.repo()["road"] == "http v2", what="the road")
    before = len(http.requests())
    phantom.wait_until(lambda: len(http.requests()) >= before + 16, what="more looks")
    assert [status for _, _, status in http.requests()].count("401") == 1, "the login is kept by phantom_ci-net"
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    secret = PASSWORD.encode()
    seen = [memory_of(daemon.pid), pathlib.Path(f"/proc/{daemon.pid}/environ").read_bytes(),
            pathlib.Path(f"/proc/{daemon.pid}/cmdline").read_bytes(), daemon.text().encode()]
    assert not any(secret in text for text in seen)
    for child in descendants(daemon.pid, but="git"):
        with contextlib.suppress(OSError):
            assert secret not in pathlib.Path(f"/proc/{child}/environ").read_bytes()
            assert secret not in pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
    for directory in (phantom.state, phantom.cache, phantom.config):
        for path in directory.rglob("*"):
            assert not path.is_file() or secret not in path.read_bytes(), path


def test_a_login_is_asked_for_once_and_approved(phantom, repo, http):
    repo.workflow("true")
    calls = credential_helper(phantom, f"printf 'username=bot\\npassword={PASSWORD}\\n'")
    for i in range(10):
        phantom.watch(http.url("app", area="auth") + ("" if i == 0 else "/"), name=f"app{i}", poll_interval="1h")
    phantom.start("--quiet")
    for i in range(2):
        phantom.wait_baseline(f"app{i}")
    phantom.wait_until(lambda: calls("store"), what="the approval")
    assert len(calls("get")) == 1 and len(calls("store")) == 1 and not calls("erase")
    assert f"password={PASSWORD}" in calls("store")[0]


def test_a_wrong_login_is_rejected_and_the_next_one_used(phantom, repo, http):
    repo.workflow("true")
    calls = credential_helper(phantom, f"[ -e {phantom.home}/asked ] && word={PASSWORD} || word=wrong\n"
                                       f"touch {phantom.home}/asked\nprintf 'username=bot\\npassword=%s\\n' $word")
    phantom.watch(http.url("app", area="auth"), poll_interval="1h")
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_until(lambda: calls("store"), what="the approval")
    assert [line.split()[0] for line in calls("")] == ["get", "erase", "get", "store"]
    assert "password=wrong" in calls("erase")[0] and f"password={PASSWORD}" in calls("store")[0]
    assert phantom.repo()["road"] == "http v2"


def test_a_login_that_is_always_wrong_is_told_with_a_hint(phantom, repo, http):
    repo.workflow("true")
    calls = credential_helper(phantom, "printf 'username=bot\\npassword=wrong\\n'")
    phantom.watch(http.url("app", area="auth"), poll_interval="1h")
    daemon = phantom.start()
    assert "mend the credential helper" in daemon.wait_event("look failed repo=app")
    assert calls("erase") and not calls("store")
    assert "wrong" not in daemon.text()


def test_a_login_that_changes_is_asked_for_again(phantom, repo, http):
    repo.workflow("true")
    word = phantom.home / "word"
    word.write_text(PASSWORD)
    credential_helper(phantom, f"printf 'username=bot\\npassword=%s\\n' $(cat {word})")
    phantom.watch(http.url("app", area="auth"), poll_interval="100ms")
    phantom.start()
    phantom.wait_baseline()
    word.write_text("changed")
    (http.directory / "users").write_text("bot:{PLAIN}changed\n")
    sha = repo.commit_and_push()
    assert phantom.wait_job(sha=sha)["state"] == "success"


def test_a_netrc_is_as_good(phantom, repo, http):
    """Only git reads it: that is the road then."""
    repo.workflow("true")
    (phantom.home / ".netrc").write_text(f"machine 127.0.0.1 login bot password {PASSWORD}\n")
    (phantom.home / ".netrc").chmod(0o600)
    phantom.watch(http.url("app", area="auth"))
    phantom.start()
    phantom.wait_baseline()
    assert phantom.repo()["road"].startswith("git ls-remote")


@pytest.mark.slow
def test_a_credential_helper_that_hangs_is_ended_and_delays_nobody(phantom, repo, make_repo, http):
    other = make_repo("other")
    for each in (repo, other):
        each.workflow("true")
    credential_helper(phantom, "sleep 1000")
    phantom.watch(http.url("app", area="auth"), poll_interval="1h")
    phantom.watch(http.url("other"), name="other")
    phantom.configure('look_timeout = "2s"\n')
    daemon = phantom.start()
    phantom.wait_baseline("other")
    assert phantom.wait_job(sha=other.commit_and_push())["state"] == "success"
    daemon.wait_event("look failed repo=app", 90)
