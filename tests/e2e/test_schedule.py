"""Schedules, by a clock that the tests set (PHANTOM_CI_TEST_CLOCK, see base/clock.h)."""
import os
import random
import time

import pytest

from env.wallclock import NIGHT, look, set_clock

TELL = "sh -c 'echo $PHANTOM_CI_TRIGGER; git rev-parse HEAD'"


def nightly(phantom, repo, step=TELL, **keys):
    """A section with a schedule of three o'clock, its daemon started at noon before the first night."""
    set_clock(phantom, -1, hours=9)
    repo.workflow(step)
    keys.setdefault("schedule", "0 3 * * *")
    phantom.watch(repo, **keys)
    daemon = phantom.start()
    daemon.wait_event("schedule set repo=app")
    phantom.wait_baseline()
    return daemon


def scheduled(phantom):
    return phantom.jobs(trigger="schedule")


def test_a_schedule_runs_the_tip_at_its_time_by_itself(phantom, repo):
    daemon = nightly(phantom, repo, poll_interval="1h")
    sha = repo.head()
    assert "scheduled in" in phantom.cli("repo").out
    assert phantom.repo()["next_schedule"] == int(NIGHT.timestamp() * 1000)
    assert f"Its schedule is due in 14 h, on {NIGHT:%Y-%m-%d} 03:00:00" in phantom.cli("why", "app").out
    daemon.stop()
    # nobody pokes this daemon: its timer does
    set_clock(phantom, 0, seconds=-2)
    daemon = phantom.start()
    job = phantom.wait_job(trigger="schedule")
    assert job["state"] == "success" and job["sha"] == sha and job["branch"] == "main"
    assert phantom.log(job["id"]).decode() == f"schedule\n{sha}\n"
    assert f"job queued job={job['id']} repo=app branch=main sha={sha} trigger=schedule" in daemon.text()
    why = phantom.cli("why", "app").out
    assert f"its schedule was due on {NIGHT:%Y-%m-%d} 03:00:00: job {job['id']} was queued for its tip" in why
    look(phantom)
    assert len(scheduled(phantom)) == 1


def test_missed_nights_are_made_up_for_once(phantom, repo):
    daemon = nightly(phantom, repo)
    daemon.stop()
    set_clock(phantom, 4, hours=6)
    phantom.start()
    job = phantom.wait_job(trigger="schedule")
    assert job["state"] == "success"
    assert "which could not be met, and is made up for once" in phantom.cli("why", "app").out
    look(phantom)
    # and asleep, with the daemon running
    set_clock(phantom, 9)
    look(phantom)
    phantom.wait_until(lambda: len(scheduled(phantom)) == 2, what="the second run")
    look(phantom)
    assert len(scheduled(phantom)) == 2


def test_a_clock_that_is_set_back_repeats_nothing(phantom, repo):
    daemon = nightly(phantom, repo)
    set_clock(phantom, 0, seconds=1)
    look(phantom)
    phantom.wait_job(trigger="schedule")
    set_clock(phantom, 0, hours=-1)
    look(phantom)
    set_clock(phantom, 0, seconds=-1)
    look(phantom)
    set_clock(phantom, 0, seconds=5)
    look(phantom)
    daemon.stop()
    set_clock(phantom, 0, hours=-1)
    phantom.start()
    look(phantom)
    set_clock(phantom, 0, seconds=5)
    look(phantom)
    assert len(scheduled(phantom)) == 1
    set_clock(phantom, 1, seconds=1)
    look(phantom)
    phantom.wait_until(lambda: len(scheduled(phantom)) == 2, what="the next night")


def test_a_changed_schedule_counts_from_now_on(phantom, repo):
    daemon = nightly(phantom, repo)
    path = phantom.config / "Repo.toml"
    before = path.read_text()
    # two o'clock has just been, this noon: nothing is due
    phantom.write_repo_toml(before.replace('"0 3 * * *"', '["0 2 * * *", "30 2 * * *"]'))
    phantom.wait_until(lambda: daemon.text().count("schedule set") == 2, what="the new schedule")
    assert scheduled(phantom) == []
    set_clock(phantom, 0)
    look(phantom)
    phantom.wait_until(lambda: len(scheduled(phantom)) == 1, what="two runs that were missed, in one")
    phantom.write_repo_toml(before.replace('schedule = "0 3 * * *"', ""))
    phantom.wait_until(lambda: daemon.text().count("config reloaded") == 2, what="the reload")
    assert phantom.repo()["next_schedule"] is None
    set_clock(phantom, 2)
    look(phantom)
    assert len(scheduled(phantom)) == 1
    phantom.write_repo_toml(before.replace("0 3 *", "0 25 *"))
    line = daemon.wait_event("config rejected")
    assert 'Repo.toml:4:12: \\"schedule\\": the hour \\"25\\" is no number from 0 to 23' in line, line
    checked = phantom.cli("check")
    assert checked.returncode == 78 and 'the hour "25"' in checked.out + checked.err


def test_a_schedule_runs_every_branch_that_is_watched(phantom, repo):
    set_clock(phantom, -1, hours=9)
    for branch in ("main", "release/1", "release/2", "release/3", "other"):
        repo.commit({f"workflow/{branch}.toml": f"[0]\nrun = 'echo {branch}'\n"}, branch="main")
        repo.push(branch)
    phantom.watch(repo, branch=["main", "release/*"], branch_exclusions="release/2", schedule="@daily",
                  target_tags="v*")
    phantom.start()
    phantom.wait_baseline(branch="release/3")
    repo.delete("release/3")
    phantom.wait_until(lambda: any(b["gone"] for b in phantom.repo()["branches"]), what="a branch to go")
    set_clock(phantom, 1)
    look(phantom)
    phantom.wait_until(lambda: len(scheduled(phantom)) == 2, what="two jobs")
    phantom.wait_idle()
    assert [(j["branch"], j["state"]) for j in scheduled(phantom)] == [("main", "success"), ("release/1", "success")]


def test_pushes_leave_scheduled_jobs_alone_and_the_next_night_supersedes_them(phantom, repo):
    nightly(phantom, repo)
    phantom.cli("pause", "app", check=0)
    first = repo.head()
    set_clock(phantom, 0)
    look(phantom)
    phantom.wait_job(trigger="schedule", state="queued")
    second = repo.commit_and_push()
    phantom.wait_job(sha=second, state="queued")
    assert phantom.wait_job(trigger="schedule", state="queued")["sha"] == first
    set_clock(phantom, 1)
    look(phantom)
    job = phantom.wait_job(trigger="schedule", sha=second, state="queued")
    older = phantom.wait_job(trigger="schedule", sha=first)
    assert older["state"] == "superseded" and f"(job {job['id']})" in older["reason"]
    assert "it supersedes the scheduled one that still waited" in phantom.cli("why", "app").out
    phantom.cli("resume", "app", check=0)
    assert phantom.wait_job(id=job["id"])["state"] == "success"


def test_paths_and_skip_ci_say_nothing_to_a_schedule_but_a_blocked_tip_stays_out(phantom, repo):
    nightly(phantom, repo, paths=["src/"], skip_ci=True, on_rewind="block")
    first = repo.head()
    sha = repo.commit_and_push({"docs": "1"}, subject="x [skip ci]")
    assert phantom.wait_job(sha=sha)["state"] == "skipped"
    set_clock(phantom, 0)
    look(phantom)
    job = phantom.wait_job(trigger="schedule", sha=sha)
    assert job["state"] == "success"
    # rewound by somebody who waits for the night
    repo.git("checkout", "-q", first)
    evil = repo.commit({"src": "evil"})
    repo.force(evil)
    assert phantom.wait_job(sha=evil)["state"] == "blocked"
    set_clock(phantom, 1)
    look(phantom)
    job = phantom.wait_job(trigger="schedule", sha=evil)
    assert job["state"] == "blocked" and not job["steps"], job
    # a person lets it in
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "success"
    set_clock(phantom, 2)
    look(phantom)
    phantom.wait_until(lambda: len(scheduled(phantom)) == 3, what="the third night")
    assert phantom.wait_job(id=scheduled(phantom)[-1]["id"])["state"] == "success"


@pytest.mark.parametrize("point", ["schedule.commit", "schedule.committed"])
def test_a_kill_beside_the_commit_neither_loses_nor_doubles_the_night(phantom, repo, point):
    daemon = nightly(phantom, repo)
    daemon.stop()
    set_clock(phantom, 0, seconds=1)
    try:
        daemon = phantom.start(env={"PHANTOM_CI_FAULT": f"{point}:1:KILL"})
        daemon.process.wait(30)
    except AssertionError as failure:  # it may be dead before it is ready
        assert "did not start" in str(failure)
    assert not phantom.daemons[-1].is_alive()
    phantom.start()
    assert phantom.wait_job(trigger="schedule")["state"] == "success"
    look(phantom)
    assert len(scheduled(phantom)) == 1


def test_a_full_disk_delays_the_night_and_loses_nothing(phantom, repo):
    daemon = nightly(phantom, repo)
    daemon.stop()
    set_clock(phantom, 0)
    daemon = phantom.start(env={"PHANTOM_CI_FAULT": "schedule.commit:1:ENOSPC"})
    daemon.wait_event("schedule delayed err=.*No space left")
    assert phantom.wait_job(trigger="schedule")["state"] == "success"
    look(phantom)
    assert len(scheduled(phantom)) == 1


@pytest.mark.slow
def test_kills_at_random_moments_run_each_night_once(phantom, repo):
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    daemon = nightly(phantom, repo, step="true", poll_interval="50ms")
    nights = 15
    for night in range(nights):
        set_clock(phantom, night, seconds=-dice.uniform(0, 0.3))
        for _ in range(3):
            time.sleep(dice.uniform(0, 0.3))
            daemon.kill9()
            daemon = phantom.start("--quiet")
        set_clock(phantom, night, seconds=60)
        phantom.cli("poll", check=0)
        phantom.wait_until(lambda: len(scheduled(phantom)) >= night + 1, 60, f"the run of night {night}")
        # so that no later night supersedes it
        phantom.wait_idle(120)
        assert len(scheduled(phantom)) == night + 1
    assert {job["state"] for job in scheduled(phantom)} <= {"success", "interrupted"}
