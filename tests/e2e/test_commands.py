"""The command line: what people type, and what they get."""
import subprocess

import pytest

from env.waiting import LIMIT

COMMANDS = ["add", "remove", "repo", "jobs", "job", "logs", "run", "retry", "cancel", "poll", "why", "status", "pause",
            "resume", "check", "gc", "version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(phantom, command):
    out = phantom.cli(command, "--help", check=0).out
    assert out.startswith(f"Usage: phantom_ci {command}")
    assert phantom.cli("help", command, check=0).out == out
    assert command in phantom.cli("help", check=0).out
    phantom.cli(command, "--no-such-option", check=2)


def test_wrong_usage_is_exit_code_2_and_names_the_nearest_command(phantom):
    assert "did you mean \"jobs\"" in phantom.cli("jbos", check=2).err
    phantom.cli("job", check=2)
    phantom.cli("job", "x", check=2)
    phantom.cli("jobs", "--state", "nothing", check=2)
    phantom.cli("add", "/x", check=2)
    phantom.cli("version", "x", check=2)
    assert phantom.cli("--version", check=0).out.startswith("phantom_ci ")


def test_without_home_every_command_says_what_is_missing_and_the_version_is_told(phantom):
    program = phantom.command()[0]
    for words in (["version"], ["--version"], ["help"]):
        subprocess.run([program, *words], env={"PATH": phantom.env["PATH"]}, check=True, stdout=subprocess.DEVNULL)
    for words in ([], ["jobs"], ["status"], ["doctor"], ["gc"], ["reset", "--yes"], ["notify", "test"], ["backup", "/tmp/x"]):
        result = subprocess.run([program, *words], env={"PATH": phantom.env["PATH"]}, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        assert result.returncode == 78 and b"HOME is not set" in result.stderr and b"--state-dir" in result.stderr, words


@pytest.mark.parametrize("locale", ["C", "POSIX", "no_SUCH.locale", "C.UTF-8", ""])
def test_names_are_utf_8_in_every_locale(phantom, repo, locale):
    """As from cron, whose locale is C."""
    repo.workflow("true", branch="bl\u00e4h")
    phantom.env["LC_ALL"] = locale
    phantom.cli("add", repo.url, "bl\u00e4h", "--name", "\u20acuro", check=0)
    phantom.cli("run", "\u20acuro", "--branch", "bl\u00e4h", check=0)
    for words in (["jobs"], ["repo"], ["jobs", "bl\u00e4h"]):
        assert "\u20acuro" in phantom.cli(*words, check=0).out


def test_reading_commands_work_on_nothing_and_make_nothing(phantom):
    assert "no jobs yet" in phantom.cli("jobs", check=0).out
    assert phantom.json("jobs") == [] and phantom.json("repo") == []
    phantom.cli("job", "1", check=3)
    phantom.cli("logs", "1", check=3)
    phantom.cli("logs", check=0)
    phantom.cli("why", "x", check=3)
    phantom.cli("cancel", "1", check=3)
    phantom.cli("status", check=1)
    assert not phantom.state.exists() and not phantom.cache.exists()


def test_add_checks_the_remote_and_keeps_the_file(phantom, repo):
    repo.workflow("true")
    before = "# my repositories\n\n[old] # first\npath = \"/srv/x\" # path\n"
    phantom.write_repo_toml(before)
    result = phantom.cli("add", repo.url, "main", check=0)
    assert "baseline" in result.out and "phantom_ci run app" in result.out
    text = (phantom.config / "Repo.toml").read_text()
    assert text.startswith(before) and "[app]" in text and repo.url in text
    assert "already" in phantom.cli("add", repo.url, "main", check=78).err
    assert "did you mean \"main\"" in phantom.cli("add", repo.url, "mian", "--name", "b", check=3).err
    assert "does not answer" in phantom.cli("add", "/nowhere/x.git", "main").err
    phantom.cli("add", "/nowhere/x.git", "main", "--no-check", check=0)
    assert (phantom.config / "Repo.toml").read_text().startswith(text)
    phantom.cli("remove", "x", check=0)
    phantom.cli("remove", "app", check=0)
    assert (phantom.config / "Repo.toml").read_text() == before
    phantom.cli("remove", "app", check=3)


def test_add_to_a_broken_file_changes_nothing(phantom, repo):
    repo.workflow("true")
    phantom.write_repo_toml("[broken\n")
    assert "Repo.toml:1:" in phantom.cli("add", repo.url, "main", check=78).err
    assert (phantom.config / "Repo.toml").read_text() == "[broken\n"


@pytest.mark.demand("A11")
@pytest.mark.demand("O18")
def test_add_run_queues_the_tip_once(phantom, repo):
    sha = repo.workflow("echo hi")
    assert "job 1 queued" in phantom.cli("add", repo.url, "main", "--run", check=0).out
    phantom.start()
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success" and job["trigger"] == "add"
    phantom.cli("poll", check=0)
    phantom.wait_until(lambda: phantom.repo()["last_ok"], what="a look")
    assert len(phantom.jobs()) == 1


def test_add_run_beside_a_running_daemon_runs_the_tip(phantom, make_repo):
    """The job is there before the daemon has read the section that it is of."""
    daemon = phantom.start("--quiet")
    for number in range(5):
        repo = make_repo(f"project{number}")
        repo.workflow("true")
        phantom.cli("add", repo.url, "main", "--run", check=0)
        assert phantom.wait_job(repo=f"project{number}")["state"] == "success"
    assert daemon.stop() == 0
    # A section that is gone is what ends a job.
    repo = make_repo("gone")
    repo.workflow("true")
    before = (phantom.config / "Repo.toml").read_text()
    phantom.cli("add", repo.url, "main", "--run", check=0)
    phantom.write_repo_toml(before)
    phantom.start("--quiet")
    assert phantom.wait_job(repo="gone")["reason"] == "Repo.toml has no such section any more"


def test_a_job_that_is_asked_for_after_an_edit_runs_with_it(phantom, repo):
    repo.workflow("sh -c 'echo $WORD'")
    phantom.watch(repo, poll_interval="1h", env={"WORD": "0"})
    phantom.start("--quiet")
    phantom.wait_baseline()
    for number in range(1, 11):
        phantom.write_repo_toml((phantom.config / "Repo.toml").read_text().replace(f'"{number - 1}"', f'"{number}"'))
        phantom.cli("run", "app", "--branch", "main", "--detach", check=0)
        assert phantom.wait_job(id=number)["state"] == "success"
        assert phantom.log(number) == f"{number}\n".encode()


def test_a_running_daemon_takes_up_what_add_adds(phantom, repo):
    repo.workflow("true")
    daemon = phantom.start()
    phantom.cli("add", repo.url, "main", check=0)
    daemon.wait_event("branch baselined repo=app")
    sha = repo.commit_and_push()
    phantom.cli("poll", "app", check=0)
    assert phantom.wait_job(sha=sha)["state"] == "success"


@pytest.mark.demand("S11")
def test_run_takes_older_commits_of_the_branch_and_no_others(phantom, repo):
    older = repo.workflow("git rev-parse HEAD")
    repo.commit_and_push()
    stray = repo.commit_and_push(branch="stray")
    repo.delete("stray")
    phantom.watch(repo)
    assert phantom.cli("run", "app", "--sha", older, check=0).out.strip() == older
    assert phantom.cli("run", "app", "--sha", older[:8], check=0).out.strip() == older
    phantom.cli("run", "app", "--sha", stray, check=1)
    phantom.cli("run", "app", "--sha", "0" * 40, check=1)
    phantom.cli("run", "app", "--sha", "--upload-pack=x", check=1)
    phantom.cli("run", "app", "--branch", "nowhere", check=3)
    assert "did you mean \"app\"" in phantom.cli("run", "apq", check=3).err
    assert len(phantom.jobs()) == 2


def test_json_has_the_fields_and_units_that_are_documented(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    job = phantom.json("jobs")[0]
    assert {"id", "repo", "branch", "sha", "previous_sha", "subject", "author", "trigger", "state", "reason", "attempt",
            "created", "started", "finished", "steps"} <= set(job)
    assert 1_600_000_000_000 < job["created"] <= job["started"] <= job["finished"]
    assert job["steps"][0]["argv"] == ["true"] and job["steps"][0]["exit_code"] == 0
    assert phantom.json("job", "1")[0] == {**job, "notes": []}
    assert phantom.json("status")[0]["daemon"] is False


def test_filters_and_limits_of_jobs(phantom, repo):
    sha = repo.workflow("true")
    phantom.watch(repo)
    for _ in range(3):
        phantom.cli("run", "app", check=0)
    assert [job["id"] for job in phantom.json("jobs")] == [3, 2, 1]
    assert [job["id"] for job in phantom.json("jobs", "--limit", "1")] == [3]
    assert len(phantom.json("jobs", sha[:7])) == 3
    assert len(phantom.json("jobs", "success")) == 3
    assert phantom.json("jobs", "%") == [] and phantom.json("jobs", "--state", "failed") == []


def test_why_tells_the_decision_with_both_commits(phantom, repo):
    first = repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    second = repo.commit_and_push()
    phantom.wait_job(sha=second)
    out = phantom.cli("why", "app", check=0).out
    assert first in out and second in out and "queued" in out and "success" in out
    entry = phantom.json("why", "app")[0]
    assert (entry["old_sha"], entry["new_sha"], entry["kind"]) == (first, second, "queued")


@pytest.mark.demand("A3")
def test_status_is_an_exit_code(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    phantom.wait_until(lambda: phantom.repo()["last_ok"], what="a good look")
    phantom.cli("status", "--stale", "10m", check=0)
    daemon.stop()
    phantom.cli("status", check=1)
    daemon = phantom.start()
    repo.bare.rename(repo.bare.with_name("away"))
    daemon.wait_event("look failed")
    phantom.wait_until(lambda: phantom.cli("status", "--stale", "1s").returncode == 1, what="staleness")
    assert "stale: app" in phantom.cli("status", "--stale", "1s").out
    phantom.cli("status", "--stale", "soon", check=2)


def test_closed_output_is_no_crash(phantom, repo):
    repo.workflow("seq 1 100000")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    reader = subprocess.Popen(phantom.command("logs", "1"), env=phantom.env, stdout=subprocess.PIPE)
    reader.stdout.readline()
    reader.stdout.close()
    assert reader.wait(LIMIT) >= 0
