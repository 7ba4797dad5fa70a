#!/usr/bin/env python3
"""10,000 repositories at an interval of 60 s: what one daemon needs for them, over http and on local paths.

Over http they are on a server that answers from memory (parts/refs_server.py), in a process of its own that is not
counted; the local ones are real. Once every repository has been seen, one window is measured: CPU time of the daemon
with all its helpers and children as a share of one core, the largest memory, descriptors and sockets of all of them
together, how often the daemon woke up, and how many repositories waited more than 10 % too long for a look, as the
server saw it or (local) as the daemon tells. The same number of looks by `git ls-remote` is extrapolated from looks of
it before and after, at the same server or paths. Local repositories that the daemon watches need no looks while
nothing happens; they are compared with the looks that would be due.

100,000 repositories with poll_interval = "auto" are a simulation of some hours by simulate_fleet.c, which runs the code
that decides when to look; what a look costs is taken from the measured road over http.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from common import BUILD, Phantom, git_environment, make_many, parser_of_roads, voluntary_switches
from parts.refs_server import Server
from parts.rival import ls_remote
from parts.tree import KEEPER, Tree

LATE = 1.1          # of the interval
RIVAL_S = 5         # before, and again after
SAMPLE_S = 5
CPU_TARGET, MEMORY_TARGET = 5.0, 60e6
SIMULATION = {"remotes": 100000, "hosts": 1000, "hours": 6, "least_ms": 15000, "most_ms": 900000}


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
    return {"looks": looks, "due": int(options.repositories * wall / options.interval), "watched": watched,
            "seconds": wall, "cpu_percent": 100 * cpu / wall, "wake_ups": woken, **peaks,
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


def print_line(what, value, unit="", more=""):
    print(f"  {what:28}{value:>12} {unit:6}{more}".rstrip())


def print_fleet(figures, options):
    print(f"{figures['road']}: {options.repositories} repositories ({figures['kind']}) every {options.interval} s, "
          f"measured for {figures['seconds']:.0f} s")
    print_line("first looks at all of them", f"{figures['first_looks_s']:.1f}", "s",
               f"{figures['first_looks_cpu_s']:.1f} s CPU")
    print_line("looks", figures["looks"], "",
               "all are watched" if figures["watched"] else f"{figures['due']} at the interval")
    print_line("late by over 10 %", figures["late"], "", f"longest time without a look: {figures['longest_gap']:.1f} s")
    for key, value in figures["late_by_daemon"].items():
        print_line(f"status: {key}", str(value))
    print_line("CPU, one core = 100 %", f"{figures['cpu_percent']:.2f}", "%")
    times = figures["git_percent"] / figures["cpu_percent"] if figures["cpu_percent"] >= 0.01 else None
    print_line("`git ls-remote` instead", f"{figures['git_percent']:.2f}", "%", f"{figures['git_cpu_ms']:.2f} ms a look" +
               (f", {times:.1f} times as much" if times else ""))
    print_line("memory of all processes", f"{figures['rss'] / 1e6:.1f}", "MB",
               f"proportional: {figures['pss'] / 1e6:.1f} MB")
    print_line("processes", figures["processes"])
    print_line("descriptors", figures["descriptors"], "", f"{figures['sockets']} of them sockets")
    print_line("wake-ups of the daemon", figures["wake_ups"])
    if figures["road"] == "http":
        for what, target, value in (("% CPU", CPU_TARGET, figures["cpu_percent"]), ("late", 0, figures["late"]),
                                    ("MB resident", MEMORY_TARGET / 1e6, figures["rss"] / 1e6)):
            verdict = "reached" if value <= target else "NOT reached"
            print(f"  target: at most {target:g} {what}: {verdict} ({value:.1f})")
    sys.stdout.flush()


def simulate(measured):
    """`measured`: the figures over http, or None when they were not asked for."""
    subprocess.run(["ninja", "-C", str(BUILD), "bench/simulate_fleet"], check=True, stdout=subprocess.DEVNULL)
    out = subprocess.run([str(BUILD / "bench" / "simulate_fleet"), *map(str, SIMULATION.values())], check=True,
                         stdout=subprocess.PIPE).stdout
    figures = {"road": "simulation", **SIMULATION, **json.loads(out)}
    if measured:
        looks_per_second = figures["looks_per_minute"] / 60
        figures["cpu_percent"] = measured["cpu_percent"] * looks_per_second / (measured["looks"] / measured["seconds"])
        figures["git_percent"] = measured["git_cpu_ms"] * looks_per_second / 10
    return figures


def print_simulation(figures):
    print(f"simulation: {figures['remotes']} repositories on {figures['hosts']} hosts, poll_interval = \"auto\" from "
          f"{figures['least_ms'] / 1000:.0f} s to {figures['most_ms'] / 60000:.0f} min, {figures['hours']} hours")
    print_line("looks a minute", f"{figures['looks_per_minute']:.0f}", "", f"{figures['remotes']} at an interval of 60 s")
    print_line("pushes a minute", f"{figures['pushes'] / figures['minutes']:.0f}")
    print_line("from push to seen, median", f"{figures['wait_median_s']:.0f}", "s",
               f"95 % within {figures['wait_p95_s']:.0f} s")
    print_line("latest look", f"{figures['worst_late_ms'] / 1000:.1f}", "s")
    print_line("CPU of the decision", f"{figures['processor_us_per_look']:.2f}", "us", "a look")
    if "cpu_percent" in figures:
        print_line("CPU, one core = 100 %", f"{figures['cpu_percent']:.2f}", "%", "at the price of a look over http above")
        print_line("`git ls-remote` instead", f"{figures['git_percent']:.2f}", "%")
    sys.stdout.flush()


def parse():
    parser = parser_of_roads("fleet", "10,000 repositories in one daemon", [*FLEETS, "simulation"])
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--interval", type=int, default=60, help="in seconds")
    parser.add_argument("--seconds", type=float, default=90, help="that are measured")
    return parser.parse_args()


def main():
    options = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        for road in options.roads:
            if road == "simulation":
                continue
            results.append(run_fleet(road, pathlib.Path(name) / road, options))
            if not options.json:
                print_fleet(results[-1], options)
    if "simulation" in options.roads:
        results.append(simulate(next((figures for figures in results if figures["road"] == "http"), None)))
        if not options.json:
            print_simulation(results[-1])
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
