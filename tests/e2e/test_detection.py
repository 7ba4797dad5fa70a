"""What moves a branch, and what does not."""
import os
import subprocess

import pytest

from env.phantom import FINAL


def test_the_first_sight_of_a_branch_is_its_baseline_and_says_how_to_run_it(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    line = daemon.wait_event("branch baselined repo=app branch=main")
    assert "phantom_ci run app --branch main" in line
    assert phantom.jobs() == []
    assert "baseline" in phantom.cli("why", "app", check=0).out


@pytest.mark.demand("O4")
@pytest.mark.demand("F4")
@pytest.mark.demand("S10")
@pytest.mark.slow
@pytest.mark.parametrize("road, pushes", [("file", 201), ("old http server", 41)])
def test_a_push_between_detection_and_checkout_never_changes_what_runs(phantom, repo, fake_git, request, road, pushes):
    """Right before each fetch of a job, the next commit is pushed (over files 200 times); each step sees the recorded one.

    The old server gives out no commit but the tip of a branch, so that what is fetched there is newer than the job.
    """
    repo.workflow("git rev-parse HEAD")
    url = repo.url if road == "file" else request.getfixturevalue("http").url("app", area="v0")
    parent, tree, commits = repo.head(), repo.git("rev-parse", "HEAD^{tree}"), []
    for i in range(pushes):
        parent = repo.git("commit-tree", tree, "-p", parent, "-m", f"number {i}")
        commits.append(parent)
    repo.git("push", "-q", "origin", f"{parent}:refs/elsewhere/all")
    pending = phantom.directory / "pending"
    pending.write_text("".join(sha + "\n" for sha in commits))
    push_next = (f"next=$(head -n 1 {pending}); sed -i 1d {pending}; [ -z \"$next\" ] || "
                 f"env -i {fake_git.real} --git-dir={repo.url} update-ref refs/heads/main $next")
    fake_git.on('*" fetch "*', push_next)
    phantom.watch(url, poll_interval="50ms")
    phantom.start("--quiet", env=fake_git.env)
    phantom.wait_baseline()

    def is_settled():
        """In this order: what a fetch pushes is seen, becomes a job in the same instant, and that one fetches again."""
        tip = phantom.repo()["branches"][0]["tip"]
        newest = phantom.json("jobs", "--limit", "1")
        return newest and newest[0]["state"] in FINAL and tip == repo.git("rev-parse", "main", cwd=repo.url)

    while pending.read_text():
        subprocess.run(["sh", "-c", push_next], check=True)
        phantom.wait_until(is_settled, 240, "the end of the jobs")
    jobs = phantom.jobs()
    ran = [job for job in jobs if job["state"] == "success"]
    for job in ran:
        log = (phantom.state / "logs" / str(job["id"]) / "output").read_text()
        assert log == job["sha"] + "\n"
    if road == "file":
        assert [job["sha"] for job in ran] == [job["sha"] for job in jobs] == commits
        return
    # Two fetches a job push twice, and the looks may see both.
    assert {job["state"] for job in jobs} <= {"success", "superseded"} and len(ran) >= 10
    assert any(" fetch " in call and "+refs/heads/main:" in call for call in fake_git.log.read_text().splitlines())


@pytest.mark.demand("O5")
@pytest.mark.demand("H2")
def test_a_missing_target_branch_is_said_and_runs_nothing_else(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, branch="mian")
    daemon = phantom.start()
    daemon.wait_event("branch missing repo=app branch=mian")
    repo.commit_and_push()
    phantom.cli("poll", "app", check=0)
    phantom.wait_until(lambda: phantom.repo()["last_ok"], what="a look")
    assert phantom.jobs() == []
    assert phantom.repo()["branches"][0]["state"] == "branch missing"
    assert "branch missing" in phantom.cli("repo").out


def test_a_branch_that_is_deleted_and_made_again_runs_only_with_a_new_commit(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    tip = repo.head()
    repo.git("push", "-q", "origin", "HEAD:refs/heads/spare")
    repo.git("--git-dir", repo.url, "symbolic-ref", "HEAD", "refs/heads/spare")
    repo.delete("main")
    daemon.wait_event("branch gone repo=app branch=main")
    assert phantom.repo()["branches"][0]["state"] == "branch missing"
    repo.force(tip)
    daemon.wait_event("branch returned repo=app branch=main")
    assert phantom.jobs() == []
    repo.delete("main")
    phantom.wait_until(lambda: sum("branch gone" in line for line in daemon.lines) == 2)
    sha = repo.commit_and_push()
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert len(phantom.jobs()) == 1


@pytest.mark.demand("A6")
@pytest.mark.parametrize("policy", ["run", "block"])
def test_a_rewind_has_the_verdict_that_is_configured(phantom, repo, policy):
    shas = [repo.workflow("cat n")]
    shas += [repo.commit_and_push({"n": f"{i}\n"}) for i in range(3)]
    phantom.watch(repo, on_rewind=policy)
    phantom.start()
    phantom.wait_baseline()
    repo.force(shas[1])
    job = phantom.wait_job(sha=shas[1])
    if policy == "run":
        assert job["state"] == "success"
        assert "rewound" in phantom.cli("job", job["id"]).out
        return
    assert job["state"] == "blocked" and job["steps"] == []
    assert f"phantom_ci approve {job['id']}" in job["reason"]
    assert job["previous_sha"] == shas[3]
    # What grows from the refused commit is refused as well: it does not hold what was there before either.
    repo.git("checkout", "-q", "--detach", shas[1])
    later = repo.commit_and_push({"n": "later\n"})
    assert phantom.wait_job(sha=later)["state"] == "blocked"
    phantom.cli("approve", job["id"], "--yes", check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "success"


@pytest.mark.demand("A6")
def test_an_unrelated_history_is_a_rewind_and_never_a_crash(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, on_rewind="block")
    daemon = phantom.start()
    phantom.wait_baseline()
    repo.git("checkout", "-q", "--orphan", "fresh")
    sha = repo.commit({"x": "y"})
    repo.force(sha)
    assert phantom.wait_job(sha=sha)["state"] == "blocked"
    assert daemon.is_alive()


@pytest.mark.parametrize("target, ran", [
    (["main", "release/*"], {"main", "release/1", "release/2/x"}),
    ("", {"main", "release/1", "release/2/x", "dev"}),
])
def test_lists_globs_exclusions_and_every_branch(phantom, repo, target, ran):
    repo.workflow("true")
    phantom.watch(repo, branch=target, branch_exclusions="wip/*, release/old")
    phantom.start()
    phantom.wait_baseline()
    for branch in ["main", "release/1", "release/2/x", "release/old", "dev", "wip/a/b"]:
        repo.commit_and_push({f"workflow/{branch}.toml": "[0]\nrun='true'\n"}, branch=branch)
    phantom.wait_until(lambda: {job["branch"] for job in phantom.jobs()} == ran, what=f"jobs of {ran}")
    phantom.wait_idle()
    assert {job["state"] for job in phantom.jobs()} == {"success"}


def test_a_branch_that_the_configuration_newly_asks_for_is_a_baseline(phantom, repo):
    repo.workflow("true")
    repo.commit_and_push(branch="dev")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    phantom.write_repo_toml((phantom.config / "Repo.toml").read_text().replace(
        'target_branch = "main"', 'target_branch = ["main", "dev"]'))
    daemon.wait_event("branch baselined repo=app branch=dev")
    assert phantom.jobs() == []


@pytest.mark.demand("A7")
@pytest.mark.slow
@pytest.mark.parametrize("road", ["git", "http"])
def test_a_thousand_looks_without_a_push_start_no_job_and_write_nothing(phantom, repo, fake_git, request, road):
    repo.workflow("true")
    http = request.getfixturevalue("http") if road == "http" else None
    phantom.watch(http.url("app") if http else repo, poll_interval="50ms", road="auto" if http else "git")
    phantom.start(env=fake_git.env)
    phantom.wait_baseline()

    def database():
        return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(phantom.state.glob("state.db*"))
                if not p.name.endswith("-shm")]

    before = database()
    phantom.wait_until(lambda: (len(http.requests()) if http else fake_git.calls("ls-remote")) > 1000, 180,
                       "a thousand looks")
    assert database() == before
    assert phantom.jobs() == []


@pytest.mark.demand("A10")
def test_fifty_sections_with_one_url_share_one_look(phantom, repo, fake_git):
    repo.workflow("true")
    for i in range(50):
        phantom.watch(repo, name=f"app{i}", poll_interval="1h", road="git")
    phantom.start(env=fake_git.env)
    for i in (0, 49):
        phantom.wait_baseline(f"app{i}")
    assert fake_git.calls("ls-remote") == 1


@pytest.mark.demand("A1")
def test_a_git_that_never_ends_is_ended_with_its_whole_tree_and_delays_nobody(phantom, repo, make_repo, fake_git):
    stuck = make_repo("stuck")
    repo.workflow("true")
    fake_git.hang("*stuck*")
    phantom.configure('look_timeout = "2s"\n')
    phantom.watch(stuck, name="stuck", road="git")
    phantom.watch(repo)
    daemon = phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    assert phantom.wait_job(sha=sha)["state"] == "success"
    line = daemon.wait_event("look failed repo=stuck")
    assert "within the time limit" in line
    assert phantom.repo("stuck")["last_error"]
    phantom.wait_until(lambda: phantom.repo("stuck")["next_look"], what="the end of the look")


@pytest.mark.demand("A9")
def test_after_failed_looks_the_commit_is_run_without_a_new_push(phantom, repo, fake_git):
    repo.workflow("true")
    flag = phantom.directory / "fail"
    fake_git.fail('*" ls-remote "*', f"[ -e {flag} ]", "fatal: no route")
    phantom.watch(repo, road="git")
    daemon = phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    flag.touch()
    daemon.wait_event("look failed repo=app .*no route")
    sha = repo.commit_and_push()
    phantom.wait_until(lambda: phantom.repo()["failures"] >= 3, what="three failures in a row")
    flag.unlink()
    assert phantom.wait_job(sha=sha)["state"] == "success"
    daemon.wait_event("look recovered repo=app")
    assert sum("look failed" in line for line in daemon.lines) == 1, "the same trouble is told once"


def test_poll_looks_at_once(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, poll_interval="1h")
    phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.cli("poll", "app", check=0)
    assert phantom.wait_job(sha=sha)["state"] == "success"
    sha = repo.commit_and_push()
    phantom.cli("poll", check=0)
    assert phantom.wait_job(sha=sha)["state"] == "success"
    phantom.cli("poll", "nobody", check=3)


def test_poll_without_a_daemon_says_so(phantom, repo):
    phantom.watch(repo)
    assert "no daemon" in phantom.cli("poll", "app", check=75).err


@pytest.mark.demand("O2")
@pytest.mark.demand("A5")
@pytest.mark.slow
def test_a_storm_of_reloads_loses_no_push(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, poll_interval="50ms")
    daemon = phantom.start()
    phantom.wait_baseline()
    import signal
    shas = []
    for i in range(100):
        daemon.signal(signal.SIGHUP)
        if i % 10 == 0:
            shas.append(repo.commit_and_push())
        else:
            phantom.cli("version", check=0)
    phantom.wait_until(lambda: phantom.jobs(sha=shas[-1]), what="the last push to be seen")
    phantom.wait_idle()
    jobs = phantom.jobs()
    assert len(jobs) == len({job["sha"] for job in jobs}), "no commit ran twice"
    assert {job["state"] for job in jobs} <= {"success", "superseded"}
    assert phantom.jobs(sha=shas[-1])[0]["state"] == "success"


def test_looks_use_full_ref_names_behind_a_double_dash(phantom, repo):
    """refs/heads/x/refs/heads/main must not be taken for main."""
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    repo.commit()
    repo.git("push", "-q", "origin", "HEAD:refs/heads/x/refs/heads/main")
    tip = phantom.repo()["branches"][0]["tip"]
    before = phantom.repo()["last_ok"]
    phantom.cli("poll", check=0)
    phantom.wait_until(lambda: phantom.repo()["last_ok"] > before, what="another look")
    assert phantom.jobs() == [] and phantom.repo()["branches"][0]["tip"] == tip


def test_empty_and_sha256_repositories_are_watched(phantom, place, repo):
    phantom.watch(repo)
    sha256 = place / "sha256"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", "--initial-branch=main", sha256], check=True,
                   env=repo.env)
    (sha256 / "workflow").mkdir()
    (sha256 / "workflow" / "main.toml").write_text("[0]\nrun = 'git rev-parse HEAD'\n")
    repo.git("add", "-A", cwd=sha256)
    repo.git("commit", "-qm", "first", cwd=sha256)
    phantom.watch(str(sha256), name="long")
    daemon = phantom.start()
    daemon.wait_event("branch missing repo=app branch=main")
    assert len(phantom.cli("run", "long", check=0).out.strip()) == 64
    sha = repo.workflow("true")
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert os.path.isdir(phantom.cache / "workspaces" / "long" / "main")


@pytest.mark.demand("A9")
def test_after_failed_fetches_the_commit_is_run_without_a_new_push(phantom, repo, fake_git):
    """The look worked, and then the fetch of the job failed twice."""
    repo.workflow("true")
    failures = phantom.directory / "failures"
    failures.touch()
    fake_git.fail('*" fetch "*', f"echo >>{failures}; [ $(wc -l <{failures}) -le 2 ]",
                  "fatal: unable to access: gnutls_handshake() failed: timed out")
    phantom.watch(repo)
    phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    phantom.wait_until(lambda: phantom.jobs(sha=sha, state="success"), 20, "success without a new push")


def test_a_pushed_branch_with_a_leading_dash_runs(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, branch="")
    phantom.start()
    phantom.wait_baseline()
    repo.commit({"workflow/-x.toml": "[0]\nrun = 'true'\n"})
    repo.git("push", "-q", "origin", "HEAD:refs/heads/-x")
    assert phantom.wait_job(branch="-x")["state"] == "success"
