"""A network that goes away and comes back, with the daemon on one host and the server on another."""
import contextlib
import re
import signal

import pytest

from env.servers import GitDaemon, GitHttp, GitSsh

HOW_IT_ENDS = {
    "the plug is pulled here": (lambda network, port: network.client.pull_the_plug(),
                                lambda network: network.client.plug_in()),
    "the plug is pulled there": (lambda network, port: network.server.pull_the_plug(),
                                 lambda network: network.server.plug_in()),
    "packets are dropped": (lambda network, port: network.server.refuse(port, "drop"),
                            lambda network: network.server.accept()),
    "connections are reset": (lambda network, port: network.server.refuse(port, "reset"),
                              lambda network: network.server.accept()),
}


@contextlib.contextmanager
def served(road, network, place, phantom, repo, trust_ssh):
    """A server on the other host: (its port, the URL, keys for Repo.toml)."""
    with network.server.inside():
        if road == "http":
            server = GitHttp(place, place / "remotes", network.server.address)
            url, keys, stop = server.url("app"), {}, server.stop
        elif road == "git daemon":
            server = GitDaemon(place, place / "remotes", network.server.address)
            url, keys, stop = server.url("app"), {}, server.stop
        else:
            server = GitSsh(place, phantom.home, address=network.server.address)
            server.trust()
            trust_ssh(server)
            url, keys, stop = server.url(repo.url), {"ssh_key_path": server.key}, server.stop_all
    try:
        yield server.port, url, keys
    finally:
        stop()


def limit_looks(phantom, daemon, limit):
    """The time limit of a look, from now on."""
    phantom.configure(f'look_timeout = "{limit}"\n')
    reloads = sum("config reloaded" in line for line in daemon.lines)
    daemon.signal(signal.SIGHUP)
    phantom.wait_until(lambda: sum("config reloaded" in line for line in daemon.lines) > reloads, 60, "the reload")


@pytest.mark.demand("A9")
@pytest.mark.slow
@pytest.mark.parametrize("how", HOW_IT_ENDS)
@pytest.mark.parametrize("road", ["http", "ssh", "git daemon"])
def test_a_push_while_the_link_is_down_runs_when_it_is_up_again(road, how, phantom, repo, place, network, trust_ssh):
    begin, end = HOW_IT_ENDS[how]
    repo.workflow("git rev-parse HEAD")
    with served(road, network, place, phantom, repo, trust_ssh) as (port, url, keys):
        phantom.watch(url, **keys)
        with network.client.inside():
            daemon = phantom.start()
        phantom.wait_baseline(limit=120)
        before = repo.commit_and_push()
        assert phantom.wait_job(120, sha=before)["state"] == "success"

        limit_looks(phantom, daemon, "2s")
        begin(network, port)
        daemon.wait_event("look failed repo=app", 120)
        during = repo.commit_and_push()
        failures = phantom.repo()["failures"]
        # One look may have begun before the push: the next failure is one that could have seen it.
        phantom.wait_until(lambda: phantom.repo()["failures"] >= failures + 2, 120, "two more failed looks")
        assert phantom.jobs(sha=during) == []
        assert phantom.json("status")[0]["failing"] == 1
        assert "1 with a failing look" in phantom.cli("status").out
        error = phantom.repo()["last_error"]
        assert re.search("(?i)connect|reach|route|time|reset", error), error
        assert f"The last look failed: {error}" in phantom.cli("why", "app").out

        limit_looks(phantom, daemon, "60s")
        end(network)
        job = phantom.wait_job(limit=120, sha=during)
        assert job["state"] == "success", job
        assert phantom.log(job["id"]).decode().strip() == during
        daemon.wait_event("look recovered repo=app", 120)
        assert phantom.json("status")[0]["failing"] == 0
        assert len(phantom.jobs()) == 2
        daemon.stop()
