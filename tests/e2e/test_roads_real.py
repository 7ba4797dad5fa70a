"""Every road to a repository, with the real server at its end: what is pushed runs, by its commit."""
import pytest

from env.gitrepo import GitRepo


def over_http(area="git", tls=False, options=()):
    """A repository behind nginx; `options`: of git init."""
    def make(request, place, phantom):
        http = request.getfixturevalue("http")
        phantom.env["GIT_SSL_CAINFO"] = http.ca
        if area == "auth":
            http.log_in(phantom.home)
        return GitRepo(place, options=options), http.url("app", tls, area), {}
    return make


def over_ssh(options=()):
    def make(request, place, phantom):
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        repo = GitRepo(place, options=options)
        return repo, ssh.url(repo.url), {"ssh_key_path": ssh.key}
    return make


def over_gitolite(request, place, phantom):
    gitolite = request.getfixturevalue("gitolite")
    return gitolite.add_repository("app", "bot"), gitolite.url("/app"), {"ssh_key_path": gitolite.key}


def over_git_daemon(request, place, phantom):
    return GitRepo(place), request.getfixturevalue("git_daemon").url("app"), {}


def on_this_machine(scheme="", options=()):
    def make(request, place, phantom):
        repo = GitRepo(place, options=options)
        return repo, scheme + repo.url, {}
    return make


LIMIT = 120  # some servers take seconds for a look on a busy machine
SHA256 = ("--object-format=sha256",)
ROADS = {
    "http": over_http(),
    "https": over_http(tls=True),
    "http with a password": over_http("auth"),
    "http of an old server": over_http("v0"),
    "http from where it has moved (301)": over_http("moved301"),
    "http from where it has moved (308)": over_http("moved308"),
    "http and sha256": over_http(options=SHA256),
    "http of an old server and sha256": over_http("v0", options=SHA256),
    "ssh": over_ssh(),
    "ssh and sha256": over_ssh(SHA256),
    "gitolite": over_gitolite,
    "git daemon": over_git_daemon,
    "a path": on_this_machine(),
    "a file URL": on_this_machine("file://"),
    "a path and sha256": on_this_machine(options=SHA256),
}


@pytest.mark.parametrize("road", [pytest.param(road, marks=pytest.mark.slow) if road == "gitolite" else road
                                  for road in ROADS])
def test_a_push_runs_by_its_commit_over(road, request, place, phantom):
    repo, url, keys = ROADS[road](request, place, phantom)
    repo.workflow("git rev-parse HEAD")
    phantom.watch(url, **keys)
    phantom.start()
    phantom.wait_baseline(limit=LIMIT)
    for _ in range(2):
        sha = repo.commit_and_push()
        job = phantom.wait_job(LIMIT, sha=sha)
        assert job["state"] == "success", job
        assert phantom.log(job["id"]).decode().strip() == sha
    assert len(sha) == (64 if "sha256" in road else 40)
    assert len(phantom.jobs()) == 2


@pytest.mark.slow
def test_gitolite_refuses_a_repository_that_the_key_may_not_read(phantom, gitolite):
    gitolite.add_repository("theirs").workflow("true")
    phantom.watch(gitolite.url("/theirs"), ssh_key_path=gitolite.key)
    daemon = phantom.start()
    assert "DENIED" in daemon.wait_event("look failed repo=app", LIMIT)
    assert phantom.jobs() == []
