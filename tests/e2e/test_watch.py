"""Repositories on this machine tell of a push themselves."""
import sqlite3
import time

import pytest

from env.gitrepo import GitRepo


@pytest.fixture
def watched(phantom, repo):
    """The next look that is not asked for is an hour away."""
    repo.workflow("true")
    phantom.watch(repo, branch=["main", "feature/*"], poll_interval="1h")
    daemon = phantom.start()
    phantom.wait_baseline()
    phantom.wait_until(lambda: phantom.repo()["road"] == "files, watched", what="the watch")
    return daemon


def test_a_push_is_seen_without_waiting_for_the_interval(phantom, repo, watched):
    for _ in range(3):
        assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert len(phantom.jobs()) == 3


def test_a_new_branch_in_a_new_directory_is_seen(phantom, repo, watched):
    sha = repo.commit_and_push({"workflow/feature/a/b.toml": "[0]\nrun = 'true'\n"}, branch="feature/a/b")
    assert phantom.wait_job(sha=sha)["branch"] == "feature/a/b"


def test_a_deleted_branch_and_its_return_are_seen(phantom, repo, watched):
    tip = repo.head()
    repo.git("push", "-q", "origin", "HEAD:refs/heads/spare")
    repo.git("--git-dir", repo.url, "symbolic-ref", "HEAD", "refs/heads/spare")
    repo.delete("main")
    watched.wait_event("branch gone repo=app branch=main")
    repo.force(tip)
    watched.wait_event("branch returned repo=app branch=main")
    assert phantom.jobs() == []


def test_packed_references_are_no_news_and_pushes_behind_them_are(phantom, repo, watched):
    repo.git("--git-dir", repo.url, "pack-refs", "--all")
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    repo.git("--git-dir", repo.url, "pack-refs", "--all")
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert len(phantom.jobs()) == 2


def test_a_repository_that_is_put_in_the_place_of_another_is_seen(phantom, repo, watched):
    aside = repo.bare.with_name("aside.git")
    sha = repo.commit()
    repo.git("clone", "-q", "--bare", repo.url, aside)
    repo.git("push", "-q", aside, "HEAD:refs/heads/main")
    repo.bare.rename(repo.bare.with_name("away.git"))
    aside.rename(repo.bare)
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"


def test_sections_that_share_a_path_are_told_together_and_survive_a_reload(phantom, repo, watched):
    phantom.watch(repo, name="again", poll_interval="1h")
    phantom.wait_baseline("again")
    sha = repo.commit_and_push()
    for name in ("app", "again"):
        assert phantom.wait_job(repo=name, sha=sha)["state"] == "success"


def test_a_watched_repository_is_not_stale_while_it_is_quiet(phantom, repo, watched):
    """Its next look is an hour away; a second is enough to be stale for one that should have been looked at."""
    phantom.wait_until(lambda: phantom.json("status")[0]["repos"] == 1, what="status")
    phantom.cli("status", "--stale", "1ms", check=0)


def test_what_cannot_be_recorded_is_looked_at_again_after_a_pause(phantom, repo):
    """After 10 s, 20 s and so on: not with the next wake-up, for all that the next regular look is 15 minutes away."""
    repo.workflow("true")
    phantom.watch(repo, poll_interval="10s")
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    phantom.wait_until(lambda: phantom.repo()["road"] == "files, watched", what="the watch")
    with sqlite3.connect(phantom.state / "state.db", timeout=30) as database:
        database.execute("CREATE TRIGGER broken BEFORE INSERT ON job BEGIN SELECT RAISE(ABORT, 'broken'); END")
    database.close()
    repo.commit_and_push()
    daemon.wait_event("look failed repo=app .*broken")
    time.sleep(2)  # in which nothing may happen; a slow machine makes it no harder
    assert 1 <= phantom.repo()["failures"] <= 3, "one push may be seen in two or three steps"


def knows_reftables(repo):
    major, minor = map(int, repo.git("version").split()[2].split(".")[:2])
    return (major, minor) >= (2, 45)


def put_reftables_in_place(repo):
    """What `git refs migrate --ref-format=reftable` leaves of a repository, but for the tables. Old files that lie about
    are nobody's word any more."""
    repo.git("--git-dir", repo.url, "pack-refs", "--all")
    repo.git("--git-dir", repo.url, "config", "core.repositoryFormatVersion", "1")
    repo.git("--git-dir", repo.url, "config", "extensions.refStorage", "reftable")
    (repo.bare / "refs" / "heads").rmdir()
    (repo.bare / "refs" / "heads").write_text("this repository uses the reftable format\n")
    (repo.bare / "HEAD").write_text("ref: refs/heads/.invalid\n")
    (repo.bare / "reftable").mkdir()
    (repo.bare / "reftable" / "tables.list").write_text("0x000000000001-0x000000000001-00000000.ref\n")


def test_reftables_are_left_to_git_and_one_that_is_too_old_for_them_is_named(phantom, place):
    if knows_reftables(GitRepo(place, "any")):
        repo = GitRepo(place, "tables", options=("--ref-format=reftable",))
        repo.workflow("true")
        phantom.watch(repo, poll_interval="1h")
        phantom.start()
        phantom.wait_baseline()
        for _ in range(2):
            assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
        assert "its refs are in reftables" in phantom.repo()["road"]
        return
    repo = GitRepo(place, "tables")
    repo.workflow("true")
    put_reftables_in_place(repo)
    phantom.watch(repo)
    daemon = phantom.start()
    line = daemon.wait_event("look failed repo=app")
    assert "unknown repository extension found: refstorage" in line and "2.45 or newer" in line
    seen = phantom.repo()
    # no word is taken from packed-refs, which still names the branch
    assert seen["branches"] == [] and "its refs are in reftables" in seen["last_error"]
    assert seen["road"] == f"git ls-remote ({repo.bare} is left to git: its refs are in reftables)"
    assert "2.45 or newer" in phantom.cli("repo", check=0).out
    assert "2.45 or newer" in phantom.cli("doctor", "--offline").out
    assert phantom.jobs() == []
