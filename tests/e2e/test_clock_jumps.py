"""A wall clock that jumps, by hours and both ways, as somebody sets it or a machine wakes up."""
import time

import pytest

from env.wallclock import set_clock

INTERVAL_S = 0.5


def looks_at(ref_server, count, phantom):
    """The times of the next looks."""
    before = len(ref_server.times())
    phantom.wait_until(lambda: len(ref_server.times()) >= before + count, what=f"{count} more looks")
    return ref_server.times()[before:]


def assert_no_storm(begun, looks):
    """Each look begins at least 0.95 intervals after the one before; one may have been under way, one may be early."""
    elapsed = time.monotonic() - begun
    assert len(looks) <= elapsed / (0.9 * INTERVAL_S) + 2, f"{len(looks)} looks in {elapsed:.1f} s"


@pytest.fixture
def watched(phantom, repo, ref_server):
    """At noon before the first night: a repository with a nightly schedule that is watched, and a far one."""
    set_clock(phantom, -1, hours=9)
    repo.workflow("true")
    phantom.watch(repo, schedule="0 3 * * *")
    phantom.watch(ref_server.url("far"), name="far", poll_interval=f"{int(INTERVAL_S * 1000)}ms")
    daemon = phantom.start()
    daemon.wait_event("schedule set repo=app")
    phantom.wait_baseline()
    phantom.wait_baseline(name="far")
    looks_at(ref_server, 2, phantom)
    return daemon


JUMPS = {
    "five hours on": (dict(days=-1, hours=14), 0),
    "back by nine": (dict(days=-1, hours=5), 0),
    "on over three o'clock": (dict(days=0, hours=2), 1),
    "back over it": (dict(days=-1, hours=20), 1),
    "on over it again": (dict(days=0, hours=1), 1),
    "back by a day": (dict(days=-1, hours=1), 1),
    "on by a week": (dict(days=7, hours=1), 2),
    "back by an hour": (dict(days=7, hours=0.5), 2),
}


def test_no_jump_stops_looks_starts_a_storm_or_loses_or_doubles_a_schedule(phantom, repo, ref_server, watched):
    for number, (name, (to, nights)) in enumerate(JUMPS.items()):
        begun, before = time.monotonic(), len(ref_server.times())
        set_clock(phantom, **to)
        # looks go on, and as often as before
        looks_at(ref_server, 4, phantom)
        assert_no_storm(begun, ref_server.times()[before:])
        # a push is seen, and runs once
        sha = repo.commit_and_push({"n": str(number)})
        assert phantom.wait_job(sha=sha, trigger="push")["state"] == "success", name
        # the schedule has been met as often as it was due, by the time that the loop has turned
        phantom.wait_until(lambda: len(phantom.jobs(trigger="schedule")) >= nights, what=f"the schedule, {name}")
        looks_at(ref_server, 2, phantom)
        phantom.wait_idle()
        assert len(phantom.jobs(trigger="schedule")) == nights, name
        assert len(phantom.jobs(sha=sha, trigger="push")) == 1
    assert {job["state"] for job in phantom.jobs()} <= {"success", "superseded"}
    assert "look failed" not in watched.text()


@pytest.mark.parametrize("hours", [30, -30])
def test_an_automatic_interval_and_a_pause_after_failures_outlive_a_jump(phantom, ref_server, hours):
    """Both are reckoned from times that are kept: neither may wait until a wall clock comes round again."""
    set_clock(phantom, -1)
    phantom.watch(ref_server.url("far"), name="far", poll_interval="auto", poll_interval_min=f"{int(INTERVAL_S * 1000)}ms",
                  poll_interval_max="1s")
    ref_server.verdict = lambda path, number: (503, {}) if number == 1 else None
    phantom.start()
    phantom.wait_baseline(name="far")
    looks_at(ref_server, 3, phantom)
    begun, before = time.monotonic(), len(ref_server.times())
    set_clock(phantom, -1, hours=hours)
    looks_at(ref_server, 4, phantom)
    assert_no_storm(begun, ref_server.times()[before:])
    phantom.wait_until(lambda: phantom.cli("status", "--stale", "10s").returncode == 0, what="a good status")
    assert "late" not in phantom.cli("status").out
