"""Steps in a sandbox see and change what their section allows, as root and as an ordinary user."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from env.phantom import programs
from env.site import old_kernel_runner, shell

LEVELS = ["workspace", "strict"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_step_writes_its_workspace_and_its_temporary_directory_alone(site, level):
    result = site.run(level, shell(
        'touch here && touch "$TMPDIR/there" && touch /tmp/anywhere && echo written; '
        'for path in /usr/x /etc/x /var/lib/x /x /usr/bin/env; do touch $path 2>/dev/null && echo "wrote $path"; done; '
        'true'))
    assert "written\n" in result.out
    assert "wrote" not in result.out
    assert not pathlib.Path("/usr/x").exists() and not pathlib.Path("/x").exists()
    assert not pathlib.Path("/tmp/anywhere").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_keys_and_directories_of_phantom_ci_are_out_of_sight(site, level):
    phantom = site.phantom
    other = site.make_repo("other")
    other.workflow(shell("echo other > secret"))
    phantom.watch(other, name="other")
    site.own()
    phantom.cli("run", "other", check=0)
    wanted = [phantom.home / ".ssh/key", phantom.home / ".gnupg/key", phantom.home / ".netrc",
              phantom.config / "Repo.toml", phantom.state / "state.db",
              phantom.cache / "workspaces/other/main/secret"]
    assert all(path.exists() for path in wanted)
    result = site.run(level, shell("; ".join(f"cat {path} && echo seen {path}" for path in wanted) + "; true"))
    assert "seen" not in result.out and "secret\n" not in result.out


@pytest.mark.parametrize("level", LEVELS)
def test_files_with_secrets_of_all_sections_are_out_of_sight(site, level):
    phantom = site.phantom
    files = [site.home_file(name) for name in ("own.env", "other.env", "other-key")]
    other = site.make_repo("other")
    phantom.watch(other, name="other", env_file=str(files[1]), ssh_key_path=str(files[2]))
    script = "; ".join(f"echo $(cat {path} 2>/dev/null | wc -c) bytes" for path in [*files, phantom.home / "notes"])
    result = site.run(level, shell(f"{script}; echo A is ${{#A}} long"), env_file=str(files[0]),
                      readable=[str(phantom.home)])
    assert result.out.splitlines()[-5:] == ["0 bytes"] * 3 + ["6 bytes", "A is 17 long"]


@pytest.mark.demand("S17")
def test_a_step_without_a_sandbox_can_t_read_the_memory_of_the_job_s_process(site):
    script = ("for name in mem environ maps fd/0; do head -c 1 /proc/$PPID/$name >/dev/null 2>&1 && echo read $name; "
              "done; grep -c . /proc/$PPID/cmdline; true")
    assert "read" in site.run("off", shell(script)).out
    path = site.home_file("own.env")
    site.phantom.write_repo_toml("")
    result = site.run("off", shell(script), env_file=str(path))
    assert "1\n" in result.out
    if site.uid or os.geteuid() != 0:
        assert "read" not in result.out, "root alone reads everything"


@pytest.mark.parametrize("level", LEVELS)
def test_git_knows_the_history_in_a_step_and_cannot_change_the_mirror(site, level):
    site.repo.commit({"a": "1"}, "the first one")
    site.repo.git("tag", "v1")
    site.repo.git("push", "-q", "origin", "v1")
    out = site.run(level, "git describe --tags", "git log --format=%s", "git status --porcelain",
                   shell("objects=$(cat .git/objects/info/alternates); touch $objects/x $objects/pack/x; "
                         "git commit -q --allow-empty -m local && git log -1 --format=%s; ls $objects/../config; true"),
                   env={"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}).out
    assert out.startswith("v1-1-g") and "\nthe first one\n" in out and "\nlocal\n" in out
    assert out.count("Read-only file system") == 2 and "config: No such file" in out.replace("'", "")


def test_strict_shows_nothing_of_the_home_and_workspace_shows_the_rest_of_it(site):
    notes = site.phantom.home / "notes"
    assert "notes\n" in site.run("workspace", f"cat {notes}").out
    result = site.phantom.cli("run", "app", check=0)
    assert result.returncode == 0
    site.phantom.write_repo_toml("")
    assert "notes\n" not in site.run("strict", shell(f"cat {notes}; ls -a ~; true")).out


@pytest.mark.parametrize("level", LEVELS)
def test_writable_and_readable_paths_are_granted(site, level):
    www = site.directory / "www"
    www.mkdir()
    if site.uid:
        os.chown(www, site.uid, site.uid)
    known = site.phantom.home / ".ssh" / "known_hosts"
    known.write_text("host key\n")
    result = site.run(level, shell(f"echo page > {www}/index.html; cat {known}; cat {known.parent}/key; true"),
                      writable=[str(www)], readable=[str(known)])
    assert (www / "index.html").read_text() == "page\n"
    assert "host key\n" in result.out and "secret" not in result.out


def test_a_writable_path_of_phantom_ci_itself_ends_the_job_before_any_step(site):
    result = site.run("workspace", shell("echo ran"), check=1, writable=[str(site.phantom.state)])
    job = site.phantom.job(1)
    assert job["state"] == "error" and job["steps"] == []
    assert "writable names" in job["reason"] and "ran\n" not in result.out


@pytest.mark.parametrize("level", LEVELS)
def test_no_capability_and_no_other_process_is_left_to_a_step(site, level):
    result = site.run(level, shell("grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; "
                                   "ls -d /proc/[0-9]* | wc -l"))
    assert "CapEff:\t0000000000000000" in result.out and "CapBnd:\t0000000000000000" in result.out
    assert "NoNewPrivs:\t1" in result.out
    assert int(result.out.split()[-1] if result.out.split()[-1].isdigit() else
               [word for word in result.out.split() if word.isdigit()][-1]) < 8


class Listener:
    """Accepts connections on a port of this machine and on an abstract name."""

    def __init__(self, directory):
        self.name = directory.name
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0" + self.name)
        self.abstract.listen()

    def close(self):
        self.tcp.close()
        self.abstract.close()


def landlock_version():
    number = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset, to ask for the version
    return max(number, 0)


CONNECT = """
import socket, sys
def attempt(what, family, address):
    try:
        with socket.socket(family) as client:
            client.settimeout(10)
            client.connect(address)
        print("reached", what)
    except OSError as failure:
        print("refused", what, failure)
attempt("tcp", socket.AF_INET, ("127.0.0.1", int(sys.argv[1])))
attempt("abstract", socket.AF_UNIX, "\\0" + sys.argv[2])
"""


@pytest.mark.parametrize("level,network,expected", [("workspace", True, True), ("workspace", False, False),
                                                    ("strict", None, False), ("strict", True, True)])
def test_the_network_is_what_the_section_says(site, level, network, expected):
    listener = Listener(site.directory)
    try:
        site.repo.write({"connect.py": CONNECT})
        keys = {} if network is None else {"network": network}
        result = site.run(level, f"/usr/bin/python3 connect.py {listener.port} {listener.name}", **keys)
    finally:
        listener.close()
    assert ("reached tcp" in result.out) == expected
    # With the host's network its abstract sockets are held off by Landlock (version 6, Linux 6.12) alone.
    if not expected or landlock_version() >= 6:
        assert "refused abstract" in result.out


@pytest.mark.parametrize("level", ["off", *LEVELS])
def test_the_end_of_a_step_is_told_as_it_was(site, level):
    cases = [(["sh", "-c", "exit 3"], "exit 3"), (["sh", "-c", "kill -SEGV $$"], "SIGSEGV"),
             (["sh", "-c", "kill -KILL $$"], "SIGKILL"), (["no-such-program"], "no-such-program"),
             (["./README"], "README")]
    site.repo.write({"README": "no program\n"})
    phantom = site.phantom
    site.watch(level, *[step for step, _ in cases][:1])
    for number, (step, words) in enumerate(cases, start=1):
        site.repo.workflow(step)
        site.own()
        phantom.cli("run", "app", check=1)
        job = phantom.job(number)
        assert job["state"] == "failed" and words in job["reason"], job


@pytest.mark.parametrize("level", LEVELS)
def test_output_comes_byte_for_byte_and_in_order(site, level):
    site.repo.write({"write.py": "import os, sys\nfor i in range(20000):\n"
                                 "    os.write(1 + i % 2, b'%d \\xff\\n' % i)\n"})
    site.run(level, "/usr/bin/python3 write.py")
    assert site.phantom.log(1) == b"".join(b"%d \xff\n" % i for i in range(20000))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("end", ["timeout", "cancel"])
def test_a_step_gets_its_grace_and_nothing_of_it_survives(site, level, end):
    phantom = site.phantom
    site.watch(level, shell("trap 'echo told; exit 0' TERM; (trap '' TERM; setsid sleep 1000) & "
                            "echo begun; while :; do sleep 0.05; done"),
               timeout="4s" if end == "timeout" else "1h", grace="3s")
    phantom.start()
    phantom.wait_baseline()
    sha = site.repo.commit_and_push()
    site.own()
    phantom.wait_until(lambda: phantom.jobs(sha=sha) and b"begun" in phantom.cli(
        "logs", str(phantom.jobs(sha=sha)[0]["id"])).stdout, what="the step")
    if end == "cancel":
        phantom.cli("cancel", phantom.jobs(sha=sha)[0]["id"], check=0)
    job = phantom.wait_job(sha=sha)
    assert job["state"] == {"timeout": "timeout", "cancel": "canceled"}[end]
    assert b"told\n" in phantom.log(job["id"])


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_step_leaves_is_ended_and_named(site, level):
    result = site.run(level, shell("setsid sleep 1000 & sleep 1000 & sleep 0.2; echo done"))
    assert "left 2 processes behind (" in result.out and "sleep" in result.out


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("victim", ["phantom_ci-job", "phantom_ci-sandbox", "bwrap"])
def test_a_kill_of_any_part_leaves_no_process_behind(site, level, victim):
    phantom = site.phantom
    site.watch(level, shell("setsid sleep 1000 & echo begun; sleep 1000"))
    phantom.start()
    phantom.wait_baseline()
    sha = site.repo.commit_and_push()
    site.own()
    phantom.wait_until(lambda: phantom.jobs(sha=sha) and b"begun" in phantom.cli(
        "logs", str(phantom.jobs(sha=sha)[0]["id"])).stdout, what="the step")
    for pid, command in phantom.job_processes():
        if command and os.path.basename(command.split()[0] if isinstance(command, str) else command[0]) == victim:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    job = phantom.wait_job(sha=sha)
    assert job["state"] in ("interrupted", "failed", "error")
    phantom.wait_until(lambda: not phantom.job_processes(), what="the end of all processes of the job")


def test_without_bubblewrap_no_step_runs_and_the_mend_is_named(site):
    if not shutil.which("unshare") or os.geteuid() != 0:
        pytest.skip("needs to hide bwrap from the job, as root")
    site.watch("workspace", shell("echo ran"))
    command = site.phantom.command("run", "app")
    hide = "; ".join(f"test ! -e {path} || mount --bind /dev/null {path}"
                     for path in ("/usr/bin/bwrap", "/usr/local/bin/bwrap"))
    result = subprocess.run(["unshare", "-m", "sh", "-c", hide + '; exec "$@"', "sh", *command], env=site.phantom.env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                            cwd=site.phantom.home, check=False)
    assert b"ran\n" not in result.stdout
    job = site.phantom.job(1)
    assert job["state"] == "error" and job["steps"] == []
    assert "bubblewrap is missing" in job["reason"] and "apt install bubblewrap" in job["reason"]


@pytest.mark.parametrize("level", LEVELS)
def test_without_user_namespaces_no_step_runs_and_the_reason_is_named(site, level):
    """The old kernel is simulated: a seccomp filter that the job inherits refuses new namespaces."""
    site.watch(level, shell("echo ran"))
    site.own()
    filtered = [old_kernel_runner(), *site.phantom.command("run", "app")]
    result = subprocess.run(filtered, env=site.phantom.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=60, cwd=site.phantom.home, check=False)
    assert b"ran\n" not in result.stdout
    job = site.phantom.job(1)
    assert job["state"] in ("error", "failed"), job
    assert "the sandbox could not be made" in job["reason"], job


def test_the_first_process_of_a_sandbox_refuses_to_be_any_other(tmp_path):
    """It signals everybody, which outside of a sandbox would be everybody of this user."""
    (tmp_path / "file").touch()
    helper = str(programs() / "src" / "phantom_ci-sandbox")
    bystander = subprocess.Popen(["sleep", "100"])
    try:
        result = subprocess.run(["sh", "-c", 'exec "$0" -- true 3>"$1" 4<"$1" 5<"$1"', helper, str(tmp_path / "file")],
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert result.returncode == 2 and b"started by phantom_ci-job, not by hand" in result.stderr
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_denied_path_is_named_with_the_key_that_allows_it(site):
    site.run("workspace", shell("touch /usr/share/x"), check=1)
    reason = site.phantom.job(1)["reason"]
    assert 'denies /usr/share/x; writable = ["/usr/share/x"]' in reason


def test_the_command_sandbox_explains_and_tries_what_steps_get(site):
    phantom = site.phantom
    site.watch("workspace", "true", network=False)
    text = phantom.cli("sandbox", "app", check=0).out
    assert 'sandbox = "workspace"' in text and f"{phantom.home}/.ssh " in text and "hidden" in text
    operations = phantom.json("sandbox", "app")["operations"]
    assert {"operation": "hide-directory", "path": str(phantom.home / ".ssh"),
            "why": "keys, tokens, histories"} in operations
    assert any(op["operation"] == "no-network" for op in operations)
    tried = phantom.cli("sandbox", "app", "--", "sh", "-c", f"touch /usr/x; ls {phantom.home}/.ssh; pwd; exit 7", check=7)
    assert "Read-only file system" in tried.out and "key" not in tried.out
    assert str(phantom.cache / "workspaces/app/main") in tried.out
    assert phantom.cli("sandbox", "app", "--", "no-such-program", check=127).err
    phantom.cli("sandbox", "nope", check=3)
    assert phantom.jobs() == []


def test_strict_refuses_what_could_lead_out(site):
    site.repo.write({"try.py": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    print(name, "worked" if result == 0 else os.strerror(ctypes.get_errno()))
attempt("unshare", 0x10000000)                      # CLONE_NEWUSER
attempt("mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("ptrace", 16, 1, 0, 0)                      # PTRACE_ATTACH to the first process
attempt("chroot", b"/tmp")
attempt("setns", 0, 0)
for number, name in ((321, "bpf"), (250, "keyctl"), (298, "perf_event_open"), (323, "userfaultfd"),
                     (425, "io_uring_setup"), (310, "process_vm_readv")):
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    print(name, "worked" if result >= 0 else os.strerror(ctypes.get_errno()))
"""})
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    out = site.run("strict", "/usr/bin/python3 try.py").out
    lines = [line for line in out.splitlines() if line.split()[0] in (
        "unshare", "mount", "ptrace", "chroot", "setns", "bpf", "keyctl", "perf_event_open", "userfaultfd",
        "io_uring_setup", "process_vm_readv")]
    assert len(lines) == 11
    assert all(line.endswith("Operation not permitted") for line in lines), lines
