"""poll_interval = "auto": often after activity, rarely when it is quiet."""
import sqlite3
import time

MINUTE_MS = 60_000


def look_now(phantom):
    """A look that is asked for, once it has ended."""
    before = phantom.repo()["last_ok"] or 0
    phantom.cli("poll", "app", check=0)
    return phantom.wait_until(lambda: (lambda r: r["last_ok"] > before and r["next_look"] and r)(phantom.repo()),
                              what="another look")


def wait_between_looks(phantom):
    """The time from a look to the next; not from the first of a daemon, after which it comes anywhere in the interval."""
    look_now(phantom)
    repo = look_now(phantom)
    return repo["next_look"] - repo["last_look"]


def age_branches(phantom, milliseconds):
    with sqlite3.connect(phantom.state / "state.db", timeout=30) as database:
        database.execute("UPDATE branch SET seen = ?", [int(time.time() * 1000) - milliseconds])
    database.close()


def test_an_automatic_interval_follows_the_quiet_time(phantom, ref_server):
    phantom.watch(ref_server.url("app"), poll_interval="auto")
    daemon = phantom.start()
    phantom.wait_baseline()
    assert wait_between_looks(phantom) <= 1.1 * 15_000, "something has just been seen"
    daemon.stop()
    age_branches(phantom, 100 * MINUTE_MS)
    daemon = phantom.start()
    phantom.wait_until(lambda: phantom.repo()["next_look"], what="a look")
    assert 4.5 * MINUTE_MS <= wait_between_looks(phantom) <= 5.6 * MINUTE_MS, "a twentieth of the quiet time"
    daemon.stop()
    age_branches(phantom, 7 * 24 * 60 * MINUTE_MS)
    daemon = phantom.start()
    assert 14 * MINUTE_MS <= wait_between_looks(phantom) <= 16 * MINUTE_MS, "the upper bound"
    phantom.wait_until(lambda: phantom.cli("status", "--stale", "1ms").returncode == 0, what="a look of this daemon")


def test_a_push_makes_an_automatic_interval_short_again(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app"), poll_interval="auto", poll_interval_min="2s", poll_interval_max="10m")
    daemon = phantom.start()
    phantom.wait_baseline()
    daemon.stop()
    age_branches(phantom, 24 * 60 * MINUTE_MS)
    phantom.start()
    assert wait_between_looks(phantom) >= 9 * MINUTE_MS
    sha = repo.commit_and_push()
    assert wait_between_looks(phantom) <= 2_200
    phantom.wait_job(sha=sha)


def test_bounds_that_cross_are_refused(phantom, repo):
    phantom.watch(repo, poll_interval="auto", poll_interval_min="1h")
    result = phantom.cli("check", check=78)
    assert "poll_interval_min (1h) is more than poll_interval_max (15m)" in result.err + result.out
