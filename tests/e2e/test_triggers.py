"""What else than a moved branch makes a job, and what keeps a moved branch from making one: tags, paths, [skip ci]."""
import os
import random
import signal
import time

import pytest

from env.gitrepo import workflow
from test_messages import kinds, write_env
from test_queue import gate, gated

TELL = "sh -c 'echo tag=$PHANTOM_CI_TAG branch=$PHANTOM_CI_BRANCH trigger=$PHANTOM_CI_TRIGGER; git rev-parse HEAD'"


def tag(repo, name, *options, at="HEAD"):
    """Makes or moves a tag and pushes it; the commit that it is on."""
    repo.git("tag", "-f", *options, name, at)
    repo.git("push", "-q", "--force", "origin", f"refs/tags/{name}")
    return repo.git("rev-parse", f"{name}^{{commit}}")


def with_tags(phantom, repo, *steps, url=None, **keys):
    """A section that watches main and v*, started, with a workflow for tags of these steps."""
    repo.commit_and_push({"workflow/tag.toml": workflow(*steps), "workflow/main.toml": workflow("true")})
    keys.setdefault("target_tags", "v*")
    phantom.watch(url or repo, **keys)
    daemon = phantom.start()
    phantom.wait_baseline()
    return daemon


# ------------------------------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize("road", ["path", "http", "http-v0", "ssh"])
@pytest.mark.parametrize("annotated", [True, False], ids=["annotated", "light"])
def test_a_new_tag_runs_the_workflow_of_tags_on_its_commit(phantom, repo, request, road, annotated):
    url = repo.url
    keys = {}
    if road.startswith("http"):
        url = request.getfixturevalue("http").url("app", area="v0" if road == "http-v0" else "git")
    elif road == "ssh":
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        url, keys = ssh.url(repo.url), {"ssh_key_path": ssh.key}
    with_tags(phantom, repo, TELL, "git describe --exact-match" if annotated else "git describe --tags --exact-match",
              url=url, **keys)
    first = repo.head()
    repo.commit_and_push()
    sha = tag(repo, "v1.0", *(["-a", "-m", "what is new"] if annotated else []), at=first)
    job = phantom.wait_job(tag="v1.0")
    assert job["state"] == "success", job
    assert job["sha"] == sha == first and job["branch"] is None and job["trigger"] == "push"
    assert phantom.log(job["id"]).decode().split("\n") == ["tag=v1.0 branch= trigger=push", sha, "v1.0", ""]
    phantom.wait_idle()
    assert [j["tag"] for j in phantom.jobs()] == [None, "v1.0"]


def test_a_tag_is_shown_as_one_everywhere(phantom, repo, receiver):
    write_env(phantom, f"CUSTOM_WEBHOOK_URL={receiver.url()}")
    daemon = with_tags(phantom, repo, "true")
    tag(repo, "v1/a")
    job = phantom.wait_job(tag="v1/a")
    assert job["state"] == "success", job
    started, finished = (request.json() for request in receiver.wait_requests(2))
    assert (started["tag"], started["branch"]) == ("v1/a", None) and finished["title"].startswith("app tag v1/a: success")
    assert f"job queued job={job['id']} repo=app tag=v1/a sha={job['sha']}" in daemon.text()
    daemon.wait_event(f"job finished job={job['id']} repo=app tag=v1/a .*state=success")
    assert "tag v1/a" in phantom.cli("jobs").out and "tag v1/a" in phantom.cli("repo").out
    assert "tag        v1/a\n" in phantom.cli("job", job["id"]).out
    assert phantom.repo()["last_tag"] == {"name": "v1/a", "sha": job["sha"], "state": "success", "job": job["id"]}
    assert phantom.repo()["tags_known"] == 1
    why = phantom.cli("why", "app", "--tag", "v1/a", check=0).out
    assert "tag v1/a: queued, on " in why and f"the tag is new: job {job['id']} was queued for its commit" in why
    assert "main:" not in why
    assert "phantom_ci" not in phantom.cli("logs", "--tag", "v1/a", check=0).err
    assert phantom.cli("logs", "--tag", "v1", "--branch", "main").returncode == 2
    completed = phantom.cli("__complete", "tags", "app", check=0).out
    assert completed == f"v1/a\tat {job['sha'][:10]}\n"


def test_old_tags_are_one_baseline_also_when_tags_are_asked_for_later(phantom, repo):
    repo.workflow("true")
    sha = repo.commit_and_push({"workflow/tag.toml": workflow("true")})
    (repo.bare / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + "".join(
        f"{sha} refs/tags/{name}\n" for name in sorted(f"v{i}" for i in range(2000))))
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    path = phantom.config / "Repo.toml"
    phantom.write_repo_toml(path.read_text() + 'target_tags = ["v*"]\n')
    daemon.wait_event("config reloaded")
    line = daemon.wait_event("tags baselined")
    assert "first sight of 2000 tags" in line
    assert phantom.repo()["tags_known"] == 2000
    decisions = phantom.json("why", "app")
    assert [d["tag"] for d in decisions if d["tag"]] == ["*"]
    assert len([line for line in daemon.lines if "tag" in line]) == 1
    database = phantom.state / "state.db-wal"
    size = database.stat().st_size
    for number in range(3):
        before = phantom.repo()["last_ok"]
        repo.git("update-ref", f"refs/tags/other{number}", sha, cwd=repo.bare)
        phantom.wait_until(lambda: phantom.repo()["last_ok"] > before, what="another look")
    assert database.stat().st_size == size, "a look without news writes nothing"
    tag(repo, "v2000")
    assert phantom.wait_job(tag="v2000")["state"] == "success"
    assert len(phantom.jobs()) == 1
    # and no longer asked for: forgotten at once, and a baseline when asked for again
    phantom.write_repo_toml(path.read_text().replace('target_tags = ["v*"]\n', ""))
    phantom.wait_until(lambda: phantom.repo()["tags_known"] == 0, what="the tags to be forgotten")


def test_a_tag_that_is_pushed_while_git_looks_is_seen_by_the_next_look(phantom, repo, fake_git, place):
    """Loose tags are left to `git ls-remote`; this one has read them and does not come to its end."""
    armed, asked, gate = place / "armed", place / "asked", place / "gate"
    fake_git.on('*" ls-remote "*', f'if rm {armed} 2>/dev/null; then {fake_git.real} "$@" >{asked}.refs; touch {asked}; '
                                   f'until test -e {gate}; do sleep 0.05; done; cat {asked}.refs; exit 0; fi')
    repo.commit_and_push({"workflow/tag.toml": workflow("true")})
    phantom.watch(repo, target_tags="v*")
    phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    armed.touch()
    tag(repo, "v1")
    phantom.wait_until(asked.exists, what="a look of git's")
    tag(repo, "v2")
    time.sleep(0.5)  # for the daemon to hear of it; if it is slower, it hears of it after the look
    gate.touch()
    assert phantom.wait_job(tag="v1")["state"] == "success"
    assert phantom.wait_job(tag="v2")["state"] == "success"


def test_a_tag_that_moves_runs_on_its_new_commit(phantom, repo):
    with_tags(phantom, repo, "git rev-parse HEAD")
    first = tag(repo, "v1")
    assert phantom.wait_job(tag="v1", sha=first)["state"] == "success"
    repo.commit_and_push()
    second = tag(repo, "v1", "-a", "-m", "again")
    job = phantom.wait_job(tag="v1", sha=second)
    assert job["state"] == "success" and job["previous_sha"] == first
    assert phantom.log(job["id"]).decode().strip() == second
    assert "the tag moved" in phantom.cli("why", "app", "--tag", "v1").out
    # the same commit under a new tag object is no news
    tag(repo, "v1", "-a", "-m", "in other words")
    tag(repo, "v2")
    phantom.wait_job(tag="v2")
    assert len(phantom.jobs(tag="v1")) == 2


def test_a_tag_that_moves_back_is_blocked_where_rewinds_are(phantom, repo):
    with_tags(phantom, repo, "true", on_rewind="block")
    first = repo.head()
    second = repo.commit_and_push()
    tag(repo, "v1")
    assert phantom.wait_job(tag="v1", sha=second)["state"] == "success"
    tag(repo, "v1", at=first)
    job = phantom.wait_job(tag="v1", sha=first)
    assert job["state"] == "blocked" and "the tag was rewound" in job["reason"]
    phantom.cli("approve", job["id"], "--yes", check=0)
    assert phantom.wait_job(tag="v1", trigger="retry")["state"] == "success"


def test_a_tag_that_goes_away_is_an_event_and_its_return_on_the_same_commit_another(phantom, repo):
    daemon = with_tags(phantom, repo, "true")
    tag(repo, "v1")
    phantom.wait_job(tag="v1")
    repo.git("push", "-q", "origin", ":refs/tags/v1")
    daemon.wait_event("tag gone repo=app tag=v1")
    assert "tag v1: gone" in phantom.cli("why", "app", "--tag", "v1", check=0).out
    assert phantom.repo()["last_error"] is None and phantom.repo()["tags_known"] == 0
    tag(repo, "v1")
    daemon.wait_event("tag returned repo=app tag=v1")
    repo.git("push", "-q", "origin", ":refs/tags/v1")
    phantom.wait_until(lambda: daemon.text().count("tag gone") == 2, what="it to go again")
    repo.commit_and_push()
    sha = tag(repo, "v1")
    assert phantom.wait_job(tag="v1", sha=sha)["state"] == "success"
    assert len(phantom.jobs(tag="v1")) == 2


def test_tags_run_beside_each_other_and_never_in_each_others_place(phantom, repo):
    phantom.configure("max_jobs = 4\n")
    repo.commit({"workflow/v1.toml": workflow(gated(phantom)), "n": "1\n"})
    with_tags(phantom, repo, gated(phantom), "sh -c 'pwd; ls -A; touch mine'", branch=["main", "v*"])
    repo.push("v1")
    for name in ("v1", "v2", "v3"):
        tag(repo, name)
    branch = phantom.wait_job(branch="v1", state="running")
    running = [phantom.wait_job(tag=name, state="running") for name in ("v1", "v2", "v3")]
    # one job at a time for each of them
    repo.commit_and_push({"n": "2\n"})
    moved = tag(repo, "v1")
    again = phantom.wait_job(tag="v1", sha=moved, state="queued")
    gate(phantom).touch()
    for job in (*running, branch, again):
        assert phantom.wait_job(id=job["id"])["state"] == "success"
    places = {phantom.log(job["id"]).decode().split("\n")[1] for job in (*running, again)}
    assert len(places) == 3 and branch["sha"] != moved
    assert not [job for job in phantom.jobs() if job["state"] == "superseded"]
    assert all("mine" not in phantom.log(job["id"]).decode().split("\n") for job in (*running, again))


def test_run_and_retry_take_tags(phantom, repo):
    repo.workflow("true")
    repo.commit_and_push({"workflow/tag.toml": workflow(TELL)})
    phantom.watch(repo)
    sha = tag(repo, "nightly", "-a", "-m", "x")
    repo.commit_and_push()
    result = phantom.cli("run", "app", "--tag", "nightly", check=0)
    assert result.out == f"tag=nightly branch= trigger=run\n{sha}\n"
    job = phantom.job(1)
    assert (job["tag"], job["branch"], job["sha"]) == ("nightly", None, sha)
    assert phantom.cli("run", "app", "--tag", "absent").returncode == 3
    assert 'app has no tag "absent"' in phantom.errors[-1]
    assert phantom.cli("run", "app", "--tag", "nightly", "--branch", "main").returncode == 2
    assert phantom.cli("run", "app", "--tag", "nightly", "--sha", sha).returncode == 2
    assert "tag nightly, a retry of job 1" in phantom.cli("retry", "1", check=0).out
    phantom.start()
    assert phantom.wait_job(id=2)["state"] == "success"
    assert phantom.log(2).decode().split("\n")[0] == "tag=nightly branch= trigger=retry"


def test_a_tag_without_workflow_is_skipped_and_one_of_no_commit_is_an_error(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, target_tags=["v*"])
    phantom.start()
    phantom.wait_baseline()
    tag(repo, "v1")
    job = phantom.wait_job(tag="v1")
    assert job["state"] == "skipped" and "workflow/tag.toml" in job["reason"]
    repo.git("tag", "v2", "HEAD:workflow/main.toml")
    repo.git("push", "-q", "origin", "refs/tags/v2")
    job = phantom.wait_job(tag="v2")
    assert job["state"] == "error" and "is a blob, not a commit" in job["reason"], job
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_double_no_tag(phantom, repo):
    """The daemon and the jobs are killed while tags come, two at a time."""
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    daemon = with_tags(phantom, repo, "git describe --tags --exact-match", poll_interval="50ms", grace="100ms")
    names = []
    for i in range(15):
        names += [f"v{i}.a", f"v{i}.b"]
        for name in names[-2:]:
            tag(repo, name)
        time.sleep(dice.uniform(0, 0.4))
        for pid, command in phantom.job_processes()[:dice.choice([0, 0, 1, 9])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        daemon.kill9()
        daemon = phantom.start("--quiet")
    phantom.wait_until(lambda: {j["tag"] for j in phantom.jobs()} >= set(names), 60, "all tags to be seen")
    phantom.wait_idle(120)
    jobs = [job for job in phantom.jobs() if job["tag"]]
    assert sorted(job["tag"] for job in jobs) == sorted(names), "each once"
    assert {job["state"] for job in jobs} <= {"success", "interrupted", "error"}, jobs


# ------------------------------------------------------------------------------------------------------------ paths


def with_paths(phantom, repo, *patterns, step="true", **keys):
    repo.commit_and_push({"workflow/main.toml": workflow(step), "src/a.c": "1", "docs/a.md": "1", "n": "0\n"})
    phantom.watch(repo, paths=list(patterns), **keys)
    daemon = phantom.start()
    phantom.wait_baseline()
    return daemon


def test_a_push_that_touches_nothing_asked_for_is_skipped_and_says_so(phantom, repo, receiver):
    write_env(phantom, f"CUSTOM_WEBHOOK_URL={receiver.url()}")
    with_paths(phantom, repo, "src/**", "!src/docs/**")
    base = repo.head()
    # what was there first has not run, but was not to run either
    sha = repo.commit_and_push({"docs/a.md": "2", "src/docs/x": "1"})
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "skipped" and not job["steps"]
    assert job["reason"] == (f"since {base[:10]}, which was there first, no file has changed that paths asks for, but "
                             f"docs/a.md, src/docs/x; to run it all the same: phantom_ci retry {job['id']}")
    assert "no file has changed that paths asks for" in phantom.cli("why", "app", check=0).out
    ran = phantom.wait_job(sha=repo.commit_and_push({"src/a.c": "2"}))
    assert ran["state"] == "success"
    for i in range(5):
        repo.commit({f"docs/{i}.md": "x"})
    job = phantom.wait_job(sha=repo.push())
    assert job["state"] == "skipped" and f"which job {ran['id']} ran" in job["reason"]
    assert "docs/0.md, docs/1.md, docs/2.md and 2 more" in job["reason"]
    # a person gets what he asks for
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "success"
    assert "success" in phantom.cli("run", "app", check=0).err
    # nobody was told of a start that came to nothing
    receiver.wait_requests(6)
    assert kinds(receiver) == ["started", "finished"] * 3


def test_changes_of_commits_that_never_ran_still_count(phantom, repo):
    with_paths(phantom, repo, "src/", step=gated(phantom))
    first = repo.commit_and_push({"src/a.c": "2"})
    phantom.wait_job(sha=first, state="running")
    code = repo.commit_and_push({"src/a.c": "3"})
    phantom.wait_job(sha=code, state="queued")
    docs = repo.commit_and_push({"docs/a.md": "2"})
    phantom.wait_job(sha=code, state="superseded")
    gate(phantom).touch()
    assert phantom.wait_job(sha=docs)["state"] == "success"
    # canceled in the queue: it has not run either
    phantom.cli("pause", "app", check=0)
    code = repo.commit_and_push({"src/a.c": "4"})
    phantom.cli("cancel", phantom.wait_job(sha=code, state="queued")["id"], check=0)
    phantom.cli("resume", "app", check=0)
    assert phantom.wait_job(sha=repo.commit_and_push({"docs/a.md": "3"}))["state"] == "success"
    assert phantom.wait_job(sha=repo.commit_and_push({"docs/a.md": "4"}))["state"] == "skipped"


def test_merges_new_branches_and_histories_without_common_base_run_when_they_must(phantom, repo):
    with_paths(phantom, repo, "src/", branch=["main", "feature"])
    main = repo.commit_and_push({"src/a.c": "2"})
    phantom.wait_job(sha=main)
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"src/b.c": "1"})
    repo.git("checkout", "-q", "main")
    docs = repo.commit_and_push({"docs/a.md": "2"})
    assert phantom.wait_job(sha=docs)["state"] == "skipped"
    repo.git("merge", "-q", "--no-edit", "side")
    assert phantom.wait_job(sha=repo.push())["state"] == "success"
    # what came and went is no change
    repo.commit({"src/c.c": "1"})
    repo.git("rm", "-q", "src/c.c")
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "skipped"
    # a new branch has run nothing yet
    repo.commit({"workflow/feature.toml": workflow("true")}, branch="feature")
    assert phantom.wait_job(sha=repo.push("feature"))["state"] == "success"
    # a history of its own
    repo.git("checkout", "-q", "--orphan", "other")
    sha = repo.commit({"docs/a.md": "3"})
    repo.force(sha)
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success"
    assert "paths is not asked: the commit" in phantom.cli("job", job["id"]).out


# ---------------------------------------------------------------------------------------------------------- skip_ci


def test_skip_ci_is_obeyed_where_it_is_asked_for_and_never_before_a_rule_that_protects(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, skip_ci=True, on_rewind="block", target_tags="v*")
    phantom.watch(repo, name="other")
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_baseline("other")
    first = repo.head()
    for mark in ("[skip ci]", "[CI skip]", "[No CI]"):
        sha = repo.commit_and_push({"n": mark}, subject=f"docs {mark} only")
        job = phantom.wait_job(repo="app", sha=sha)
        assert job["state"] == "skipped" and f"its subject says {mark.lower()}" in job["reason"]
        assert f"phantom_ci retry {job['id']}" in job["reason"]
        assert phantom.wait_job(repo="other", sha=sha)["state"] == "success"
    assert "its subject says [no ci]" in phantom.cli("why", "app", check=0).out
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(repo="app", trigger="retry")["state"] == "success"
    assert "success" in phantom.cli("run", "app", check=0).err
    # a tag is set on purpose
    repo.commit({"workflow/tag.toml": workflow("true")}, subject="release [skip ci]")
    assert phantom.wait_job(sha=repo.push(), repo="app")["state"] == "skipped"
    tag(repo, "v1")
    assert phantom.wait_job(tag="v1")["state"] == "success"
    # in the body it says nothing
    repo.git("commit", "-q", "--allow-empty", "-m", "a subject\n\n[skip ci]")
    assert phantom.wait_job(sha=repo.push(), repo="app")["state"] == "success"
    # a rewind is blocked, whatever it says of itself, and so is what stands on it
    repo.git("checkout", "-q", first)
    sha = repo.commit({"n": "evil"}, subject="x [skip ci]")
    repo.force(sha)
    assert phantom.wait_job(sha=sha, repo="app")["state"] == "blocked"
    sha = repo.commit({"n": "more"})
    repo.force(sha)
    assert phantom.wait_job(sha=sha, repo="app")["state"] == "blocked"
