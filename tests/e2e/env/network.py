"""Two hosts of their own, with a cable between them: network namespaces joined by a veth pair.

What is started inside of `host.inside()` has that host's network alone, and a loopback and ports that nobody else has.
Nothing has a name outside of this process: the namespaces are gone with the last process in them, however it went.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def why_not():
    """What is missing for it, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft"):
        if not shutil.which(program):
            return f"{program} is not installed"
    try:
        probe = Host("lo", None)
    except OSError as failure:
        return f"no network namespace can be made: {failure}"
    try:
        probe.run("ip", "link", "set", "lo", "up")
        probe.run("nft", "list", "tables")
    except AssertionError as failure:
        return str(failure)
    finally:
        probe.close()
    return None


def _check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(*words):
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    assert result.returncode == 0, f"{words}: {result.stdout.decode(errors='replace')}"


class Host:
    def __init__(self, interface, address):
        self.interface, self.address = interface, address
        self.namespace = self._make()

    @staticmethod
    def _make():
        """A thread of its own leaves this process's network; the descriptor holds what it got."""
        made = []

        def leave():
            try:
                _check(LIBC.unshare(CLONE_NEWNET))
                made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            except OSError as failure:
                made.append(failure)
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    @contextlib.contextmanager
    def inside(self):
        """This thread, and what it starts, is on this host. Sockets stay where they were made."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(LIBC.setns(self.namespace, CLONE_NEWNET))
            try:
                yield self
            finally:
                _check(LIBC.setns(outside, CLONE_NEWNET))
        finally:
            os.close(outside)

    def run(self, *words):
        with self.inside():
            run(*words)

    def pull_the_plug(self):
        """This host's own end is down: it has no route any more, and says so at once."""
        self.run("ip", "link", "set", self.interface, "down")

    def plug_in(self):
        self.run("ip", "link", "set", self.interface, "up")

    def refuse(self, port, how):
        """What arrives for a TCP port gets no answer ("drop") or an immediate refusal ("reset"), also on connections
        that are there already."""
        self.run("nft", "add table inet trouble; add chain inet trouble input "
                 "{ type filter hook input priority 0; }; add rule inet trouble input tcp dport "
                 f"{port} {'drop' if how == 'drop' else 'reject with tcp reset'}")

    def accept(self):
        self.run("nft", "delete table inet trouble")

    def close(self):
        os.close(self.namespace)


class Network:
    """client and server, one cable: 10.20.30.1 and 10.20.30.2."""

    def __init__(self):
        self.client = Host("cable", "10.20.30.1")
        self.server = Host("cable", "10.20.30.2")
        other_end = ["peer", "name", "cable", "netns", f"/proc/{os.getpid()}/fd/{self.server.namespace}"]
        self.client.run("ip", "link", "add", "cable", "type", "veth", *other_end)
        for host in (self.client, self.server):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "address", "add", f"{host.address}/24", "dev", host.interface)
            host.plug_in()

    def close(self):
        self.client.close()
        self.server.close()
