"""What phantom_ci does when there is nothing to do: nothing."""
import shutil
import time

import pytest

from env.net import sanitized
from env.processes import voluntary_switches

REPOSITORIES = 100
WATCH_SECONDS = 20
REST_SECONDS = 3
OWN_MEMORY_KIB, MEMORY_KIB = 2 * 1024, 6_000_000 // 1024


@pytest.fixture
def quiet(phantom, repo):
    """A daemon that has seen a hundred local repositories, which are due again in an hour."""
    repo.workflow("true")
    for i in range(REPOSITORIES):
        path = phantom.directory / "remotes" / f"r{i}.git"
        shutil.copytree(repo.bare, path)
        phantom.watch(str(path), name=f"r{i}", poll_interval="1h")
    daemon = phantom.start("--quiet")
    phantom.wait_until(lambda: all(repo["last_ok"] for repo in phantom.json("repo")), 120, "the first looks")
    return daemon


@pytest.mark.slow
def test_a_daemon_with_a_hundred_quiet_local_repositories_does_not_wake_up(phantom, quiet):
    def rests():
        before = voluntary_switches(quiet.pid)
        time.sleep(REST_SECONDS)
        return voluntary_switches(quiet.pid) == before
    phantom.wait_until(rests, 60, "the end of what follows the first looks")
    before = voluntary_switches(quiet.pid)
    time.sleep(WATCH_SECONDS)
    assert voluntary_switches(quiet.pid) == before
    assert [pid for pid, _ in phantom.processes()] == [quiet.pid], "and no helper stays for nothing"


def test_a_daemon_with_a_hundred_local_repositories_needs_little_memory(phantom, quiet):
    """Its own memory is what it needs for sure; which pages of libraries are in memory is up to the kernel."""
    if sanitized():
        return  # a build with sanitizers has shadows of all memory
    with open(f"/proc/{quiet.pid}/status") as file:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in file if line.startswith(("VmRSS", "RssAnon"))}
    assert sizes["RssAnon"] < OWN_MEMORY_KIB and sizes["VmRSS"] < MEMORY_KIB, sizes
