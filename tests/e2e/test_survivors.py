"""Nothing survives: whatever the steps of a job do to stay, nothing of it is left when the job is over.

The suite runs a few dozen jobs of each kind of host; PHANTOM_CI_SURVIVORS=1000 runs so many."""
import os
import pathlib
import signal

import pytest

from env.site import Site, site_of
from env.waiting import wait_until

COUNT = int(os.environ.get("PHANTOM_CI_SURVIVORS", "12"))

# Each leaves processes that run this file under a name of their own, `marker`, so that they are found however they
# have hidden. They begin to hide and the step goes on, whether or not they have come far.
STAY = r"""
import ctypes, os, signal, sys, time
how, marker = sys.argv[1], sys.argv[2]

def stay(*prepare):
    for act in prepare:
        act()
    # By exec, with an empty environment and a name that tells whose it is.
    os.execve('/usr/bin/python3', [marker, '-c',
        'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        'while True: time.sleep(100)'], {})

def close_output():
    os.dup2(os.open('/dev/null', os.O_RDWR), 1)
    os.dup2(1, 2)

def daemonise():
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)

def stop_oneself():
    os.kill(os.getpid(), signal.SIGSTOP)

def ignore_all():
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)

def fork_for_ever():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()

def as_child(*prepare):
    if os.fork() == 0:
        stay(*prepare)

kinds = {
    'daemon': lambda: as_child(daemonise, close_output),
    'holds-the-pipe': lambda: as_child(daemonise),
    'deaf': lambda: as_child(daemonise, ignore_all, close_output),
    'stopped': lambda: as_child(daemonise, close_output, stop_oneself),
    'many': lambda: [as_child(daemonise, close_output) for _ in range(12)],
    'forks-while-killed': lambda: as_child(daemonise, close_output, fork_for_ever),
    'orphans-at-once': lambda: [as_child(os.setsid, close_output) for _ in range(4)],
}
kinds[how]()
if len(sys.argv) > 3:
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[3] == 'die' else time.sleep(1000)
"""

KINDS = ["daemon", "holds-the-pipe", "deaf", "stopped", "many", "forks-while-killed", "orphans-at-once"]


def marked(marker):
    """Living processes whose first argument, or whose parent's program, is the marker's."""
    needle = marker.encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            command = pathlib.Path(f"/proc/{name}/cmdline").read_bytes()
            state = pathlib.Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if needle in command and state not in (b"Z", b"X"):
            found.append((int(name), command))
    return found


def mounts(directory):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]


class MarkedSite(Site):
    def __init__(self, directory, uid):
        super().__init__(directory, uid)
        self.repo.commit({"stay.py": STAY})
        self.marker = f"survivor-{os.getpid()}-{self.directory.name}"

    def files(self):
        """Everything of phantom_ci but what a job may leave: its log, the database, mirror and workspace."""
        allowed = {"logs", "mirrors", "workspaces", "checkouts"}
        return sorted(str(path.relative_to(self.directory)) for top in (self.phantom.state, self.phantom.cache)
                      for path in top.rglob("*")
                      if path.relative_to(top).parts[0] not in allowed and not path.name.startswith("state.db"))


@pytest.fixture(params=["root", "user"])
def site(request):
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    with site_of(request.param, request.node, MarkedSite) as made:
        yield made
        made.phantom.stop_all()
        for pid, _ in marked(made.marker):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.demand("C1")
@pytest.mark.demand("S18")
@pytest.mark.parametrize("level", ["off", "workspace"])
def test_after_each_job_nothing_of_it_is_left(site, level):
    phantom = site.phantom
    steps = [f"/usr/bin/python3 stay.py {kind} {site.marker}" for kind in KINDS]
    ends = [[], ["die"], ["sleep"]]
    phantom.watch(site.repo, sandbox=level, timeout="1h", grace="100ms")
    files = None
    for number in range(1, COUNT // 4 + 2):
        end = ends[number % 3]
        # All kinds one after another, or the last of them dies, or is timed out.
        last = " ".join([f"/usr/bin/python3 stay.py {KINDS[number % len(KINDS)]} {site.marker}", *end])
        site.repo.workflow(*steps, last)
        if end == ["sleep"]:
            text = (phantom.config / "Repo.toml").read_text()
            phantom.write_repo_toml(text.replace('timeout = "1h"', 'timeout = "15s"'))
        site.own()
        phantom.cli("run", "app", check=0 if not end else 1)
        assert marked(site.marker) == []
        assert mounts(site.directory) == [] and site.groups() == []
        # Locks, record, control FIFO and temporary files are gone.
        files = files or site.files()
        assert site.files() == files
        assert not [path for path in files if path.startswith(("state/jobs/", "cache/tmp/"))]
        text = (phantom.config / "Repo.toml").read_text()
        phantom.write_repo_toml(text.replace('timeout = "15s"', 'timeout = "1h"'))


@pytest.mark.demand("S18")
@pytest.mark.parametrize("site", ["root"], indirect=True)
def test_what_wiped_its_environment_is_found_by_its_group(site):
    """Guard and worker are killed in one instant, and the step's processes carry no mark of the job: the next look at
    the lock finds them by their control group."""
    phantom = site.phantom
    site.repo.workflow(f"/usr/bin/python3 stay.py many {site.marker} sleep")
    phantom.watch(site.repo)
    site.own()
    phantom.start()
    phantom.wait_baseline()
    sha = site.repo.commit_and_push()
    phantom.wait_until(lambda: len(marked(site.marker)) >= 13, what="twelve escaped processes and the step")
    number = phantom.jobs(sha=sha)[0]["id"]
    record = phantom.state / "jobs" / f"{number}.groups"
    has_groups = record.exists() and record.read_text().strip() != ""
    if not has_groups:
        pytest.skip("this user can make no control groups here")
    both = list(map(int, (phantom.state / "jobs" / f"{number}.lock").read_text().split()))
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    assert phantom.wait_job(sha=sha)["state"] == "interrupted"
    assert marked(site.marker) == []
    wait_until(lambda: not record.exists(), what="the end of the record")
    assert site.groups() == []
