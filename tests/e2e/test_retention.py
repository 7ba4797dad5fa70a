"""Old jobs, logs and caches go as configured; what is needed stays; a short disk makes jobs wait."""
import contextlib
import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest

from env.gitrepo import workflow
from env.waiting import LIMIT

DAY_MS = 24 * 3600 * 1000


def sql(phantom, statement, *values):
    database = sqlite3.connect(phantom.state / "state.db", timeout=LIMIT)
    try:
        with database:
            return database.execute(statement, values).fetchall()
    finally:
        database.close()


def make_old(phantom, *jobs, days=91):
    for job in jobs:
        sql(phantom, "UPDATE job SET finished = finished - ? WHERE id = ?", days * DAY_MS, job)


def gc(phantom, *args, code=0, env=None):
    result = phantom.cli("gc", *args, "--json", check=code, env=env)
    return json.loads(result.out)[0]


def run(phantom, *args):
    """Runs a job in the foreground; its number."""
    before = {job["id"] for job in phantom.jobs()}
    phantom.cli("run", "app", *args)
    return next(job["id"] for job in phantom.jobs() if job["id"] not in before)


def ids(phantom):
    return [job["id"] for job in phantom.jobs()]


def log_directories(phantom):
    return sorted(int(path.name) for path in (phantom.state / "logs").iterdir())


def add_history(phantom, count, branch="main", days=0, log_bytes=0):
    """Finished jobs that never ran, with a log directory each; their numbers."""
    made = []
    now = int(time.time() * 1000)
    database = sqlite3.connect(phantom.state / "state.db", timeout=LIMIT)
    with database:
        for _ in range(count):
            cursor = database.execute(
                "INSERT INTO job(repo, branch, sha, trigger, state, attempt, created, started, finished) "
                "VALUES('app', ?, ?, 'push', 'success', 1, ?, ?, ?)",
                (branch, "a" * 40, *[now - days * DAY_MS] * 3))
            made.append(cursor.lastrowid)
    database.close()
    for number in made:
        directory = phantom.state / "logs" / str(number)
        directory.mkdir(mode=0o700)
        (directory / "output").write_bytes(b"x" * log_bytes)
        (directory / "times").write_bytes(b"")
    return made


@pytest.fixture
def watched(phantom, repo):
    """The section app, its branch main known, no daemon."""
    repo.workflow("echo hello")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    daemon.stop()
    return repo


# ------------------------------------------------------------------------- rules


def test_jobs_past_keep_jobs_for_go_with_their_logs_and_say_so(phantom, watched):
    jobs = [run(phantom) for _ in range(4)]
    make_old(phantom, *jobs)
    make_old(phantom, jobs[1], days=-5)  # 86 days
    planned = gc(phantom, "--dry-run")
    assert planned["dry_run"] and planned["jobs_by_age"] == 2 and planned["bytes"] > 0
    assert ids(phantom) == jobs and log_directories(phantom) == jobs
    done = gc(phantom)
    assert {**done, "dry_run": True} == planned
    # The last one is the newest of its branch.
    assert ids(phantom) == [jobs[1], jobs[3]] and log_directories(phantom) == [jobs[1], jobs[3]]
    for command in (["logs"], ["job"], ["retry"]):
        assert "any more: it was removed by retention" in phantom.cli(*command, jobs[0], check=3).err
    assert phantom.log(jobs[1]) == b"hello\n"
    assert "nothing to remove" in phantom.cli("gc", check=0).out


def test_keep_jobs_for_0_is_for_ever(phantom, watched):
    phantom.configure('keep_jobs_for = "0s"\nkeep_jobs = 0\nkeep_bytes = 0\n')
    jobs = add_history(phantom, 5, days=5000, log_bytes=10)
    assert gc(phantom)["jobs_by_age"] == 0 and ids(phantom) == jobs and log_directories(phantom) == jobs


def test_of_each_branch_only_the_newest_keep_jobs_stay(phantom, watched):
    phantom.configure("keep_jobs = 2\n")
    main = add_history(phantom, 4)
    dev = add_history(phantom, 1, branch="dev")
    main += add_history(phantom, 1)
    assert gc(phantom)["jobs_by_count"] == 3
    kept = sorted([*dev, *main[-2:]])
    assert ids(phantom) == kept and log_directories(phantom) == kept


def test_the_oldest_logs_go_beyond_keep_bytes_and_their_jobs_say_why(phantom, watched):
    phantom.configure('keep_bytes = "500K"\n')
    watched.workflow("sh -c 'head -c 200000 /dev/zero | tr \"\\\\0\" x'")
    jobs = [run(phantom) for _ in range(4)]
    assert len(phantom.log(jobs[0])) == 200000
    assert gc(phantom)["logs"] == 2
    assert ids(phantom) == jobs and log_directories(phantom) == jobs[2:]
    result = phantom.cli("logs", jobs[0], check=3)
    assert "the log was removed by retention (keep_bytes, 500.0 KiB for all logs)" in result.err
    assert "removed by retention (keep_bytes" in phantom.cli("job", jobs[0], check=0).out
    assert "keep_bytes" in phantom.job(jobs[0])["log_removed"]
    assert "log_removed" not in phantom.job(jobs[3])
    assert len(phantom.log(jobs[3])) == 200000
    assert len(phantom.cli("logs", "app", "--limit", "0", check=0).stdout) > 400000
    assert gc(phantom)["logs"] == 0


def test_what_is_needed_is_never_removed(phantom, watched):
    phantom.configure('keep_jobs_for = "1ms"\nkeep_jobs = 1\nkeep_bytes = 1\nmax_jobs = 1\n')
    gate = phantom.directory / "gate"
    old = add_history(phantom, 2, days=100, log_bytes=100000)
    watched.workflow(f"sh -c 'echo begun; while [ ! -e {gate} ]; do sleep 0.02; done; echo over'")
    phantom.start("--quiet")
    running = phantom.wait_job(sha=watched.head(), state="running")
    phantom.cli("run", "app", "--detach", check=0)
    queued = phantom.wait_job(trigger="run", state="queued")
    phantom.wait_until(lambda: phantom.log(running["id"]) == b"begun\n", what="the first line")
    done = gc(phantom)
    # The second is the newest verdict of main.
    assert done["jobs_by_age"] == 1 and ids(phantom) == [old[1], running["id"], queued["id"]]
    assert phantom.log(running["id"]) == b"begun\n"
    gate.touch()
    phantom.wait_idle()
    assert phantom.job(running["id"])["state"] == "success"
    assert phantom.log(running["id"]) == b"begun\nover\n"


def test_a_job_whose_retry_is_kept_stays_with_it(phantom, watched):
    phantom.configure('keep_jobs_for = "30d"\n')
    old = add_history(phantom, 3, days=100)
    phantom.start("--quiet")
    phantom.cli("retry", old[0], check=0)
    retry = phantom.wait_job(retry_of=old[0])
    gc(phantom)
    # The third is the newest push.
    assert ids(phantom) == [old[0], old[2], retry["id"]]
    make_old(phantom, retry["id"])
    newest = run(phantom)
    gc(phantom)
    assert ids(phantom) == [old[2], newest]


def test_jobs_of_a_branch_that_is_gone_go_to_the_last(phantom, watched):
    phantom.watch(watched, name="all", branch="")
    gone = add_history(phantom, 2, branch="gone", days=100)
    kept = add_history(phantom, 1, days=100)
    gc(phantom)
    assert ids(phantom) == kept and not set(gone) & set(log_directories(phantom))


def test_a_branch_that_has_been_gone_for_long_is_forgotten_and_new_when_it_comes_back(phantom, repo):
    repo.workflow("echo hello")
    phantom.watch(repo, branch=["main", "named", "feature/*"])
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    steps = {"workflow/feature/x.toml": workflow("echo feature")}
    sha = repo.commit_and_push(steps, branch="feature/x")
    job = phantom.wait_job(sha=sha)["id"]
    repo.delete("feature/x")
    daemon.wait_event("branch gone .*feature/x")
    phantom.wait_idle()

    def known():
        return {branch["name"] for branch in phantom.repo()["branches"]}

    def decided():
        return {row[0] for row in sql(phantom, "SELECT branch FROM decision")}

    everything = {"main", "named", "feature/x"}
    sql(phantom, "UPDATE branch SET gone = gone - ? WHERE gone > 0", 91 * DAY_MS)
    sql(phantom, "UPDATE decision SET at = at - ?", 91 * DAY_MS)
    # A job of it is left.
    assert gc(phantom)["branches"] == 0 and known() == everything and decided() == everything
    make_old(phantom, job)
    done = gc(phantom)
    assert done["branches"] == 1 and done["jobs_by_age"] == 1
    # The one that target_branch names is missing, not forgotten.
    assert known() == decided() == {"main", "named"}
    repo.push("feature/x")
    assert phantom.wait_job(sha=sha)["state"] == "success"
    assert len([line for line in daemon.lines if "branch missing" in line]) == 1


# ------------------------------------------------------------------------ crashes


@pytest.mark.parametrize("fault", [f"{point}:{call}" for point, calls in
                                   [("store.commit", 2), ("gc.log", 5), ("gc.workspace", 1), ("gc.checkout", 1),
                                    ("gc.mirror", 1), ("gc.trash", 2)] for call in range(1, calls + 1)])
def test_gc_killed_at_any_point_leaves_nothing_that_the_next_does_not_mend(phantom, watched, make_repo, fault):
    other = make_repo("other")
    other.workflow("true")
    phantom.watch(other, name="other")
    phantom.cli("run", "other", check=0)
    before = phantom.config / "Repo.toml"
    phantom.write_repo_toml(before.read_text().split("[other]")[0])
    phantom.configure('keep_jobs_for = "30d"\nkeep_bytes = "150K"\nkeep_cache_for = "1ms"\n')
    removed = add_history(phantom, 3, days=100, log_bytes=1000)
    logless = add_history(phantom, 2, log_bytes=100000)
    newest = add_history(phantom, 1, log_bytes=100000)
    result = phantom.cli("gc", env={"PHANTOM_CI_FAULT": fault + ":KILL"})
    assert result.returncode == -signal.SIGKILL, result
    # No job lies about its log at any time.
    for job in phantom.jobs(repo="app"):
        has_log = (phantom.state / "logs" / str(job["id"]) / "output").exists()
        assert has_log or phantom.job(job["id"]).get("log_removed"), job
    phantom.cli("gc", check=0)
    assert [job["id"] for job in phantom.jobs(repo="app")] == [*logless, *newest]
    assert set(log_directories(phantom)) & {*removed, *logless} == set()
    assert newest[0] in log_directories(phantom)
    assert not list((phantom.cache / "workspaces").iterdir())
    assert not list((phantom.cache / "trash").iterdir())
    assert not list((phantom.cache / "mirrors").glob("*.git"))
    assert sql(phantom, "PRAGMA integrity_check") == [("ok",)]
    assert gc(phantom)["bytes"] == 0


def test_gc_killed_at_any_time_beside_jobs_that_run_and_end(phantom, watched):
    phantom.configure('keep_jobs_for = "30d"\nkeep_bytes = "3M"\nkeep_cache_for = "1ms"\n')
    phantom.start("--quiet")
    chance = random.Random(20261123)
    ran = []
    for _ in range(20):
        add_history(phantom, 40, days=100, log_bytes=1000)
        recent = add_history(phantom, 20, log_bytes=100000)
        ran.append(watched.commit_and_push())
        process = subprocess.Popen(phantom.command("gc"), env=phantom.env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=phantom.home)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.08))
        process.kill()
        process.wait(LIMIT)
    phantom.wait_idle()
    assert phantom.wait_job(sha=ran[-1])["state"] == "success"
    assert {job["state"] for job in phantom.jobs() if job["sha"] in ran} <= {"success", "superseded"}
    assert gc(phantom)["failures"] == []
    jobs = phantom.jobs()
    dropped = {row[0] for row in sql(phantom, "SELECT job FROM note WHERE log_offset = -1")}
    kept = {job["id"] for job in jobs if job["state"] == "success" and job["id"] not in dropped}
    assert set(log_directories(phantom)) == kept and kept & set(recent)
    day_ago = (time.time() - 24 * 3600) * 1000
    assert len([job for job in jobs if job["finished"] < day_ago]) == 0
    assert sum(path.stat().st_size for path in (phantom.state / "logs").glob("*/*")) <= 3 << 20
    assert sql(phantom, "PRAGMA integrity_check") == [("ok",)]


def test_gc_on_a_full_disk_fails_with_words_and_loses_nothing(phantom, watched):
    jobs = add_history(phantom, 3, days=100)
    result = phantom.cli("gc", check=1, env={"PHANTOM_CI_FAULT": "store.commit:*:ENOSPC"})
    assert "No space left" in result.err
    assert ids(phantom) == jobs and log_directories(phantom) == jobs


def test_gc_that_cannot_read_which_jobs_wait_removes_no_workspace(phantom, watched):
    watched.workflow("true", branch="short")
    phantom.watch(watched, name="short", branch="short")
    phantom.cli("run", "short", check=0)
    workspace = phantom.cache / "workspaces" / "short" / "short"
    phantom.cli("run", "short", "--detach", check=0)
    # Now only the queued job speaks for it.
    phantom.write_repo_toml((phantom.config / "Repo.toml").read_text().split("[short]")[0])
    phantom.configure('keep_cache_for = "1ms"\n')
    faults = 0
    for number in range(1, 100):
        result = phantom.cli("gc", env={"PHANTOM_CI_FAULT": f"store.read:{number}:EIO"})
        assert (workspace / "workflow").is_dir(), number
        if result.returncode == 0:
            break
        assert result.returncode == 1 and "cannot read" in result.err, result.err
        faults += 1
    assert faults >= 4
    phantom.cli("cancel", phantom.jobs(state="queued")[0]["id"], check=0)
    assert gc(phantom)["workspaces"] == 1 and not workspace.exists()


def test_a_log_that_cannot_be_removed_is_named_and_tried_again(phantom, watched):
    jobs = add_history(phantom, 3, days=100)
    result = phantom.cli("gc", check=1, env={"PHANTOM_CI_FAULT": "gc.log:1:EACCES"})
    assert f"logs/{jobs[0]}" in result.err and "Permission denied" in result.err
    assert ids(phantom) == jobs[2:]
    assert gc(phantom)["leftovers"] == 1
    assert log_directories(phantom) == jobs[2:]


def test_logs_that_the_database_does_not_know_stay_till_their_time(phantom, watched):
    """After the database was lost its logs are all that is left of the jobs."""
    lost = phantom.state / "logs" / "77"
    lost.mkdir(mode=0o700)
    (lost / "output").write_text("precious")
    foreign = phantom.state / "logs" / "077"
    foreign.mkdir()
    restored = add_history(phantom, 2)[0]
    sql(phantom, "DELETE FROM job WHERE id = ?", restored)  # as in a backup that is older than the job
    known = phantom.state / "logs" / str(restored)
    assert gc(phantom)["unknown_logs"] == 2
    assert (lost / "output").exists() and (known / "output").exists() and foreign.exists()
    long_ago = time.time() - 91 * 24 * 3600
    os.utime(lost, (long_ago, long_ago))
    os.utime(known, (long_ago, long_ago))
    assert gc(phantom)["leftovers"] == 2
    assert not lost.exists() and not known.exists() and foreign.exists()


def test_a_log_that_was_to_go_and_stays_after_all_is_safe(phantom, watched):
    jobs = add_history(phantom, 3, days=100)
    phantom.cli("gc", env={"PHANTOM_CI_FAULT": "store.commit:1:KILL"})
    logs = [phantom.state / "logs" / str(job) for job in jobs]
    assert [path.stat().st_mode & 0o7777 for path in logs] == [0o1700, 0o1700, 0o700]
    phantom.configure('keep_jobs_for = "0s"\n')
    assert gc(phantom)["leftovers"] == 0
    assert [path.stat().st_mode & 0o7777 for path in logs] == [0o700] * 3
    assert ids(phantom) == jobs and log_directories(phantom) == jobs


def test_what_dead_jobs_left_is_removed(phantom, watched):
    job = run(phantom)
    for path in (phantom.state / "jobs" / f"{job}.lock", phantom.state / "jobs" / f"{job}.control"):
        path.touch(mode=0o600)
    temporary = phantom.cache / "tmp" / str(job)
    temporary.mkdir(parents=True)
    (temporary / "x").write_text("x")
    future = phantom.state / "jobs" / f"{job + 1}.lock"
    future.touch(mode=0o600)
    assert gc(phantom)["leftovers"] == 1
    assert not temporary.exists() and sorted((phantom.state / "jobs").iterdir()) == [future]


# ------------------------------------------------------------------------ company


@pytest.mark.demand("F5")
def test_gc_disturbs_no_running_job_and_no_reader_of_its_log(phantom, watched):
    phantom.configure('keep_jobs_for = "1ms"\nkeep_jobs = 1\nkeep_bytes = 1\nkeep_cache_for = "1ms"\n')
    gate = phantom.directory / "gate"
    watched.git("checkout", "-q", "-B", "feature")
    phantom.watch(watched, name="features", branch="feature*")
    phantom.start("--quiet")
    phantom.wait_until(lambda: phantom.repo("features")["last_ok"], what="the first look")
    steps = workflow(
        f"sh -c 'for i in 1 2 3; do echo line $i; until rm {gate} 2>/dev/null; do sleep 0.02; done; done; "
        "git -c safe.directory=* log -1 --format=%s; ls file'")
    sha = watched.commit_and_push({"workflow/feature.toml": steps, "file": "x"}, "the file", "feature")
    running = phantom.wait_job(sha=sha, state="running")
    reader = subprocess.Popen(phantom.command("logs", "-f", running["id"]), env=phantom.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=phantom.home)
    watched.delete("feature")
    phantom.wait_until(lambda: any(b["gone"] for b in phantom.repo("features")["branches"]), what="the deletion")
    for number in range(1, 4):
        phantom.wait_until(lambda: phantom.log(running["id"]).endswith(b"line %d\n" % number), what="the line")
        assert gc(phantom)["failures"] == []
        gate.touch()
        phantom.wait_until(lambda: not gate.exists(), what="the step")
    assert phantom.wait_job(sha=sha)["state"] == "success"
    out, err = reader.communicate(timeout=LIMIT)
    assert out == b"line 1\nline 2\nline 3\nthe file\nfile\n" and err == b""
    assert gc(phantom)["workspaces"] == 1


def test_two_gc_at_once_do_not_happen(phantom, watched):
    add_history(phantom, 2, days=100)
    with open(phantom.state / "gc.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another gc is at work" in phantom.cli("gc", check=75).err
        assert gc(phantom, "--dry-run")["jobs_by_age"] == 1
    assert gc(phantom)["jobs_by_age"] == 1


def test_gc_without_a_valid_configuration_removes_nothing(phantom, watched):
    jobs = add_history(phantom, 3, days=100)
    phantom.configure("keep_jobs = -1\n")
    assert "config.toml:1:13" in phantom.cli("gc", check=78).err
    assert ids(phantom) == jobs and log_directories(phantom) == jobs


def test_gc_on_nothing_makes_nothing(phantom):
    assert "nothing to remove" in phantom.cli("gc", check=0).out
    assert not phantom.state.exists() and not phantom.cache.exists()


@pytest.mark.demand("S24")
def test_links_in_logs_and_workspaces_are_removed_not_followed(phantom, watched):
    precious = phantom.directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    jobs = add_history(phantom, 4, days=100)
    log = phantom.state / "logs" / str(jobs[0])
    (log / "link").symlink_to(precious)
    (log / "output").unlink()
    (log / "output").symlink_to(precious / "file")
    second = phantom.state / "logs" / str(jobs[1])
    for path in second.iterdir():
        path.unlink()
    second.rmdir()
    second.symlink_to(precious)
    phantom.configure('keep_cache_for = "1ms"\n')
    watched.git("checkout", "-q", "-B", "gone")
    watched.workflow(f"ln -s {precious} link", branch="gone")
    phantom.watch(watched, name="once", branch="gone")
    phantom.cli("run", "once", check=0)
    assert (phantom.cache / "workspaces/once/gone/link").is_symlink()
    done = gc(phantom)
    assert done["workspaces"] == 1 and done["failures"] == []
    assert (precious / "file").read_text() == "precious"
    assert not second.is_symlink() and not log.exists()
    assert not (phantom.cache / "workspaces/once").exists()


def test_the_database_gets_smaller_when_a_person_asks(phantom, watched):
    job, newest = add_history(phantom, 2, days=100)
    for _ in range(100):
        sql(phantom, "INSERT INTO note(job, at, log_offset, text) VALUES(?, 0, 0, ?)", job, "x" * 100000)
    sql(phantom, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = (phantom.state / "state.db").stat().st_size
    assert size > 10 * 1000 * 1000
    done = gc(phantom)
    assert done["database_bytes"] > 9 * 1000 * 1000
    assert (phantom.state / "state.db").stat().st_size < 1000 * 1000
    assert ids(phantom) == [newest] and sql(phantom, "PRAGMA integrity_check") == [("ok",)]


# ------------------------------------------------------------------------- daemon


def test_the_daemon_removes_by_itself(phantom, watched):
    jobs = add_history(phantom, 3, days=100)
    daemon = phantom.start("--quiet", env={"PHANTOM_CI_HOUSEKEEPING_MS": "200"})
    daemon.wait_event("garbage removed jobs=2 logs=0 workspaces=0 mirrors=0")
    assert ids(phantom) == jobs[2:]
    # And again after a job.
    more = add_history(phantom, 2, days=100)
    sha = watched.commit_and_push()
    assert phantom.wait_job(sha=sha)["state"] == "success"
    phantom.wait_until(lambda: not set(more) & set(ids(phantom)), what="the next gc")
    assert daemon.is_alive()


def test_a_daemon_that_stops_ends_its_gc(phantom, watched):
    add_history(phantom, 2000, days=100, log_bytes=1)
    daemon = phantom.start("--quiet", env={"PHANTOM_CI_HOUSEKEEPING_MS": "1"})
    phantom.wait_until(lambda: any(" gc --quiet" in command for _, command in phantom.processes()), what="gc")
    assert daemon.stop() == 0
    phantom.wait_until(lambda: phantom.processes() == [], what="the end of gc")
    phantom.cli("gc", check=0)
    assert len(ids(phantom)) == 1 and log_directories(phantom) == ids(phantom)


def test_housekeeping_does_not_wake_an_idle_daemon(phantom, watched):
    phantom.write_repo_toml((phantom.config / "Repo.toml").read_text().replace('"100ms"', '"1h"'))
    daemon = phantom.start("--quiet")

    def switches():
        with open(f"/proc/{daemon.pid}/status") as status:
            return [line for line in status if line.startswith("voluntary_ctxt_switches")]
    phantom.wait_until(lambda: phantom.repo()["last_ok"] and not phantom.job_processes(), what="the first look")
    before = phantom.wait_until(lambda: (a := switches(), time.sleep(1), switches() == a)[2] and a, what="rest")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        time.sleep(0.5)
    assert switches() == before


def test_gc_and_restore_do_not_meet(phantom, watched):
    backup = phantom.directory / "backup"
    add_history(phantom, 2, days=100)
    phantom.cli("backup", backup, check=0)
    with open(phantom.state / "gc.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "gc is at work" in phantom.cli("restore", backup, "--yes", check=75).err
    phantom.cli("restore", backup, "--yes", check=0)
    assert gc(phantom)["jobs_by_age"] == 1
