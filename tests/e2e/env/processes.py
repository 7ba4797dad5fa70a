"""Which processes of a test are alive."""
import os
import signal


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes_of(directory):
    """[(pid, command line)] of processes that have to do with `directory`: by environment, arguments or working directory."""
    needle = str(directory).encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        base = f"/proc/{name}"
        try:
            cwd = os.readlink(f"{base}/cwd").encode()
        except OSError:
            cwd = b""
        state = _read(f"{base}/stat").rpartition(b")")[2].split()[:1]
        if state == [b"Z"]:
            continue
        command = _read(f"{base}/cmdline").replace(b"\0", b" ")
        if needle in cwd or needle in _read(f"{base}/environ") or needle in command:
            found.append((int(name), command.decode(errors="replace")))
    return found


def descendants(root, but):
    """Pids below a process, without those that run a program of this name and what they have started."""
    children = {}
    for name in os.listdir("/proc"):
        fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split() if name.isdigit() else []
        if fields and fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += [child for child in children.get(pid, [])
                  if os.path.basename(_read(f"/proc/{child}/cmdline").split(b"\0")[0]).decode() != but]
    return found[1:]


def kill_all(directory):
    for pid, _ in processes_of(directory):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def voluntary_switches(pid):
    """How often the threads of a process have gone to sleep, and so been woken."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        for line in _read(f"/proc/{pid}/task/{thread}/status").splitlines():
            if line.startswith(b"voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total
