"""phantom_ci opens no socket: not as a command, not as the daemon, not as phantom_ci-job."""
import os
import re
import socket
import subprocess

import pytest

from env.waiting import LIMIT

CALLS = "socket,socketpair,bind,listen,connect,accept,accept4,sendto,sendmsg"


def socket_calls(trace, programs):
    """Lines of strace that are socket calls of these programs, told apart by their last execve."""
    names, found = {}, []
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(.*)", line)
        if not match:
            continue
        pid, call = match.groups()
        execve = re.match(r'execve\("([^"]+)".* = 0$', call)
        fork = re.match(r"(?:clone3?|fork|vfork)\(.* = (\d+)$", call)
        if execve:
            names[pid] = os.path.basename(execve.group(1))
        elif fork:
            names.setdefault(fork.group(1), names.get(pid))
        elif re.match(rf"({CALLS.replace(',', '|')})\(", call) and names.get(pid) in programs:
            found.append(line)
    return found


def traced_environment(phantom):
    """The leak checker can't work under another tracer."""
    return {**phantom.env, "ASAN_OPTIONS": "detect_leaks=0"}


def strace(phantom, trace, *args):
    return ["strace", "-f", "-qq", "-s", "200", "-o", str(trace), "-e", f"trace=execve,clone,clone3,fork,vfork,{CALLS}",
            *phantom.command(*args)]


def test_no_command_makes_a_socket_call(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    trace = phantom.directory / "trace"
    commands = [["help"], ["version"], ["repo"], ["repo", "--json"], ["jobs"], ["jobs", "--json"], ["job", "1"],
                ["logs"], ["logs", "1"], ["why", "app"], ["status"], ["check"], ["gc"], ["poll", "app"], ["pause", "app"],
                ["resume", "app"], ["retry", "1"], ["cancel", "2"], ["run", "app"], ["run", "app", "--detach"],
                ["add", repo.url, "main", "--name", "second"], ["remove", "second"]]
    for command in commands:
        subprocess.run(strace(phantom, trace, *command), env=traced_environment(phantom), stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
        assert trace.exists()
        assert socket_calls(trace, {"phantom_ci", "phantom_ci-job"}) == [], command


def test_the_daemon_and_its_jobs_make_no_socket_call_but_to_the_service_manager(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    trace = phantom.directory / "trace"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(phantom.directory / "notify"))
        manager.settimeout(20)
        env = {**traced_environment(phantom), "NOTIFY_SOCKET": str(phantom.directory / "notify"), "WATCHDOG_USEC": "400000"}
        daemon = subprocess.Popen(strace(phantom, trace), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        assert manager.recv(1000) == b"READY=1"
        phantom.wait_baseline()
        job = phantom.wait_job(sha=repo.commit_and_push())
        assert job["state"] == "success"
        (phantom.config / "Repo.toml").touch()
        received = {manager.recv(1000) for _ in range(3)}
        assert b"WATCHDOG=1" in received
        pid = next(pid for pid, command in phantom.processes() if command.startswith(phantom.command()[0]))
        os.kill(pid, 15)
        while manager.recv(1000) != b"STOPPING=1":
            pass
        assert daemon.wait(LIMIT) == 0
    calls = socket_calls(trace, {"phantom_ci", "phantom_ci-job"})
    assert calls, "the notifications are there, so the trace works"
    for line in calls:
        assert "AF_UNIX, SOCK_DGRAM" in line or ("sendto(" in line and "/notify" in line), line


NETWORK_LIBRARIES = ("curl", "ssl", "crypto", "gnutls", "gio", "git2", "nghttp", "resolv")


def libraries_of(phantom, program):
    path = os.path.join(os.path.dirname(phantom.command()[0]), program)
    return subprocess.run(["ldd", path], check=True, stdout=subprocess.PIPE).stdout.decode()


@pytest.mark.parametrize("program", ["phantom_ci", "phantom_ci-job", "phantom_ci-ssh"])
def test_no_network_library_is_linked(phantom, program):
    out = libraries_of(phantom, program)
    assert "libglib" in out
    for name in NETWORK_LIBRARIES:
        assert f"lib{name}" not in out, out


def test_phantom_ci_net_alone_links_them(phantom):
    out = libraries_of(phantom, "phantom_ci-net")
    assert "libcurl" in out and "libglib" in out
    assert "libsqlite" not in out and "libgio" not in out, "and it knows nothing of the store"
