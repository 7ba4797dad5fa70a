"""Limits of a job, each with a real program: by control groups where this machine has them, by looking elsewhere."""
import os
import pathlib
import re
import signal

import pytest

from env.site import Site, site_of
from env.waiting import wait_until

HOG = """
import sys, time
megabytes = int(sys.argv[1])
held = []
for _ in range(megabytes):
    held.append(bytearray(b'x') * (1 << 20))
    time.sleep(0.002)
print('held', megabytes, flush=True)
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
"""

FORKS = """
import os, sys, time
wanted = int(sys.argv[1])
children = 0
try:
    for _ in range(wanted):
        if os.fork() == 0:
            time.sleep(1000)
        children += 1
        time.sleep(0.005)
finally:
    print('forked', children, flush=True)
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
"""


def own_groups():
    """[(controllers, directory)] of this process's groups of version 1, as the kernel tells."""
    found = {}
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for mount in mounts:
            fields, _, rest = mount.partition(" - ")
            kind, _, options = rest.split(" ", 2)
            if names and kind == "cgroup" and names.split(",")[0] in options.split(","):
                for name in names.split(","):
                    found[name] = pathlib.Path(fields.split()[4] + path)
    return found


def kernel_keeps_to(*controllers):
    groups = own_groups()
    return all(name in groups and os.access(groups[name], os.W_OK) for name in controllers)


class LimitedSite(Site):
    """root has control groups of version 1 here, a user has none."""

    def __init__(self, directory, uid):
        super().__init__(directory, uid)
        self.has_groups = os.geteuid() == 0 and not uid and kernel_keeps_to("memory", "pids")
        self.repo.commit({"hog.py": HOG, "forks.py": FORKS})

    def run_limited(self, *steps, check, sandbox="off", **keys):
        self.repo.workflow(*steps)
        self.phantom.watch(self.repo, sandbox=sandbox, **keys)
        self.own()
        self.result = self.phantom.cli("run", "app", check=check)
        return self.phantom.job(1)


@pytest.fixture(params=["root", "user"])
def site(request):
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    with site_of(request.param, request.node, LimitedSite) as made:
        yield made
        made.phantom.stop_all()
        if not getattr(request.node, "failed", False):
            assert made.groups() == []
            assert list(made.phantom.state.glob("jobs/*")) == []


LEVELS = ["off", "workspace", "strict"]
PYTHON = "/usr/bin/python3"


@pytest.mark.demand("C6")
@pytest.mark.parametrize("level", LEVELS)
def test_a_step_over_memory_max_dies_and_the_limit_is_named(site, level):
    job = site.run_limited(f"{PYTHON} hog.py 200 1000", check=1, sandbox=level, memory_max="48M")
    assert job["state"] == "failed"
    assert "memory_max is 48.0 MiB" in job["reason"], job["reason"]
    assert "held 200\n" not in site.result.out
    notes = site.phantom.cli("job", 1).out
    assert ("kept to by looking" in notes) is not site.has_groups
    if site.has_groups:
        assert job["steps"][0]["memory_peak"] <= 48 << 20


def test_memory_max_is_of_all_processes_together(site):
    step = ["sh", "-c", f"for i in 1 2 3 4; do {PYTHON} hog.py 40 8 & done; wait; exit 1"]
    job = site.run_limited(step, check=1, memory_max="100M")
    assert "memory_max is 100.0 MiB" in job["reason"], job["reason"]


def test_a_step_within_its_limits_is_left_alone(site):
    job = site.run_limited(f"{PYTHON} hog.py 20 4", f"{PYTHON} forks.py 5 4", check=0, memory_max="200M", pids_max=20,
                   disk_max="100M", idle_timeout="60s", nice=5)
    assert job["state"] == "success"
    first, second = job["steps"]
    assert first["memory_peak"] >= 20 << 20
    assert 6 <= second["pids_peak"] <= 7  # a sandbox's own do not count
    assert job["memory_peak"] == max(first["memory_peak"], second["memory_peak"])
    assert job["pids_peak"] == second["pids_peak"]
    assert job["cpu_us"] == first["cpu_us"] + second["cpu_us"] > 0
    assert re.search(r"^used +\S+ s of processor time; at most \S+ \wiB of memory and [67] processes and threads",
                     site.phantom.cli("job", 1).out, re.M)


@pytest.mark.parametrize("level", LEVELS)
def test_a_step_over_pids_max_fails_and_the_limit_is_named(site, level):
    job = site.run_limited(f"{PYTHON} forks.py 60 1000", check=1, sandbox=level, pids_max=20)
    assert job["state"] == "failed"
    assert "pids_max is 20, and " in job["reason"], job["reason"]
    if site.has_groups:
        assert "forked 19\n" in site.result.out
        assert job["pids_peak"] == 20


def test_a_fork_bomb_ends(site):
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    site.repo.commit({"bomb.py": bomb})
    job = site.run_limited(f"{PYTHON} bomb.py", check=1, pids_max=30, timeout="8s", grace="100ms")
    assert job["state"] == ("timeout" if site.has_groups else "failed")


@pytest.mark.parametrize("level", LEVELS)
def test_a_silent_step_is_ended_by_idle_timeout(site, level):
    job = site.run_limited(["sh", "-c", "echo begin; sleep 1000"], check=1, sandbox=level, idle_timeout="1s", grace="100ms")
    assert job["state"] == "timeout"
    assert "it wrote nothing for 1s (idle_timeout)" in job["reason"]
    assert b"begin\n".startswith(site.phantom.log(1))  # where the shell itself took a second to begin


def test_a_step_that_speaks_is_not_idle(site):
    site.run_limited(["sh", "-c", "i=0; while [ $i -lt 18 ]; do sleep 0.5; echo $i; i=$((i+1)); done"], check=0,
             idle_timeout="8s")


@pytest.mark.parametrize("level", ["off", "workspace"])
@pytest.mark.parametrize("place", ["$PWD", "$TMPDIR"])
def test_disk_max_is_of_workspace_and_tmpdir(site, level, place):
    fill = f'i=0; while [ $i -lt 400 ]; do head -c 1048576 /dev/urandom > "{place}/f$i"; i=$((i+1)); done; sleep 1000'
    job = site.run_limited(["sh", "-c", fill], check=1, sandbox=level, disk_max="20M")
    assert job["state"] == "failed"
    assert "disk_max is 20.0 MiB, and workspace and TMPDIR hold " in job["reason"], job["reason"]


def test_what_a_fast_step_leaves_is_measured_at_its_end(site):
    job = site.run_limited(["sh", "-c", "for i in 1 2 3 4 5; do head -c 1000000 /dev/urandom > f$i; done"], check=1,
                   disk_max="3M")
    assert job["state"] == "failed" and job["steps"][0]["exit_code"] == 0
    assert "disk_max is 3.0 MiB" in job["reason"]


def test_directories_that_hide_from_disk_max_fail_the_step(site):
    step = ["sh", "-c", "mkdir d && head -c 3000000 /dev/urandom > d/f && chmod 000 d"]
    job = site.run_limited(step, check=1 if site.uid else 0, disk_max="10M")
    if site.uid:  # root reads everything
        assert "has left directories that can't be counted" in job["reason"]


def test_one_file_can_not_grow_beyond_disk_max(site):
    job = site.run_limited(["sh", "-c", "exec head -c 50000000 /dev/zero > big"], check=1, disk_max="10M")
    assert job["state"] == "failed"
    assert "a file would have grown beyond disk_max, 10.0 MiB" in job["reason"], job["reason"]
    assert job["steps"][0]["signal"] == "SIGXFSZ"


@pytest.mark.demand("C6")
@pytest.mark.parametrize("secrets", [False, True])
def test_nice_and_the_oom_score_are_those_of_every_process_of_a_step(site, secrets):
    """With secrets, whoever starts the step can't be dumped, and sets the score from outside, a moment after."""
    before = int(pathlib.Path("/proc/self/oom_score_adj").read_text())
    keys = {"env_file": str(site.home_file("own.env"))} if secrets else {}
    late = "for i in $(seq 600); do [ $(cat /proc/$$/oom_score_adj) = 0 ] || break; sleep 0.05; done; " if secrets else ""
    site.run_limited(["sh", "-c", f"{late}nice; cat /proc/self/oom_score_adj; (nice; cat /proc/self/oom_score_adj)"],
                     check=0, nice=7, **keys)
    words = site.phantom.log(1).decode().split()
    assert words == [str(min(os.nice(0) + 7, 19)), str(max(before, 500))] * 2


def test_cpu_max_is_kept_to_or_said_not_to_be(site):
    spin = "import time, resource\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass\n"
    site.repo.commit({"spin.py": spin})
    job = site.run_limited(f"{PYTHON} spin.py", check=0, cpu_max="20%")
    notes = site.phantom.cli("job", 1).out
    if not site.uid and kernel_keeps_to("cpu"):
        # 3 s of 20 % are 0.6 s, begun periods and what came before the first throttling included.
        assert job["cpu_us"] < 1500000
        assert "cpu_max" not in notes
    else:
        assert "cpu_max is not kept to" in notes


def test_a_step_that_succeeds_although_a_process_was_killed_is_noted(site):
    step = ["sh", "-c", f"{PYTHON} hog.py 200 5; true"]
    if not site.has_groups:  # then the step is ended as a whole
        assert site.run_limited(step, check=1, memory_max="48M")["state"] == "failed"
        return
    job = site.run_limited(step, check=0, memory_max="48M")
    assert job["state"] == "success"
    assert "step 0: a process of it was killed because memory_max is 48.0 MiB" in site.phantom.cli("job", 1).out


def test_limits_are_those_of_each_step_anew(site):
    job = site.run_limited(["sh", "-c", f"{PYTHON} hog.py 30"], "true", check=0, memory_max="64M", pids_max=10)
    if site.has_groups:
        assert job["steps"][1]["memory_peak"] < 20 << 20
        assert job["steps"][1]["pids_peak"] <= 2


@pytest.mark.parametrize("site", ["root"], indirect=True)
@pytest.mark.parametrize("level", LEVELS)
def test_groups_that_can_be_made_but_not_joined_stop_no_job(site, level):
    site.phantom.env["PHANTOM_CI_FAULT_JOB"] = "limits.join:1:EIO"
    job = site.run_limited("true", ["sh", "-c", "exit 3"], check=1, sandbox=level, memory_max="200M")
    assert job["state"] == "failed" and job["steps"][1]["exit_code"] == 3, job["reason"]
    assert "memory_max is kept to by looking" in site.phantom.cli("job", 1).out


@pytest.mark.parametrize("value", ["1M", "-1", "lots"])
def test_a_limit_that_makes_no_sense_is_refused(phantom, repo, value):
    phantom.watch(repo, memory_max=value)
    result = phantom.cli("check", check=78)
    assert re.search(r"Repo\.toml:\d+:\d+: \"memory_max\"", result.out + result.err)


def test_doctor_tells_how_limits_are_kept_to_and_leaves_nothing(site):
    for path in (site.phantom.home, site.phantom.config):
        os.chown(path, site.uid, site.uid)
    os.chown(site.directory, site.uid, site.uid)
    lines = {line["subject"]: line for line in site.phantom.json("doctor", "--offline") if line["check"] == "sandbox"}
    assert set(lines) >= {"control groups", "memory_max", "pids_max", "cpu_max", "ends of jobs", "nice"}
    by_kernel = "is kept to by the kernel" == lines["memory_max"]["detail"]
    assert by_kernel is site.has_groups
    assert lines["nice"]["detail"] == "can be set"


# ---- control groups of version 2, which have no controllers on machines that give them to version 1

def unified():
    """Where version 2 is mounted, or None."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            return pathlib.Path(fields.split()[4])
    return None


@pytest.fixture
def delegated(site):
    """A group that was given to the user of the site as a service's is, with the daemon's own in it."""
    top = unified()
    if os.geteuid() != 0 or not top or not os.access(top, os.W_OK):
        pytest.skip("no control groups of version 2 to give away")
    group = top / f"phantom-limits-{os.getpid()}"
    own = group / "phantom_ci"
    own.mkdir(parents=True)
    for path in (group, own):
        for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(path / name, site.uid, site.uid)
    plain = site.phantom.command
    site.phantom.command = lambda *args: ["sh", "-c", f'echo 0 > {own}/cgroup.procs && exec "$@"', "sh", *plain(*args)]
    yield group
    site.phantom.stop_all()
    left = [path for path in group.iterdir() if path.is_dir() and path != own]
    (group / "cgroup.kill").write_text("1")
    wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), what="the end of all processes")
    for path in left:
        path.rmdir()
    own.rmdir()
    group.rmdir()
    assert left == []


@pytest.mark.parametrize("site", ["user"], indirect=True)
@pytest.mark.parametrize("level", ["off", "workspace"])
def test_a_delegated_group_of_version_2_holds_the_steps_of_a_user(site, delegated, level):
    job = site.run_limited(["sh", "-c", "grep ^0: /proc/self/cgroup; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"], check=0,
                   sandbox=level)
    number = job["id"]
    assert re.search(rf"^0::\S*/phantom_ci-[0-9a-f]{{16}}-{number}$", site.phantom.log(1).decode(), re.M)
    assert job["cpu_us"] > 10000  # by cpu.stat, which needs no controller


@pytest.mark.parametrize("site", ["user"], indirect=True)
def test_a_user_with_a_delegated_group_ends_what_wiped_its_environment(site, delegated):
    escape = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        os.execve(" \
             "'/usr/bin/sleep', ['sleep', '987654.5'], {})\nprint('escaped', flush=True)\ntime.sleep(1000)\n"
    site.repo.commit({"escape.py": escape})
    site.repo.workflow(f"{PYTHON} escape.py")
    site.phantom.watch(site.repo)
    site.own()
    site.phantom.start()
    site.phantom.wait_baseline()
    sha = site.repo.commit_and_push()

    def sleepers():
        found = []
        for group in site.groups():
            try:
                found += [pid for pid in (group / "cgroup.procs").read_text().split()
                          if b"987654.5" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
            except OSError:
                pass  # a process or a group that has gone meanwhile
        return found
    site.phantom.wait_until(lambda: len(sleepers()) == 3, what="three escaped processes")
    found = sleepers()
    number = site.phantom.jobs(sha=sha)[0]["id"]
    both = list(map(int, (site.phantom.state / "jobs" / f"{number}.lock").read_text().split()))
    for stop in (signal.SIGSTOP, signal.SIGKILL):
        for pid in both:
            os.kill(pid, stop)
    assert site.phantom.wait_job(sha=sha)["state"] == "interrupted"
    assert not [pid for pid in found if is_alive(pid)]
    site.phantom.stop_all()
    wait_until(lambda: site.groups() == [], what="the end of the groups")
    wait_until(lambda: list(site.phantom.state.glob("jobs/*")) == [], what="the end of the traces")


@pytest.mark.parametrize("site", ["root"], indirect=True)
def test_version_2_without_controllers_is_said_not_to_limit(site):
    """As where systemd is too old to start the daemon in a group of its own: version 1 is taken away here."""
    old = sorted(set(mount_points("cgroup")))
    if not old:
        pytest.skip("there is no version 1 here")
    plain = site.phantom.command
    site.phantom.command = lambda *args: ["unshare", "--mount", "sh", "-c",
                                          f'umount {" ".join(old)} && exec "$@"', "sh", *plain(*args)]
    job = site.run_limited(f"{PYTHON} hog.py 200 1000", check=1, memory_max="48M", cpu_max=1)
    assert job["state"] == "failed" and "memory_max is 48.0 MiB, and its processes had " in job["reason"], job["reason"]
    notes = site.phantom.cli("job", 1).out
    assert "memory_max is kept to by looking" in notes and "cpu_max is not kept to" in notes


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def mount_points(kind):
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith(kind + " "):
            yield fields.split()[4]
