"""S6. I own a repository on the same machine, and somebody lets his runner watch its path. git runs upload-pack in it, as him: my
configuration names commands for that, my objects directory is a link to his files, my alternates lead to his other repositories.
(CVE-2022-24765, CVE-2022-39253, CVE-2023-22490, CVE-2024-32004, -32020, -32465.)"""
import os

import pytest

STRANGER = 61999


def poison(repo, canary):
    """Every way in which the configuration of a source could run something as who fetches from it."""
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand", "core.gitProxy",
                "remote.evil.uploadpack", "credential.helper", "core.pager", "core.askPass"):
        repo.git("config", key, f"touch {canary}/{key};", cwd=repo.bare)
    repo.git("config", "remote.evil.url", str(repo.clone), cwd=repo.bare)
    repo.git("config", "remote.evil.promisor", "true", cwd=repo.bare)
    repo.git("config", "extensions.partialClone", "evil", cwd=repo.bare)
    repo.git("config", "core.repositoryFormatVersion", "1", cwd=repo.bare)
    hooks = repo.bare / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-receive", "post-update", "reference-transaction", "post-checkout", "proc-receive"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}/{name}\n")
        (hooks / name).chmod(0o755)


@pytest.mark.demand("S6")
@pytest.mark.parametrize("road", ["auto", "git"])
def test_the_configuration_of_a_source_runs_nothing(phantom, repo, place, road):
    # Defence: git's own rule that upload-pack heeds no command of a repository, and GIT_NO_LAZY_FETCH (git/command.c).
    canary = place / "canary"
    canary.mkdir()
    repo.workflow("echo ran")
    poison(repo, canary)
    phantom.watch(repo, road=road)
    phantom.start()
    phantom.wait_baseline()
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    for path in canary.iterdir():  # the push that the test made ran the hooks of the source, as a push does
        path.unlink()
    phantom.cli("poll", check=0)
    phantom.cli("run", "app", check=0)
    assert not list(canary.iterdir())


@pytest.mark.demand("S6")
def test_an_object_that_the_source_promises_to_fetch_from_elsewhere_starts_nothing(phantom, repo, place):
    """CVE-2024-32004: upload-pack of a partial clone fetches what is missing, with a command of the source's choice."""
    canary = place / "canary"
    canary.mkdir()
    sha = repo.workflow("echo ran")
    poison(repo, canary)
    for path in canary.iterdir():
        path.unlink()
    blob = repo.git("rev-parse", "HEAD:workflow/main.toml")
    repo.git("unpack-objects", "-q", cwd=repo.bare, check=False, input=b"")
    missing = repo.bare / "objects" / blob[:2] / blob[2:]
    assert missing.exists()
    missing.unlink()
    phantom.watch(repo)
    assert phantom.cli("run", "app", "--sha", sha).returncode != 0
    assert "ran" not in "".join(phantom.log(job["id"]).decode() for job in phantom.jobs())
    assert not list(canary.iterdir())


@pytest.mark.demand("S6")
def test_a_repository_of_another_user_is_not_fetched_from(phantom, repo, place):
    # Defence: git's safe.directory; the road over files (git/localrepo.c) leaves foreign repositories to git.
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    canary = place / "canary"
    canary.mkdir()
    repo.workflow("echo ran")
    poison(repo, canary)
    for path in [repo.bare, *repo.bare.rglob("*")]:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    for path in canary.iterdir():
        path.unlink()
    phantom.watch(repo)
    daemon = phantom.start()
    line = daemon.wait_event("look failed repo=app")
    assert "dubious ownership" in line or "safe.directory" in line, line
    result = phantom.cli("run", "app")
    assert result.returncode != 0 and "ran\n" not in result.out
    assert not list(canary.iterdir())


@pytest.mark.demand("S6")
def test_objects_that_are_links_to_files_of_the_host_bring_none_of_them(phantom, repo, place):
    # Defence: git's pack protocol even for a path on this machine; nothing is copied or linked.
    secret = place / "secret"
    secret.write_text("canary-secret\n")
    repo.workflow("sh -c 'cat .git/objects/*/* .git/objects/*/*/* 2>/dev/null | grep -c canary-[s]ecret; echo ran'")
    objects = repo.bare / "objects"
    (objects / "aa").mkdir(exist_ok=True)
    (objects / "aa" / ("b" * 38)).symlink_to(secret)
    objects.rename(repo.bare / "real")
    objects.symlink_to("real")
    phantom.watch(repo)
    out = phantom.cli("run", "app").out
    assert "canary-secret" not in out and out in ("", "0\nran\n")
    assert not [path for path in phantom.cache.rglob("*") if path.is_file() and b"canary-secret" in path.read_bytes()]
    inodes = {path.stat().st_ino for path in repo.bare.rglob("*") if path.is_file()}
    assert not [path for path in phantom.cache.rglob("*") if path.is_file() and path.stat().st_ino in inodes]
