"""The roads to a repository: http, https, ssh, and remotes that do not behave."""
import time

import pytest

from env.terminal import run_on_terminal


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_push_to_run_over_http(phantom, repo, http, tls):
    repo.workflow("git rev-parse HEAD")
    phantom.env["GIT_SSL_CAINFO"] = http.ca
    phantom.watch(http.url("app", tls))
    phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    assert phantom.log(job["id"]).decode().strip() == sha


def test_an_unknown_certificate_fails_closed_with_a_hint(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", tls=True))
    daemon = phantom.start()
    line = daemon.wait_event("look failed repo=app")
    assert "certificate" in line
    assert phantom.jobs() == []


def test_push_to_run_over_ssh_with_a_key(phantom, repo, ssh):
    repo.workflow("git rev-parse HEAD")
    ssh.trust()
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job


def test_an_unknown_host_key_is_never_accepted_silently(phantom, repo, ssh):
    repo.workflow("true")
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    daemon = phantom.start()
    daemon.wait_event("look failed repo=app .*host key")
    assert not ssh.known_hosts.exists()


@pytest.mark.demand("A12")
def test_a_remote_that_asks_for_a_password_fails_at_once_with_a_hint(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", area="auth"))
    begin = time.monotonic()
    daemon = phantom.start()
    line = daemon.wait_event("look failed repo=app")
    assert time.monotonic() - begin < 5
    assert "credential" in line or "authentication" in line.lower(), line


@pytest.mark.parametrize("asks", ["user name", "passphrase"])
def test_nothing_is_asked_on_a_terminal(phantom, repo, request, asks):
    """A12: with a terminal, git and ssh would ask there and wait for ever."""
    repo.workflow("true")
    if asks == "user name":
        phantom.watch(request.getfixturevalue("http").url("app", area="auth"))
    else:
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        key = ssh.make_key("locked", passphrase="secret")
        ssh.authorize("locked")  # ssh asks for the passphrase of a key only when the server would take it
        phantom.watch(ssh.url(repo.url), ssh_key_path=key)
    code, shown, seconds = run_on_terminal(phantom.command("run", "app"), phantom.env)
    assert code != 0 and seconds < 5, (code, shown)
    assert "credential" in shown or "authentication" in shown.lower() or "key" in shown, shown


def test_sections_with_one_http_url_share_one_request_for_references(phantom, repo, http):
    """A10, counted where it costs: at the server."""
    repo.workflow("true")
    for i in range(20):
        phantom.watch(http.url("app"), name=f"app{i}", poll_interval="1h")
    phantom.start()
    for i in (0, 19):
        phantom.wait_baseline(f"app{i}")
    assert http.requests() == [("POST", "/git/app.git/git-upload-pack", "200")]


@pytest.mark.demand("A2")
@pytest.mark.demand("O8")
def test_a_remote_that_never_answers_delays_none_of_twenty_others(phantom, make_repo, hung):
    phantom.configure('look_timeout = "4s"\n')
    phantom.watch(f"http://127.0.0.1:{hung.port}/x.git", name="hung")
    repos = {f"r{i}": make_repo(f"r{i}") for i in range(20)}
    for name, repo in repos.items():
        repo.workflow("true")
        phantom.watch(repo, name=name, poll_interval="500ms")
    daemon = phantom.start("--quiet")
    for name in repos:
        phantom.wait_baseline(name)
    shas = {name: repo.commit_and_push() for name, repo in repos.items()}
    phantom.wait_until(lambda: {job["repo"] for job in phantom.jobs()} == set(shas), 20, "all twenty pushes")
    daemon.wait_event("look failed repo=hung")
    phantom.wait_idle()
    assert {job["state"] for job in phantom.jobs()} == {"success"}


def test_hung_remotes_never_use_up_the_places_for_looks(phantom, repo, hung):
    phantom.configure('max_looks = 2\nlook_timeout = "60s"\n')
    for i in range(6):
        phantom.watch(f"http://127.0.0.1:{hung.port}/{i}.git", name=f"hung{i}")
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline(limit=40)


@pytest.mark.parametrize("area, words", [("e503", "503"), ("close", "")])
def test_servers_in_trouble_are_reported_and_looked_at_again(phantom, repo, http, area, words):
    phantom.watch(http.url("app", area=area))
    daemon = phantom.start()
    assert words in daemon.wait_event("look failed repo=app")
    phantom.wait_until(lambda: phantom.repo()["failures"] >= 2, what="a second look")


def test_add_shows_the_fingerprint_of_an_unknown_host_and_adds_nothing(phantom, repo, ssh):
    repo.workflow("true")
    result = phantom.cli("add", ssh.url(repo.url), "main", "--ssh-key", ssh.key)
    assert result.returncode == 75, result.err
    assert ssh.fingerprint("host_a") in result.err and "accept-new" in result.err
    assert not (phantom.config / "Repo.toml").exists()


@pytest.mark.demand("A8")
@pytest.mark.slow
def test_many_looks_over_file_http_and_ssh_miss_no_push(phantom, make_repo, http, ssh):
    ssh.trust()
    repos = {name: make_repo(name) for name in ("local", "web", "shell")}
    for repo in repos.values():
        repo.workflow("true")
    phantom.watch(repos["local"], name="local", poll_interval="200ms")
    phantom.watch(http.url("web"), name="web", poll_interval="200ms")
    phantom.watch(ssh.url(repos["shell"].url), name="shell", poll_interval="200ms", ssh_key_path=ssh.key)
    phantom.start("--quiet")
    for name in repos:
        phantom.wait_baseline(name)
    for _ in range(10):
        shas = {name: repo.commit_and_push() for name, repo in repos.items()}
        phantom.wait_until(lambda: all(phantom.jobs(repo=name, sha=sha) for name, sha in shas.items()), 30,
                           "all three pushes")
    phantom.wait_idle()
    assert len(phantom.jobs()) == 30
    assert {job["state"] for job in phantom.jobs()} <= {"success", "superseded"}


def test_a_server_that_hangs_up_kills_no_git(phantom, repo, fake_git):
    """Git would be killed by SIGPIPE in the middle of a request, and tells of it in words when that is ignored."""
    fake_git.on("*", "kill -PIPE $$")
    repo.workflow("true")
    phantom.watch(repo, road="git")
    phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    assert fake_git.calls("ls-remote") > 0
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
