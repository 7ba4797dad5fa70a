"""A push becomes a recorded, logged run of exactly that commit."""
import os
import stat

import pytest


def test_push_runs_the_steps_of_the_commit_and_records_them(phantom, repo):
    repo.workflow("echo hello", "sh -c 'cat name; git rev-parse HEAD; git status --porcelain'")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push({"name": "world\n"}, "say who")
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    assert job["subject"] == "say who"
    assert job["author"] == "Ada <ada@example.org>"
    assert job["trigger"] == "push"
    assert [step["state"] for step in job["steps"]] == ["success", "success"]
    assert phantom.log(job["id"]) == b"hello\nworld\n" + sha.encode() + b"\n"
    daemon.wait_event(rf"job finished job={job['id']} repo=app branch=main sha={sha} state=success")
    assert any(line == f"app#{job['id']} | hello" for line in daemon.lines)
