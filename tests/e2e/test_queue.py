"""Who runs when: superseding, priorities, one job a branch, cancel, retry, pause."""
import pytest

GATE = "sh -c 'while [ ! -e {} ]; do sleep 0.02; done; cat n'"


def gate(phantom):
    return phantom.directory / "gate"


def gated(phantom):
    return GATE.format(gate(phantom))


@pytest.mark.demand("B4")
def test_five_pushes_while_busy_run_exactly_the_newest_and_supersede_four(phantom, repo):
    repo.workflow(gated(phantom))
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    first = repo.commit_and_push({"n": "first\n"})
    phantom.wait_job(sha=first, state="running")
    shas = []
    for i in range(5):
        shas.append(repo.commit_and_push({"n": f"{i}\n"}))
        phantom.wait_until(lambda: phantom.jobs(sha=shas[-1]), what="the push to be seen")
    gate(phantom).touch()
    job = phantom.wait_job(sha=shas[-1])
    assert job["state"] == "success"
    assert phantom.log(job["id"]) == b"4\n"
    older = [phantom.jobs(sha=sha) for sha in shas[:-1]]
    assert [[j["state"] for j in jobs] for jobs in older] == [["superseded"]] * 4
    assert all(not jobs[0]["steps"] and shas[i + 1][:10] in jobs[0]["reason"] for i, jobs in enumerate(older))
    assert job["previous_sha"] == first


@pytest.mark.demand("B4")
def test_eleven_pushes_while_paused_give_one_run_of_the_newest(phantom, repo):
    repo.workflow("cat n")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    phantom.cli("pause", "app", check=0)
    for i in range(11):
        sha = repo.commit_and_push({"n": f"{i}\n"})
        phantom.wait_until(lambda: phantom.jobs(sha=sha), what="the push to be seen")
    assert {j["state"] for j in phantom.jobs()} == {"queued", "superseded"}
    assert phantom.repo()["paused"] is True
    phantom.cli("resume", "app", check=0)
    assert phantom.wait_job(sha=sha)["state"] == "success"
    states = [job["state"] for job in phantom.jobs()]
    assert states == ["superseded"] * 10 + ["success"]


@pytest.mark.demand("B5")
def test_on_push_cancel_running_ends_the_running_job_for_the_newer_commit(phantom, repo):
    repo.workflow("sleep 1000")
    phantom.watch(repo, on_push="cancel_running")
    phantom.start()
    phantom.wait_baseline()
    first = repo.commit_and_push()
    phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs(sha=first)), what="the step")
    second = repo.workflow("true")
    assert phantom.wait_job(sha=second)["state"] == "success"
    older = phantom.jobs(sha=first)[0]
    assert older["state"] == "superseded" and second[:10] in older["reason"]


def test_one_job_a_branch_but_branches_run_at_once(phantom, repo):
    repo.workflow(gated(phantom))
    for branch in ("dev", "main"):
        repo.commit({f"workflow/{branch}.toml": f"[0]\nrun = '''{gated(phantom)}'''\n"})
        repo.push(branch)
    phantom.configure("max_jobs = 4\n")
    phantom.watch(repo, branch=["main", "dev"])
    phantom.start()
    phantom.wait_baseline(branch="dev")
    phantom.wait_baseline(branch="main")
    for branch in ("dev", "main", "dev"):
        sha = repo.commit_and_push({"n": branch}, branch=branch)
        phantom.wait_until(lambda: phantom.jobs(sha=sha), what="the push to be seen")
    phantom.wait_until(lambda: len(phantom.jobs(state="running")) == 2, what="two running jobs")
    assert [j["branch"] for j in phantom.jobs(state="running")] == ["dev", "main"]
    assert [j["branch"] for j in phantom.jobs(state="queued")] == ["dev"]
    gate(phantom).touch()
    phantom.wait_idle()
    assert {j["state"] for j in phantom.jobs()} == {"success"}


def test_no_more_than_max_jobs_run_and_priority_comes_before_age(phantom, make_repo):
    phantom.configure("max_jobs = 1\n")
    repos = {}
    for name, priority in [("busy", 0), ("low", -5), ("old", 0), ("young", 0), ("high", 7)]:
        repos[name] = make_repo(name)
        repos[name].workflow(gated(phantom))
    text = "".join(f"[{name}]\npath = \"{repos[name].url}\"\ntarget_branch = \"main\"\npoll_interval = \"100ms\"\n"
                   f"priority = {priority}\n"
                   for name, priority in [("busy", 0), ("low", -5), ("old", 0), ("young", 0), ("high", 7)])
    phantom.write_repo_toml(text)
    phantom.start()
    for name in repos:
        phantom.wait_baseline(name)
    for name in ["busy", "low", "old", "young", "high"]:
        repos[name].commit_and_push({"n": "1"})
        phantom.wait_until(lambda: phantom.jobs(repo=name), what="the push to be seen")
        if name == "busy":
            phantom.wait_job(repo="busy", state="running")
    assert len(phantom.jobs(state="running")) == 1
    gate(phantom).touch()
    phantom.wait_idle()
    order = sorted(phantom.jobs(), key=lambda job: job["started"])
    assert [job["repo"] for job in order] == ["busy", "high", "old", "young", "low"]


@pytest.mark.demand("B6")
def test_cancel_works_on_queued_and_running_jobs_and_its_exit_codes_differ(phantom, repo, make_repo):
    other = make_repo("other")
    repo.workflow("sleep 1000")
    other.workflow("true")
    phantom.configure("max_jobs = 1\n")
    phantom.watch(repo)
    phantom.watch(other, name="other")
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_baseline("other")
    sha = repo.commit_and_push()
    running = phantom.wait_job(sha=sha, state="running")["id"]
    sha = other.commit_and_push()
    queued = phantom.wait_job(sha=sha, state="queued")["id"]
    phantom.cli("cancel", queued, check=0)
    assert phantom.job(queued)["state"] == "canceled"
    phantom.cli("cancel", running, check=0)
    job = phantom.wait_job(id=running)
    assert job["state"] == "canceled" and "phantom_ci cancel" in job["reason"]
    result = phantom.cli("cancel", running, check=1)
    assert "over already: canceled" in result.out
    phantom.cli("cancel", "999", check=3)
    phantom.cli("cancel", "x", check=2)


@pytest.mark.demand("D4")
def test_retry_is_a_new_job_of_the_same_commit_and_leaves_the_old_log_alone(phantom, repo):
    sha = repo.workflow("sh -c 'date +%N; exit 1'")
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    log = phantom.state / "logs" / "1" / "output"
    before = (log.stat().st_ino, log.read_bytes())
    repo.commit_and_push()
    phantom.cli("retry", "1", check=0)
    phantom.start()
    job = phantom.wait_job(id=2)
    assert (job["sha"], job["retry_of"], job["attempt"], job["trigger"]) == (sha, 1, 2, "retry")
    assert (log.stat().st_ino, log.read_bytes()) == before
    assert phantom.log(2) != phantom.log(1)


def test_retry_of_an_unfinished_or_unknown_job_is_refused(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", "--detach", check=0)
    assert "still queued" in phantom.cli("retry", "1", check=1).err
    phantom.cli("retry", "77", check=3)


@pytest.mark.demand("O8")
def test_a_step_that_never_ends_is_ended_by_the_timeout_and_delays_nobody(phantom, repo, make_repo):
    other = make_repo("other")
    repo.workflow("sh -c 'trap \"\" TERM; (trap \"\" TERM; sleep 1000) & sleep 1000'")
    other.workflow("true")
    phantom.watch(repo, timeout="3s", grace="200ms")
    phantom.watch(other, name="other")
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_baseline("other")
    stuck = repo.commit_and_push()
    phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs(sha=stuck)), what="the step")
    assert phantom.wait_job(sha=other.commit_and_push())["state"] == "success"
    job = phantom.wait_job(sha=stuck)
    assert job["state"] == "timeout" and job["steps"][0]["state"] == "timeout"
    assert "timeout of 3s" in job["reason"]
    phantom.wait_until(lambda: not phantom.job_processes(), 10, "the end of its processes")


def test_a_foreground_run_waits_for_the_running_job_of_its_branch(phantom, repo):
    import subprocess
    repo.workflow(gated(phantom))
    repo.commit_and_push({"n": "x\n"})
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push({"n": "y\n"})
    phantom.wait_job(sha=sha, state="running")
    waiting = subprocess.Popen(phantom.command("run", "app"), env=phantom.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    phantom.wait_job(trigger="run", state="queued")
    gate(phantom).touch()
    out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0 and out == b"y\n" and b"waiting" in err


def test_ctrl_c_cancels_a_foreground_run(phantom, repo):
    import signal
    import subprocess
    repo.workflow("sleep 1000")
    phantom.watch(repo)
    running = subprocess.Popen(phantom.command("run", "app"), env=phantom.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs()), what="the step")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 1
    assert phantom.jobs()[0]["state"] == "canceled"
    assert b"canceled" in err


@pytest.mark.demand("B7")
@pytest.mark.demand("O12")
def test_every_end_of_a_job_has_its_event_and_its_own_record(phantom, repo):
    phantom.watch(repo, timeout="2s", grace="100ms")
    repo.workflow("true")
    daemon = phantom.start()
    phantom.wait_baseline()
    ends = {"success": "true", "failed": "false", "timeout": "sleep 1000", "canceled": "sleep 999"}
    for state, step in ends.items():
        sha = repo.workflow(step)
        if state == "canceled":
            phantom.wait_until(lambda: any(j["steps"] for j in phantom.jobs(sha=sha)), what="the step")
            phantom.cli("cancel", phantom.jobs(sha=sha)[0]["id"], check=0)
        job = phantom.wait_job(sha=sha)
        assert job["state"] == state
        daemon.wait_event(rf"job finished job={job['id']} .*state={state}")
        assert f"job {job['id']} {state}" in phantom.cli("job", job["id"], check=0).out
    assert [job["state"] for job in phantom.jobs()] == list(ends)
