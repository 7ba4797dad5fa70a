"""S8. I can set variables where the daemon is started (a unit's drop-in, a wrapper, a shell profile that somebody sourced), but not
its files: GIT_SSH_COMMAND, GIT_CONFIG_COUNT and the like shall make its git run my programs, and steps see its tokens."""
import pytest

HOSTILE = {
    **{name: "canary" for name in (
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR",
        "GIT_NAMESPACE", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_PARAMETERS",
        "GIT_SSH", "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_EDITOR",
        "GIT_PAGER", "GIT_TRACE", "GIT_TRACE2_EVENT", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_PROTOCOL_FROM_USER",
        "BASH_ENV", "ENV", "PERL5OPT", "PYTHONPATH", "DISCORD_WEBHOOK_URL", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "LD_AUDIT_X")},
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "canary",
    "GIT_ALLOW_PROTOCOL": "ext:canary",
}


@pytest.mark.demand("S8")
@pytest.mark.parametrize("sandbox", ["off", "workspace", "strict"])
def test_neither_git_nor_a_step_gets_what_the_daemon_was_started_with(phantom, repo, fake_git, sandbox):
    # Defence: git/command.c and job/environment.c make environments from scratch.
    assert len(HOSTILE) >= 30
    seen = phantom.directory / "environments"
    fake_git.on("*", f"env >>{seen}")
    repo.workflow("env")
    phantom.watch(repo, sandbox=sandbox)
    phantom.start(env={**HOSTILE, **fake_git.env})
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success", job
    assert "PHANTOM_CI_SHA=" in phantom.log(job["id"]).decode()
    assert "canary" not in phantom.log(job["id"]).decode()
    assert "GIT_TERMINAL_PROMPT=0" in seen.read_text(), "git was called, and through the one that notes"
    assert "canary" not in seen.read_text()
    assert not list(phantom.directory.rglob("canary*"))
