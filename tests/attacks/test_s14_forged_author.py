"""S14. I can push, but have no key that is allowed. My commit says that ann made it: author, committer, and a subject that looks like
what git prints for a good signature."""
import pytest

from env.keys import SshKeys


@pytest.mark.demand("S14")
def test_an_unsigned_commit_is_blocked_whatever_it_says_of_its_author(phantom, repo, place):
    # Defence: git/verify.c asks git for the signature, by the key's fingerprint; no text of the commit is looked at.
    keys = SshKeys(place)
    keys.make("ann")
    keys.allow("ann")
    keys.sign_with(repo, "ann")
    repo.workflow(f"touch {place}/ran")
    phantom.watch(repo, allowed_signers=str(keys.allowed))
    phantom.start()
    phantom.wait_baseline()
    keys.sign_with(repo, None)
    repo.env.update(GIT_AUTHOR_NAME="ann@example.org", GIT_AUTHOR_EMAIL="ann@example.org",
                    GIT_COMMITTER_NAME="ann@example.org", GIT_COMMITTER_EMAIL="ann@example.org")
    sha = repo.commit_and_push(subject=f"Good \"git\" signature for ann@example.org {keys.fingerprint('ann')}")
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "blocked" and job["blocked_by"] == "signature" and job["steps"] == []
    assert f"{sha[:10]} is not signed" in job["reason"] and f"phantom_ci approve {job['id']}" in job["reason"]
    assert job["signer"] is None
    assert not (place / "ran").exists()
    assert "blocked" in phantom.cli("why", "app", check=0).out
