"""phantom_ci doctor: each fault has its line and its mend, and looking changes nothing."""
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from env.receiver import Receiver
from env.terminal import run_on_terminal
from env.waiting import LIMIT, wait_until

STATUSES = {"ok", "info", "warn", "fail", "skipped"}
MARK = re.compile(r"^(ok|info|warn|FAIL|skipped) +([a-z-]+) +\S")


def findings(phantom, *args, **options):
    result = phantom.cli("doctor", "--json", *args, **options)
    return result.returncode, json.loads(result.out)


def picked(found, **wanted):
    return [f for f in found if all(f[key] == value for key, value in wanted.items())]


def the_failure(phantom, check, *args, **options):
    """The only failure that there is: of this check, with a mend, and exit code 1."""
    code, found = findings(phantom, *args, **options)
    failures = picked(found, status="fail")
    assert code == 1, failures
    assert [f["check"] for f in failures] == [check], failures
    assert failures[0]["mend"], failures
    return failures[0]


def picture(*directories):
    """{path: what it is}, contents and times included; access times are not."""
    seen = {}
    for directory in directories:
        for path in [directory, *directory.rglob("*")]:
            if path.is_symlink() or path.exists():
                s = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(s.st_mode) else None
                seen[str(path)] = (s.st_mode, s.st_ino, s.st_nlink, s.st_mtime_ns, s.st_ctime_ns, content)
    return seen


@pytest.fixture
def installation(phantom, repo):
    """A daemon that has run one job over a path on this machine, and was stopped."""
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    repo.commit_and_push()
    phantom.wait_job(state="success")
    daemon.stop()
    return phantom


def test_on_a_fresh_machine_nothing_fails_and_nothing_is_made(place, phantom):
    home = place / "fresh"
    home.mkdir(mode=0o700)
    env = {**phantom.env, "HOME": str(home)}
    result = subprocess.run([phantom.command()[0], "doctor"], env=env, stdin=subprocess.DEVNULL, cwd=home,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    out = result.stdout.decode()
    assert result.returncode == 0, out + result.stderr.decode()
    assert "will be made" in out and "phantom_ci add URL BRANCH" in out
    assert list(home.iterdir()) == []
    assert result.stderr == b""


def test_every_line_has_its_mark_and_every_trouble_its_mend(installation):
    out = installation.cli("doctor", check=0).out
    *lines, summary = out.splitlines()
    assert all(MARK.match(line) for line in lines), out
    assert all("to mend it: " in line for line in lines if line.startswith(("warn", "FAIL"))), out
    assert summary.startswith(f"{len(lines)} findings: 0 failures"), summary


def test_json_has_the_same_findings_as_the_lines(installation):
    code, found = findings(installation)
    assert code == 0
    assert all(set(f) == {"check", "status", "subject", "detail", "mend"} for f in found)
    assert {f["status"] for f in found} <= STATUSES
    lines = [line.split() for line in installation.cli("doctor").out.splitlines()[:-1]]
    assert [(line[0].lower(), line[1]) for line in lines] == [(f["status"], f["check"]) for f in found]


def test_looking_changes_nothing(installation):
    phantom = installation
    before = picture(phantom.config, phantom.state, phantom.cache, phantom.home)
    phantom.cli("doctor", check=0)
    assert picture(phantom.config, phantom.state, phantom.cache, phantom.home) == before


def test_looking_beside_a_working_daemon_disturbs_nothing(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    for _ in range(5):
        code, found = findings(phantom)
        assert code == 0, picked(found, status="fail")
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert [f["detail"] for f in picked(found, check="daemon")] == ["is running"]
    assert picked(found, check="looks")[0]["status"] == "ok"
    assert daemon.is_alive() and "warn" not in daemon.text()


def test_remotes_of_every_kind_are_reached_and_told(phantom, make_repo, http, ssh):
    ssh.trust()
    repos = {name: make_repo(name) for name in ("local", "web", "shell")}
    for repo in repos.values():
        repo.workflow("true")
    phantom.watch(repos["local"], name="local")
    phantom.watch(http.url("web"), name="web")
    phantom.watch(ssh.url(repos["shell"].url), name="shell", ssh_key_path=ssh.key)
    code, found = findings(phantom)
    assert code == 0, picked(found, status="fail")
    remotes = {f["subject"]: f for f in picked(found, check="remote")}
    assert set(remotes) == set(repos)
    for name, repo in repos.items():
        assert remotes[name]["status"] == "ok"
        assert f"main {repo.head()[:10]}" in remotes[name]["detail"], remotes[name]
    assert ssh.fingerprint("host_a") in picked(found, check="host-key", status="ok")[0]["detail"]
    assert picked(found, check="ssh-key", status="ok")[0]["subject"] == ssh.key


def test_a_name_picks_the_remotes_that_are_asked(phantom, make_repo):
    for name in ("one", "two"):
        repo = make_repo(name)
        repo.workflow("true")
        phantom.watch(repo, name=name)
    code, found = findings(phantom, "two")
    assert code == 0
    assert [f["subject"] for f in picked(found, check="remote")] == ["two"]
    result = phantom.cli("doctor", "tow", check=3)
    assert 'did you mean "two"' in result.err and result.out == ""


def test_the_workflow_is_looked_for_where_the_mirror_knows_the_tip(installation, repo):
    code, found = findings(installation)
    assert [f["status"] for f in picked(found, check="workflow")] == ["ok"]
    before = picture(installation.cache)
    repo.git("rm", "-q", "workflow/main.toml")
    sha = repo.commit_and_push()
    _, found = findings(installation)
    assert picked(found, check="workflow") == [], "the mirror does not know this commit, and nobody fetched it"
    assert picture(installation.cache) == before
    installation.start()
    installation.wait_job(sha=sha)
    code, found = findings(installation)
    warning = picked(found, check="workflow")[0]
    assert code == 0 and warning["status"] == "warn" and "workflow/main.toml" in warning["mend"]


# ------------------------------------------------------------------ faults


def test_an_env_file_that_others_may_read_fails(installation):
    path = installation.config / ".env"
    path.write_text("DISCORD_WEBHOOK_URL=https://discord.example/canary\n")
    path.chmod(0o644)
    failure = the_failure(installation, "env-file")
    assert failure["mend"] == f"chmod 600 {path}" or failure["mend"] == f"chmod 600 '{path}'"
    assert "0644" in failure["detail"]
    subprocess.run(failure["mend"], shell=True, check=True)
    assert not [f for f in findings(installation)[1] if f["check"] == "env-file" and f["status"] == "fail"]
    assert "canary" not in installation.cli("doctor").out


def test_secrets_of_sections_are_read_and_told_without_their_values(phantom, repo, place):
    secrets = place / "ci.env"
    secrets.write_text("TOKEN=canary-of-doctor\nPIN=1234\n")
    secrets.chmod(0o600)
    repo.workflow("true")
    phantom.watch(repo, env_file=[str(secrets), "credential:ci"], secret_command=["sh", "-c", f"touch {place}/asked"])
    code, found = findings(phantom)
    told = picked(found, check="secrets")
    assert [f["status"] for f in told] == ["ok", "warn", "skipped", "info"], told
    assert told[0]["detail"].startswith("2 variables") and told[1]["detail"].endswith("PIN")
    assert code == 0 and not (place / "asked").exists()
    secrets.chmod(0o644)
    failure = the_failure(phantom, "secrets")
    assert failure["detail"].endswith("may be read by others (mode 644)") and failure["mend"].startswith("chmod 600")
    secrets.write_text("TOKEN=canary-of-doctor\nPIN canary-of-doctor\n")
    secrets.chmod(0o600)
    failure = the_failure(phantom, "secrets")
    assert failure["subject"] == f"{secrets}:2:5"
    phantom.write_repo_toml("")
    secrets.write_text("")
    phantom.watch(repo, secret_command=["no-such-program"])
    assert the_failure(phantom, "secrets")["detail"] == "secret_command: no program no-such-program"
    assert "canary" not in json.dumps(found) + "".join(phantom.errors)


def test_each_webhook_is_reached_without_a_message_and_without_its_secret(installation, place):
    receiver = Receiver(place, name="hook")
    path = installation.config / ".env"
    path.write_text(f"SLACK_WEBHOOK_URL={receiver.url('/canary')}\nCUSTOM_WEBHOOK_URL=http://127.0.0.1:1/canary\n")
    path.chmod(0o600)
    hooks = {f["subject"].split(" ")[0]: f for f in findings(installation)[1] if f["check"] == "webhook"}
    assert hooks["slack"]["status"] == "ok"
    assert hooks["custom"]["status"] == "fail" and hooks["custom"]["mend"]
    assert [(request.method, request.path) for request in receiver.requests] == [("HEAD", "/")]
    assert "canary" not in json.dumps(hooks)
    offline = [f for f in findings(installation, "--offline")[1] if f["check"] == "webhook"]
    assert {f["status"] for f in offline} == {"skipped"} and len(receiver.requests) == 1
    receiver.stop()


def test_a_mistake_in_env_is_named_by_line_and_column(installation):
    path = installation.config / ".env"
    path.write_text("SLACK_WEBHOK_URL=https://hooks.example/canary\n")
    path.chmod(0o600)
    failure = the_failure(installation, "webhook")
    assert failure["subject"].endswith(".env:1:1") and "SLACK_WEBHOOK_URL" in failure["detail"]


@pytest.mark.demand("S7")
@pytest.mark.demand("S24")
@pytest.mark.parametrize("what", ["config", "state", "cache"])
def test_a_directory_that_a_group_may_write_fails_and_the_mend_mends_it(installation, what):
    path = getattr(installation, what)
    path.chmod(0o770)
    failure = the_failure(installation, "directory")
    assert failure["subject"] == str(path)
    subprocess.run(failure["mend"], shell=True, check=True)
    assert findings(installation)[0] == 0


def test_a_directory_above_that_everybody_may_write_fails(installation, place):
    place.chmod(0o777)
    try:
        code, found = findings(installation)
        failures = picked(found, status="fail")
        assert code == 1 and {f["subject"] for f in failures} == {str(place)}
        place.chmod(0o1777)
        assert findings(installation)[0] == 0, "with the sticky bit it is as safe as /tmp"
    finally:
        place.chmod(0o700)


def test_a_link_in_place_of_the_state_directory_fails(installation):
    elsewhere = installation.directory / "elsewhere"
    installation.state.rename(elsewhere)
    installation.state.symlink_to(elsewhere)
    code, found = findings(installation)
    assert code == 1
    assert "a link" in picked(found, check="directory", status="fail")[0]["detail"]


@pytest.mark.demand("D6")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_state_directory_of_another_user_fails_and_names_both(installation):
    os.chown(installation.state, 12345, 12345)
    code, found = findings(installation)
    os.chown(installation.state, 0, 0)
    failure = picked(found, check="directory", status="fail")[0]
    assert code == 1 and "12345" in failure["detail"] and "user 0" in failure["detail"]


@pytest.mark.demand("D6")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("where", ["state/looks", "state/logs/1", "cache/mirrors/*.git"])
def test_what_a_run_as_another_user_left_fails_and_names_that_user(installation, where):
    path = next(iter(installation.directory.glob(where)))
    os.chown(path, 12345, 12345)
    failure = the_failure(installation, "contents")
    assert failure["subject"] == str(path.parent) and "12345" in failure["detail"] and "chown" in failure["mend"]


@pytest.mark.demand("S24")
def test_a_link_planted_in_the_state_directory_fails_and_is_not_followed(installation):
    (installation.state / "logs" / "99").symlink_to("/etc")
    failure = the_failure(installation, "contents")
    assert "99" in failure["detail"]
    subprocess.run(failure["mend"].split("then: ")[1], shell=True, check=True)
    assert findings(installation)[0] == 0 and os.path.exists("/etc/passwd")


def test_errors_of_the_configuration_are_failures_with_their_places(phantom):
    phantom.write_repo_toml('[app]\npath = "/srv/app"\nintervall = "1m"\n\n[other]\npath = 3\n')
    code, found = findings(phantom)
    failures = picked(found, status="fail")
    assert code == 1 and {f["check"] for f in failures} == {"config"}
    assert [f["subject"] for f in failures] == [f"{phantom.config}/Repo.toml:3:1", f"{phantom.config}/Repo.toml:6:8"]
    assert picked(found, check="remote")[0]["status"] == "skipped"


def test_a_configuration_that_others_may_write_fails_with_the_command(installation):
    (installation.config / "Repo.toml").chmod(0o666)
    failure = the_failure(installation, "config")
    assert failure["mend"].startswith("chmod go-w ")


def test_a_missing_branch_fails(installation, repo):
    repo.push("other")
    repo.git("symbolic-ref", "HEAD", "refs/heads/other", cwd=repo.bare)
    repo.delete("main")
    failure = the_failure(installation, "branch")
    assert '"main"' in failure["detail"] and "Repo.toml" in failure["mend"]


def test_a_glob_that_matches_no_branch_is_a_warning(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo, branch="release/*")
    code, found = findings(phantom)
    assert code == 0 and picked(found, check="remote")[0]["status"] == "warn"


def test_a_path_that_is_not_there_fails(phantom, place):
    phantom.watch(str(place / "nothing.git"))
    failure = the_failure(phantom, "remote")
    assert "No such file" in failure["detail"] and "Repo.toml" in failure["mend"]


def test_a_host_where_nothing_listens_fails(phantom):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        phantom.watch(f"http://127.0.0.1:{probe.getsockname()[1]}/app.git")
        failure = the_failure(phantom, "remote")
    assert "nothing listens there" in failure["mend"]


@pytest.mark.demand("A12")
def test_a_remote_that_asks_for_a_password_fails_at_once_and_asks_nobody(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", area="auth"))
    code, shown, seconds = run_on_terminal(phantom.command("doctor"), phantom.env)
    assert code == 1 and seconds < 10
    assert re.search(r"FAIL +remote +app:.*to mend it: .*credential helper", shown), shown


@pytest.mark.demand("A13")
def test_a_changed_host_key_fails_with_both_fingerprints(phantom, repo, ssh):
    repo.workflow("true")
    ssh.trust()
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    assert findings(phantom)[0] == 0
    ssh.swap_host_key()
    before = ssh.known_hosts.read_bytes()
    failure = the_failure(phantom, "remote")
    assert ssh.fingerprint("host_a") in failure["detail"] and ssh.fingerprint("host_b") in failure["detail"]
    assert "ssh-keygen -R" in failure["mend"]
    assert ssh.known_hosts.read_bytes() == before


def test_an_unknown_host_key_fails_with_its_fingerprint_and_is_not_added(phantom, repo, ssh):
    repo.workflow("true")
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    code, found = findings(phantom)
    failure = picked(found, check="host-key")[0]
    assert code == 1 and failure["status"] == "fail"
    assert ssh.fingerprint("host_a") in failure["detail"] and "accept-new" in failure["mend"]
    assert not ssh.known_hosts.exists()


def test_a_host_key_that_ssh_accepts_by_other_means_is_no_failure(phantom, repo, ssh):
    """As with KnownHostsCommand: what ssh -G names is not where the key is."""
    repo.workflow("true")
    ssh.trust()
    wrapper = phantom.directory / "sshbin" / "ssh"
    wrapper.write_text('#!/bin/sh\ncase " $* " in *" -G "*) known=/dev/null;; *) known=' + str(ssh.known_hosts) + ";; esac\n"
                       'exec /usr/bin/ssh -F none -o UserKnownHostsFile=$known "$@"\n')
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    code, found = findings(phantom)
    assert code == 0, picked(found, status="fail")
    assert picked(found, check="host-key")[0]["status"] == "info"


def test_keys_that_ssh_would_not_use_fail(phantom, repo, ssh):
    repo.workflow("true")
    ssh.trust()
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)

    def key_finding():
        return picked(findings(phantom)[1], check="ssh-key")[0]

    os.chmod(ssh.key, 0o644)
    found = key_finding()
    assert found["status"] == "fail" and "0644" in found["detail"]
    subprocess.run(found["mend"], shell=True, check=True)
    assert key_finding()["status"] == "ok"
    os.chmod(ssh.key, 0)
    found = key_finding()
    assert found["status"] == "fail" and "can't be read" in found["detail"]
    os.rename(ssh.key, ssh.key + ".away")
    assert "No such file" in key_finding()["detail"]
    os.chmod(ssh.key + ".pub", 0o600)
    os.rename(ssh.key + ".pub", ssh.key)
    assert "public half" in key_finding()["detail"]


def test_a_key_with_a_passphrase_is_a_warning(phantom, repo, ssh):
    repo.workflow("true")
    ssh.trust()
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.make_key("locked", passphrase="secret"))
    found = picked(findings(phantom)[1], check="ssh-key")[0]
    assert found["status"] == "warn" and "passphrase" in found["detail"]


def test_servers_that_never_answer_are_over_within_the_bound(phantom, hung):
    """Sixteen at a time: one after another they would take 100 s."""
    phantom.configure('look_timeout = "2s"\n')
    for i in range(50):
        phantom.watch(f"http://127.0.0.1:{hung.port}/{i}.git", name=f"hung{i}")
    begin = time.monotonic()
    code, found = findings(phantom)
    assert time.monotonic() - begin < 80
    remotes = picked(found, check="remote")
    assert code == 1 and len(picked(remotes, status="fail")) == 50
    assert all("time limit" in f["detail"] for f in picked(remotes, status="fail"))


def test_remotes_beyond_the_time_of_the_visit_are_skipped(phantom, hung):
    for i in range(20):
        phantom.watch(f"http://127.0.0.1:{hung.port}/{i}.git", name=f"hung{i}")
    begin = time.monotonic()
    code, found = findings(phantom, "--timeout", "4s")
    assert time.monotonic() - begin < LIMIT
    remotes = picked(found, check="remote")
    skipped = picked(remotes, status="skipped")
    assert code == 1 and len(remotes) == 20 and len(skipped) >= 4 and "--timeout" in skipped[0]["mend"]


def test_a_git_that_never_ends_is_killed_with_its_tree(phantom, repo, fake_git):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.configure('look_timeout = "1s"\n')
    fake_git.hang("*' ls-remote '*")
    failure = the_failure(phantom, "remote", env=fake_git.env)
    assert "time limit" in failure["detail"]


def test_checks_that_hang_are_given_up_by_name(installation, fake_git):
    """Stopped by a signal, the checks stand for a system call that does not come back."""
    fake_git.on("*' --version '*", "kill -STOP $PPID")
    result = installation.cli("doctor", "--timeout", "4s", env=fake_git.env)
    assert result.returncode == 1
    last = result.out.splitlines()[-2]
    assert last.startswith("FAIL") and "did not end within 4" in last and "fakegit/bin/git" in last


@pytest.mark.demand("S5")
def test_an_old_git_warns_and_a_too_old_one_fails(phantom, fake_git):
    def version(text):
        fake_git.rules.clear()
        fake_git.on("*' --version '*", f"echo 'git version {text}'; exit 0")
        return findings(phantom, env=fake_git.env)

    code, found = version("2.48.1")
    warning = picked(found, check="git")[0]
    assert code == 0 and warning["status"] == "warn"
    assert "2.48.2" in warning["detail"] and "unless your distribution has patched it" in warning["detail"]
    code, found = version("2.50.1")
    assert code == 0 and picked(found, check="git")[0]["status"] == "ok"
    code, found = version("2.20.1")
    assert code == 1 and "too old" in picked(found, check="git", status="fail")[0]["detail"]


def test_without_git_it_says_how_to_get_it(phantom, place):
    empty = place / "empty"
    empty.mkdir()
    code, found = findings(phantom, env={"PATH": str(empty)})
    assert code == 1 and "apt install git" in picked(found, check="git", status="fail")[0]["mend"]
    assert "apt install openssh-client" in picked(found, check="ssh", status="warn")[0]["mend"]


def test_a_job_program_of_another_version_fails(phantom, place):
    other = place / "libexec"
    other.mkdir()
    (other / "phantom_ci-job").write_text("#!/bin/sh\necho phantom_ci-job 99.0\n")
    (other / "phantom_ci-job").chmod(0o755)
    failure = the_failure(phantom, "program", env={"PHANTOM_CI_LIBEXEC_DIR": str(other)})
    assert "99.0" in failure["detail"]


def test_a_damaged_database_fails_and_stays_as_it_is(installation):
    path = installation.state / "state.db"
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 512):
        content[at:at + 64] = b"\xa5" * 64
    path.write_bytes(content)
    before = picture(installation.state)
    failure = the_failure(installation, "database")
    assert "restore it from a backup" in failure["mend"]
    assert picture(installation.state) == before


def test_a_database_of_another_program_fails(installation):
    path = installation.state / "state.db"
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("create table cake(x)")
    connection.commit()
    connection.close()
    assert "another program" in the_failure(installation, "database")["detail"]


def test_a_database_that_a_killed_daemon_left_is_read_with_its_log(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    repo.commit_and_push()
    phantom.wait_job(state="success")
    daemon.kill9()
    files = [phantom.state / name for name in ("state.db", "state.db-wal")]
    before = [path.read_bytes() for path in files]
    assert before[1], "the log holds what was not yet moved into the database"
    code, found = findings(phantom)
    assert code == 0, picked(found, status="fail")
    assert picked(found, check="jobs")[0]["detail"] == "0 queued, 0 running"
    assert [path.read_bytes() for path in files] == before
    (phantom.state / "state.db-shm").unlink()
    code, found = findings(phantom)
    warning = picked(found, check="database")[0]
    assert code == 0 and warning["status"] == "warn" and "log without its index" in warning["detail"]
    assert not (phantom.state / "state.db-shm").exists()


def test_messages_that_were_given_up_are_a_warning(installation):
    connection = sqlite3.connect(installation.state / "state.db")
    connection.execute("insert into outbox(job, repo, branch, kind, body, target, state, created, next)"
                       " values(1, 'app', 'main', 'finished', '{}', 'slack', 'given up', 1, 1)")
    connection.commit()
    connection.close()
    code, found = findings(installation)
    assert code == 0
    assert [f["status"] for f in picked(found, check="messages")] == ["warn"]


def test_times_of_the_future_fail(installation):
    connection = sqlite3.connect(installation.state / "state.db")
    connection.execute("update job set finished = ?", (int((time.time() + 3600) * 1000),))
    connection.commit()
    connection.close()
    failure = the_failure(installation, "clock")
    assert "set back" in failure["detail"]


def test_a_job_whose_process_is_gone_is_a_warning(installation):
    connection = sqlite3.connect(installation.state / "state.db")
    connection.execute("update job set state = 'running', finished = 0")
    connection.commit()
    connection.close()
    code, found = findings(installation)
    warning = picked(found, check="jobs", status="warn")[0]
    assert code == 0 and "its process is gone" in warning["detail"]


def test_a_wake_file_that_is_no_fifo_fails(installation):
    path = installation.state / "wake"
    path.unlink()
    path.write_text("")
    assert "rm " in the_failure(installation, "daemon")["mend"]


def test_what_is_paused_and_what_failed_is_told(phantom, repo, fake_git):
    repo.workflow("true")
    phantom.watch(repo, road="git")
    broken = phantom.directory / "broken"
    fake_git.fail("*' ls-remote '*", f"test -e {broken}", "fatal: the moon is in the way")
    phantom.start(env=fake_git.env)
    phantom.wait_baseline()
    phantom.cli("pause", "app", check=0)
    broken.touch()
    phantom.wait_until(lambda: phantom.repo()["failures"] >= 1, what="a failed look")
    code, found = findings(phantom)
    assert picked(found, check="paused")[0]["mend"] == "phantom_ci resume 'app'"
    warning = picked(found, check="looks")[0]
    assert code == 0 and warning["status"] == "warn" and "the moon" in warning["detail"]


@pytest.mark.demand("F1")
def test_what_could_not_be_removed_is_a_warning(installation):
    (installation.cache / "trash" / "1").mkdir(parents=True)
    _, found = findings(installation)
    assert picked(found, check="leftovers")[0]["status"] == "warn"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("size, inodes, words", [("16m", 0, "little room"), ("300m", 1100, "too few inodes")])
def test_a_disk_nearly_full_fails(phantom, size, inodes, words):
    """In a mount namespace of its own, so that nothing stays mounted."""
    phantom.state.mkdir(mode=0o700)
    fill = f"i=0; while [ $i -lt 500 ]; do : >{phantom.state}/f$i; i=$((i+1)); done; " if inodes else ""
    script = (f"mount -t tmpfs -o mode=700,size={size}{',nr_inodes=%d' % inodes if inodes else ''} none {phantom.state}"
              f" && {fill}exec \"$@\"")
    result = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                             *phantom.command("doctor", "--json")], env=phantom.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    assert result.returncode == 1, result.stderr.decode()
    failures = picked(json.loads(result.stdout), status="fail")
    assert [f["check"] for f in failures] == ["disk"] and words in failures[0]["detail"], failures


def test_less_room_than_min_free_fails_as_no_job_would_start(installation):
    installation.configure('min_free = "900T"\n')
    code, found = findings(installation)
    failures = picked(found, status="fail")
    assert code == 1 and {f["check"] for f in failures} == {"disk"} and "min_free" in failures[0]["detail"]


@pytest.mark.parametrize("option, name", [("-n", "open files"), ("-u", "processes")])
def test_limits_that_are_too_low_are_warnings(phantom, option, name):
    result = subprocess.run(["bash", "-c", f'ulimit -S {option} 100 && exec "$@"', "sh",
                             *phantom.command("doctor", "--json")], env=phantom.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    found = json.loads(result.stdout)
    assert picked(found, check="limits", subject=name)[0]["status"] == "warn", result.stderr.decode()


# ------------------------------------------------- contacts, terminals, help


class Counter:
    """Counts who connects."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.port = self.socket.getsockname()[1]
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.count += 1


def test_offline_contacts_nobody(phantom, repo):
    repo.workflow("true")
    counter = Counter()
    phantom.watch(f"http://127.0.0.1:{counter.port}/a.git", name="web")
    phantom.watch(f"ssh://me@127.0.0.1:{counter.port}/a.git", name="shell")
    phantom.watch(f"git://127.0.0.1:{counter.port}/a.git", name="old")
    phantom.watch(repo, name="local")
    trace = phantom.directory / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=execve,connect,sendto,sendmsg",
               *phantom.command("doctor", "--offline", "--json")]
    result = subprocess.run(command, env={**phantom.env, "ASAN_OPTIONS": "detect_leaks=0"}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    found = json.loads(result.stdout)
    assert result.returncode == 0, picked(found, status="fail")
    remotes = {f["subject"]: f["status"] for f in picked(found, check="remote")}
    assert remotes == {"web": "skipped", "shell": "skipped", "old": "skipped", "local": "ok"}
    calls = [line for line in trace.read_text(errors="replace").splitlines() if "AF_INET" in line]
    assert "execve" in trace.read_text(errors="replace") and calls == []
    assert counter.count == 0
    phantom.cli("doctor", "web")
    wait_until(lambda: counter.count > 0, what="the one that counts does count")
    counter.socket.close()


def test_the_program_itself_opens_no_socket(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app"))
    from test_no_socket import socket_calls, strace, traced_environment
    trace = phantom.directory / "trace"
    subprocess.run(strace(phantom, trace, "doctor"), env=traced_environment(phantom), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
    assert "execve" in trace.read_text(errors="replace")
    assert socket_calls(trace, {"phantom_ci", "phantom_ci-job"}) == []


def test_foreign_names_reach_a_terminal_without_their_escapes(phantom, repo, fake_git, place):
    repo.workflow("true")
    phantom.watch(repo)
    fake_git.on("*' ls-remote '*", "printf 'fatal: \\033]0;owned\\007\\033[31mred\\r\\n' >&2; exit 128")
    fake_git.on("*' --version '*", "printf 'git \\033[31mgreen\\n'; exit 0")
    evil = place / "e\x1b[31mvil"
    evil.mkdir()
    command = phantom.command("doctor", "--cache-dir", str(evil / "c\x9b\u202e"))
    code, shown, _ = run_on_terminal(command, {**phantom.env, **fake_git.env})
    assert code == 1 and "red" in shown and "vil" in shown and "green" in shown
    assert "\x1b" not in shown and "\x9b" not in shown and "\u202e" not in shown


def test_marks_are_coloured_on_a_terminal_alone(phantom):
    env = {key: value for key, value in phantom.env.items() if key != "NO_COLOR"}
    _, shown, _ = run_on_terminal(phantom.command("doctor"), {**env, "TERM": "xterm"})
    assert "\x1b[32mok" in shown
    assert "\x1b" not in phantom.cli("doctor", env={"NO_COLOR": "", "TERM": "xterm"}).out


@pytest.mark.parametrize("number, to_group", [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_interrupt_ends_it_and_what_it_started(phantom, hung, number, to_group):
    phantom.watch(f"http://127.0.0.1:{hung.port}/a.git")
    process = subprocess.Popen(phantom.command("doctor"), env=phantom.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: hung.connections, what="the look")
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(LIMIT) == -number
    wait_until(lambda: not phantom.processes(), what="the end of the checks, of git and its helper")


SYSTEMCTL = """#!/bin/sh
case "$*" in
"--no-ask-password --system is-active phantom_ci.service") echo active;;
"--no-ask-password --user is-active phantom_ci.service") {user};;
*) echo "unexpected: $*" >&2; exit 1;;
esac
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("user, status, words", [
    ("echo failed; exit 3", "warn", "failed"), ("echo active", "ok", "active"), ("sleep 1000", "warn", "did not end")])
def test_units_of_systemd_are_told_with_their_state(phantom, place, user, status, words):
    """Where /run/systemd/system is, in a mount namespace of its own, and with a systemctl of the test's."""
    (place / "bin").mkdir()
    (place / "bin" / "systemctl").write_text(SYSTEMCTL.format(user=user))
    (place / "bin" / "systemctl").chmod(0o755)
    unit = phantom.home / ".config" / "systemd" / "user" / "phantom_ci.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    script = ("mount -t tmpfs none /run && mkdir -p /run/systemd/system && : >/run/systemd/system/phantom_ci.service"
              ' && exec "$@"')
    env = {**phantom.env, "PATH": f"{place / 'bin'}:{phantom.env['PATH']}"}
    result = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                             *phantom.command("doctor", "--json")], env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    assert result.returncode == 0, result.stderr.decode()
    services = {f["subject"]: f for f in picked(json.loads(result.stdout), check="service")}
    assert services["/run/systemd/system/phantom_ci.service"]["status"] == "ok"
    assert services[str(unit)]["status"] == status and words in services[str(unit)]["detail"], services
