#!/usr/bin/env python3
"""What a look costs: phantom_ci beside `git ls-remote`, over http, https, ssh and on local paths, in one run.

Each road has 500 repositories, which one daemon looks at every second (or as often as it can). Phases of phantom_ci
and of its rivals take turns, so that what else goes on here meets all of them; the daemon and its helpers are stopped
(SIGSTOP) while a rival has its turn. What is compared is the CPU time of a look on this side of the wire, user and
system, of all processes that take part: daemon, helpers, ssh masters, git with all that it starts (parts/tree.py,
parts/rival.py say how that is counted). The servers' work is not counted; on local paths there is no server, and
git-upload-pack is part of git's look. Starting up and first looks are over before the first phase.

Looks are counted where they arrive: answered POSTs in nginx's log, sessions in sshd's. On local paths the daemon's own
word is taken, `phantom_ci repo --json`, which is asked several times a second for the time of the last look at each.
For "local" the daemon is kept from watching (parts/roads.py): a repository that it watches needs no look while nothing
happens. "watched" is the same without that: there each interval that passed for each repository stands for a look.

"wall" is the time of a phase divided by its looks: with one rival at a time, how long a look takes; for the others,
how many get done. The servers share this machine, and bound it on the roads that have one.
"""
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from common import Phantom, make_many, parser_of_roads
from parts.rival import Sample, ls_remote
from parts.roads import ROADS
from parts.tree import KEEPER, Tree

INTERVAL_S = 1
SETTLE_S = 1.5
AGE_S = 5  # files written a moment ago are read with each look, until their time stamps tell of changes (base/stamp.h)
SAMPLE_S = 0.3


class DaemonCount:
    """How many looks began, as the daemon tells: each new time of a last look is one."""

    def __init__(self, phantom):
        self.phantom = phantom
        self.count = 0
        self.last = None

    def __call__(self):
        last = {repo["name"]: repo["last_look"] for repo in self.phantom.repos()}
        if self.last is not None:
            self.count += sum(self.last[name] != begun for name, begun in last.items())
        self.last = last
        return self.count


def measure_phantom(tree, looks, options):
    """One phase of phantom_ci: (sample, True when the looks are intervals that passed)."""
    tree.thaw()
    time.sleep(SETTLE_S)
    looks_before, cpu_before, begin = looks(), tree.seconds(), time.monotonic()
    while time.monotonic() - begin < options.seconds:
        time.sleep(SAMPLE_S)
        if isinstance(looks, DaemonCount):
            looks()
    sample = Sample(looks() - looks_before, tree.seconds() - cpu_before, time.monotonic() - begin)
    tree.freeze()
    if sample.looks == 0 and isinstance(looks, DaemonCount):
        sample.looks = int(options.repositories * sample.wall / INTERVAL_S)
        return sample, True
    if sample.looks == 0:
        raise SystemExit("phantom_ci has not looked at anything")
    return sample, False


def measure_road(road, phantom, tree, options):
    """Rounds of all: [{who: sample}], True when no look was needed."""
    looks = road.looks or DaemonCount(phantom)
    urls = itertools.cycle([road.url(i) for i in range(options.repositories)])
    rounds, watched = [], False
    for _ in range(options.rounds):
        samples = {}
        samples["phantom_ci"], watched = measure_phantom(tree, looks, options)
        for who, how in road.rivals().items():
            how = dict(how)
            env = {**road.git_env, **how.pop("env", {})}
            samples[who] = ls_remote(urls, env, options.seconds / 2, **how)
        rounds.append(samples)
    return rounds, watched


def evaluate(road, rounds, watched):
    """The figures of a road as they are printed; ratios are medians of those of the rounds."""
    figures = {"road": road.name, "server": road.server_name, "watched": watched, "rows": {}, "targets": {}}
    for who in rounds[0]:
        total = Sample()
        for samples in rounds:
            total.add(samples[who])
        ratios = [samples[who].cpu_ms() / max(samples["phantom_ci"].cpu_ms(), 1e-6) for samples in rounds]
        figures["rows"][who] = {"looks": total.looks, "cpu_ms": total.cpu_ms(), "wall_ms": total.wall_ms(),
                                "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
    if watched:  # without looks there is nothing to compare
        return figures
    for who, target in road.targets.items():
        ratio = figures["rows"][who]["ratio"]
        figures["targets"][who] = {"target": target, "ratio": ratio, "reached": ratio >= target}
    return figures


def run_road(name, directory, repositories, options):
    directory.mkdir()
    road = ROADS[name](directory, repositories)
    try:
        phantom = Phantom(directory)
        phantom.env.update(road.phantom_env)
        phantom.watch_all({f"r{i}": road.url(i) for i in range(options.repositories)}, f"{INTERVAL_S}s")
        with open(directory / "daemon.log", "wb") as log:
            tree = Tree(phantom.start(log, [*KEEPER, *road.before]))
        try:
            phantom.wait_for_baselines(900)
            time.sleep(AGE_S)
            rounds, watched = measure_road(road, phantom, tree, options)
            failing = [repo for repo in phantom.repos() if repo["failures"]]
            if failing:
                raise SystemExit(f"{name}: looks failed, {failing[0]['name']}: {failing[0]['last_error']}")
        finally:
            tree.stop()
    finally:
        road.stop()
    return evaluate(road, rounds, watched)


def print_road(figures, options):
    print(f"{figures['road']}: {options.repositories} repositories ({figures['server']}), {options.rounds} rounds")
    print(f"  {'':40}{'looks':>8}{'CPU a look':>14}{'wall a look':>14}{'CPU ratio':>11}{'(rounds)':>17}")
    for who, row in figures["rows"].items():
        line = f"  {who:40}{row['looks']:8}{row['cpu_ms']:11.4f} ms{row['wall_ms']:11.2f} ms"
        if who != "phantom_ci" and not figures["watched"]:
            line += f"{row['ratio']:11.1f}{row['ratio_low']:9.1f} .. {row['ratio_high']:.1f}"
        print(line)
    if figures["watched"]:
        print("  watched: no look was needed; counted are the intervals that passed")
    for who, target in figures["targets"].items():
        verdict = "reached" if target["reached"] else "NOT reached"
        print(f"  target: {target['target']} times less CPU than {who}: {verdict} ({target['ratio']:.1f})")
    sys.stdout.flush()


def parse():
    parser = parser_of_roads("detection", "what a look costs, beside git ls-remote", ROADS)
    parser.add_argument("--repositories", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of a phase of phantom_ci; one of a rival has half")
    return parser.parse_args()


def main():
    options = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        directory = pathlib.Path(name)
        repositories = directory / "repositories"
        make_many(repositories, options.repositories)
        for road in options.roads:
            results.append(run_road(road, directory / road, repositories, options))
            if not options.json:
                print_road(results[-1], options)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
