#!/usr/bin/env python3
"""10,000 repositories at an interval of 60 s: what one daemon needs for them, over http and on local paths.

Over http they are on a server that answers from memory (parts/refs_server.py), in a process of its own that is not
counted; the local ones are real. Once every repository has been seen, one window is measured: CPU time of the daemon
with all its helpers and children as a share of one core, the largest memory, descriptors and sockets of all of them
together, how often the daemon woke up, and how many repositories waited more than 10 % too long for a look, as the server
saw it or (local) as the daemon tells. The same number of looks by `git ls-remote` is extrapolated from looks of it
before and after, at the same server or paths. Local repositories that the daemon watches need no looks while nothing
happens; they are compared with the looks that would be due.
"""
import argparse
import itertools
import json
import pathlib
import sys
import tempfile
import time

from parts.common import Phantom, git_environment, make_many, voluntary_switches
from parts.refs_server import Server
from parts.rival import ls_remote
from parts.tree import KEEPER, Tree

LATE = 1.1          # of the interval
RIVAL_S = 5         # before, and again after
SAMPLE_S = 5
CPU_TARGET, MEMORY_TARGET = 5.0, 60e6


class HttpFleet:
    name, kind = "http", "simulated server"

    def __init__(self, directory, count):
        self.server = Server()
        self.url = self.server.url

    def begin(self, phantom):
        self.server.reset()

    def sample(self, phantom):
        pass

    def looks_and_gaps(self, phantom):
        report = self.server.report()
        if report["refused"]:
            raise SystemExit(f"the simulated server did not understand {report['refused']} requests")
        return report["looks"], report["gaps"]

    def stop(self):
        self.server.stop()


class LocalFleet:
    name, kind = "local", "real paths"

    def __init__(self, directory, count):
        self.directory = directory / "repositories"
        make_many(self.directory, count)

    def url(self, i):
        return f"{self.directory}/r{i}.git"

    def begin(self, phantom):
        self.last = {repo["name"]: repo["last_look"] for repo in phantom.repos()}
        self.gaps, self.looks = dict.fromkeys(self.last, 0.0), 0

    def sample(self, phantom):
        for repo in phantom.repos():
            name, begun = repo["name"], repo["last_look"]
            if begun != self.last[name]:
                self.gaps[name] = max(self.gaps[name], (begun - self.last[name]) / 1000)
                self.last[name] = begun
                self.looks += 1

    def looks_and_gaps(self, phantom):
        self.sample(phantom)
        now = time.time()
        return self.looks, sorted(max(gap, now - self.last[name] / 1000) for name, gap in self.gaps.items())

    def stop(self):
        pass


FLEETS = {fleet.name: fleet for fleet in (HttpFleet, LocalFleet)}


def measure(fleet, phantom, tree, options):
    """One window of the running daemon."""
    peaks = {"rss": 0, "pss": 0, "descriptors": 0, "sockets": 0, "processes": 0}
    daemon = tree.pids()[0]
    fleet.begin(phantom)
    cpu, woken, begin = tree.seconds(), voluntary_switches(daemon), time.monotonic()
    while (left := begin + options.seconds - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_S, left))
        fleet.sample(phantom)
        now = dict(zip(peaks, (*tree.memory(), *tree.descriptors(), len(tree.pids()))))
        peaks = {what: max(peaks[what], now[what]) for what in peaks}
    wall = time.monotonic() - begin
    cpu, woken = tree.seconds() - cpu, voluntary_switches(daemon) - woken
    looks, gaps = fleet.looks_and_gaps(phantom)
    watched = looks == 0 and fleet.name == "local"
    status = phantom.ask("status")[0]
    return {"looks": looks, "due": int(options.repositories * wall / options.interval), "watched": watched, "seconds": wall, "cpu_percent": 100 * cpu / wall, "wake_ups": woken, **peaks,
            "late": 0 if watched else sum(gap > LATE * options.interval for gap in gaps), "longest_gap": gaps[-1],
            "late_by_daemon": {key: value for key, value in status.items() if "late" in key}}


def run_fleet(name, directory, options):
    directory.mkdir()
    fleet = FLEETS[name](directory, options.repositories)
    try:
        urls = itertools.cycle([fleet.url(i) for i in range(options.repositories)])
        phantom = Phantom(directory)
        phantom.watch_all({f"r{i}": fleet.url(i) for i in range(options.repositories)}, f"{options.interval}s")
        rival = ls_remote(urls, git_environment(directory), RIVAL_S)
        with open(directory / "daemon.log", "wb") as log:
            began = time.monotonic()
            tree = Tree(phantom.start(log, KEEPER))
        try:
            phantom.wait_for_baselines(1800, every=3)
            first = {"first_looks_s": time.monotonic() - began, "first_looks_cpu_s": tree.seconds()}
            figures = measure(fleet, phantom, tree, options)
        finally:
            tree.stop()
        rival.add(ls_remote(urls, git_environment(directory), RIVAL_S))
    finally:
        fleet.stop()
    looks = figures["due"] if figures["watched"] else figures["looks"]
    figures.update(first, road=name, kind=fleet.kind, git_cpu_ms=rival.cpu_ms(),
                   git_percent=rival.cpu_ms() * looks / figures["seconds"] / 10)
    return figures


def print_fleet(figures, options):
    print(f"{figures['road']}: {options.repositories} repositories ({figures['kind']}) every {options.interval} s, "
          f"measured for {figures['seconds']:.0f} s")
    print(f"  first looks at all of them  {figures['first_looks_s']:10.1f} s, {figures['first_looks_cpu_s']:.1f} s CPU")
    print(f"  looks                       {figures['looks']:10}   at the interval {figures['due']}" +
          (": all are watched" if figures["watched"] else ""))
    print(f"  late by over 10 %           {figures['late']:10}   longest time without a look {figures['longest_gap']:.1f} s")
    for key, value in figures["late_by_daemon"].items():
        print(f"  status: {key:20}{value!s:>10}")
    print(f"  CPU, one core = 100 %       {figures['cpu_percent']:10.2f} %")
    print(f"  `git ls-remote` instead     {figures['git_percent']:10.2f} %  ({figures['git_cpu_ms']:.2f} ms a look, "
          f"{figures['git_percent'] / max(figures['cpu_percent'], 1e-3):.1f} times as much)")
    print(f"  memory of all processes     {figures['rss'] / 1e6:10.1f} MB resident, {figures['pss'] / 1e6:.1f} MB proportional")
    print(f"  processes, descriptors      {figures['processes']:10}   {figures['descriptors']} descriptors, "
          f"{figures['sockets']} of them sockets")
    print(f"  wake-ups of the daemon      {figures['wake_ups']:10}")
    if figures["road"] == "http":
        for what, target, value in (("% CPU", CPU_TARGET, figures["cpu_percent"]), ("late", 0, figures["late"]),
                                    ("MB resident", MEMORY_TARGET / 1e6, figures["rss"] / 1e6)):
            print(f"  target: at most {target:g} {what}: {'reached' if value <= target else 'NOT reached'} ({value:.1f})")
    sys.stdout.flush()


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench fleet", description="10,000 repositories in one daemon")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--roads", default=",".join(FLEETS), help="of " + ",".join(FLEETS))
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--interval", type=int, default=60, help="in seconds")
    parser.add_argument("--seconds", type=float, default=90, help="that are measured")
    options = parser.parse_args()
    options.roads = options.roads.split(",")
    for name in options.roads:
        if name not in FLEETS:
            parser.error(f"no road {name!r}; there are {', '.join(FLEETS)}")
    return options


def main():
    options = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        for road in options.roads:
            results.append(run_fleet(road, pathlib.Path(name) / road, options))
            if not options.json:
                print_fleet(results[-1], options)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
