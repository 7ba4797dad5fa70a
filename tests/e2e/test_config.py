"""The configuration: every mistake is named, nothing is lost, the last good one stays in force."""
import signal

import pytest


@pytest.mark.demand("H1")
@pytest.mark.parametrize("text, expected", [
    ("[app]\npath = \"/srv/a.git\"\ntarget_brunch = \"main\"\n", ":3:1: unknown key \"target_brunch\", did you mean \"target_branch\"?"),
    ("[app]\npth = \"/srv/a.git\"\n", ":2:1: unknown key \"pth\", did you mean \"path\"?"),
    ("[app]\ntarget_branch = \"main\"\n", "has no \"path\""),
    ("[app]\npath = 5\n", ":2:8: \"path\" must be a string"),
    ("[app]\npath = \"/srv/a.git\"\npoll_interval = \"60\"\n", ":3:17:"),
    ("[app]\npath = \"/srv/a.git\"\npoll_interval = 60\n", ":3:17:"),
    ("[app]\npath = \"/srv/a.git\"\non_push = \"queu\"\n", "did you mean \"queue\""),
    ("[app]\npath = \"/srv/a.git\"\nexecutor = \"podman:x\"\n", "not available in this version"),
    ("[app]\npath = \"/srv/a.git\"\nsandbox = \"strickt\"\n", ":3:11: \"sandbox\" must be one of"),
    ("[app]\npath = \"/srv/a.git\"\nkeep = [\"../x\"]\n", ":3:9:"),
    ("[app]\npath = \"/srv/a.git\"\npath = \"x\"\n", ":3:"),
    ("path = \"/srv/a.git\"\n", "outside of a section"),
    ("[app\n", ":1:"),
    ("[app]\npath = \"/srv/a.git\"\n[app]\npath = \"/srv/b.git\"\n", ":3:"),
])
def test_every_mistake_is_named_by_file_line_and_column(phantom, text, expected):
    phantom.write_repo_toml(text)
    result = phantom.cli("check", check=78)
    assert f"{phantom.config}/Repo.toml" in result.err
    assert expected in result.err, result.err
    entries = phantom.json("check")
    assert entries and set(entries[0]) == {"file", "line", "column", "message"}
    assert phantom.cli().returncode == 78
    assert (phantom.config / "Repo.toml").read_text() == text


def test_all_mistakes_of_all_files_are_told_in_one_pass(phantom):
    phantom.write_repo_toml("[a]\npath = \"/a\"\nx = 1\n[b]\npath = \"/b\"\ny = 2\n")
    phantom.configure("max_jobs = 0\nmax_job = 3\n")
    errors = phantom.cli("check", check=78).err.splitlines()
    assert len(errors) == 4
    assert ["config.toml:1:" in errors[i] or "config.toml:2:" in errors[i] for i in (2, 3)] == [True, True] or \
        sum("config.toml" in e for e in errors) == 2


@pytest.mark.demand("O11")
def test_a_broken_file_keeps_the_last_good_configuration_in_force(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    good = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(good + "[broken\n")
    daemon.wait_event("config rejected .*Repo.toml:")
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    phantom.write_repo_toml(good)
    daemon.wait_event("config reloaded repos=1")
    (phantom.config / "Repo.toml").chmod(0o666)
    daemon.signal(signal.SIGHUP)
    daemon.wait_event("config rejected .*chmod go-w")
    assert daemon.is_alive()


def test_a_changed_file_is_noticed_without_a_signal(phantom, repo, make_repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    other = make_repo("other")
    other.workflow("true")
    phantom.watch(other, name="other")
    daemon.wait_event("config reloaded repos=2")
    daemon.wait_event("branch baselined repo=other")
    assert phantom.wait_job(sha=other.commit_and_push())["state"] == "success"


def test_a_removed_section_cancels_its_queued_jobs(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    phantom.cli("pause", "app", check=0)
    sha = repo.commit_and_push()
    phantom.wait_job(sha=sha, state="queued")
    phantom.cli("remove", "app", check=0)
    assert phantom.wait_job(sha=sha)["state"] == "canceled"


def test_an_empty_configuration_is_an_idle_daemon_that_says_what_to_do(phantom):
    daemon = phantom.start()
    daemon.wait_event("phantom_ci add URL BRANCH")
    assert "phantom_ci add" in phantom.cli("repo", check=0).out


@pytest.mark.demand("O15")
def test_home_and_xdg_directories_are_honoured_and_never_guessed(phantom, place):
    import subprocess
    env = {k: v for k, v in phantom.env.items() if k not in ("HOME",)}
    program = phantom.command()[0]
    result = subprocess.run([program, "repo"], env=env, stderr=subprocess.PIPE)
    assert result.returncode != 0 and b"HOME" in result.stderr
    xdg = {**env, "XDG_CONFIG_HOME": str(place / "c"), "XDG_STATE_HOME": str(place / "s"),
           "XDG_CACHE_HOME": str(place / "k")}
    subprocess.run([program, "check"], env=xdg, check=True, stdout=subprocess.PIPE)
    out = subprocess.run([program, "check"], env={**env, "HOME": str(place / "h")}, stdout=subprocess.PIPE).stdout
    assert str(place / "h" / ".config" / "phantom_ci").encode() in out
