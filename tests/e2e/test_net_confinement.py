"""phantom_ci-net, taken over by somebody: what it tries is refused. And done without the confinement it works, so that
these tests can fail."""
import ctypes
import errno
import os
import random
import re
import socket
import subprocess
import sys
import time

import pytest

from env import receiver as replies
from env.net import NET, Net, clean_environment
from env.waiting import LIMIT, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the confinement is Linux's")

SECCOMP = {
    "write": errno.EPERM, "append": errno.EPERM, "empty": errno.EPERM, "truncate": errno.EPERM, "create": errno.EPERM,
    "rename": errno.EPERM, "link": errno.EPERM, "symlink": errno.EPERM, "mkdir": errno.EPERM, "mkfifo": errno.EPERM,
    "unlink": errno.EPERM, "chmod": errno.EPERM, "exec": errno.EPERM, "fork": errno.EPERM, "fork-exec": errno.EPERM,
    "bind": errno.EPERM, "listen": errno.EPERM, "unix": errno.EPERM, "kill": errno.EPERM, "ptrace": errno.EPERM,
    "netlink": errno.EPERM, "memfd": errno.EPERM, "undump": errno.EPERM,
}
LANDLOCK = {"read": errno.EACCES, "list": errno.EACCES}


def landlock_version():
    libc = ctypes.CDLL(None, use_errno=True)
    return max(libc.syscall(444, None, 0, 1), 0)


@pytest.fixture
def victim(place):
    """What each act is done to; `act` needs it in this shape."""
    place.chmod(0o755)
    sockets = []

    def make(act):
        path = place / "victim"
        if act == "list":
            path.mkdir()
        elif act == "unix":
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[0].bind(str(path))
            sockets[0].listen(1)
        else:
            path.write_text("#!/bin/sh\nexit 0\n")
            path.chmod(0o755)
        return path
    yield make
    for one in sockets:
        one.close()


def attempt(place, act, path, *args, wrapper=(), env=None):
    """0 when it worked, else the errno."""
    result = subprocess.run([*wrapper, NET, "--attempt", act, "--attempt-path", str(path), *args], cwd=place,
                            env=clean_environment(place, **(env or {})), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    result.check = (act, result.stderr)
    return result


def snapshot(place):
    return sorted((entry.name, entry.lstat().st_mode, entry.lstat().st_size) for entry in place.iterdir())


@pytest.mark.parametrize("role", [(), ("--looks",)], ids=["messages", "looks"])
@pytest.mark.parametrize("act", [*SECCOMP, *LANDLOCK])
def test_each_act_of_an_intruder_is_refused_and_would_work_without_the_confinement(place, victim, act, role):
    if act in LANDLOCK and not landlock_version():
        pytest.skip("this kernel has no Landlock")
    path = victim(act)
    before = snapshot(place)
    refused = attempt(place, act, path, *role)
    assert errno.errorcode.get(refused.returncode) == errno.errorcode[{**SECCOMP, **LANDLOCK}[act]], refused.check
    assert snapshot(place) == before, "nothing has changed"
    works = attempt(place, act, path, "--unconfined", *role)
    assert works.returncode == 0, works.check


def test_it_is_not_open_to_debuggers_and_core_files_even_before_its_confinement(place):
    assert attempt(place, "dumpable", place, "--unconfined").returncode == errno.ESRCH


def test_an_unknown_act_is_told_from_a_refused_one(place):
    assert attempt(place, "nonsense", place).returncode == 255


def test_what_name_resolution_and_tls_read_can_be_read(place):
    assert attempt(place, "read", "/etc/passwd").returncode == 0
    assert attempt(place, "read", "/dev/urandom").returncode == 0
    assert attempt(place, "list", "/etc").returncode == 0


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_DIR"])
def test_only_the_named_authorities_can_be_read_beside_the_systems_files(place, variable):
    if not landlock_version():
        pytest.skip("this kernel has no Landlock")
    named = place / "named"
    named.mkdir()
    (named / "ca.pem").write_text("x")
    (place / "other.pem").write_text("x")
    value = named if variable == "SSL_CERT_DIR" else named / "ca.pem"
    assert attempt(place, "read", named / "ca.pem", env={variable: str(value)}).returncode == 0
    assert attempt(place, "read", place / "other.pem", env={variable: str(value)}).returncode == errno.EACCES
    assert attempt(place, "write", named / "ca.pem", env={variable: str(value)}).returncode == errno.EPERM


@pytest.mark.parametrize("named_by", ["GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "--readable"])
def test_looks_can_read_only_the_authorities_that_git_would(place, named_by):
    if not landlock_version():
        pytest.skip("this kernel has no Landlock")
    for name in ("named", "other", "of_messages"):
        (place / name).mkdir()
        (place / name / "ca.pem").write_text("x")
    value = place / "named" if named_by == "GIT_SSL_CAPATH" else place / "named" / "ca.pem"
    env = {"SSL_CERT_FILE": str(place / "of_messages" / "ca.pem")}
    args = ["--looks", "--readable", str(value), "--readable", str(place / "absent")]
    if named_by != "--readable":
        env[named_by] = str(value)
        args = ["--looks"]
    for name, expected in (("named", 0), ("other", errno.EACCES), ("of_messages", errno.EACCES)):
        assert attempt(place, "read", place / name / "ca.pem", *args, env=env).returncode == expected, name
    assert attempt(place, "write", place / "named" / "ca.pem", *args, env=env).returncode == errno.EPERM


def strace(log, *inject):
    return ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={inject[0].split(':')[0]}",
            *(word for fault in inject for word in ("-e", f"inject={fault}"))]


def test_without_seccomp_it_does_not_run(place):
    """A kernel that takes no filter, as strace plays it."""
    result = attempt(place, "kill", place, wrapper=strace(place / "log", "seccomp:error=EINVAL"),
                     env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert result.returncode == 1, result.check
    assert b"takes no seccomp filter" in result.stderr and b"does not run without one" in result.stderr


@pytest.mark.parametrize("error", ["ENOSYS", "EOPNOTSUPP"])
def test_without_landlock_it_says_so_once_and_goes_on_with_seccomp(place, receiver, error):
    wrapper = strace(place / "log", f"landlock_create_ruleset:error={error}")
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    (place / "victim").write_text("x")
    result = attempt(place, "write", place / "victim", wrapper=wrapper, env=env)
    assert result.returncode == errno.EPERM
    assert result.stderr.count(b"no Landlock") == 1 and result.stderr.count(b"\n") == 1
    net = Net(place, wrapper=wrapper, env=env)
    assert net.ask(receiver.url()).status == 200
    assert net.stop() == 0


@pytest.mark.parametrize("version", range(1, 7))
def test_an_older_landlock_is_asked_only_for_what_it_knows(place, version):
    """strace answers the question for the version; the kernel behind it is the real one."""
    real = landlock_version()
    if real < version:
        pytest.skip(f"this kernel has Landlock version {real}")
    log = place / "log"
    victim = place / "victim"
    victim.write_text("x")
    wrapper = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=landlock_create_ruleset", "-e",
               f"inject=landlock_create_ruleset:retval={version}:when=1"]
    result = attempt(place, "read", victim, wrapper=wrapper, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert result.returncode == errno.EACCES, result.check
    rules = log.read_text()
    # A strace that is older than the kernel shows what it does not know as one number.
    unknown = sum(int(number, 16) for number in re.findall(r"\|(0x[0-9a-f]+)", rules))
    for word, bit, since in (("REFER", 1 << 13, 2), ("TRUNCATE", 1 << 14, 3), ("IOCTL_DEV", 1 << 15, 5)):
        asked = f"LANDLOCK_ACCESS_FS_{word}" in rules or bool(unknown & bit)
        assert asked == (version >= since), rules
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    assert f", {size}, 0)" in rules, "the struct as that version knew it"


def test_a_landlock_that_breaks_half_way_is_an_error(place):
    wrapper = strace(place / "log", "landlock_restrict_self:error=E2BIG")
    result = attempt(place, "kill", place, wrapper=wrapper, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert result.returncode == 1 and b"Landlock does not take its rules" in result.stderr


def test_the_work_itself_meets_no_refused_call_but_the_known_ones(place, make_receiver):
    """Calls that are refused while requests are served over http and https, with a name to resolve, would be the
    beginnings of a mystery on another day."""
    plain, tls = make_receiver(), make_receiver(tls=True)
    log = place / "log"
    net = Net(place, wrapper=["strace", "-f", "-qq", "-o", str(log)],
              env={"SSL_CERT_FILE": tls.ca, "ASAN_OPTIONS": "detect_leaks=0"})
    for url in (plain.url(host="localhost"), tls.url(host="localhost")):
        assert net.ask(url).status == 200
    plain.script(replies.reset())
    assert net.ask(plain.url()).outcome == "unreachable"
    assert net.stop() == 0
    work = log.read_text().rpartition("SECCOMP_SET_MODE_FILTER")[2]
    assert "connect(" in work
    # The resolver asks for services behind sockets (nscd) and for addresses of this machine; it does without both.
    known = re.compile(r"socket\((AF_UNIX|AF_NETLINK)|clone3\(|<\.\.\. (socket|clone3) resumed>")
    refused = [line for line in work.splitlines()
               if re.search(r"= -1 (EPERM|EACCES|ENOSYS) ", line) and not known.search(line)]
    assert refused == []


def test_a_silent_name_server_does_not_hold_up_the_other_requests(place, receiver):
    """A resolver that hangs in its thread; the thread must be left alone, not waited for. The server is an
    address of this machine where somebody listens and never answers; a mount namespace makes it the one that is asked."""
    address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{random.randrange(1, 255)}"
    resolv = place / "resolv.conf"
    resolv.write_text(f"nameserver {address}\noptions timeout:30 attempts:1\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            silent.bind((address, 53))
        except PermissionError:
            pytest.skip("port 53 is root's")
        wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
        if subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            pytest.skip("no mount namespaces here")
        net = Net(place, wrapper=wrapper)
        net.send("slow", "http://silent.example/", timeout_ms=1000)
        silent.settimeout(LIMIT)
        silent.recv(512)
        begin = time.monotonic()
        assert net.ask(receiver.url(), timeout_ms=25_000).status == 200
        assert net.answer("slow").outcome == "timeout"
        assert time.monotonic() - begin < 25, "the resolver itself waits for 30 s"
        net.close_input()
        assert net.wait(LIMIT) == 0
        wait_until(lambda: not os.path.exists(f"/proc/{net.pid}"), what="its end")
