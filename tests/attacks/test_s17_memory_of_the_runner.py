"""S17. I can push. My step attaches to the daemon and its helpers, or opens their /proc/PID/mem: what they were trusted with lies in
their memory."""
import pytest

SCAN = r"""
import ctypes, glob, os, time
libc = ctypes.CDLL(None, use_errno=True)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def attempt(pid):
    '''What worked on one process.'''
    worked = []
    try:
        with open(f"/proc/{pid}/maps") as maps:
            start = int(maps.readline().split("-")[0], 16)
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(start)
            if memory.read(16):
                worked.append("mem")
        buffer = ctypes.create_string_buffer(16)
        local, remote = iovec(ctypes.addressof(buffer), 16), iovec(start, 16)
        if libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
            worked.append("process_vm_readv")
    except OSError:
        pass
    try:
        if os.listdir(f"/proc/{pid}/fd"):
            worked.append("fd")
    except OSError:
        pass
    if libc.ptrace(16, pid, None, None) == 0:  # PTRACE_ATTACH
        os.waitpid(pid, 0)
        libc.ptrace(17, pid, None, None)
        worked.append("ptrace")
    return worked
def is_mine(pid):
    '''/proc/PID itself belongs to root as soon as a process may not be dumped.'''
    with open(f"/proc/{pid}/status") as status:
        return any(line.split()[1:2] == [str(os.getuid())] for line in status if line.startswith("Uid:"))
def others(begin):
    for name in glob.glob("/proc/[0-9]*/comm"):
        try:
            comm = open(name).read().strip()
            pid = int(name.split("/")[2])
            if comm.startswith(begin) and is_mine(pid):
                yield comm, pid
        except OSError:
            continue
if os.environ["SCOPE"] == "net":  # wait for it; it gives up being readable before it gets its first secret
    end = time.monotonic() + 60
    worked = ["nobody"]
    while worked and time.monotonic() < end:
        for comm, pid in others("phantom_ci-net"):
            worked = attempt(pid)
        time.sleep(0.05)
    print(comm, *worked)
else:
    for comm, pid in others("phantom_ci"):
        print(comm, *attempt(pid))
print("done")
"""


# Without a sandbox root may read any memory: docs/security.md says so.
CASES = [("root", "workspace"), ("root", "strict"), ("user", "off"), ("user", "workspace"), ("user", "strict"),
         ("root-old-kernel", "workspace"), ("user-old-kernel", "off"), ("user-old-kernel", "strict")]


@pytest.mark.demand("S17")
@pytest.mark.parametrize("site, level", CASES, indirect=True)
def test_a_step_reads_no_memory_of_the_runner(site, level, make_receiver):
    # Defence: a pid namespace of its own; without a sandbox PR_SET_DUMPABLE 0 in what holds secrets.
    receiver = make_receiver()
    phantom = site.phantom
    env_file = phantom.config / ".env"
    env_file.write_text(f"CUSTOM_WEBHOOK_URL={receiver.url('/canary')}\n")
    env_file.chmod(0o600)
    site.repo.write({"scan.py": SCAN})
    out = site.attack_by_push(level, "/usr/bin/python3 scan.py", env={"SCOPE": "net" if level == "off" else "all"})
    receiver.wait_requests(1)
    if out is None:
        return
    lines = out.splitlines()
    assert lines[-1] == "done"
    assert level != "off" or lines[0] == "phantom_ci-net", lines
    # Of what stands outside of a sandbox nothing is seen; the first process inside is ours, and holds no secret.
    for line in lines[:-1]:
        assert line.split()[1:] == [] or (level != "off" and line.split()[0] == "phantom_ci-sand"), lines
