"""By which road a remote is looked at, what happens when a road is closed, and that no server is asked too much."""
import contextlib
import os
import signal

import pytest

from env.phantom import BUILD
from env.processes import descendants


def helpers(daemon, program):
    """The pids of a helper program."""
    found = []
    for pid in descendants(daemon.pid, but=""):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe").endswith(program):
                found.append(pid)
    return found


def wait_road(phantom, begin, name="app"):
    return phantom.wait_until(lambda: (phantom.repo(name)["road"] or "").startswith(begin), what=f"the road {begin}")


def libexec_with(phantom, program, script):
    """A directory of helper programs, of which one is a script."""
    directory = phantom.directory / "libexec"
    directory.mkdir(exist_ok=True)
    for name in ("phantom_ci-job", "phantom_ci-net", "phantom_ci-ssh", "phantom_ci-credential"):
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(BUILD / "src" / name)
    (directory / program).unlink()
    if script is not None:
        (directory / program).write_text(script)
        (directory / program).chmod(0o755)
    phantom.env["PHANTOM_CI_LIBEXEC_DIR"] = str(directory)


# ------------------------------------------------------------------------------------------------- which road


@pytest.mark.parametrize("road", ["http v2", "http v0", "ssh", "files, watched", "git ls-remote"])
def test_repo_tells_the_road(phantom, repo, request, road):
    repo.workflow("true")
    keys = {}
    if road.startswith("http"):
        url = request.getfixturevalue("http").url("app", area="v0" if "v0" in road else "git")
    elif road == "ssh":
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        url, keys = ssh.url(repo.url), {"ssh_key_path": ssh.key}
    else:
        url, keys = repo.url, {"road": "git"} if "git" in road else {}
    phantom.watch(url, **keys)
    phantom.start()
    phantom.wait_baseline()
    wait_road(phantom, road)
    assert road in phantom.cli("repo").out


def test_what_a_look_learned_is_known_after_a_restart(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", area="v0"), poll_interval="1h")
    daemon = phantom.start()
    phantom.wait_baseline()
    wait_road(phantom, "http v0")
    daemon.stop()
    before = len(http.requests())
    sha = repo.commit_and_push()
    phantom.start()
    phantom.wait_job(sha=sha)
    looks = [(method, path) for method, path, _ in http.requests()[before:]]
    assert looks[0] == ("GET", "/v0/app.git/info/refs"), "it does not try again what this server does not know"


@pytest.mark.parametrize("status", [301, 308])
def test_a_moved_repository_is_looked_at_where_it_is_and_told(phantom, repo, http, status):
    repo.workflow("true")
    phantom.watch(http.url("app", area=f"moved{status}"))
    daemon = phantom.start()
    line = daemon.wait_event(f"repository moved repo=app to={http.url('app')}")
    assert "change path in Repo.toml" in line
    phantom.wait_baseline()
    wait_road(phantom, "http v2")
    assert phantom.repo()["moved_to"] == http.url("app") and phantom.repo()["last_error"] is None
    assert f"moved to {http.url('app')}" in phantom.cli("repo").out
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    phantom.wait_until(lambda: len(http.requests()) > 20, what="more looks")
    assert daemon.text().count("repository moved") == 1, "it is said once, not with each look"
    # whoever does what it says has nothing left to do
    text = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(text.replace(f"moved{status}", "git"))
    phantom.wait_until(lambda: phantom.repo()["moved_to"] is None and phantom.repo()["last_ok"], what="no more word of it")
    assert "moved to" not in phantom.cli("repo").out


def test_a_redirect_for_now_is_followed_and_is_no_move(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", area="lent"))
    daemon = phantom.start()
    phantom.wait_baseline()
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert phantom.repo()["moved_to"] is None and "repository moved" not in daemon.text()


@pytest.mark.parametrize("status", [301, 308])
def test_a_repository_that_moved_to_another_host_is_told_and_not_followed(phantom, repo, http, status):
    repo.workflow("true")
    phantom.watch(http.url("app", area=f"elsewhere{status}"))
    daemon = phantom.start()
    new = http.url("app").replace("127.0.0.1", "localhost")
    words = f"sends on to {new}: if that is right, configure the new address"
    assert words in daemon.wait_event("look failed repo=app")
    assert new in daemon.wait_event("repository moved repo=app")
    seen = phantom.repo()
    assert words in seen["last_error"] and seen["moved_to"] == new and seen["branches"] == []
    assert words in phantom.cli("repo").out and words in phantom.cli("why", "app").out
    phantom.wait_until(lambda: len(http.requests()) > 3, what="more looks")
    assert {path.split("/")[1] for _, path, _ in http.requests()} == {f"elsewhere{status}"}, "nobody asked there"
    text = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(text.replace(http.url("app", area=f"elsewhere{status}"), new))
    daemon.wait_event("look recovered repo=app")
    phantom.wait_baseline()
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"


# ------------------------------------------------------------------------------- git's configuration counts


def write_gitconfig(phantom, text):
    new = phantom.home / ".gitconfig.new"
    new.write_text(text)
    new.rename(phantom.home / ".gitconfig")


def test_instead_of_leads_to_the_other_address(phantom, repo, http):
    repo.workflow("true")
    write_gitconfig(phantom, f'[url "{http.url("")[:-len(".git")]}"]\n\tinsteadOf = http://elsewhere.invalid/\n')
    phantom.watch("http://elsewhere.invalid/app.git")
    phantom.start()
    phantom.wait_baseline()
    wait_road(phantom, "http v2")
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"


@pytest.mark.parametrize("setting, road", [
    ('[http]\n\tsslCert = /nonexistent.pem\n', "git ls-remote (http.sslcert)"),
    ('[http]\n\tcookieFile = /nonexistent\n', "git ls-remote (http.cookiefile)"),
    ('[http "http://127.0.0.1"]\n\tversion = HTTP/1.1\n[http "http://example.org"]\n\tsslCert = x\n', "http v2"),
])
def test_what_only_git_can_follow_is_left_to_git_and_told(phantom, repo, http, setting, road):
    """The last section is of another port, and so of another server, but git is asked whether it counts."""
    repo.workflow("true")
    write_gitconfig(phantom, setting)
    phantom.watch(http.url("app"))
    phantom.start()
    phantom.wait_baseline()
    wait_road(phantom, road)


def test_settings_for_one_server_count_for_this_one_alone(phantom, ref_server):
    write_gitconfig(phantom, f'[http]\n\textraHeader = X-All: yes\n\tuserAgent = for-all\n'
                             f'[http "http://127.0.0.1:{ref_server.port}/two.git"]\n\tuserAgent = for-two\n')
    for name in ("one", "two"):
        phantom.watch(ref_server.url(name), name=name, poll_interval="1h")
    phantom.start()
    phantom.wait_until(lambda: len(ref_server.asked) >= 2, what="two looks")
    found = {path.split("/")[1]: headers for _, path, headers in ref_server.asked}
    assert found["one.git"]["User-Agent"] == "for-all" and found["two.git"]["User-Agent"] == "for-two"
    assert {headers["X-All"] for headers in found.values()} == {"yes"}


def test_a_certificate_that_git_is_told_to_trust_later_is_trusted_without_a_reload(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", tls=True))
    daemon = phantom.start()
    assert "certificate" in daemon.wait_event("look failed repo=app")
    write_gitconfig(phantom, f"[http]\n\tsslCAInfo = {http.ca}\n")
    daemon.wait_event("look recovered repo=app", 60)
    wait_road(phantom, "http v2")


# ------------------------------------------------------------------------------------------ helper programs


@pytest.mark.slow
@pytest.mark.parametrize("road", ["http", "ssh"])
def test_a_helper_that_is_killed_again_and_again_costs_no_push(phantom, repo, request, road):
    repo.workflow("true")
    if road == "http":
        phantom.watch(request.getfixturevalue("http").url("app"), poll_interval="50ms")
    else:
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key, poll_interval="50ms")
    program = "phantom_ci-net" if road == "http" else "phantom_ci-ssh"
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    for _ in range(5):
        killed = phantom.wait_until(lambda: helpers(daemon, program), what=program)
        sha = repo.commit_and_push()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert phantom.wait_job(sha=sha)["state"] == "success"
    assert daemon.is_alive() and len(phantom.jobs()) == 5
    wait_road(phantom, road)


@pytest.mark.parametrize("road", ["http", "ssh"])
def test_a_helper_that_hangs_is_replaced_and_its_looks_are_made_again(phantom, repo, request, road):
    repo.workflow("true")
    phantom.configure('look_timeout = "2s"\n')
    if road == "http":
        phantom.watch(request.getfixturevalue("http").url("app"), poll_interval="100ms")
    else:
        ssh = request.getfixturevalue("ssh")
        ssh.trust()
        phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key, poll_interval="100ms")
    program = "phantom_ci-net" if road == "http" else "phantom_ci-ssh"
    daemon = phantom.start()
    phantom.wait_baseline()
    stopped = phantom.wait_until(lambda: helpers(daemon, program), what=program)[0]
    os.kill(stopped, signal.SIGSTOP)
    sha = repo.commit_and_push()
    assert phantom.wait_job(limit=60, sha=sha)["state"] == "success"
    assert stopped not in helpers(daemon, program)


NONSENSE = {
    "noise": "#!/bin/sh\nhead -c 3000 /dev/urandom\nexec sleep 1000\n",
    "a wrong message": "#!/bin/sh\nprintf '\\002\\0\\0\\0\\001\\0\\0\\0ab'\nexec sleep 1000\n",
    "an early end": "#!/bin/sh\nexit 0\n",
    "silence": "#!/bin/sh\nexec cat >/dev/null\n",
    "absence": None,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_helper_that_is_of_no_use_is_replaced_by_git(phantom, repo, http, kind):
    repo.workflow("true")
    libexec_with(phantom, "phantom_ci-net", NONSENSE[kind])
    phantom.configure('look_timeout = "1s"\n')
    phantom.watch(http.url("app"))
    phantom.start()
    phantom.wait_baseline(limit=60)
    wait_road(phantom, "git ls-remote (phantom_ci-net" if kind != "absence" else "git ls-remote (cannot start")
    assert phantom.wait_job(limit=60, sha=repo.commit_and_push())["state"] == "success"


def test_when_a_helper_is_of_no_use_there_are_never_more_gits_than_max_looks(phantom, ref_server, fake_git):
    """The stand-in counts itself among its like before it gives the server's one branch."""
    libexec_with(phantom, "phantom_ci-net", NONSENSE["an early end"])
    running = phantom.directory / "running"
    running.mkdir()
    fake_git.on('*" ls-remote "*', f'touch {running}/$$; ls {running} | wc -l >>{running}.counts; sleep 0.2; rm {running}/$$; '
                                   f'printf "%s\\trefs/heads/main\\n" {"1" * 40}; exit 0')
    phantom.configure("max_looks = 3\n")
    for i in range(20):
        phantom.watch(ref_server.url(f"r{i}"), name=f"r{i}", poll_interval="1h")
    phantom.start("--quiet", env=fake_git.env)
    phantom.wait_until(lambda: all(repo["last_ok"] for repo in phantom.json("repo")), 60, "a look at each")
    counts = [int(count) for count in (phantom.directory / "running.counts").read_text().split()]
    assert len(counts) >= 20 and max(counts) <= 3


# ---------------------------------------------------------------------------------------------- for servers


def test_retry_after_holds_back_every_remote_of_the_host(phantom, ref_server):
    ref_server.verdict = lambda path, number: (429, {"Retry-After": "3"}) if number == 0 else None
    for name in ("one", "two"):
        phantom.watch(ref_server.url(name), name=name, poll_interval="100ms")
    phantom.configure("max_looks_per_host = 1\n")
    phantom.start()
    phantom.wait_until(lambda: all(repo["last_ok"] for repo in phantom.json("repo")), 60, "a good look at each")
    times = ref_server.times()
    assert times[1] - times[0] >= 2.9, "nobody asked before"


def test_a_server_has_no_more_looks_at_once_than_it_may(phantom, ref_server):
    ref_server.delay = 0.1
    phantom.configure("max_looks_per_host = 2\n")
    for i in range(20):
        phantom.watch(ref_server.url(f"r{i}"), name=f"r{i}", poll_interval="500ms")
    phantom.start("--quiet")
    phantom.wait_until(lambda: len(ref_server.times()) >= 60, 120, "sixty looks")
    assert ref_server.most_at_once == 2
    looks = {f"r{i}": len(ref_server.times(f"r{i}")) for i in range(20)}
    assert min(looks.values()) >= 2, "each has its turn"


def test_a_server_is_asked_no_more_often_a_minute_than_it_may(phantom, ref_server):
    phantom.configure("looks_per_minute_per_host = 120\n")
    for i in range(5):
        phantom.watch(ref_server.url(f"r{i}"), name=f"r{i}", poll_interval="100ms")
    phantom.start("--quiet")
    phantom.wait_until(lambda: len(ref_server.times()) >= 9, 60, "nine looks")
    times = ref_server.times()[:9]
    assert times[8] - times[0] >= 2, "half a second each, but for what a busy machine makes late"
    assert len({path for _, path, _ in ref_server.asked[:9]}) == 5, "they take turns, once all are due"
    late = phantom.wait_until(lambda: phantom.json("status")[0]["late_ms"] >= 1000, what="the lateness")
    assert late and "looks begin late by up to" in phantom.cli("status").out


def test_a_daemon_that_keeps_up_is_not_late(phantom, ref_server):
    for i in range(5):
        phantom.watch(ref_server.url(f"r{i}"), name=f"r{i}", poll_interval="1h")
    phantom.start()
    phantom.wait_until(lambda: all(repo["last_ok"] for repo in phantom.json("repo")), what="the first looks")
    assert "late" not in phantom.cli("status").out
