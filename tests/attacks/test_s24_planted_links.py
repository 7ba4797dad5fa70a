"""S24. I am a step without a sandbox, or another user to whom the directories once lay open. In the place of the runner's directories,
logs and locks I put links to somebody else's files: whoever cleans up, backs up or restores shall delete, read or overwrite them."""
import shutil

import pytest

STATE = ["logs", "logs/1", "jobs", "lock", "gc.lock", "wake", "looks", "reserve", "restore.new", "state.db"]
CACHE = ["", "mirrors", "workspaces", "workspaces/app", "workspaces/app/main", "checkouts", "checkouts/app",
         "checkouts/app/main", "trash", "tmp"]
COMMANDS = [["reset", "--yes"], ["reset", "--yes", "--history"], ["gc"], ["restore", "BACKUP", "--yes"],
            ["backup", "SECOND", "--logs"]]


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@pytest.mark.demand("S24")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_links_planted_in_state_and_cache_lead_nowhere(phantom, repo, place, command):
    repo.workflow("echo out")
    phantom.watch(repo)
    phantom.configure('keep_cache_for = "1ms"\nkeep_jobs_for = "1ms"\nkeep_bytes = 1\n')
    phantom.cli("run", "app", check=0)
    phantom.cli("backup", place / "x.backup", "--logs", check=0)
    # Gone by the rules of retention, were it not behind a link.
    outside = place / "outside"
    for name in ("1", "app/main", "main", "mirrors/x.git", "trash/x", "tmp/1", "workspaces/x/y"):
        (outside / name).mkdir(parents=True)
        (outside / name / "output").write_text("precious")
    before = contents(outside)
    for part in ("state", "cache"):
        getattr(phantom, part).rename(place / f"kept-{part}")
    words = [{"BACKUP": place / "x.backup", "SECOND": place / "second.backup"}.get(word, word) for word in command]
    for part, names in (("state", STATE), ("cache", CACHE)):
        for name in names:
            for copied in ("state", "cache"):
                shutil.rmtree(getattr(phantom, copied), ignore_errors=True)
                shutil.copytree(place / f"kept-{copied}", getattr(phantom, copied), symlinks=True)
                getattr(phantom, copied).chmod(0o700)
            victim = getattr(phantom, part) / name
            remove(victim)
            victim.symlink_to(outside)
            (place / "second.backup").unlink(missing_ok=True)
            result = phantom.cli(*words)
            assert contents(outside) == before, (part, name)
            assert result.returncode in (0, 1), (part, name, result.returncode, result.err)
            assert result.returncode == 0 or "phantom_ci: " in result.err
            if (place / "second.backup").exists():
                assert b"precious" not in (place / "second.backup").read_bytes(), (part, name)
            if victim.is_symlink():
                victim.unlink()
