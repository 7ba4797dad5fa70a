#!/usr/bin/env python3
"""From `git push` to the first step: a local repository whose post-receive hook says `phantom_ci poll`, beside the
classical hook that checks out and runs the command itself.

Both do the same work: the pushed commit is checked out into a persistent work tree, and a step writes the time.
The rival keeps no record, no log, no queue. Medians of 20 pushes each, alternating.
"""
import pathlib
import statistics
import subprocess
import tempfile
import time

from parts.common import Phantom, git, make_repository

ROUNDS = 20


def push_until(directory, clone, bare, marker):
    """Seconds from the start of the push to the time that the step wrote."""
    marker.unlink(missing_ok=True)
    git(directory, "commit", "-q", "--allow-empty", "-m", "x", cwd=clone)
    begin = time.time()
    git(directory, "push", "-q", bare, "HEAD:refs/heads/main", cwd=clone)
    while not (marker.exists() and marker.read_text().endswith("\n")):
        time.sleep(0.001)
    return float(marker.read_text()) - begin


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        directory = pathlib.Path(name)
        ours, theirs = directory / "ours", directory / "theirs"
        files = {f"src/file{i}": f"{i}\n" * 20 for i in range(200)}
        step = "sh -c 'date +%s.%N > {0}.new; mv {0}.new {0}'"
        bare_a, clone_a = make_repository(directory, "a", {**files, "workflow/main.toml":
                                                           f'[0]\nrun = "{step.format(ours)}"\n'})
        bare_b, clone_b = make_repository(directory, "b", files)
        phantom = Phantom(directory)
        phantom.watch("a", bare_a, "1h")
        hook = " ".join(phantom.command("poll", "a"))
        (bare_a / "hooks" / "post-receive").write_text(f"#!/bin/sh\nunset GIT_DIR\n{hook}\n")
        work_tree = directory / "work-tree"
        work_tree.mkdir()
        (bare_b / "hooks" / "post-receive").write_text(
            f"#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit --work-tree={work_tree} checkout -q -f main && cd {work_tree} && "
            f"{step.format(theirs)}\n")
        for bare in (bare_a, bare_b):
            (bare / "hooks" / "post-receive").chmod(0o755)
        daemon = phantom.start(subprocess.DEVNULL)
        times = {"phantom_ci poll": [], "checkout hook": []}
        try:
            for _ in range(ROUNDS):
                times["phantom_ci poll"].append(push_until(directory, clone_a, bare_a, ours))
                times["checkout hook"].append(push_until(directory, clone_b, bare_b, theirs))
        finally:
            daemon.terminate()
            daemon.wait(20)
        medians = {who: statistics.median(values) for who, values in times.items()}
        print(f"from push to first step, median of {ROUNDS}:")
        for who, median in medians.items():
            print(f"  {who:18} {median * 1000:7.0f} ms")
        print(f"  phantom_ci / hook: {medians['phantom_ci poll'] / medians['checkout hook']:.2f}")


if __name__ == "__main__":
    main()
