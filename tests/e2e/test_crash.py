"""kill -9 at any instant: nothing is lost, nothing runs twice, nothing is stuck, nothing is left running."""
import os
import random
import signal
import time

import pytest


def victims(phantom, daemon, kind):
    """Pids of the daemon, of phantom_ci-job processes, or of git processes of this test."""
    if kind == "daemon":
        return [daemon.pid]
    word = {"job": "phantom_ci-job", "git": "git"}[kind]
    return [pid for pid, command in phantom.processes()
            if os.path.basename(command.split(" ")[0]).startswith(word) and pid != daemon.pid]


@pytest.mark.demand("O2")
@pytest.mark.demand("B1")
@pytest.mark.demand("B3")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["daemon", "job", "git"])
def test_a_hundred_kills_at_random_moments_lose_double_and_leave_nothing(phantom, repo, kind):
    """34 rounds each for the daemon, the job processes and git."""
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    repo.workflow("sh -c 'sleep 0.05; git rev-parse HEAD'", "true")
    phantom.watch(repo, poll_interval="50ms", grace="100ms")
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    pushed = []
    for _ in range(34):
        pushed.append(repo.commit_and_push())
        time.sleep(dice.uniform(0, 0.3))
        for pid in victims(phantom, daemon, kind)[:dice.choice([1, 1, 9])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if kind == "daemon":
            daemon.process.wait(10)
            daemon = phantom.start("--quiet")
    phantom.wait_until(lambda: phantom.jobs(sha=pushed[-1]), what="the last push to be seen")
    phantom.wait_idle(120)
    jobs = phantom.jobs()
    shas = [job["sha"] for job in jobs]
    assert len(shas) == len(set(shas)), "no commit ran twice by itself"
    assert {job["state"] for job in jobs} <= {"success", "superseded", "interrupted", "error"}, jobs
    if kind != "git":
        assert not [job for job in jobs if job["state"] == "error"], jobs
    # A push that no look saw was replaced by a newer one before; the last one is always there.
    assert shas[-1] == pushed[-1] and set(shas) <= set(pushed)
    for job in jobs:
        if job["state"] == "success":
            assert phantom.log(job["id"]).decode().strip() == job["sha"]
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success", "and the next push runs"
    daemon.stop()
    phantom.wait_until(lambda: not phantom.processes(), what="the end of all processes")
    assert not list((phantom.cache / "tmp").iterdir())


@pytest.mark.demand("B1")
def test_a_job_outlives_a_killed_daemon_and_is_adopted_by_the_next(phantom, repo):
    gate = phantom.directory / "gate"
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done; echo end'")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_job(sha=sha, state="running")
    daemon.kill9()
    daemon = phantom.start()
    daemon.wait_event("job adopted job=1")
    later = repo.commit_and_push()
    phantom.wait_job(sha=later, state="queued")
    gate.touch()
    daemon.wait_event("job finished job=1 .*state=success")
    assert phantom.log(1) == b"end\n"
    assert phantom.wait_job(sha=later)["state"] == "success"


def test_sigterm_leaves_running_jobs_to_the_next_daemon(phantom, repo):
    gate = phantom.directory / "gate"
    phantom.configure('drain_timeout = "200ms"\n')
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done'")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_job(sha=sha, state="running")
    assert daemon.stop() == 0
    assert "job left running job=1" in daemon.text()
    assert phantom.jobs(sha=sha)[0]["state"] == "running"
    gate.touch()
    phantom.start()
    assert phantom.wait_job(sha=sha)["state"] == "success"


@pytest.mark.parametrize("how", ["second signal", "--kill-jobs"])
def test_a_second_sigterm_or_kill_jobs_ends_the_running_jobs(phantom, repo, how):
    repo.workflow("sleep 1000")
    phantom.configure('drain_timeout = "1h"\n')
    phantom.watch(repo, grace="100ms")
    daemon = phantom.start(*([] if how == "second signal" else [how]))
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs(sha=sha)), what="the step")
    daemon.signal(signal.SIGTERM)
    if how == "second signal":
        daemon.wait_event("daemon stopping")
        daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0
    assert phantom.jobs(sha=sha)[0]["state"] == "interrupted"


@pytest.mark.demand("B2")
@pytest.mark.parametrize("policy", ["fail", "rerun"])
def test_an_interrupted_job_runs_again_only_where_that_is_asked(phantom, repo, policy):
    flag = phantom.directory / "flag"
    repo.workflow(f"sh -c 'if [ ! -e {flag} ]; then touch {flag}; sleep 1000; fi'")
    phantom.watch(repo, on_interrupt=policy)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_until(flag.exists, what="the step")
    daemon.kill9()
    for pid in map(int, (phantom.state / "jobs" / "1.lock").read_text().split()):
        os.kill(pid, signal.SIGKILL)
    daemon = phantom.start()
    daemon.wait_event("job finished job=1 .*state=interrupted")
    if policy == "rerun":
        job = phantom.wait_job(trigger="rerun")
        assert job["state"] == "success" and job["retry_of"] == 1 and job["id"] == 2 and job["sha"] == sha
    else:
        phantom.cli("poll", check=0)
        assert len(phantom.jobs()) == 1
    assert phantom.jobs()[0]["steps"][0]["state"] == "interrupted"
    assert sum("job finished job=1" in line for line in daemon.lines) == 1


@pytest.mark.parametrize("point", ["job.claim:1:KILL", "job.fetch:1:KILL", "job.checkout:1:KILL", "job.step:1:KILL",
                                   "job.finish:1:KILL", "joblog.append:1:KILL", "store.begin:1:KILL",
                                   "store.commit:1:KILL", "store.commit:2:KILL", "store.commit:3:KILL",
                                   "store.commit:4:KILL", "store.commit:5:KILL"])
def test_a_job_process_that_dies_at_any_point_is_interrupted_or_started_again(phantom, repo, point):
    repo.workflow("echo hi")
    phantom.watch(repo)
    phantom.cli("run", "app", "--detach", check=0)
    daemon = phantom.start(env={"PHANTOM_CI_FAULT_JOB": point})
    before_claim = point in ("job.claim:1:KILL", "store.begin:1:KILL", "store.commit:1:KILL")
    if before_claim:
        daemon.wait_event("job start failed job=1")
        assert phantom.jobs()[0]["state"] == "queued" and not phantom.jobs()[0]["steps"]
        daemon.stop()
        phantom.start()
        assert phantom.wait_job(id=1)["state"] == "success"
    else:
        job = phantom.wait_job(id=1)
        assert job["state"] == "interrupted"
        daemon.wait_event("job finished job=1 .*state=interrupted")
        assert {step["state"] for step in job["steps"]} <= {"success", "interrupted"}
    assert len(phantom.jobs()) == 1
    assert not (phantom.cache / "tmp" / "1").exists()


@pytest.mark.parametrize("point", [f"store.{what}:{n}:KILL" for what in ("begin", "commit") for n in (1, 2, 3)])
def test_a_daemon_that_dies_around_a_transaction_loses_no_push_and_runs_none_twice(phantom, repo, point):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start().stop()
    daemon = None
    try:
        daemon = phantom.start(env={"PHANTOM_CI_FAULT": point})
    except AssertionError:
        pass  # it died before it was ready
    sha = repo.commit_and_push()
    if daemon:
        phantom.wait_until(lambda: not daemon.is_alive() or phantom.jobs(sha=sha), 20)
        daemon.kill9()
    phantom.start()
    phantom.wait_until(lambda: any(branch["tip"] == sha for branch in phantom.repo()["branches"]), 20, "the tip")
    phantom.wait_idle()
    assert len(phantom.jobs(sha=sha)) <= 1


def test_only_one_daemon_works_in_a_state_directory(phantom, repo):
    phantom.watch(repo)
    phantom.start()
    result = phantom.cli(check=75)
    assert "another phantom_ci" in result.err


@pytest.mark.demand("A4")
def test_a_damaged_database_is_refused_and_left_alone(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    database = phantom.state / "state.db"
    database.write_bytes(b"not a database at all" * 100)
    for suffix in ("-wal", "-shm"):
        (phantom.state / f"state.db{suffix}").unlink(missing_ok=True)
    before = database.read_bytes()
    result = phantom.cli(check=78)
    assert "state.db" in result.err and "move it away" in result.err
    assert database.read_bytes() == before


@pytest.mark.demand("D6")
@pytest.mark.demand("S24")
@pytest.mark.parametrize("what", ["mode", "symlink", "fifo"])
def test_a_state_directory_that_others_could_use_is_refused(phantom, repo, what):
    phantom.watch(repo)
    outside = phantom.directory / "outside"
    outside.mkdir()
    if what == "mode":
        phantom.state.mkdir()
        phantom.state.chmod(0o777)
    elif what == "symlink":
        phantom.state.symlink_to(outside)
    else:
        phantom.state.mkdir(mode=0o700)
        (phantom.state / "wake").symlink_to(outside / "target")
    result = phantom.cli(limit=20)
    assert result.returncode == 1 and str(phantom.state) in result.err
    assert not list(outside.iterdir())
