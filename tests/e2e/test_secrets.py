"""Secrets of a section: its steps get them, and nobody else sees them."""
import base64
import json
import os
import re
import signal
import sqlite3
import urllib.parse

import pytest

from env.processes import processes_of

TOKEN = "canary/4f1d9c+tok en&9"
KEY = "-----BEGIN canary-----\nMIIcanary0123456789abcdef\nfedcbacanary==\n-----END canary-----"


def forms(secret):
    """What would give it away: it, its lines, and how programs encode it."""
    found = {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), json.dumps(secret)[1:-1],
             base64.b64encode(secret.encode()).decode(),
             base64.b64encode(("x" + secret).encode()).decode()[4:-4],
             base64.b64encode(("xy" + secret).encode()).decode()[4:-4]}
    return [form.encode() for form in found | set(secret.split("\n"))]


SECRETS = forms(TOKEN) + forms(KEY)

# Every way to print them that a step has by accident, each also cut into single bytes.
PRINT = r"""
show() { "$@"; "$@" | dd bs=1 2>/dev/null; }
show printf '%s\n' "$TOKEN" "$KEY"
show env
show sh -c 'printf %s "$TOKEN" | base64'
show sh -c 'printf "user:%s" "$TOKEN" | base64 -w0'
show sh -c 'printf "x%s" "$KEY" | base64 -w0'
show sh -c 'printf %s "$KEY" | base64'
show python3 -c 'import json, os, urllib.parse as u
for s in os.environ["TOKEN"], os.environ["KEY"]: print(u.quote(s, safe=""), u.quote_plus(s), json.dumps(s))'
sh -c 'echo $0; cat /proc/$PPID/environ /proc/self/environ' "$TOKEN" >&2
printf '%s' "$TOKEN"
"""


def assert_clean(what, where):
    content = what if isinstance(what, bytes) else what.encode(errors="surrogateescape")
    for secret in SECRETS:
        assert secret not in content, f"{secret} in {where}:\n{content[-4000:]}"


def assert_files_clean(*tops):
    for top in tops:
        for path in top.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert_clean(path.read_bytes(), path)


@pytest.fixture
def secret_file(place):
    """Writes a file of secrets that lies in no directory of phantom_ci."""
    (place / "etc").mkdir()

    def write(text=None, name="ci.env", mode=0o600):
        path = place / "etc" / name
        temporary = path.with_suffix(".new")
        temporary.write_text(text if text is not None else f"TOKEN='{TOKEN}'\nKEY='{KEY}'\n")
        temporary.chmod(mode)
        temporary.rename(path)
        return str(path)
    return write


def shell(text):
    return ["sh", "-c", text]


def ready(phantom, repo, *steps, **keys):
    repo.workflow(*steps)
    phantom.watch(repo, **keys)
    daemon = phantom.start()
    phantom.wait_baseline()
    return daemon


def run(phantom, repo, *steps, check=0, **keys):
    repo.workflow(*steps)
    phantom.watch(repo, **keys)
    result = phantom.cli("run", "app", check=check)
    return result


# ------------------------------------------------------------------ who gets them

def test_steps_get_the_variables_of_env_file_and_secret_command(phantom, repo, secret_file):
    first = secret_file("A=first-of-file\nB=second-of-file\nC=third-of-file\nD=fourth-of-file\n", "first")
    second = secret_file("B=second-of-two\nC=third-of-two\nD=fourth-of-two\n", "second")
    check = ('[ "$A" = first-of-file ] && [ "$B" = second-of-two ] && [ "$C" = "third of app main" ] && '
             '[ "$D" = fourth-of-env ] && echo as wanted')
    result = run(phantom, repo, shell(check), env_file=[first, second], env={"D": "fourth-of-env"},
                 secret_command=shell('echo "C=third of $PHANTOM_CI_REPO $PHANTOM_CI_BRANCH"'))
    assert "as wanted" in result.out


def test_steps_of_another_repository_get_none_of_them(phantom, repo, make_repo, secret_file):
    other = make_repo("other")
    other.workflow(shell("env; [ -z \"$TOKEN\" ]"))
    phantom.watch(other, name="other")
    run(phantom, repo, shell('[ -n "$TOKEN" ]'), env_file=secret_file())
    phantom.cli("run", "other", check=0)


def test_a_changed_file_counts_for_the_next_job(phantom, repo, secret_file):
    path = secret_file("A=the-first-value\n")
    run(phantom, repo, shell('test "$A" = the-first-value'), env_file=path)
    repo.workflow(shell('test "$A" = the-second-value'))
    secret_file("A=the-second-value\n")
    phantom.cli("run", "app", check=0)


def test_a_credential_of_the_service_is_read_from_its_directory(phantom, repo, secret_file, place):
    secret_file(name="ci", mode=0o440)
    repo.workflow(shell("test -n \"$TOKEN\"; env | grep CREDENTIALS; printf '%s\n' \"$TOKEN\""))
    phantom.watch(repo, env_file="credential:ci")
    phantom.cli("run", "app", check=1)
    job = phantom.job(1)
    assert job["state"] == "error" and "LoadCredential=ci:PATH" in job["reason"] and job["steps"] == []
    result = phantom.cli("run", "app", check=0, env={"CREDENTIALS_DIRECTORY": str(place / "etc")})
    assert result.out.count("***") == 1 and "CREDENTIALS" not in result.out


# ---------------------------------------------------------------- who does not

@pytest.mark.demand("E1")
@pytest.mark.demand("E2")
@pytest.mark.demand("S16")
@pytest.mark.parametrize("level", ["off", "workspace"])
@pytest.mark.parametrize("end", ["success", "failed", "timeout", "canceled", "killed"])
def test_no_secret_is_seen_anywhere_but_in_the_steps(phantom, repo, receiver, secret_file, end, level, place):
    env = phantom.config / ".env"
    env.write_text(f"CUSTOM_WEBHOOK_URL={receiver.url('/x')}\n")
    env.chmod(0o600)
    last = {"success": "true", "failed": "exit 1"}.get(end, "sleep 600")
    daemon = ready(phantom, repo, shell(PRINT), f"sh -c 'printf canary/4f1d9c; {last}'", sandbox=level, grace="0",
                   timeout="10s" if end == "timeout" else "1h", env_file=secret_file(), keep="kept/")
    repo.commit_and_push()
    if end in ("canceled", "killed"):
        phantom.wait_until(lambda: len(phantom.jobs()) == 1 and len(phantom.job(1)["steps"]) == 2, what="the last step")
        assert_processes_clean(phantom, place)
        guard, worker = map(int, (phantom.state / "jobs" / "1.lock").read_text().split())
        if can_be_read(daemon.pid):
            assert_clean(memory_of(daemon.pid), "the daemon's memory")
            assert_clean(memory_of(guard), "the memory of the job's guard")
            assert TOKEN.encode() in memory_of(worker), "or nothing is proved by that"
        if end == "canceled":
            phantom.cli("cancel", "1", check=0)
        else:
            os.kill(guard, signal.SIGKILL)  # the other way round it would be gone by now
            os.kill(worker, signal.SIGKILL)
    state = phantom.wait_job(id=1)["state"]
    assert state == {"killed": "interrupted"}.get(end, end)
    assert phantom.log(1).count(b"***") > 20 or end == "timeout"
    phantom.wait_until(lambda: any(r.json()["kind"] in ("finished", "interrupted") for r in receiver.requests),
                       what="the message of the end")
    assert_everything_clean(phantom, place, receiver, daemon)


def regions_of(pid):
    """[(begin, end)] of what a process may write."""
    with open(f"/proc/{pid}/maps") as maps:
        return [tuple(int(part, 16) for part in line.split()[0].split("-"))
                for line in maps if "rw" in line.split()[1] and "[v" not in line]


def memory_of(pid):
    """All that a process has written into its memory."""
    content = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end in regions_of(pid):
            try:
                memory.seek(begin)
                content.append(memory.read(end - begin))
            except OSError:
                pass
    return b"".join(content)


def can_be_read(pid):
    """As root, and without a sanitizer, which reserves terabytes for itself."""
    return os.geteuid() == 0 and sum(end - begin for begin, end in regions_of(pid)) < 1 << 30


def assert_processes_clean(phantom, place):
    """The steps' own processes hold them, and no other."""
    for pid, _ in processes_of(place):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read()
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        assert_clean(command, f"arguments of {pid}")
        if not command.startswith((b"sh\0", b"sleep\0")):
            assert_clean(environment, f"environment of {command}")


def assert_everything_clean(phantom, place, receiver, daemon):
    backup = place / "backup"
    for command in (["job", "1"], ["job", "1", "--json"], ["jobs", "--json"], ["repo", "--json"], ["why", "app"],
                    ["logs", "1"], ["logs", "1", "--raw"], ["logs", "1", "--timestamps"], ["status", "--json"],
                    ["doctor", "--offline"], ["check"], ["notify", "list", "--json"], ["sandbox", "app"],
                    ["sandbox", "app", "--", "env"], ["backup", str(backup), "--logs"]):
        result = phantom.cli(*command)
        assert_clean(result.stdout + result.stderr, command)
    assert_clean(daemon.text(), "the daemon's output")
    for request in receiver.requests:
        assert_clean(request.body, "a message")
    phantom.stop_all()
    assert_clean(backup.read_bytes(), backup)
    assert_files_clean(phantom.state, phantom.cache, phantom.home, phantom.config)
    with sqlite3.connect(phantom.state / "state.db") as database:
        assert_clean("\n".join(database.iterdump()), "the database")
    database.close()


def test_output_in_the_foreground_and_as_it_comes_is_masked(phantom, repo, secret_file):
    result = run(phantom, repo, shell(PRINT), env_file=secret_file())
    assert_clean(result.stdout + result.stderr, "the foreground")
    assert result.stdout.count(b"***") > 20
    followed = phantom.cli("logs", "1", "-f", check=0)
    assert followed.stdout == phantom.log(1)


def test_a_retry_has_the_secrets_and_tells_none(phantom, repo, secret_file):
    run(phantom, repo, shell('printf "%s\\n" "$TOKEN"; exit 3'), check=1, env_file=secret_file())
    phantom.start()
    phantom.cli("retry", "1", check=0)
    assert phantom.wait_job(id=2)["state"] == "failed"
    assert phantom.log(2) == b"***\n"
    assert_clean(json.dumps(phantom.jobs()), "jobs")


def test_a_secret_in_the_words_of_a_step_is_masked_in_its_job(phantom, repo, secret_file):
    run(phantom, repo, [TOKEN, f"--token={TOKEN}"], check=1, env_file=secret_file())
    job = phantom.job(1)
    assert_clean(json.dumps(job), "the job")
    assert job["steps"][0]["argv"] == ["***", "--token=***"]
    assert job["steps"][0]["reason"].startswith("no such file: ***")
    assert job["reason"].startswith("step 0 (*** --token=***)") or "no such file: ***" in job["reason"]


def test_a_secret_in_the_name_of_a_process_that_is_left_is_masked_in_the_note(phantom, repo, secret_file):
    leave = ('cp "$(command -v sleep)" "$NAME"; ./"$NAME" 600 >/dev/null & '
             'until grep -q "$NAME" /proc/$!/comm; do sleep 0.01; done')
    result = run(phantom, repo, shell(leave), env_file=secret_file("NAME=canary-name\n"))
    assert "left 1 process behind (***), killed" in result.out
    assert "canary-name" not in result.out + phantom.cli("job", "1").out


@pytest.mark.demand("E2")
def test_a_value_too_short_to_hide_is_named_and_leaves_the_log_as_it_is(phantom, repo, secret_file):
    path = secret_file("PIN=1\nEMPTY=\nTOKEN=long-enough\n")
    result = run(phantom, repo, shell("echo 1 2 1; echo $TOKEN"), env_file=path)
    assert "1 2 1\n***\n" in result.out
    assert re.search(r"not hidden in the log.*: PIN;", result.out)
    assert "PIN" in phantom.cli("job", "1").out


def test_what_is_no_secret_comes_without_delay(phantom, repo, secret_file, place):
    repo.workflow(shell(f"printf 'Password: 50%%'; while [ ! -e {place}/go ]; do sleep 0.05; done; printf ' canary/'"))
    phantom.watch(repo, env_file=secret_file())
    phantom.start()
    phantom.wait_baseline()
    repo.commit_and_push()
    phantom.wait_until(lambda: phantom.jobs() and phantom.cli("logs", "1").stdout == b"Password: 50%",
                       what="the prompt in the log")
    (place / "go").touch()
    assert phantom.wait_job()["state"] == "success"
    assert phantom.log(1) == b"Password: 50% canary/"


def test_the_places_of_steps_in_the_log_are_true(phantom, repo, secret_file):
    run(phantom, repo, shell('printf "%s" "$TOKEN"'), shell('echo "two $TOKEN"; printf canary'), "echo three",
        env_file=secret_file())
    assert [phantom.cli("logs", "1", "--step", str(number)).stdout.strip() for number in range(3)] == [
        b"***", b"two ***\ncanary", b"three"]


# ----------------------------------------------------------------- what is refused

@pytest.mark.parametrize("text, mode, reason", [
    (None, 0o640, r"ci\.env: holds secrets and may be read by others \(mode 640\); mend it with: chmod 600"),
    (None, 0o606, r"ci\.env: holds secrets and may be read by others"),
    ("TOKEN=canary-value\ncanary value\n", 0o600, r"ci\.env:2:8: expected \"=\" after the key"),
    ("TOKEN=canary-value\nTOKEN=canary-value\n", 0o600, r"ci\.env:2:1: .*line 1"),
    ("PHANTOM_CI_SHA=canary-value\n", 0o600, r"ci\.env:1:1: .*PHANTOM_CI"),
])
def test_a_file_that_can_t_be_trusted_or_read_ends_the_job_before_any_step(phantom, repo, secret_file, text, mode,
                                                                           reason):
    run(phantom, repo, shell("touch /ran"), check=1, env_file=secret_file(text, mode=mode))
    job = phantom.job(1)
    assert job["state"] == "error" and job["steps"] == []
    assert re.search(reason, job["reason"]) and "no step was run" in job["reason"]
    assert "canary" not in json.dumps(job).replace("canary value", "")


def test_a_file_that_is_not_there_or_of_another_user_ends_the_job(phantom, repo, secret_file):
    path = secret_file()
    run(phantom, repo, "true", check=1, env_file=path + "x")
    assert re.search(r"ci\.envx: is not there; make it", phantom.job(1)["reason"])
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        os.rename(path, path + "x")
        phantom.cli("run", "app", check=1)
        assert re.search(r"belongs to user 12345.*mend it with: chown 0 ", phantom.job(2)["reason"])


def test_a_file_is_not_waited_for(phantom, repo, place):
    (place / "etc").mkdir()
    os.mkfifo(place / "etc" / "fifo", 0o600)
    run(phantom, repo, "true", check=1, env_file=str(place / "etc" / "fifo"))
    assert "is not a regular file" in phantom.job(1)["reason"]


# ------------------------------------------------------------------- the command

@pytest.mark.parametrize("script, reason", [
    ("echo TOKEN=canary; echo 'no such entry' >&2; exit 2", r"secret_command \(sh\) failed: exit 2: no such entry$"),
    ("echo TOKEN=canary; kill -9 $$", r"secret_command \(sh\) failed: killed by SIGKILL"),
    ("echo TOKEN: canary", r"secret_command:1:6: expected \"=\" after the key"),
    ("sleep 600", r"secret_command \(sh\) did not end within 1s and was killed"),
])
def test_a_command_that_fails_ends_the_job_before_any_step(phantom, repo, script, reason):
    keys = {"secret_timeout": "1s"} if "sleep" in script else {}
    run(phantom, repo, shell("touch /ran"), check=1, secret_command=shell(script), **keys)
    job = phantom.job(1)
    assert job["state"] == "error" and job["steps"] == []
    assert re.search(reason, job["reason"]) and "canary" not in json.dumps(job)


def test_a_command_that_hangs_is_ended_by_cancel_with_all_that_it_started(phantom, repo, place):
    hang = f"setsid sleep 600 & touch {place}/hangs; sleep 600"
    ready(phantom, repo, "true", secret_command=shell(hang))
    repo.commit_and_push()
    phantom.wait_until(lambda: (place / "hangs").exists(), what="the command")
    phantom.cli("cancel", "1", check=0)
    assert phantom.wait_job()["state"] == "canceled"
    phantom.wait_until(lambda: not any("sleep" in command for _, command in phantom.job_processes()),
                       what="the end of what it started")


def test_a_command_has_the_user_s_home_and_no_terminal(phantom, repo):
    wanted = '[ "$HOME" ] && [ "$(pwd)" = / ] && ! read -r line && [ "$PHANTOM_CI_JOB" = 1 ] && echo TOKEN=as-wanted'
    result = run(phantom, repo, shell('[ "$TOKEN" = as-wanted ] && echo "$TOKEN"'), secret_command=shell(wanted),
                 sandbox="strict")
    assert "***\n" in result.out


# ------------------------------------------------------------------------- cores

def test_steps_with_secrets_write_no_core(phantom, repo, secret_file):
    result = run(phantom, repo, shell("ulimit -c; ulimit -Hc"), env_file=secret_file())
    assert result.out.count("0\n") >= 2
