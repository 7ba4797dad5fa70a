"""S25. I run the place that a webhook leads to, or can answer in its name. I send the runner on to another host, or into its own
network, with the message, its token and its signature; or I push, and my commit names a webhook of its own."""
import pytest

from env import receiver as replies

TOKEN = "canary-token"


@pytest.mark.demand("S25")
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(phantom, repo, make_receiver, code):
    # Defence: net/http.c follows 307 and 308 on one scheme, host and port alone.
    first, other = make_receiver(), make_receiver()
    first.default = replies.redirect(other.url("/stolen"), code)
    env_file = phantom.config / ".env"
    env_file.write_text(f"CUSTOM_WEBHOOK_URL={first.url('/' + TOKEN)}\nCUSTOM_WEBHOOK_SECRET={TOKEN}-secret\n")
    env_file.chmod(0o600)
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start(env={"PHANTOM_CI_TEST_RETRY_MS": "50"})
    phantom.wait_baseline()
    phantom.wait_job(sha=repo.commit_and_push())
    first.wait_requests(2)
    phantom.wait_until(lambda: "another host is never followed" in phantom.cli("notify", "list").out, what="the reason")
    assert other.connections == 0
    assert TOKEN not in daemon.text() and TOKEN not in phantom.cli("notify", "list").out


@pytest.mark.demand("S25")
def test_a_commit_names_no_webhook(phantom, repo, receiver):
    # Defence: addresses come from .env beside Repo.toml alone.
    for name in (".env", "workflow/.env", "Repo.toml", "config.toml", ".phantom_ci/.env"):
        repo.write({name: f"CUSTOM_WEBHOOK_URL={receiver.url()}\n"})
    repo.workflow("true")
    phantom.watch(repo, env={"CUSTOM_WEBHOOK_URL": receiver.url(), "DISCORD_WEBHOOK_URL": receiver.url()})
    phantom.start(env={"CUSTOM_WEBHOOK_URL": receiver.url()})
    phantom.wait_baseline()
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    phantom.wait_idle()
    assert receiver.connections == 0
