"""S15. I can push. The names of my branches, my commit's subject and my own name are shell, escape sequences and mentions of everybody
in a chat: somewhere on the way somebody shall pass them through a shell, print them, or send them as they are."""
import pytest


@pytest.mark.demand("S15")
@pytest.mark.parametrize("branch", ["a;touch${IFS}canary", "$(id)", "`id`", "x&&y", "ünïcödé", "v1.0", "a'b\"c", "a#b",
                                    "UPPER/lower", "x/-y", "%2e", "100%"])
def test_branch_names_are_never_code(phantom, repo, branch):
    # Defence: no shell anywhere; argument vectors and environment variables alone carry names.
    sha = repo.workflow("sh -c 'printf %s \"$PHANTOM_CI_BRANCH\"'", branch=branch)
    phantom.watch(repo, branch=branch)
    phantom.cli("run", "app", check=0)
    assert phantom.log(1).decode() == branch
    assert phantom.jobs()[0]["sha"] == sha and phantom.jobs()[0]["branch"] == branch
    assert not list(phantom.directory.rglob("canary"))


@pytest.mark.demand("S15")
def test_hostile_subjects_and_authors_are_only_text(phantom, repo):
    # Defence: base/text.c escapes what is foreign before a terminal sees it.
    repo.env["GIT_AUTHOR_NAME"] = "$(touch canary) \x1b[31mred"
    repo.workflow("true", subject="`touch canary`; \x1b]0;title\x07 @everyone")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    assert "\x1b" not in phantom.cli("jobs").out + phantom.cli("job", "1").out
    assert "\\x1b" in phantom.cli("jobs").out
    assert not list(phantom.directory.rglob("canary"))


@pytest.mark.demand("S15")
def test_a_mention_of_everybody_reaches_nobody(phantom, repo, receiver):
    # Defence: notify/discord.c (allowed_mentions) and notify/slack.c (escapes).
    env_file = phantom.config / ".env"
    env_file.write_text(f"DISCORD_WEBHOOK_URL={receiver.url('/discord')}\nSLACK_WEBHOOK_URL={receiver.url('/slack')}\n")
    env_file.chmod(0o600)
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_job(sha=repo.commit_and_push(subject="<!channel> <@U1> @everyone <https://evil.example|click>"))
    phantom.wait_until(lambda: {"/discord", "/slack"} <= {r.path for r in receiver.requests
                                                           if b"everyone" in r.body}, what="the messages")
    for request in receiver.requests:
        if request.path == "/slack":
            assert b"<!channel>" not in request.body and b"<@U1>" not in request.body and b"<https://evil" not in request.body
        else:
            assert b'"allowed_mentions": {"parse": []}' in request.body.replace(b'":', b'": ').replace(b"  ", b" ")
