"""S23. I can push, or run the git server. A small push unfolds into more than the machine has: a tree of trees with sixteen million
files, a path four thousand directories deep, one enormous file, fifty megabytes of .gitattributes, a pack without an end. The runner
shall fill the disk or its memory, and take all other repositories with it.

The suite takes a hundred thousand files; PHANTOM_CI_MANY_FILES=1000000 takes so many."""
import os

import pytest

MANY_FILES = int(os.environ.get("PHANTOM_CI_MANY_FILES", "100000"))

LIMIT_KB = 32 * 1024
LIMIT_S = 120 + MANY_FILES // 1000
WORKFLOW = "[0]\nrun = 'echo ran'\n"


def import_files(repo, text):
    repo.git("fast-import", "--quiet", "--force", input=text)


def head_of(number=0):
    return (f"commit refs/heads/bomb\ncommitter Eve <e@example.org> {1700000000 + number} +0000\ndata 1\nx\n"
            f"M 100644 inline workflow/main.toml\ndata {len(WORKFLOW)}\n{WORKFLOW}\n").encode()


def tree_of_trees(repo):
    """Seven levels of sixteen."""
    blob = repo.git("hash-object", "-w", "--stdin", input=b"x")
    tree = repo.git("mktree", input="".join(f"100644 blob {blob}\tf{i}\n" for i in range(16)).encode())
    for _ in range(6):
        tree = repo.git("mktree", input="".join(f"040000 tree {tree}\td{i}\n" for i in range(16)).encode())
    workflow = repo.git("rev-parse", "HEAD:workflow")
    root = repo.git("mktree", input=f"040000 tree {tree}\tbomb\n040000 tree {workflow}\tworkflow\n".encode())
    return repo.git("commit-tree", root, "-p", "HEAD", "-m", "bomb")


def imported(repo, *files):
    text = head_of()
    for path, content in files:
        text += b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)
    import_files(repo, text)
    return repo.git("rev-parse", "refs/heads/bomb")


def deep_path(repo):
    return imported(repo, ("d/" * 4000 + "f", b"x"))


def long_attributes(repo):
    return imported(repo, (".gitattributes", b"*.c text eol=lf\n" * 3_300_000))


def long_attribute_line(repo):
    return imported(repo, (".gitattributes", b"*.c " + b"a" * 3_000_000 + b"\n"))


def large_file(repo):
    return imported(repo, ("zeros", bytes(64 * 1024 * 1024)))


def many_files(repo):
    """A thousand in each directory."""
    blob = repo.git("hash-object", "-w", "--stdin", input=b"")
    tree = repo.git("mktree", input="".join(f"100644 blob {blob}\tf{i}\n" for i in range(1000)).encode())
    workflow = repo.git("rev-parse", "HEAD:workflow")
    root = repo.git("mktree", input="".join([*(f"040000 tree {tree}\td{i}\n" for i in range(MANY_FILES // 1000)),
                                             f"040000 tree {workflow}\tworkflow\n"]).encode())
    return repo.git("commit-tree", root, "-p", "HEAD", "-m", "many files")


BOMBS = {"tree-of-trees": (tree_of_trees, ["error"], "files"), "deep-path": (deep_path, ["error"], "longer than 4095 bytes"),
         "long-attributes": (long_attributes, ["success", "error"], ""), "long-attribute-line": (long_attribute_line, ["error"], "refused"),
         "large-file": (large_file, ["error"], "fetch_max"), "many-files": (many_files, ["success"], "")}


@pytest.mark.demand("S23")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_its_own_job_and_no_other(phantom, repo, make_repo, bomb):
    # Defence: GIT_MAX_OUTPUT for what git lists, fetch_max (RLIMIT_FSIZE) for what it writes, fsck for what it reads, and a process
    # of its own for each job.
    make, states, words = BOMBS[bomb]
    repo.workflow("echo ran")
    neighbour = make_repo("neighbour")
    neighbour.workflow("echo ran")
    # git's index of a million files has 70 MiB
    phantom.watch(repo, fetch_max="1G" if bomb == "many-files" else "32M")
    phantom.watch(neighbour, name="neighbour")
    daemon = phantom.start()
    phantom.wait_baseline()
    phantom.wait_baseline("neighbour")
    sha = make(repo)
    repo.force(sha)
    job = phantom.wait_job(limit=LIMIT_S, sha=sha)
    assert job["state"] in states and (job["state"] == "success" or words in job["reason"]), job
    assert phantom.wait_job(sha=neighbour.commit_and_push())["state"] == "success"
    with open(f"/proc/{daemon.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < LIMIT_KB or b"asan" in open(f"/proc/{daemon.pid}/maps", "rb").read(), f"{peak} KiB"
    # and the workspace is usable again
    repo.git("checkout", "-q", "main")
    good = repo.commit({"x": "1"})
    repo.force(good)
    assert phantom.wait_job(limit=LIMIT_S, sha=good)["state"] == "success"


@pytest.mark.demand("S23")
def test_a_pack_larger_than_fetch_max_is_refused_and_told(phantom, repo):
    import random
    repo.workflow("echo ran")
    phantom.watch(repo, fetch_max="1M")
    phantom.cli("run", "app", check=0)
    repo.commit_and_push({"noise": random.Random(1).randbytes(3_000_000)})
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[-1]
    assert job["state"] == "error" and "fetch_max" in job["reason"] and "1.0 MiB" in job["reason"], job
    assert sum(path.stat().st_size for path in phantom.cache.rglob("*") if path.is_file()) < 3_000_000
