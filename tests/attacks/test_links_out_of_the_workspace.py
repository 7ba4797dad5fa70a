"""I can push. My step leaves, in the place of files and directories that the next commit has, links to what lies outside: when the
runner cleans up and writes the next tree, it shall write and delete there, with its own rights. Pipes and devices shall make it wait."""
import contextlib
import os
import threading

from env.site import shell

FILES = {"file": "tracked\n", "dir/file": "tracked\n", "dir/sub/file": "tracked\n", "link": "tracked\n", "hard": "tracked\n",
         "pipe": "tracked\n", "same": "precious\n", "deep/a/b/c/d": "tracked\n"}
LEAVE = """
rm -rf file dir link hard same pipe deep
ln -s OUTSIDE/file file; ln -s OUTSIDE dir; ln -s OUTSIDE/sub link; ln OUTSIDE/file hard || touch hard; ln OUTSIDE/file same || touch same
mkfifo pipe; mkdir -p deep/a; ln -s OUTSIDE deep/a/b; ln -s .. untracked-up; ln -s / untracked-root; mkfifo untracked-pipe
mkdir -p closed/x/y; ln -s OUTSIDE closed/x/y/z; chmod 000 closed/x; mkdir kept; ln -s OUTSIDE kept/out
mknod device c 1 5 2>/dev/null; true
"""


def contents(directory):
    return {path.relative_to(directory): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in [directory, *directory.rglob("*")]}


def test_nothing_outside_of_the_workspace_is_written_or_removed(site, level):
    # Defence: git/checkout_clean.c and base/tree.c go from descriptor to descriptor, follow no link and write into no file that has
    # a second name.
    outside = site.directory / "outside"
    for name in ("file", "sub/file", "a/b/c/d", "c/d"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("precious\n")
    if site.uid:
        for path in [outside, *outside.rglob("*")]:
            os.chown(path, site.uid, site.uid)
    (outside / "file").chmod(0o600)
    before = contents(outside)
    site.repo.commit({**FILES, "leave.sh": LEAVE.replace("OUTSIDE", str(outside))})
    if site.attack(level, shell("sh leave.sh"), keep=["kept/", "untracked-up", "dir/kept/"]) is None:
        return
    changed = sorted(set(FILES) - {"same"})
    site.repo.write({name: "changed\n" for name in changed})
    out = site.attack_again(level, shell("cat same " + " ".join(changed) + "; find . -path ./.git -prune -o -type l -print; ls -d kept/out"))
    assert out == "precious\n" + "changed\n" * len(changed) + "./kept/out\nkept/out\n"
    assert contents(outside) == before
    site.phantom.cli("reset", "--yes", check=0)
    assert contents(outside) == before


def test_while_the_runner_cleans_directories_turn_into_links_and_back(phantom, repo, place):
    """Another process of the same user, which no lock of ours stops, swaps a directory of the workspace for a link, without a pause."""
    outside = place / "outside"
    (outside / "sub").mkdir(parents=True)
    for name in ("file", "x", "sub/x"):
        (outside / name).write_text("precious\n")
    before = contents(outside)
    repo.commit({"dir/file": "tracked\n", "dir/sub/x": "tracked\n"})
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    workspace = phantom.cache / "workspaces" / "app" / "main"
    over = threading.Event()

    def swap():
        while not over.is_set():
            with contextlib.suppress(OSError):
                (workspace / "junk" / "sub").mkdir(parents=True)
            for name in ("dir", "junk", "dir/sub"):
                try:
                    (workspace / name).rename(workspace / "aside")
                    (workspace / name).symlink_to(outside)
                    (workspace / name).unlink()
                    (workspace / "aside").rename(workspace / name)
                except OSError:
                    pass
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(15):
            phantom.cli("run", "app")
            assert contents(outside) == before
    finally:
        over.set()
        swapper.join()
    assert contents(outside) == before
    phantom.cli("run", "app", check=0)
