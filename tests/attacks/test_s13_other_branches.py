"""S13. I may push branches, but not to main. Each of my branches brings a workflow of its own, named after itself and after main."""
import pytest


@pytest.mark.demand("S13")
@pytest.mark.demand("O6")
def test_only_the_target_branch_runs_whatever_else_is_pushed(phantom, repo):
    # Defence: poll/detect.c takes the branches that Repo.toml names, and no other.
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    names = [f"b{i}" for i in range(16)] + ["main2", "MAIN", "x/main"]
    for name in names:
        repo.commit_and_push({f"workflow/{name}.toml": "[0]\nrun='touch canary'\n"}, branch=name)
    for ref in ("refs/tags/main", "refs/notes/main", "refs/heads/heads/main", "refs/heads/refs/heads/main", "refs/main"):
        repo.git("update-ref", ref, repo.git("rev-parse", "b1", cwd=repo.bare), cwd=repo.bare)
    sha = repo.commit()
    repo.git("push", "-q", "origin", f"{sha}:refs/elsewhere/x")
    repo.git("update-ref", "refs/heads/main", sha, cwd=repo.bare)
    phantom.wait_job(sha=sha)
    assert [job["branch"] for job in phantom.jobs()] == ["main"]
    assert not list(phantom.directory.rglob("canary"))
