#!/usr/bin/env python3
"""What a look at a repository on this machine costs by itself, beside `git ls-remote` and beside two stat(2).

Without the daemon around it: `git/localrefs` asked in a loop for one branch of each of 200 bare repositories in which
nothing happens. The three take turns in each of five rounds; CPU time, user and system, of all processes that take
part; medians. And what it takes to have 10,000 repositories watched by the kernel (`poll/refwatch`).
"""
import json
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("PHANTOM_CI_BUILD_DIR", pathlib.Path(__file__).resolve().parents[1] / "build" / "release"))
PROGRAM = BUILD.resolve() / "tests" / "bench_local"
ROUNDS = 5
REPOSITORIES = 200
LOOKS = 500        # of each repository in each round
RIVAL_LOOKS = 40   # git ls-remote in each round
WATCHED = 10000


def run(*args, **options):
    return subprocess.run([str(arg) for arg in args], check=True, stdout=subprocess.PIPE, **options).stdout.decode()


def make_repositories(directory, count):
    """Bare repositories with a loose and a packed branch: one by git, the others its copies, with what refs need."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "b",
           "GIT_AUTHOR_EMAIL": "b@example.org", "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@example.org"}
    first = directory / "0.git"
    run("git", "init", "-q", "--bare", first, env=env)
    tree = run("git", "-C", first, "hash-object", "-t", "tree", "-w", os.devnull, env=env).strip()
    commit = run("git", "-C", first, "commit-tree", "-m", "x", tree, env=env).strip()
    run("git", "-C", first, "update-ref", "refs/heads/packed", commit, env=env)
    run("git", "-C", first, "pack-refs", "--all", env=env)
    run("git", "-C", first, "update-ref", "refs/heads/main", commit, env=env)
    files = {name: (first / name).read_text() for name in ("HEAD", "config", "packed-refs", "refs/heads/main")}
    made = [first]
    for number in range(1, count):
        made.append(directory / f"{number}.git")
        for name in ("objects", "refs/heads", "refs/tags"):
            (made[-1] / name).mkdir(parents=True)
        for name, text in files.items():
            (made[-1] / name).write_text(text)
    return made, env


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ls_remote_ns(repositories, env):
    before = children_seconds()
    for repository in repositories:
        run("git", "ls-remote", "--heads", "--", repository, "refs/heads/main", env=env)
    return (children_seconds() - before) / len(repositories) * 1e9


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        repositories, env = make_repositories(pathlib.Path(name), WATCHED)
        few = repositories[:REPOSITORIES]
        costs = {"git ls-remote": [], "first look": [], "unchanged": [], "two stat calls": []}
        for _ in range(ROUNDS):
            ours = json.loads(run(PROGRAM, "look", LOOKS, *few))
            costs["git ls-remote"].append(ls_remote_ns(few[:RIVAL_LOOKS], env))
            costs["first look"].append(ours["first"])
            costs["unchanged"].append(ours["quiet"])
            costs["two stat calls"].append(ours["stats"])
        medians = {who: statistics.median(values) for who, values in costs.items()}
        print(f"CPU time of a look for one branch, medians of {ROUNDS} rounds:")
        for who, median in medians.items():
            print(f"  {who:16} {median / 1000:10.2f} us   git ls-remote / this: {medians['git ls-remote'] / median:8.0f}")
        all_of_them = json.loads(run(PROGRAM, "look", 1, *repositories))
        print(f"looking at {WATCHED} repositories: {all_of_them['quiet'] / 1000:.2f} us and "
              f"{all_of_them['resident_bytes']:.0f} bytes of memory each")
        watch = json.loads(run(PROGRAM, "watch", *repositories))
        print(f"watching {WATCHED} repositories: {watch['setup'] / 1000:.1f} us of CPU time and "
              f"{watch['resident_bytes']:.0f} bytes of this process's memory each")


if __name__ == "__main__":
    main()
