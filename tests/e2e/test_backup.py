"""Backup and restore: consistent while jobs run, whole at every instant, and nothing is ever lost."""
import contextlib
import json
import os
import pty
import shutil
import sqlite3
import stat
import subprocess
import threading

import pytest

from env.waiting import LIMIT, wait_until

SECRET = "https://discord.example/api/webhooks/canary-0123456789"


def write_env(phantom):
    path = phantom.config / ".env"
    path.write_text(f"DISCORD_WEBHOOK_URL={SECRET}\n")
    path.chmod(0o600)


def twin(phantom, place, name="twin"):
    """A second installation, with nothing in it."""
    class Twin(type(phantom)):
        def __init__(self):
            self.directory = place / name
            self.home = phantom.home
            self.config, self.state, self.cache = (self.directory / part for part in ("config", "state", "cache"))
            self.directory.mkdir()
            self.env, self.daemons, self.errors = phantom.env, phantom.daemons, phantom.errors
    return Twin()


def finished_jobs(phantom, repo, count=2):
    """A history: this many jobs that succeeded, and no daemon any more."""
    repo.workflow("echo hello from the step")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    for _ in range(count):
        assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert daemon.stop() == 0


def rows(path, query):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def everything(phantom):
    """The history and the configuration, as a user sees them."""
    return {
        "jobs": phantom.json("jobs", "--limit", "0"),
        "files": {name: (phantom.config / name).read_text() if (phantom.config / name).exists() else None
                  for name in ("Repo.toml", "config.toml", ".env")},
    }


def tree(directory):
    """The names of everything; of locks that a command takes only the directory tells."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.name != "gc.lock")


class Writer(threading.Thread):
    """Writes pairs of equal values, each pair in one transaction, as fast as it goes."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.path, self.count, self.over, self.failure = database, 0, threading.Event(), None

    def run(self):
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=LIMIT, isolation_level=None)) as database:
                while not self.over.is_set():
                    database.execute("BEGIN IMMEDIATE")
                    for name in ("left", "right"):
                        database.execute("INSERT INTO repo(name, selection) VALUES(?, ?) ON CONFLICT(name) DO UPDATE "
                                         "SET selection = excluded.selection", (name, str(self.count)))
                    database.execute("COMMIT")
                    self.count += 1
        except sqlite3.Error as failure:
            self.failure = failure


def test_a_backup_while_jobs_run_and_a_writer_loops_is_consistent_and_holds_nobody_up(phantom, make_repo, place):
    gate = place / "gate"
    for name in ("a", "b", "c"):
        repo = make_repo(name)
        repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do echo tick; sleep 0.02; done'")
        phantom.watch(repo, name)
    phantom.configure("max_jobs = 3\n")
    write_env(phantom)
    phantom.start("--quiet")
    for name in ("a", "b", "c"):
        phantom.cli("run", name, "--branch", "main", "--detach", check=0)
    phantom.wait_until(lambda: len([j for j in phantom.jobs(state="running") if j["steps"]]) == 3, what="three steps")
    writer = Writer(phantom.state / "state.db")
    writer.start()
    try:
        wait_until(lambda: writer.count > 0, what="the writer")
        written = 0
        for number in range(5):
            before = writer.count
            target = place / f"{number}.backup"
            told = json.loads(phantom.cli("backup", target, "--logs", "--json", check=0).out)
            written += writer.count - before
            assert told["jobs"] == 3 and told["secrets"] is True and told["logs"] == 0
            assert told["files"] == ["Repo.toml", "config.toml", ".env"]
            assert rows(target, "PRAGMA integrity_check") == [("ok",)]
            assert len(set(rows(target, "SELECT selection FROM repo WHERE name IN ('left', 'right')"))) == 1
            assert stat.S_IMODE(target.stat().st_mode) == 0o600
    finally:
        writer.over.set()
        writer.join(LIMIT)
    assert writer.failure is None and written > 0
    gate.touch()
    phantom.wait_idle()
    assert [job["state"] for job in phantom.jobs()] == ["success"] * 3
    assert [path for path in place.iterdir() if "unfinished" in path.name] == []


def test_a_restore_into_a_fresh_directory_gives_the_same_jobs_logs_and_configuration(phantom, repo, place):
    finished_jobs(phantom, repo)
    phantom.configure("max_jobs = 2\n")
    write_env(phantom)
    phantom.cli("backup", place / "x.backup", "--logs", check=0)
    other = twin(phantom, place)
    out = other.cli("restore", place / "x.backup", "--yes", check=0).out
    assert "2 jobs" in out and "2 logs" in out
    assert everything(other) == everything(phantom)
    for job in phantom.jobs():
        assert other.log(job["id"]) == phantom.log(job["id"]) != b""
    assert stat.S_IMODE((other.config / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((other.state / "state.db").stat().st_mode) == 0o600
    for path in other.state.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    # It works on: the next push runs, under a number of its own.
    daemon = other.start("--quiet")
    job = other.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success" and job["id"] == 3
    daemon.stop()


def test_what_was_pushed_since_the_backup_runs_after_the_restore(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", check=0)
    daemon = phantom.start("--quiet")
    lost = repo.commit_and_push()
    assert phantom.wait_job(sha=lost)["id"] == 2
    daemon.stop()
    phantom.cli("restore", place / "x.backup", "--yes", check=0)
    assert phantom.jobs(sha=lost) == []
    phantom.start("--quiet")
    again = phantom.wait_job(sha=lost)
    assert again["state"] == "success"
    # Not 2: its log is there, and is that of another run.
    assert again["id"] == 3
    assert "hello" in phantom.log(3).decode()


def test_jobs_that_had_begun_are_interrupted_and_not_run_twice(phantom, repo, place):
    gate = place / "gate"
    marks = place / "marks"
    repo.workflow(f"sh -c 'echo ran >> {marks}; while [ ! -e {gate} ]; do sleep 0.02; done'")
    phantom.watch(repo)
    phantom.configure("max_jobs = 1\n")
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    phantom.cli("run", "app", "--branch", "main", "--detach", check=0)
    phantom.wait_until(marks.exists, what="the first step")
    phantom.cli("run", "app", "--branch", "main", "--detach", check=0)
    phantom.cli("backup", place / "x.backup", check=0)
    assert rows(place / "x.backup", "SELECT state FROM job ORDER BY id") == [("running",), ("queued",)]
    gate.touch()
    phantom.wait_idle()
    assert daemon.stop() == 0
    assert marks.read_text() == "ran\nran\n"
    out = phantom.cli("restore", place / "x.backup", "--yes", check=0).out
    assert "1 job that had begun since the backup" in out
    phantom.start("--quiet")
    phantom.wait_idle()
    assert [job["state"] for job in phantom.jobs()] == ["interrupted", "interrupted"]
    assert marks.read_text() == "ran\nran\n"


POINTS = ["restore.begun:1", "restore.staged:1", "restore.link:1", "restore.swap:1", "restore.swapped:1",
          "restore.config:1", "restore.config:2", "restore.config:3", "restore.log:1", "restore.log:2",
          "restore.placed:1"]


@pytest.fixture
def make_victim(phantom, repo, place):
    """Makes copies of an installation with another history, other files and a config.toml that goes, to be replaced by
    x.backup. What it was, and what it is to be."""
    finished_jobs(phantom, repo)
    phantom.configure("max_jobs = 2\n")
    write_env(phantom)
    phantom.cli("backup", place / "x.backup", "--logs", check=0)
    old_place = twin(phantom, place, "old")
    old_place.config.mkdir(mode=0o700)
    old_place.watch(repo, "other")
    old_place.configure("max_jobs = 7\n")
    (old_place.config / ".env").write_text("SLACK_WEBHOOK_URL=https://old.example/\n")
    (old_place.config / ".env").chmod(0o600)
    daemon = old_place.start("--quiet")
    old_place.wait_baseline("other")
    old_place.cli("run", "other", "--branch", "main", check=0)
    daemon.stop()

    def make(name):
        victim = twin(phantom, place, name)
        for part in ("config", "state"):
            shutil.copytree(getattr(old_place, part), getattr(victim, part), ignore=lambda d, names: {"wake"} & set(names))
            getattr(victim, part).chmod(0o700)
        return victim
    make.old, make.new = old_place, phantom
    return make


def test_kill_9_at_any_point_of_a_restore_leaves_a_whole_installation_and_loses_nothing(phantom, make_victim, place):
    new, old_place = everything(phantom), make_victim.old
    old = everything(old_place)
    for number, point in enumerate(POINTS):
        victim = make_victim(f"victim{number}")
        killed = victim.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": f"{point}:KILL"})
        assert killed.returncode == -9, (point, killed.out, killed.err)
        # Every prefix is a working installation of the one or the other.
        between = everything(victim)
        assert between["jobs"] in (old["jobs"], new["jobs"]), point
        for name, text in between["files"].items():
            assert text in (old["files"][name], new["files"][name]), (point, name)
        victim.cli("check", check=0)
        started = victim.start("--quiet")
        assert started.stop() == 0
        victim.cli("restore", place / "x.backup", "--yes", check=0)
        assert everything(victim) == new, point
        assert rows(victim.state / "state.db", "PRAGMA integrity_check") == [("ok",)]
        kept = list(victim.state.glob("state.db.before-restore-*"))
        assert any(rows(path, "SELECT repo FROM job") == [("other",)] for path in kept if path.suffix != "-wal"), point
        assert {path.read_text() for path in victim.config.glob("Repo.toml.before-restore-*")} == {
            old["files"]["Repo.toml"]}, point
        assert [name for name in tree(victim.directory) if "restore-new" in name or "restore.new" in name] == [], point
        for job in (1, 2):
            assert victim.log(job) == phantom.log(job) != b"", point
        set_aside = [path.read_bytes() for path in victim.state.glob("logs.before-restore-*/1/output")]
        assert set_aside == [old_place.log(1)], point


@pytest.mark.parametrize("damage", [False, True])
def test_a_restore_that_fails_before_the_database_is_replaced_has_changed_nothing(make_victim, place, damage):
    """Not the logs of the present history either, which had to give way already."""
    victim = make_victim("victim")
    if damage:
        (victim.state / "state.db").write_bytes(b"x" * 8192)

    def contents():
        return {path.relative_to(victim.directory): path.read_bytes() for path in victim.directory.rglob("*")
                if path.is_file() and path.name not in ("gc.lock", "state.db-wal", "state.db-shm")}
    victim.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": "restore.begun:1:EIO"}, check=1)
    before = contents()
    for point in ("restore.staged", "restore.keep", "restore.swap"):
        failed = victim.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": f"{point}:1:EIO"}, check=1)
        assert failed.err.endswith("phantom_ci: nothing was changed\n"), failed.err
        assert contents() == before, point
    victim.cli("restore", place / "x.backup", "--yes", check=0)
    assert everything(victim) == everything(make_victim.new)


# What fails, and what is said of it: what is as in the backup, and what not yet. The files are in this order.
HALF_WAY = [
    ("restore.sync:1", "restored: the database; not yet: Repo.toml, config.toml, .env, the logs"),
    ("restore.config:1", "restored: the database; not yet: Repo.toml, config.toml, .env, the logs"),
    ("restore.directory:1", "restored: the database, Repo.toml; not yet: config.toml, .env, the logs"),
    ("restore.config:3", "restored: the database, Repo.toml, config.toml; not yet: .env, the logs"),
    ("restore.log:2", "restored: the database, Repo.toml, config.toml, .env; not yet: the logs"),
    ("restore.directory:6", "everything is restored, but may not outlast a power cut"),
]


@pytest.mark.parametrize("point, words", HALF_WAY)
def test_a_restore_that_fails_half_way_says_what_is_restored_and_what_is_not(make_victim, place, point, words):
    victim = make_victim("victim")
    old, new = everything(make_victim.old), everything(make_victim.new)
    failed = victim.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": f"{point}:EIO"}, check=1)
    assert f"phantom_ci: {words}; run the same command again to finish\n" in failed.err
    assert "nothing was changed" not in failed.err
    found, done = everything(victim), words.partition("; not yet")[0]
    assert found["jobs"] == new["jobs"]
    for name in ("Repo.toml", "config.toml", ".env"):
        restored = name in done or "everything" in done
        assert found["files"][name] == (new if restored else old)["files"][name], name
    victim.cli("restore", place / "x.backup", "--yes", check=0)
    assert everything(victim) == new
    assert victim.log(1) == make_victim.new.log(1) and victim.log(2) == make_victim.new.log(2)


def test_errors_at_any_point_of_a_restore_leave_nothing_half_written(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", "--logs", check=0)
    phantom.watch(repo, "second", "dev")
    before = everything(phantom)
    for point in ("restore.begun", "restore.staged", "restore.swap"):
        failed = phantom.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": f"{point}:1:ENOSPC"},
                             check=75)
        assert "No space left" in failed.err and "nothing was changed" in failed.err.lower(), point
        assert everything(phantom) == before
        assert [name for name in tree(phantom.directory) if "restore" in name and "/" in name] == []
    failed = phantom.cli("restore", place / "x.backup", "--yes", env={"PHANTOM_CI_FAULT": "restore.config:1:EIO"},
                         check=1)
    assert "run the same command again" in failed.err
    phantom.cli("restore", place / "x.backup", "--yes", check=0)
    assert "second" not in (phantom.config / "Repo.toml").read_text()


def test_a_killed_backup_leaves_no_backup_and_is_not_in_the_way_of_the_next(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    target = place / "out" / "x.backup"
    target.parent.mkdir()
    for point in ("backup.copy:1", "backup.piece:1", "backup.piece:2", "backup.sync:1"):
        killed = phantom.cli("backup", target, "--logs", env={"PHANTOM_CI_FAULT": f"{point}:KILL"})
        assert killed.returncode == -9 and not target.exists(), point
    phantom.cli("backup", target, "--logs", check=0)
    assert os.listdir(target.parent) == ["x.backup"]


@pytest.fixture
def small_disk(place):
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root")
    directory = place / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_backup_to_a_full_disk_says_so_and_leaves_no_file(phantom, repo, small_disk):
    repo.workflow("sh -c 'head -c 1000000 /dev/urandom'")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.cli("run", "app", "--branch", "main", "--detach", check=0)
    phantom.wait_idle()
    daemon.stop()
    failed = phantom.cli("backup", small_disk / "x.backup", "--logs", check=75)
    assert "free some space" in failed.err or "No space left" in failed.err, failed.err
    assert os.listdir(small_disk) == []
    phantom.cli("backup", small_disk / "x.backup", check=0)
    with open(small_disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass
    failed = phantom.cli("backup", small_disk / "y.backup", check=75)
    assert sorted(os.listdir(small_disk)) == ["filler", "x.backup"]
    whole = (small_disk / "x.backup").read_bytes()
    failed = phantom.cli("backup", small_disk / "x.backup", "--force", check=75)
    assert "phantom_ci: " in failed.err and (small_disk / "x.backup").read_bytes() == whole


def test_what_stands_at_the_name_of_a_backup_is_never_followed_or_lost(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    precious = place / "precious"
    precious.write_text("mine")
    target = place / "x.backup"
    target.symlink_to(precious)
    for options in ([], ["--force"]):
        assert "link" in phantom.cli("backup", target, *options, check=1).err
    assert precious.read_text() == "mine" and target.is_symlink()
    target.unlink()
    target.symlink_to(place / "nowhere")
    phantom.cli("backup", target, "--force", check=1)
    assert not (place / "nowhere").exists()
    target.unlink()
    target.mkdir()
    phantom.cli("backup", target, "--force", check=1)
    target.rmdir()
    target.write_text("an older backup")
    assert "--force" in phantom.cli("backup", target, check=1).err
    assert target.read_text() == "an older backup"
    phantom.cli("backup", target, "--force", check=0)
    assert rows(target, "SELECT value FROM backup_meta WHERE key = 'format'") == [("1",)]
    # The name that it is written under is no way in, either.
    target.unlink()
    hidden = place / ".x.backup.unfinished"
    hidden.symlink_to(precious)
    phantom.cli("backup", target, check=1)
    assert precious.read_text() == "mine" and not target.exists()
    assert "No such file" in phantom.cli("backup", place / "nodir" / "x", check=3).err


def test_a_file_with_a_second_name_in_the_place_of_the_unfinished_backup_is_not_written(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    precious = place / "precious"
    precious.write_text("mine")
    precious.chmod(0o644)
    os.link(precious, place / ".x.backup.unfinished")
    assert "put there by somebody else" in phantom.cli("backup", place / "x.backup", check=1).err
    assert precious.read_text() == "mine" and stat.S_IMODE(precious.stat().st_mode) == 0o644
    assert not (place / "x.backup").exists()


def test_no_backup_is_written_where_others_could_take_the_secrets_in_it(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    write_env(phantom)
    inner = place / "a b" / "inner"
    inner.mkdir(parents=True)
    for directory, mode in ((inner, 0o777), (inner, 0o775), (inner.parent, 0o777)):
        directory.chmod(mode)
        failed = phantom.cli("backup", inner / "x.backup", check=1)
        assert f"chmod go-w '{directory}'" in failed.err and "Nothing was written" in failed.err
        assert os.listdir(inner) == []
        directory.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(inner, 12345, -1)
        assert f"chown 0 '{inner}'" in phantom.cli("backup", inner / "x.backup", check=1).err
        os.chown(inner, 0, -1)
    # As /tmp is: nobody renames there what is not his.
    inner.chmod(0o1777)
    phantom.cli("backup", inner / "x.backup", check=0)


def test_a_backup_is_private_and_says_what_is_in_it_and_what_is_not(phantom, repo, place):
    assert phantom.cli("backup", place / "x.backup", check=3).err.count("nothing to back up") == 1
    finished_jobs(phantom, repo, 1)
    old = os.umask(0)
    try:
        out = phantom.cli("backup", place / "x.backup", check=0)
    finally:
        os.umask(old)
    assert stat.S_IMODE((place / "x.backup").stat().st_mode) == 0o600
    assert "secrets" not in out.out and "--logs" in out.out
    write_env(phantom)
    out = phantom.cli("backup", place / "y.backup", "--logs", check=0)
    assert "secrets of .env" in out.out and "--logs" not in out.out and "warning" not in out.err
    (phantom.config / ".env").unlink()
    (phantom.config / ".env").mkdir()
    out = phantom.cli("backup", place / "z.backup", check=0)
    assert ".env is not in it" in out.out
    out = phantom.cli("backup", phantom.state / "w.backup", check=0)
    assert "warning" in out.err and str(phantom.state) in out.err


def test_a_restore_refuses_while_a_daemon_or_a_job_is_at_work(phantom, repo, place):
    gate = place / "gate"
    repo.workflow(f"sh -c 'while [ ! -e {gate} ]; do sleep 0.02; done'")
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    phantom.cli("backup", place / "x.backup", check=0)
    assert "a daemon is at work" in phantom.cli("restore", place / "x.backup", "--yes", check=75).err
    phantom.cli("run", "app", "--branch", "main", "--detach", check=0)
    phantom.wait_until(lambda: phantom.jobs(state="running"), what="the job")
    phantom.configure('drain_timeout = "0s"\n')
    daemon.stop()
    assert "job 1 is running" in phantom.cli("restore", place / "x.backup", "--yes", check=75).err
    gate.touch()
    phantom.wait_idle()
    wait_until(lambda: phantom.cli("restore", place / "x.backup", "--yes").returncode == 0, what="the job's end")


def test_a_restore_without_a_yes_changes_nothing(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", check=0)
    phantom.watch(repo, "second", "dev")
    before = everything(phantom)
    assert "--yes" in phantom.cli("restore", place / "x.backup", check=2).err
    assert everything(phantom) == before
    for answer, code in ((b"n\n", 1), (b"\n", 1), (b"y\n", 0)):
        master, slave = pty.openpty()
        process = subprocess.Popen(phantom.command("restore", place / "x.backup"), env=phantom.env, stdin=slave,
                                   stdout=slave, stderr=slave, close_fds=True)
        os.close(slave)
        os.write(master, answer)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the process is gone
            while chunk := os.read(master, 65536):
                shown += chunk
        os.close(master)
        assert process.wait(LIMIT) == code, shown
        assert b"Restore? [y/N]" in shown and b"replaces" in shown
        assert (everything(phantom) == before) == (code != 0)


def test_foreign_damaged_and_unsafe_files_are_refused_and_nothing_is_changed(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    good = place / "good.backup"
    phantom.cli("backup", good, "--logs", check=0)
    before = everything(phantom)
    listing = tree(phantom.state)  # a restore keeps gc out by its lock, which stays
    bad = place / "bad.backup"
    cases = [
        (b"", 0o600, 78, "no usable backup"),
        (good.read_bytes()[:20000], 0o600, 78, "no usable backup"),
        (good.read_bytes().replace(b"hello from", b"HELLO from"), 0o600, 78, "SHA-256 differs"),
        ((phantom.state / "state.db").read_bytes(), 0o600, 78, "not the file that"),
        (good.read_bytes(), 0o622, 1, "chmod 600"),
        (good.read_bytes(), 0o602, 1, "chmod 600"),
    ]
    for content, mode, code, message in cases:
        bad.write_bytes(content)
        bad.chmod(mode)
        assert message in phantom.cli("restore", bad, "--yes", check=code).err
    if os.geteuid() == 0:
        bad.write_bytes(good.read_bytes())
        bad.chmod(0o600)
        os.chown(bad, 12345, 12345)
        assert "chown" in phantom.cli("restore", bad, "--yes", check=1).err
    assert "regular" in phantom.cli("restore", place, "--yes", check=78).err
    phantom.cli("restore", place / "absent", "--yes", check=3)
    assert everything(phantom) == before and [name for name in tree(phantom.state) if name != "gc.lock"] == listing


def test_a_configuration_with_mistakes_is_restored_only_by_force(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    good = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(good + "colour = 'blue'\n")
    phantom.cli("backup", place / "x.backup", check=0)
    phantom.write_repo_toml(good)
    failed = phantom.cli("restore", place / "x.backup", "--yes", check=78)
    assert 'unknown key "colour"' in failed.err and "--force" in failed.err
    assert (phantom.config / "Repo.toml").read_text() == good
    phantom.cli("restore", place / "x.backup", "--yes", "--force", check=0)
    assert "colour" in (phantom.config / "Repo.toml").read_text()


def test_a_restore_replaces_a_damaged_database_and_keeps_it(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", check=0)
    jobs = phantom.jobs()
    for damage in (b"x" * 8192, b"short", None):
        database = phantom.state / "state.db"
        if damage is None:
            database.unlink()
        else:
            database.write_bytes(damage)
        phantom.cli("restore", place / "x.backup", "--yes", check=0)
        assert phantom.jobs() == jobs
        kept = [path.read_bytes() for path in phantom.state.glob("state.db.before-restore-*")]
        assert damage is None or damage in kept


def test_a_file_that_the_backup_does_not_have_is_set_aside_but_never_secrets(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", check=0)
    phantom.configure("max_jobs = 3\n")
    write_env(phantom)
    out = phantom.cli("restore", place / "x.backup", "--yes", check=0).out
    assert "sets aside" in out and not (phantom.config / "config.toml").exists()
    kept, = phantom.config.glob("config.toml.before-restore-*")
    assert kept.read_text() == "max_jobs = 3\n"
    assert SECRET in (phantom.config / ".env").read_text()


@pytest.fixture
def small_state(phantom):
    """The state directory on a file system of its own, of 4 MiB."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root")
    phantom.state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(phantom.state)], check=True)
    yield phantom.state
    phantom.stop_all()
    subprocess.run(["umount", "-l", str(phantom.state)], check=True)


def test_a_restore_on_a_full_disk_leaves_what_was_there(phantom, repo, place, small_state):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", "--logs", check=0)
    before = everything(phantom)
    for spare in (0, 40000, 120000):
        with open(small_state / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 4096):
                pass
        os.truncate(small_state / "filler", (small_state / "filler").stat().st_size - spare)
        assert "pace" in phantom.cli("restore", place / "x.backup", "--yes", check=75).err
        (small_state / "filler").unlink()
        assert everything(phantom) == before
        assert [name for name in os.listdir(small_state) if "restore" in name] == []
    phantom.cli("restore", place / "x.backup", "--yes", check=0)
    assert everything(phantom) == before


def test_a_linked_repo_toml_is_replaced_behind_its_link(phantom, repo, place):
    finished_jobs(phantom, repo, 1)
    phantom.cli("backup", place / "x.backup", check=0)
    dotfiles = place / "dotfiles"
    dotfiles.mkdir(mode=0o700)
    text = (phantom.config / "Repo.toml").read_text()
    (phantom.config / "Repo.toml").rename(dotfiles / "Repo.toml")
    (dotfiles / "Repo.toml").write_text(text + "# changed\n")
    (phantom.config / "Repo.toml").symlink_to(dotfiles / "Repo.toml")
    phantom.cli("restore", place / "x.backup", "--yes", check=0)
    assert (phantom.config / "Repo.toml").is_symlink()
    assert (dotfiles / "Repo.toml").read_text() == text
    assert len(list(dotfiles.glob("Repo.toml.before-restore-*"))) == 1
