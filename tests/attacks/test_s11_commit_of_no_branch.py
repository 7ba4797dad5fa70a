"""S11. I could once push, or still can to another branch. My commit is not on the watched branch (any more), but the server hands it out
to whoever asks by its id: somebody who trusts the runner's rule for branches shall be made to run it by hand."""
import pytest


@pytest.mark.demand("S11")
@pytest.mark.parametrize("road", ["file", "http"])
def test_a_commit_of_a_deleted_branch_is_refused_though_the_server_gives_it(phantom, repo, request, road):
    # Defence: mirror_find_on_branch(): the commit must be the branch's tip or one of its ancestors.
    repo.workflow("echo ran")
    stray = repo.commit_and_push({"evil": "1", "workflow/stray.toml": "[0]\nrun = 'echo stray'\n"}, branch="stray")
    url = repo.url if road == "file" else request.getfixturevalue("http").url("app")
    phantom.watch(url, name="stray", branch="stray")
    assert phantom.cli("run", "stray", check=0).out == "stray\n", "and now it lies in the mirror"
    repo.delete("stray")
    repo.git("fetch", "-q", "origin", stray)
    assert repo.git("cat-file", "-t", stray, cwd=repo.bare) == "commit", "the server still has it"
    repo.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=repo.bare)
    phantom.watch(url)
    for word in (stray, stray[:10], stray.upper()):
        result = phantom.cli("run", "app", "--sha", word, check=1)
        assert "is not on the branch main" in result.err, result.err
    assert phantom.jobs(repo="app") == []
