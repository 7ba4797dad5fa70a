"""Moving from the original phantom_ci: its files as it wrote them, its last commits as the known tips."""
import contextlib
import json
import sqlite3

from env.gitrepo import toml_string

# The schema of the original (0.2), in the order of its columns; the log table comes along unread.
SCHEMA = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, status TEXT NOT NULL, priority INTEGER DEFAULT 0,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, start_time DATETIME,
    finish_time DATETIME, error_message TEXT, result TEXT, sha TEXT, target_branch TEXT);
CREATE TABLE job_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, log_message TEXT NOT NULL,
    logged_at DATETIME DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY(repo) REFERENCES jobs(repo) ON DELETE CASCADE);
"""

DEFAULT_BLOCK = """
## Example repo configuration
##[sys-compare]
##path = "git@github.com:helloimalemur/sys-compare"
##target_branch = "main"  # Optional; if omitted, PhantomCI will use the remote's default branch
##ssh_key_path = "/home/youruser/.ssh/id_ed25519"  # Optional: specify a custom SSH key

"""


def section(header, url, branch="main", key=""):
    """As the original's `add` wrote it."""
    return f'[{header}]\npath = {toml_string(url)}\ntarget_branch = "{branch}"\nssh_key_path = "{key}"\n\n'


def write_original(directory, repo_toml, tips=None, schema=SCHEMA):
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / "Repo.toml").write_text(repo_toml)
    (directory / "Repo.toml").chmod(0o644)
    if tips is not None:
        with contextlib.closing(sqlite3.connect(directory / "db.sqlite")) as database:
            database.executescript(schema)
            for url, branch, sha in tips:
                database.execute("INSERT INTO jobs(repo, status, created_at, updated_at, start_time, finish_time, "
                                 "error_message, result, sha, target_branch) VALUES(?,'running','','','','','','',?,?)",
                                 (url, sha, branch))
            database.execute("INSERT INTO job_logs(repo, log_message) VALUES('x', 'output')")
            database.commit()


def snapshot(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*"))
            if path.is_file()}


def test_what_was_pushed_after_the_original_stopped_runs(phantom, repo):
    repo.workflow("echo fine")
    seen = repo.head()
    text = DEFAULT_BLOCK + section("app.git", repo.url)
    write_original(phantom.config, text, [(repo.url, "main", seen)])
    pushed = repo.commit_and_push()
    out = phantom.cli("import-original", phantom.config, check=0).out
    assert "[app.git] is called app now" in out and seen[:10] in out
    assert (phantom.config / "Repo.toml.original").read_text() == text
    assert DEFAULT_BLOCK in (phantom.config / "Repo.toml").read_text()
    assert "imported" in phantom.cli("why", "app").out
    phantom.start("--quiet")
    job = phantom.wait_job(sha=pushed)
    assert job["state"] == "success" and job["previous_sha"] == seen and job["trigger"] == "push"
    assert len(phantom.jobs()) == 1


def test_a_repository_without_news_runs_nothing(phantom, repo):
    repo.workflow("echo fine")
    write_original(phantom.config, section("app", repo.url).replace('ssh_key_path = ""\n', ""),
                   [(repo.url, "main", repo.head())])
    before = (phantom.config / "Repo.toml").read_bytes()
    out = phantom.cli("import-original", phantom.config, check=0).out
    assert "is used as it is" in out
    assert (phantom.config / "Repo.toml").read_bytes() == before
    assert not (phantom.config / "Repo.toml.original").exists()
    phantom.start("--quiet")
    phantom.wait_until(lambda: phantom.repo()["last_ok"], what="a look")
    assert phantom.jobs() == []


def test_a_dry_run_writes_nothing_and_says_the_same(phantom, repo):
    write_original(phantom.config, section("app.git", repo.url) + section("bad", "ext::sh -c id"),
                   [(repo.url, "main", "a" * 40)])
    before = snapshot(phantom.directory)
    dry = json.loads(phantom.cli("import-original", phantom.config, "--dry-run", "--json", check=1).out)
    assert snapshot(phantom.directory) == before and not phantom.state.exists()
    assert [(r["name"], r["state"]) for r in dry["repos"]] == [("app", "imported"), ("bad", "left out")]
    wet = json.loads(phantom.cli("import-original", phantom.config, "--json", check=1).out)
    assert {**wet, "dry_run": True, "kept_as": None} == dry
    assert wet["kept_as"] == str(phantom.config / "Repo.toml.original")
    # Done again it finds nothing to do, and keeps the first original.
    again = json.loads(phantom.cli("import-original", phantom.config, "--json", check=0).out)
    assert again["changed"] is False and again["repos"][0]["tips"][0]["recorded"] is False
    assert (phantom.config / "Repo.toml.original").read_bytes() == before["config/Repo.toml"]


def test_from_another_directory_ours_are_kept_and_clashes_renamed(phantom, make_repo, place):
    mine, theirs, third = make_repo("mine"), make_repo("theirs"), make_repo("third")
    phantom.watch(mine, "tool")
    phantom.watch(third, "third", poll_interval="7s")
    ours = (phantom.config / "Repo.toml").read_text()
    directory = place / "elsewhere"
    write_original(directory, section("tool", theirs.url) + section("third", third.url) +
                   section("tool", mine.url, branch="dev").replace("ssh_key", 'branch_exclusions = "wip, old"\nssh_key'),
                   [(theirs.url, "main", "b" * 40), (theirs.url, "other", "c" * 40), (third.url, "main", "d" * 40)])
    found = json.loads(phantom.cli("import-original", directory, "--json", check=0).out)
    assert [(r["name"], r["state"]) for r in found["repos"]] == [
        ("tool-2", "imported"), ("third", "kept"), ("tool-2-2", "imported")]
    assert [t["sha"] for r in found["repos"] for t in r["tips"]] == ["b" * 40, "d" * 40]
    text = (phantom.config / "Repo.toml").read_text()
    assert text.startswith(ours) and 'branch_exclusions = "wip, old"' in text
    assert found["kept_as"] is None and sorted(p.name for p in directory.iterdir()) == ["Repo.toml", "db.sqlite"]
    phantom.cli("check", check=0)
    assert {r["name"]: [b["tip"] for b in r["branches"]] for r in phantom.json("repo")} == {
        "tool": [], "third": ["d" * 40], "tool-2": ["b" * 40], "tool-2-2": []}


def test_a_tip_that_is_known_here_is_not_set_back(phantom, repo):
    repo.workflow("echo fine")
    old = repo.head()
    phantom.watch(repo)
    daemon = phantom.start("--quiet")
    phantom.wait_baseline()
    new = repo.commit_and_push()
    phantom.wait_job(sha=new)
    write_original(phantom.directory / "other", section("app", repo.url), [(repo.url, "main", old)])
    assert "known here already" in phantom.cli("import-original", phantom.directory / "other", check=0).out
    assert phantom.repo()["branches"][0]["tip"] == new
    assert daemon.is_alive() and len(phantom.jobs()) == 1


def test_a_running_daemon_takes_nothing_imported_for_a_baseline(phantom, repo):
    repo.workflow("echo fine")
    seen = repo.head()
    pushed = repo.commit_and_push()
    daemon = phantom.start("--quiet")
    write_original(phantom.directory / "other", section("app", repo.url), [(repo.url, "main", seen)])
    phantom.cli("import-original", phantom.directory / "other", check=0)
    daemon.wait_event("config reloaded repos=1")
    assert phantom.wait_job(sha=pushed)["previous_sha"] == seen


def test_the_default_directory_is_the_originals_own(phantom, repo):
    for name in (".config/phantomCI", ".config/phantom_ci"):
        failed = phantom.cli("import-original", "--dry-run", check=None)
        if name.endswith("CI"):
            assert failed.returncode == 3 and ".config/phantom_ci" in failed.err
        write_original(phantom.home / name, section("app", repo.url), [])
        found = json.loads(phantom.cli("import-original", "--dry-run", "--json", check=0).out)
        assert found["directory"] == str(phantom.home / name)


def test_what_a_person_must_mend_is_said_with_the_command(phantom, repo, place):
    key = place / "id_ed25519"
    key.write_text("key")
    key.chmod(0o644)
    write_original(phantom.config, section("a", "git@nosuch.example:x/a.git", key=key) +
                   section("every", repo.url, branch=""), [])
    (phantom.config / "Repo.toml").chmod(0o664)
    (phantom.config / ".env").write_text("DISCORD_WEBHOOK_URL=x\n")
    (phantom.config / ".env").chmod(0o644)
    out = phantom.cli("import-original", phantom.config, check=0).out
    for words in ("the host key of nosuch.example", "StrictHostKeyChecking=accept-new", f"chmod 600 '{key}'",
                  "every branch runs", "chmod go-w", f"chmod 600 '{phantom.config}/.env'"):
        assert words in out, words


def test_broken_foreign_files_are_refused_and_nothing_is_changed(phantom, repo):
    good = section("app", repo.url)
    write_original(phantom.config, "[app\n", [])
    before = snapshot(phantom.directory)
    failed = phantom.cli("import-original", phantom.config, check=78)
    assert "Repo.toml:1:5" in failed.err and "the original could not read this file either" in failed.err
    assert snapshot(phantom.directory) == before
    (phantom.config / "db.sqlite").unlink()
    write_original(phantom.config, good)
    (phantom.config / "db.sqlite").write_bytes(b"no database " * 1000)
    before = snapshot(phantom.directory)
    assert "no database of the original" in phantom.cli("import-original", phantom.config, check=78).err
    assert snapshot(phantom.directory) == before
    (phantom.config / "db.sqlite").unlink()
    write_original(phantom.config, good, [(repo.url, "main", "a" * 40)])
    with contextlib.closing(sqlite3.connect(phantom.config / "db.sqlite", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert "stop the original" in phantom.cli("import-original", phantom.config, check=75).err
    (phantom.config / "db.sqlite").unlink()
    assert "there is no db.sqlite" in phantom.cli("import-original", phantom.config, check=0).out


def test_kill_9_before_the_file_is_written_loses_nothing(phantom, repo):
    repo.workflow("echo fine")
    seen = repo.head()
    text = section("app.git", repo.url)
    write_original(phantom.config, text, [(repo.url, "main", seen)])
    killed = phantom.cli("import-original", phantom.config, env={"PHANTOM_CI_FAULT": "import.write:1:KILL"})
    assert killed.returncode == -9 and (phantom.config / "Repo.toml").read_text() == text
    phantom.cli("import-original", phantom.config, check=0)
    assert (phantom.config / "Repo.toml.original").read_text() == text
    assert sorted(path.name for path in phantom.config.iterdir()) == ["Repo.toml", "Repo.toml.original", "db.sqlite"]
    pushed = repo.commit_and_push()
    phantom.start("--quiet")
    assert phantom.wait_job(sha=pushed)["previous_sha"] == seen
