"""phantom_ci configure service: the unit, and a real systemd that runs it."""
import json
import os
import plistlib
import pwd
import re
import shutil
import subprocess

import pytest

from env.documents import MANUAL, OPERATIONS, README, commands
from env.nspawn import Machine, why_not
from env.phantom import BUILD
from env.waiting import LIMIT, wait_until

MUST_RUN = os.environ.get("PHANTOM_CI_TESTS_MUST_RUN") == "1"


def as_root():
    if os.geteuid() != 0:
        assert not MUST_RUN
        pytest.skip("the system unit is made by root")


def print_unit(phantom, *options, user="uucp"):
    return phantom.cli("configure", "service", "--print", *(["--user", user] if user else []), *options, check=0).out


def analyze(phantom, *words):
    return subprocess.run(["systemd-analyze", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT)


def verify(phantom, path):
    """What systemd has to say against the unit, but that before version 254 it does not know DelegateSubgroup."""
    said = analyze(phantom, "verify", "--man=no", str(path)).stdout.decode()
    return re.sub(r"^.*Unknown key (?:name )?'DelegateSubgroup' in section .*, ignoring\.\n", "", said, flags=re.M)


@pytest.mark.demand("O14")
def test_the_system_unit_is_valid_and_hardened(phantom):
    as_root()
    path = phantom.directory / "phantom_ci.service"
    path.write_text(print_unit(phantom))
    assert verify(phantom, path) == ""
    result = analyze(phantom, "security", "--offline=true", "--no-pager", "--threshold=25", str(path))
    assert result.returncode == 0, result.stdout.decode()[-300:]


def test_each_line_that_a_deploy_step_may_need_relaxed_says_so(phantom):
    as_root()
    text = print_unit(phantom)
    for key in ("NoNewPrivileges", "ReadWritePaths", "PrivateTmp", "PrivateDevices", "ProtectProc", "SystemCallFilter"):
        before = text[:text.index(f"\n{key}=")].rsplit("\n\n", 1)[-1]
        assert re.search(r"^# .*(Relax|Add|needs)", before, re.M), key


def test_the_daemon_and_its_jobs_survive_what_the_unit_says_about_signals(phantom):
    as_root()
    text = print_unit(phantom)
    for line in ("Type=notify", "KillMode=process", "KillSignal=SIGQUIT", "RestartKillSignal=SIGTERM", "Delegate=yes",
                 "DelegateSubgroup=phantom_ci",
                 "Restart=on-failure", "RestartPreventExitStatus=2 78", "User=uucp"):
        assert f"\n{line}\n" in text
    assert re.search(r"^WatchdogSec=", text, re.M)
    assert "\n#LoadCredential=phantom_ci.env:/etc/phantom_ci/env\n" in text
    assert "\nLoadCredential=phantom_ci.env:/srv/my.env\n" in print_unit(phantom, "--env-file", "/srv/my.env")


def test_names_of_directories_are_quoted_for_systemd(phantom, place):
    as_root()
    odd = place / "a b%c$d\"e"
    odd.mkdir()
    text = phantom.cli("configure", "service", "--print", "--user", "uucp", "--config-dir", odd / "config", check=0).out
    command = re.search(r"^ExecStart=(.*)$", text, re.M)[1]
    assert 'a b%%c$$d\\"e/config"' in command
    path = phantom.directory / "phantom_ci.service"
    path.write_text(text)
    assert verify(phantom, path) == ""


@pytest.mark.parametrize("name, why", [("line\nbreak", "control characters"), ("escape\x1b[2J", "control characters"),
                                       (b"not utf-8 \xff", "not UTF-8")])
def test_names_that_no_unit_can_hold_are_refused(phantom, place, name, why):
    as_root()
    odd = place / os.fsdecode(name)
    for format in ("systemd", "launchd"):
        result = phantom.cli("configure", "service", "--print", "--user", "uucp", "--state-dir", odd, "--format", format,
                             check=78)
        assert why in result.err and "\x1b" not in result.err and result.out == ""


@pytest.mark.parametrize("character", ["'", '"', "\\", "$"])
def test_a_program_that_systemd_would_not_start_is_refused(phantom, place, character):
    as_root()
    directory = place / f"a{character}b"
    directory.mkdir()
    shutil.copy(BUILD / "src" / "phantom_ci", directory)
    result = subprocess.run([directory / "phantom_ci", *phantom.command()[1:], "configure", "service", "--print", "--user",
                             "uucp"], env=phantom.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert result.returncode == 78 and b"systemd starts no program" in result.stderr and result.stdout == b""


def test_a_credential_is_named_as_systemd_reads_it(phantom):
    """The path of LoadCredential= is the rest of the line: no quotes, no escapes, but specifiers."""
    as_root()
    assert "\nLoadCredential=phantom_ci.env:/srv/a b%%h'\"c/env\n" in print_unit(phantom, "--env-file", "/srv/a b%h'\"c/env")
    for odd in ("/srv/ends with blank ", "/srv/joins\\"):
        phantom.cli("configure", "service", "--print", "--user", "uucp", "--env-file", odd, check=78)


def test_what_is_inserted_is_no_template(phantom, place):
    as_root()
    text = phantom.cli("configure", "service", "--print", "--user", "uucp", "--config-dir", place / "@USER@@WRITABLE@",
                       check=0).out
    assert f"--config-dir {place}/@USER@@WRITABLE@ " in text


def test_root_needs_no_home_to_make_a_service_of_another_user(phantom):
    as_root()
    program = phantom.command()[0]
    result = subprocess.run([program, "configure", "service", "--print", "--user", "uucp", "--state-dir", "/srv/state"],
                            env={"PATH": phantom.env["PATH"]}, stdout=subprocess.PIPE, check=True)
    assert b" --state-dir /srv/state\n" in result.stdout and b"HOME=/" in result.stdout


def test_the_unit_names_the_directories_that_variables_name(phantom):
    """systemd does not hand these variables on."""
    user = ["--user", "uucp"] if os.geteuid() == 0 else []
    bare = [phantom.command()[0]]
    result = subprocess.run([*bare, "configure", "service", "--print", *user], stdout=subprocess.PIPE, check=True,
                            env={**phantom.env, "PHANTOM_CI_STATE_DIR": "/srv/state", "PHANTOM_CI_CACHE_DIR": ""})
    command = re.search(r"^ExecStart=(.*)$", result.stdout.decode(), re.M)[1]
    assert command.endswith(" --state-dir /srv/state") and "--config-dir" not in command


def test_the_launchd_list_is_a_property_list(phantom):
    text = print_unit(phantom, "--format", "launchd", user="uucp" if os.geteuid() == 0 else None)
    parsed = plistlib.loads(text.encode())
    assert parsed["Label"] == "com.helloimalemur.phantom_ci"
    assert parsed["ProgramArguments"][0].endswith("/phantom_ci") and parsed["AbandonProcessGroup"] is True
    if os.geteuid() == 0:
        assert parsed["UserName"] == "uucp" and parsed["EnvironmentVariables"] == {"HOME": pwd.getpwnam("uucp").pw_dir}


def test_root_is_never_chosen_silently(phantom):
    as_root()
    result = phantom.cli("configure", "service", "--print", check=2)
    assert "useradd" in result.err
    assert "as root" in phantom.cli("configure", "service", "--print", "--user", "root", check=0).err
    missing = phantom.cli("configure", "service", "--print", "--user", "no-such-user", check=3)
    assert "useradd --create-home no-such-user" in missing.err
    phantom.cli("configure", "service", "--print", "--user", "a b;c", check=2)


def test_without_systemd_it_refuses_and_says_what_to_do(phantom):
    if os.path.isdir("/run/systemd/system"):
        assert not MUST_RUN or shutil.which("systemctl")
        pytest.skip("systemd runs here: the other test drives it")
    user = ["--user", "uucp"] if os.geteuid() == 0 else []
    result = phantom.cli("configure", "service", *user, check=1)
    assert "/run/systemd/system" in result.err and "--print" in result.err
    phantom.cli("configure", "service", "--remove", check=1)


def test_wrong_usage_is_refused(phantom):
    for words in (["configure"], ["configure", "network"], ["configure", "service", "extra"],
                  ["configure", "service", "--print", "--remove"],
                  ["configure", "service", "--print", "--format", "upstart"],
                  ["configure", "service", "--print", "--user", "uucp", "--env-file", "relative"],
                  ["configure", "service", "--print", "--format", "launchd", "--env-file", "/x"]):
        phantom.cli(*words, check=2)
    assert "--env-file" in phantom.cli("configure", "service", "--help", check=0).out


# ------------------------------------------------------------------------------------------------------- a real systemd


@pytest.fixture
def machine(place):
    reason = why_not()
    if reason:
        assert not MUST_RUN, reason
        pytest.skip(reason)
    machine = Machine(place)
    machine.shell("useradd --create-home --shell /bin/sh builder")
    machine.shell("""
        git init -q --bare --initial-branch=main app.git
        git init -q --initial-branch=main app; cd app; git remote add origin ../app.git
        git config user.name Ada; git config user.email ada@example.org
        mkdir workflow""", user="builder")
    yield machine
    machine.stop()


def push(machine, *steps):
    text = "".join(f"[{number}]\nrun = '''{step}'''\n" for number, step in enumerate(steps))
    machine.shell(f"""cd /home/builder/app; cat > workflow/main.toml <<'END'
{text}END
        git add -A; git commit -q --allow-empty -m change; git push -q origin main""", user="builder")
    return machine.shell("git -C /home/builder/app rev-parse HEAD", user="builder").strip()


def jobs(machine):
    return json.loads(machine.run("phantom_ci", "jobs", "--json", "--limit", "0", user="builder").out)


def wait_job(machine, sha, state):
    def find():
        return next((job for job in jobs(machine) if job["sha"] == sha and job["state"] == state), None)
    try:
        return wait_until(find, what=f"a job of {sha} in state {state}")
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{jobs(machine)}\n{machine.journal()}") from None


@pytest.mark.slow
@pytest.mark.demand("O14")
@pytest.mark.demand("C5")
def test_a_real_systemd_installs_runs_restarts_stops_and_removes_the_service(machine):
    push(machine, "true")
    machine.run("phantom_ci", "add", "/home/builder/app.git", "main", "--name", "app", user="builder")
    machine.shell("sed -i 's/^target_branch.*/&\\npoll_interval = \"1s\"/' ~/.config/phantom_ci/Repo.toml", user="builder")

    # A mask is not written over, and above all not written through.
    machine.run("systemctl", "mask", "phantom_ci")
    for words in (["--user", "builder", "--force"], ["--remove"]):
        assert "systemctl unmask" in machine.run("phantom_ci", "configure", "service", *words, check=1).err
    assert machine.shell("stat -c %F,%t,%T /dev/null") == "character special file,1,3\n"
    machine.run("systemctl", "unmask", "phantom_ci")
    said = machine.run("phantom_ci", "configure", "service", "--user", "builder", "--now").out
    assert "/etc/systemd/system/phantom_ci.service" in said
    assert machine.property("ActiveState") == "active" and machine.property("SubState") == "running"
    wait_until(lambda: "branch baselined" in machine.journal(), what="the first look")

    # A job runs as the user, in the hardened unit.
    sha = push(machine, "sh -c 'id -un; touch /etc/x && echo wrote; cat /proc/self/status | grep NoNewPrivs'")
    job = wait_job(machine, sha, "success")
    log = machine.run("phantom_ci", "logs", job["id"], user="builder").out
    assert "builder" in log and "wrote" not in log and "NoNewPrivs:\t1" in log

    # Messages leave the hardened unit: phantom_ci-net can confine itself in it.
    machine.shell("""cat > /root/receiver.py <<'END'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("/root/received", "ab").write(body + b"\\n")
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
END
        systemd-run --quiet --unit=receiver /usr/bin/python3 /root/receiver.py""")
    # Their receiver is a credential: a file of root's, which no step can read.
    machine.shell("umask 077; echo CUSTOM_WEBHOOK_URL=http://127.0.0.1:8080/hook > /root/secrets.env")
    machine.run("phantom_ci", "configure", "service", "--user", "builder", "--env-file", "/root/secrets.env", "--now")
    wait_job(machine, push(machine, "true"), "success")
    wait_until(lambda: '"finished"' in machine.shell("cat /root/received || true"), what="the message")

    # A restart during a job: it goes on, is adopted, and is neither lost nor doubled.
    sha = push(machine, "sh -c 'echo begun; until test -e /home/builder/gate; do sleep 0.1; done; echo ended'")
    job = wait_job(machine, sha, "running")
    wait_until(lambda: "begun" in machine.run("phantom_ci", "logs", job["id"], user="builder").out, what="the step")
    before = machine.property("MainPID")
    machine.run("systemctl", "restart", "phantom_ci")
    assert machine.property("MainPID") != before
    wait_until(lambda: "job adopted" in machine.journal(), what="the adoption")
    machine.shell("mkdir -p ~/.cache; touch ~/gate", user="builder")
    wait_job(machine, sha, "success")
    assert machine.run("phantom_ci", "logs", job["id"], user="builder").out == "begun\nended\n"
    assert len([one for one in jobs(machine) if one["sha"] == sha]) == 1

    # Reload, and a crash that systemd mends.
    machine.run("systemctl", "reload", "phantom_ci")
    wait_until(lambda: "config reloaded" in machine.journal(), what="the reload")
    pid = machine.property("MainPID")
    machine.run("systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", "phantom_ci")
    wait_until(lambda: machine.property("MainPID") not in ("0", pid) and machine.property("ActiveState") == "active",
               60, "the restart after a crash")

    # A stop ends the job with everything that it started.
    machine.shell("rm ~/gate", user="builder")
    sha = push(machine, "sh -c 'setsid sleep 12345 & sleep 12345'")
    wait_job(machine, sha, "running")
    wait_until(lambda: machine.run("pgrep", "-fc", "sleep 12345", check=None).out.strip() not in ("", "0", "1"), what="the step")
    machine.run("systemctl", "stop", "phantom_ci")
    assert machine.property("Result") == "success" and machine.property("ActiveState") == "inactive"
    assert machine.run("pgrep", "-f", "^sleep 12345", check=1).out == ""
    assert next(one for one in jobs(machine) if one["sha"] == sha)["state"] == "interrupted"

    # An edit by hand is kept; the same order again changes nothing.
    machine.run("phantom_ci", "configure", "service", "--user", "builder", "--now")
    machine.shell("echo '# mine' >> /etc/systemd/system/phantom_ci.service")
    assert "changed by hand" in machine.run("phantom_ci", "configure", "service", "--user", "builder", check=1).err
    machine.run("phantom_ci", "configure", "service", "--user", "builder", "--force")

    # A user can't stop what root runs for it: reset says how, and has removed nothing.
    refused = machine.run("phantom_ci", "reset", "--yes", user="builder", check=1)
    assert "sudo systemctl stop phantom_ci" in refused.err
    assert machine.shell("ls ~/.cache/phantom_ci/mirrors", user="builder")
    assert machine.property("ActiveState") == "active"

    # And away with it.
    assert "--now" in machine.run("phantom_ci", "configure", "service", "--remove", check=1).err
    machine.run("phantom_ci", "configure", "service", "--remove", "--now")
    assert machine.property("LoadState") == "not-found"
    assert machine.run("pgrep", "-f", "phantom_ci", check=1).out == ""

    # reset stops its own service and starts it again.
    assert "will run as root" in machine.run("phantom_ci", "configure", "service", "--user", "root", "--now").err
    pid = machine.property("MainPID")
    out = machine.run("phantom_ci", "reset", "--yes").out
    assert "stopping the service" in out and "the service runs again" in out
    assert machine.property("ActiveState") == "active" and machine.property("MainPID") not in ("0", pid)


def said_until(process, last):
    """The lines that it prints before this one."""
    lines = []
    for line in process.stdout:
        if line == last:
            return lines
        lines.append(line)
    raise AssertionError(f"it ended with {process.wait(LIMIT)} and never said {last}: {lines}")


@pytest.mark.slow
def test_a_reset_that_does_not_get_through_leaves_no_service_stopped_without_a_word(machine):
    """Interrupted, failed, and where the service does not start again."""
    push(machine, "true")
    machine.run("phantom_ci", "add", "/home/builder/app.git", "main", "--name", "app", "--sandbox", "off",
                user="builder")  # its step looks into the cache of phantom_ci
    machine.shell("sed -i 's/^target_branch.*/&\\npoll_interval = \"1s\"/' ~/.config/phantom_ci/Repo.toml", user="builder")
    machine.shell("mkdir -p .config/phantom_ci; cp /home/builder/.config/phantom_ci/Repo.toml .config/phantom_ci/; "
                  "chmod -R go= .config; git config --global safe.directory '*'")
    machine.run("phantom_ci", "configure", "service", "--user", "root", "--now")

    def all_jobs():
        return json.loads(machine.run("phantom_ci", "jobs", "--json", "--limit", "0").out)

    # Interrupted while it waits for a job: the service was told to stop, and runs again.
    wait_until(lambda: "branch baselined" in machine.journal(), what="the first look")
    push(machine, "sh -c 'until test -e /root/gate; do sleep 0.1; done; ls -d /root/.cache/phantom_ci/mirrors'")
    wait_until(lambda: any(job["state"] == "running" for job in all_jobs()), what="the job")
    before = machine.property("MainPID")
    reset = machine.start("phantom_ci", "reset", "--yes")
    assert b"stopping the service\n" in said_until(reset, b"waiting for job 1 of app\n")
    machine.run("pkill", "-INT", "-f", "phantom_ci reset")
    out, err = reset.communicate(timeout=LIMIT)
    assert reset.returncode == 1 and err == b"phantom_ci: interrupted by SIGINT\nphantom_ci: nothing was removed\n"
    assert out == b"the service runs again\n"
    assert machine.property("ActiveState") == "active" and machine.property("MainPID") not in ("0", before)
    wait_until(lambda: "job adopted" in machine.journal(), what="the adoption")
    machine.shell("touch gate")
    wait_until(lambda: [job["state"] for job in all_jobs()] == ["success"], what="the end of the job")

    # A removal that fails.
    failed = machine.run("env", "PHANTOM_CI_FAULT=reset.remove:2:EIO", "phantom_ci", "reset", "--yes", check=1)
    assert "still there, as a whole or in part: workspaces" in failed.err and "the service runs again" in failed.out
    assert machine.property("ActiveState") == "active"

    # A service that does not come up again.
    machine.shell("sed -i 's,^ExecStart=.*,ExecStart=/bin/false,' /etc/systemd/system/phantom_ci.service; "
                  "systemctl daemon-reload")
    failed = machine.run("phantom_ci", "reset", "--yes", check=1)
    assert "the service is stopped; start it with: systemctl start phantom_ci" in failed.err
    assert "\nreset\n" not in failed.out and machine.property("MainPID") == "0"
    assert not machine.shell("ls .cache/phantom_ci")
    machine.run("systemctl", "reset-failed", "phantom_ci")


@pytest.mark.slow
def test_a_real_systemd_reads_odd_names_as_they_are(machine):
    odd = "/srv/a b%c$d\"e\\f'g"
    program = "/opt/p q%r/phantom_ci"
    machine.run("sh", "-ec", """
        cd; mkdir -p "$(dirname "$2")"; cp /usr/local/bin/phantom_ci /usr/local/libexec/phantom_ci/* "$(dirname "$2")"
        install -d -o builder "$1"; umask 077; echo CUSTOM_WEBHOOK_URL=http://127.0.0.1:9/ > "/root/se crets%h'.env"
        # Nobody is ever asked for a password.
        umask 022; mkdir strict; cat > strict/systemctl <<'END'
#!/bin/sh
case " $* " in *" --no-ask-password "*) exec /usr/bin/systemctl "$@" ;; esac
exit 99
END
        chmod 755 strict/systemctl""", "sh", odd, program)
    directories = [word for kind in ("config", "state", "cache") for word in (f"--{kind}-dir", f"{odd}/{kind}")]

    def configure(*words, check=0):
        return machine.run("env", "PATH=/root/strict:/usr/sbin:/usr/bin:/sbin:/bin", program, "configure", "service", *words,
                           *directories, check=check)
    missing = configure("--user", "builder", "--env-file", "/root/no such file", check=3)
    assert "/root/no such file" in missing.err
    machine.shell("chmod 644 /root/se*")
    assert "chmod 600 '/root/se crets" in configure("--user", "builder", "--env-file", "/root/se crets%h'.env", check=1).err
    machine.shell("chmod 600 /root/se*; chmod 700 /opt/p*")
    assert f"builder can't execute {program}" in configure("--user", "builder", check=1).err
    machine.shell("chmod 755 /opt/p*")
    configure("--user", "builder", "--env-file", "/root/se crets%h'.env", "--now")
    assert machine.property("ActiveState") == "active"
    assert machine.run("cat", "/run/credentials/phantom_ci.service/phantom_ci.env").out.startswith("CUSTOM_WEBHOOK_URL=")
    status = machine.run(program, "status", *directories, user="builder")
    assert "running" in status.out
    push(machine, "true")
    machine.run(program, "add", "/home/builder/app.git", "main", "--name", "app", "--run", *directories, user="builder")

    def states():
        return [job["state"] for job in json.loads(machine.run(program, "jobs", "--json", *directories, user="builder").out)]
    try:
        wait_until(lambda: states() == ["success"], what="the job")
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{states()}\n{machine.journal()}") from None
    configure("--remove", "--now")


@pytest.mark.slow
def test_a_credential_of_the_service_reaches_the_steps_that_ask_for_it(machine):
    machine.run("phantom_ci", "configure", "service", "--user", "builder")
    machine.shell("""umask 077; echo TOKEN=canary-of-root > /root/app.env
        umask 022; mkdir /etc/systemd/system/phantom_ci.service.d
        printf '[Service]\nLoadCredential=app.env:/root/app.env\n' > /etc/systemd/system/phantom_ci.service.d/override.conf
        systemctl daemon-reload""")
    push(machine, "true")
    machine.run("phantom_ci", "add", "/home/builder/app.git", "main", "--name", "app", user="builder")
    machine.shell("""sed -i 's/^target_branch.*/&\\npoll_interval = "1s"\\nenv_file = "credential:app.env"/' \\
        ~/.config/phantom_ci/Repo.toml""", user="builder")
    machine.run("systemctl", "start", "phantom_ci")
    wait_until(lambda: "branch baselined" in machine.journal(), what="the first look")
    sha = push(machine, "sh -c 'cat /run/credentials/*/* && exit 1; test \"$TOKEN\" = canary-of-root && echo $TOKEN'")
    job = wait_job(machine, sha, "success")
    assert machine.run("phantom_ci", "logs", job["id"], user="builder").out.endswith("\n***\n")
    assert "canary" not in machine.journal()


@pytest.mark.slow
def test_a_user_has_a_service_of_its_own_systemd(machine):
    """Install, run, restart during a job, stop during a job, remove."""
    def configure(*words, check=0):
        return machine.run("phantom_ci", "configure", "service", *words, user="builder", check=check)

    def property(name):
        return machine.property(name, user="builder")
    refused = configure("--now", check=1)
    assert "loginctl enable-linger" in refused.err
    assert machine.run("test", "-e", "/home/builder/.config/systemd/user/phantom_ci.service", check=1)
    machine.start_session("builder")
    assert "--user is for the system service" in configure("--user", "builder", check=2).err
    push(machine, "true")
    machine.run("phantom_ci", "add", "/home/builder/app.git", "main", "--name", "app", user="builder")
    machine.shell("sed -i 's/^target_branch.*/&\\npoll_interval = \"1s\"/' ~/.config/phantom_ci/Repo.toml", user="builder")
    assert "/home/builder/.config/systemd/user/phantom_ci.service" in configure("--now").out
    assert property("ActiveState") == "active"
    wait_until(lambda: machine.run("phantom_ci", "repo", "--json", user="builder").out.count('"tip": "'), 30, "the first look")

    sha = push(machine, "sh -c 'until test -e ~/gate; do sleep 0.1; done; id -un'")
    job = wait_job(machine, sha, "running")
    before = property("MainPID")
    machine.run("systemctl", "--user", "restart", "phantom_ci", user="builder")
    assert property("MainPID") not in ("0", before)
    machine.shell("touch gate", user="builder")
    wait_job(machine, sha, "success")
    assert machine.run("phantom_ci", "logs", job["id"], user="builder").out == "builder\n"

    # reset stops it and starts it again, without root.
    before = property("MainPID")
    assert "the service runs again" in machine.run("phantom_ci", "reset", "--yes", user="builder").out
    assert property("MainPID") not in ("0", before)

    sha = push(machine, "sh -c 'setsid sleep 12345 & sleep 12345'")
    wait_job(machine, sha, "running")
    wait_until(lambda: machine.run("pgrep", "-fc", "^sleep 12345", check=None).out.strip() == "2", what="the step")
    machine.run("systemctl", "--user", "stop", "phantom_ci", user="builder")
    assert property("Result") == "success" and property("ActiveState") == "inactive"
    assert machine.run("pgrep", "-f", "^sleep 12345", check=1).out == ""
    assert next(one for one in jobs(machine) if one["sha"] == sha)["state"] == "interrupted"
    configure("--remove", "--now")
    assert property("LoadState") == "not-found"


@pytest.mark.slow
def test_what_the_documentation_tells_root_to_type_runs(machine):
    removing = "phantom_ci configure service --remove --now"
    ran = []
    for page in (README, OPERATIONS, *MANUAL):
        # What ninja uninstalls is Meson's to know.
        typed = [command for is_root, command in commands(page) if is_root and command != "ninja -C build uninstall"]
        if removing not in typed:
            typed += [removing] if typed else []
        for command in typed:
            if command == removing:
                assert machine.property("ActiveState") == "active" and machine.property("User") == "ci", page
            machine.shell(command)
        if typed:
            assert machine.property("LoadState") == "not-found"
            machine.shell("userdel --remove ci")
        ran += typed
    assert len(ran) >= 7 and ran.count(removing) == 3
