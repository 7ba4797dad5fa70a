"""A full disk: a clear state, no loss, and recovery when there is room again."""
import os
import sqlite3
import subprocess

import pytest


@pytest.fixture
def small_state(phantom, place):
    """The state directory on a file system of its own, of 4 MiB."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root")
    phantom.state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(phantom.state)], check=True)
    yield phantom.state
    phantom.stop_all()
    subprocess.run(["umount", "-l", str(phantom.state)], check=True)


def fill(directory):
    path = directory / "filler"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return path


@pytest.mark.demand("D7")
def test_a_disk_that_fills_up_under_the_log_is_an_error_of_its_own(phantom, repo, small_state):
    repo.workflow("sh -c 'head -c 20000000 /dev/zero'", "echo never")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "error", job
    assert "No space left" in job["reason"]
    assert job["steps"][0]["state"] == "error" and len(job["steps"]) == 1
    assert daemon.is_alive()
    for path in (small_state / "logs" / str(job["id"])).iterdir():
        path.unlink()
    repo.workflow("echo fine")
    assert phantom.wait_job(sha=repo.head())["state"] == "success"
    with sqlite3.connect(small_state / "state.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.demand("D7")
def test_a_push_on_a_full_disk_runs_when_there_is_room_again(phantom, repo, small_state):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    (small_state / "reserve").unlink(missing_ok=True)
    filler = fill(small_state)
    sha = repo.commit_and_push()
    daemon.wait_event("look failed repo=app .*(full|space)")
    assert phantom.jobs() == [] and daemon.is_alive()
    filler.unlink()
    assert phantom.wait_job(sha=sha)["state"] == "success"


@pytest.mark.demand("D7")
def test_the_final_state_of_a_job_is_written_with_the_reserve(phantom, repo, small_state):
    gate = phantom.directory / "gate"
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done'")
    phantom.watch(repo)
    phantom.start("--quiet")
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs(sha=sha)), what="the step")
    fill(small_state)
    gate.touch()
    assert phantom.wait_job(sha=sha)["state"] == "success"
