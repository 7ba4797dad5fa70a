#!/usr/bin/env python3
"""What a look at a repository on this machine costs by itself, beside `git ls-remote` and beside two stat(2).

Without the daemon around it: `git/localrefs` asked in a loop for one branch of each of 200 bare repositories in which
nothing happens. All take turns in each of five rounds; CPU time, user and system, of all processes that take part;
medians. And what it takes to have 10,000 repositories looked at and watched by one process (`poll/refwatch`).
"""
import itertools
import json
import pathlib
import statistics
import subprocess
import tempfile

from common import BUILD, git, git_environment, make_many
from parts.rival import ls_remote

PROGRAM = BUILD / "tests" / "bench_local"
ROUNDS = 5
REPOSITORIES = 200
LOOKS = 500          # of each of them in each round
RIVAL_SECONDS = 1.5  # of git ls-remote in each round
MANY = 10000


def measure(*args):
    return json.loads(subprocess.run([PROGRAM, *map(str, args)], check=True, stdout=subprocess.PIPE).stdout)


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        directory = pathlib.Path(name)
        make_many(directory / "many", MANY)
        many = [directory / "many" / f"r{i}.git" for i in range(MANY)]
        few = many[:REPOSITORIES]
        for repository in few:
            git(directory, "pack-refs", "--all", "--no-prune", cwd=repository)
        urls = itertools.cycle(map(str, few))
        costs = {"git ls-remote": [], "first look": [], "unchanged": [], "two stat calls": []}
        for _ in range(ROUNDS):
            ours = measure("look", LOOKS, *few)
            costs["git ls-remote"].append(ls_remote(urls, git_environment(directory), RIVAL_SECONDS).cpu_ms() * 1e6)
            costs["first look"].append(ours["first"])
            costs["unchanged"].append(ours["quiet"])
            costs["two stat calls"].append(ours["stats"])
        medians = {who: statistics.median(values) for who, values in costs.items()}
        print(f"CPU time of a look for one branch, medians of {ROUNDS} rounds:")
        for who, median in medians.items():
            print(f"  {who:16} {median / 1000:10.2f} us   git ls-remote / this: {medians['git ls-remote'] / median:8.0f}")
        looks, watches = measure("look", 1, *many), measure("watch", *many)
        print(f"{MANY} repositories in one process, each:")
        print(f"  looked at        {looks['quiet'] / 1000:10.2f} us   {looks['resident_bytes']:.0f} bytes")
        print(f"  begun to watch   {watches['setup'] / 1000:10.2f} us   {watches['resident_bytes']:.0f} bytes, and two watches "
              "of the kernel")


if __name__ == "__main__":
    main()
