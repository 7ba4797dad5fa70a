"""S7. I am another user of the machine. The runner's cache once lay open to me, and now holds a mirror of mine: with my configuration,
my hooks and my objects, where the runner's git takes its own."""
import os

import pytest

STRANGER = 61999


@pytest.mark.demand("S7")
def test_a_mirror_of_another_user_is_not_used(phantom, repo, place):
    # Defence: git/mirror.c looks whose directory it is; --git-dir makes git's own safe.directory silent.
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    repo.workflow("echo ran")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    mirror = next((phantom.cache / "mirrors").glob("*.git"))
    with open(mirror / "config", "a") as config:
        config.write(f"[core]\n\tfsmonitor = touch {place}/canary\n\tsshCommand = touch {place}/canary\n")
    os.chown(mirror, STRANGER, STRANGER)
    repo.commit_and_push()
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[-1]
    assert job["state"] == "error" and job["steps"] == []
    assert str(mirror) in job["reason"] and "another user" in job["reason"] and "remove it" in job["reason"], job
    assert not (place / "canary").exists()


@pytest.mark.demand("S7")
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("which", ["state", "cache"])
def test_a_directory_that_others_may_write_is_refused(phantom, repo, which, mode):
    # Defence: base/file.c, file_ensure_private_directory().
    repo.workflow("echo ran")
    phantom.watch(repo)
    directory = getattr(phantom, which)
    directory.mkdir(mode=0o700)
    directory.chmod(mode)
    result = phantom.cli("run", "app")
    assert directory.stat().st_mode & 0o022 == 0 or (result.returncode != 0 and "ran\n" not in result.out), result.out
