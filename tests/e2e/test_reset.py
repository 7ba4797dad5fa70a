"""phantom_ci reset: what goes, what stays, and who is asked."""
import contextlib
import fcntl
import os
import pty
import re
import signal
import sqlite3
import subprocess

import pytest

from env.terminal import run_on_terminal
from env.waiting import LIMIT


def contents(directory):
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@pytest.fixture
def used(phantom, repo):
    """An installation that ran a job and whose daemon was stopped."""
    repo.workflow("echo out")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    repo.commit_and_push()
    assert phantom.wait_job()["state"] == "success"
    daemon.stop()
    return phantom


def test_mirrors_and_workspaces_go_and_the_history_stays(used, repo):
    assert contents(used.cache / "mirrors") and contents(used.cache / "workspaces")
    out = used.cli("reset", "--yes", check=0).out
    assert str(used.cache) in out and "history" in out
    for name in ("mirrors", "workspaces", "checkouts", "trash", "tmp"):
        assert not (used.cache / name).exists()
    assert [job["state"] for job in used.jobs()] == ["success"]
    assert used.log(1) == b"out\n"
    used.start()
    sha = repo.commit_and_push()
    assert used.wait_job(sha=sha)["state"] == "success"


def test_history_removes_logs_and_database_but_no_configuration(used, repo):
    before = (used.config / "Repo.toml").read_bytes()
    used.cli("reset", "--yes", "--history", check=0)
    assert used.jobs() == [] and not contents(used.state / "logs")
    assert (used.config / "Repo.toml").read_bytes() == before
    used.start()
    used.wait_baseline()
    sha = repo.commit_and_push()
    assert used.wait_job(sha=sha)["id"] == 1


def test_links_planted_in_the_cache_lead_nowhere(used, place):
    outside = place / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    workspace = next(path for path in (used.cache / "workspaces").rglob("*") if path.is_dir())
    (workspace / "link").symlink_to(outside)
    (used.cache / "mirrors" / "link.git").symlink_to(outside)
    (used.cache / "trash").exists() or (used.cache / "trash").symlink_to(outside)
    used.cli("reset", "--yes", check=0)
    assert (outside / "keep").read_text() == "keep"
    assert not (used.cache / "mirrors").exists()


def test_a_foreign_daemon_is_left_alone(used):
    used.start()
    result = used.cli("reset", "--yes", check=75)
    assert "at work" in result.err
    assert contents(used.cache / "mirrors")


def test_the_lock_of_a_daemon_that_was_just_killed_is_waited_for(used):
    """A child that it had forked, and that has not come to its exec, holds the lock a moment longer."""
    ghost = os.open(used.state / "lock", os.O_RDWR)
    fcntl.flock(ghost, fcntl.LOCK_EX)
    reset = subprocess.Popen(used.command("reset", "--yes"), env=used.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in reset.stdout:  # the plan is printed before the lock is looked at
        if line.startswith(b"Running jobs"):
            break
    os.close(ghost)
    _, err = reset.communicate(timeout=LIMIT)
    assert reset.returncode == 0, err


def test_it_asks_on_a_terminal_and_refuses_without_one(used):
    assert "--yes" in used.cli("reset", check=2).err
    assert contents(used.cache / "mirrors")
    code, shown = answer(used, b"n\n")
    assert code == 1 and b"nothing was changed" in shown and contents(used.cache / "mirrors")
    code, shown = answer(used, b"y\n")
    assert code == 0 and not contents(used.cache / "mirrors")


def answer(phantom, words):
    """Runs reset on a terminal at which somebody types."""
    command = phantom.command("reset")
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(command[0], command, phantom.env)
        finally:
            os._exit(127)
    os.write(terminal, words)
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.mark.parametrize("how", ["wait", "kill"])
def test_a_job_that_outlived_its_daemon_is_waited_for_or_ended(phantom, repo, how):
    gate = phantom.directory / "gate"
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done; cat workflow/main.toml'")
    phantom.watch(repo, grace="100ms")
    daemon = phantom.start()
    phantom.wait_baseline()
    repo.commit_and_push()
    phantom.wait_until(lambda: phantom.jobs() and phantom.job(1)["steps"], what="the step")
    daemon.kill9()
    if how == "wait":
        import threading
        timer = threading.Timer(0.5, gate.touch)
        timer.start()
        out = phantom.cli("reset", "--yes", check=0).out
        assert "waiting for job 1" in out and phantom.job(1)["state"] == "success"
    else:
        out = phantom.cli("reset", "--yes", "--kill-jobs", check=0).out
        assert "ending job 1" in out and phantom.job(1)["state"] == "interrupted"
    assert not (phantom.cache / "workspaces").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_it_waits_for_a_job_it_has_removed_nothing_and_says_so(used, repo, number):
    gate = used.directory / "gate"
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done; cat workflow/main.toml'")
    daemon = used.start()
    job = used.wait_job(sha=repo.head(), state="running")
    used.wait_until(lambda: used.job(job["id"])["steps"], what="the step")
    daemon.kill9()
    reset = subprocess.Popen(used.command("reset", "--yes", "--history"), env=used.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in reset.stdout:
        if line == b"waiting for job %d of app\n" % job["id"]:
            break
    reset.send_signal(number)
    _, err = reset.communicate(timeout=LIMIT)
    assert reset.returncode == 1
    assert err.decode() == f"phantom_ci: interrupted by {number.name}\nphantom_ci: nothing was removed\n"
    assert contents(used.cache / "mirrors") and used.log(1) == b"out\n"
    gate.touch()
    used.wait_until(lambda: used.job(job["id"])["state"] == "success", what="the end of the job")


def test_a_removal_that_fails_says_what_is_still_there(used, repo):
    result = used.cli("reset", "--yes", check=1, env={"PHANTOM_CI_FAULT": "reset.remove:2:EIO"})
    assert "cannot remove workspaces: Input/output error" in result.err
    assert "still there, as a whole or in part: workspaces, checkouts" in result.err
    assert "same command again" in result.err and "nothing was removed" not in result.err
    assert not (used.cache / "mirrors").exists() and contents(used.cache / "workspaces")
    result = used.cli("reset", "--yes", "--history", check=1, env={"PHANTOM_CI_FAULT": "reset.remove:7:EIO"})
    assert re.search(r"still there, as a whole or in part: jobs, .*state\.db\.", result.err)
    assert not (used.state / "logs").exists() and [job["state"] for job in used.jobs()] == ["success"]
    used.cli("reset", "--yes", "--history", check=0)
    assert used.jobs() == []


def test_the_history_is_not_removed_while_another_command_reads_it(used):
    with contextlib.closing(sqlite3.connect(used.state / "state.db")) as reader:
        assert reader.execute("SELECT count(*) FROM job").fetchall() == [(1,)]
        result = used.cli("reset", "--yes", "--history", check=75)
        assert "another phantom_ci command is using" in result.err and "nothing was removed" in result.err
        assert contents(used.cache / "mirrors") and used.log(1) == b"out\n"
    used.cli("reset", "--yes", "--history", check=0)
    assert used.jobs() == []


@pytest.mark.parametrize("moment", range(1, 13))
def test_killed_at_any_moment_it_leaves_what_works(used, repo, moment):
    result = used.cli("reset", "--yes", "--history", env={"PHANTOM_CI_FAULT": f"reset.remove:{moment}:KILL"})
    assert result.returncode == -signal.SIGKILL
    used.start()
    used.wait_baseline()
    sha = repo.commit_and_push()
    assert used.wait_job(sha=sha)["state"] == "success"
    used.stop_all()
    used.cli("reset", "--yes", "--history", check=0)
    assert used.jobs() == []


def test_on_a_fresh_machine_there_is_nothing_to_do(phantom):
    assert "nothing to remove" in phantom.cli("reset", "--yes", check=0).out
    assert not phantom.state.exists()
    assert run_on_terminal(phantom.command("reset", "--help"), phantom.env)[0] == 0
