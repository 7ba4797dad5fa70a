"""A disk with less than min_free: jobs wait, say so, and run when there is room again."""
import os
import re
import subprocess
import time

import pytest

from test_retention import add_history, ids


@pytest.fixture
def small_state(phantom):
    """The state directory on a file system of its own, of 16 MiB."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root")
    phantom.state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(phantom.state)], check=True)
    yield phantom.state
    phantom.stop_all()
    subprocess.run(["umount", "-l", str(phantom.state)], check=True)


FAST = {"PHANTOM_CI_HOUSEKEEPING_MS": "200"}
WAITING = r"waiting for disk space: [0-9.]+ MiB free on .*/state, min_free is 8.0 MiB"


def take_all_but(directory, kibibytes):
    """A file that leaves so much free."""
    path = directory / "filler"
    disk = os.statvfs(directory)
    path.write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - (kibibytes << 10)))
    return path


@pytest.mark.demand("D7")
def test_jobs_wait_for_min_free_in_a_clear_state_and_then_run(phantom, repo, small_state):
    phantom.configure('min_free = "8M"\n')
    repo.workflow("echo fine")
    phantom.watch(repo)
    daemon = phantom.start("--quiet", env=FAST)
    phantom.wait_baseline()
    assert phantom.json("status")[0]["disk"] is None
    filler = take_all_but(small_state, 6000)
    sha = repo.commit_and_push()
    daemon.wait_event(f'disk filled err="{WAITING}"')
    job = phantom.wait_job(sha=sha, state="queued")
    assert re.search(WAITING, phantom.cli("status", check=1).out)
    assert re.search(WAITING, phantom.json("status")[0]["disk"])
    assert re.search(WAITING, phantom.cli("repo", check=0).out)
    assert re.search(WAITING, phantom.repo()["waiting"])
    assert re.search("Its queued jobs are " + WAITING, phantom.cli("why", "app", check=0).out)
    assert re.search(WAITING, phantom.json("why", "app")[0]["waiting"])
    # Looked at several times, told once.
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert phantom.job(job["id"])["state"] == "queued"
    assert len([line for line in daemon.lines if "disk filled" in line]) == 1
    filler.unlink()
    assert phantom.wait_job(id=job["id"])["state"] == "success"
    daemon.wait_event("disk recovered")
    assert phantom.repo()["waiting"] is None and phantom.json("status")[0]["disk"] is None
    phantom.cli("status", check=0)
    assert len([line for line in daemon.lines if "disk recovered" in line]) == 1


def test_a_newer_commit_replaces_one_that_waits_for_the_disk(phantom, repo, small_state):
    phantom.configure('min_free = "8M"\n')
    repo.workflow("echo fine")
    phantom.watch(repo)
    daemon = phantom.start("--quiet", env=FAST)
    phantom.wait_baseline()
    filler = take_all_but(small_state, 6000)
    first = repo.commit_and_push()
    phantom.wait_job(sha=first, state="queued")
    second = repo.commit_and_push()
    assert phantom.wait_job(sha=first)["state"] == "superseded"
    queued = phantom.wait_job(sha=second, state="queued")
    phantom.cli("cancel", queued["id"], check=0)
    daemon.wait_event('disk recovered note="no job waits any more"')
    filler.unlink()
    assert phantom.wait_job(sha=second)["state"] == "canceled"


def test_run_in_the_foreground_obeys_min_free_unless_forced(phantom, repo, small_state):
    phantom.configure('min_free = "8M"\n')
    repo.workflow("echo fine")
    phantom.watch(repo)
    filler = take_all_but(small_state, 6000)
    result = phantom.cli("run", "app", check=75)
    assert "not run, waiting for disk space" in result.err and "--force" in result.err
    assert phantom.jobs() == []
    phantom.cli("run", "app", "--detach", check=0)
    assert phantom.jobs()[0]["state"] == "queued"
    phantom.cli("run", "app", "--force", check=0)
    filler.unlink()
    phantom.cli("run", "app", check=0)


def test_old_logs_make_room_by_themselves_when_the_disk_is_short(phantom, repo, small_state):
    repo.workflow("echo fine")
    phantom.watch(repo)
    phantom.start("--quiet").stop()
    phantom.configure('min_free = "8M"\n')
    old = add_history(phantom, 9, days=100, log_bytes=1 << 20)
    daemon = phantom.start("--quiet", env=FAST)
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert not set(old[:-1]) & set(ids(phantom))
    assert "garbage removed" in daemon.text()


def test_min_free_0_is_off(phantom, repo, small_state):
    phantom.configure("min_free = 0\n")
    repo.workflow("echo fine")
    phantom.watch(repo)
    phantom.start("--quiet")
    phantom.wait_baseline()
    take_all_but(small_state, 600)
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"


def test_without_min_free_a_small_disk_needs_its_twentieth_part(phantom, repo, small_state):
    repo.workflow("echo fine")
    phantom.watch(repo)
    daemon = phantom.start("--quiet", env=FAST)
    phantom.wait_baseline()
    filler = take_all_but(small_state, 600)
    sha = repo.commit_and_push()
    daemon.wait_event("disk filled .*min_free is 819.2 KiB")
    filler.unlink()
    assert phantom.wait_job(sha=sha)["state"] == "success"
