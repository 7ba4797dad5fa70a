#!/usr/bin/env python3
"""The price of doing nothing: 100 quiet local repositories at a 60 s interval, phantom_ci beside Buildbot's GitPoller.

Both watch the same repositories for the same minute. Wake-ups are voluntary context switches of the main
process (all its threads); memory is what is resident at the end.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from common import Phantom, cpu_seconds, git_environment, make_repository, status, voluntary_switches

REPOSITORIES, SECONDS = 100, 60

MASTER = """
from buildbot.plugins import changes, worker, util, schedulers
c = BuildmasterConfig = {{}}
c['workers'] = [worker.Worker('w', 'p')]
c['protocols'] = {{'pb': {{'port': 'tcp:0:interface=127.0.0.1'}}}}
c['change_source'] = [changes.GitPoller(repourl='{0}/r%d.git' % i, workdir='{1}/p%d' % i, branches=['main'],
                      pollInterval=60) for i in range({2})]
c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory())]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='s', builderNames=['b'])]
c['title'] = 'bench'
c['titleURL'] = 'http://127.0.0.1/'
c['buildbotURL'] = 'http://127.0.0.1/'
c['buildbotNetUsageData'] = None
c['db'] = {{'db_url': 'sqlite:///state.sqlite'}}
"""


def start_buildbot(directory, repositories):
    base = directory / "master"
    run = {"cwd": directory, "env": git_environment(directory), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["buildbot", "create-master", str(base)], check=True, **run)
    (base / "master.cfg").write_text(MASTER.format(repositories, directory, REPOSITORIES))
    run["cwd"] = base
    return subprocess.Popen(["twistd3", "--nodaemon", "--no_save", "--pidfile=", "-y", "buildbot.tac"], **run)


def measure(processes):
    time.sleep(70)  # the first looks, and the start of Buildbot, are over
    before = {who: (voluntary_switches(p.pid), cpu_seconds(p.pid)) for who, p in processes.items()}
    time.sleep(SECONDS)
    print(f"{REPOSITORIES} quiet repositories at 60 s, {SECONDS} s:")
    figures = {}
    for who, process in processes.items():
        if process.poll() is not None:
            raise SystemExit(f"{who} has ended with {process.returncode}")
        rss, _ = status(process.pid)
        figures[who] = (rss, voluntary_switches(process.pid) - before[who][0], cpu_seconds(process.pid) - before[who][1])
        print(f"  {who:12} {rss / 1024:8.1f} MiB resident {figures[who][1]:8} wake-ups {figures[who][2]:8.2f} s CPU, "
              "git included")
    if "buildbot" in figures:
        ratio = [b / max(p, 1e-9) for p, b in zip(figures["phantom_ci"], figures["buildbot"])]
        print(f"  buildbot / phantom_ci: memory {ratio[0]:.1f}, wake-ups {ratio[1]:.1f}, CPU {ratio[2]:.1f}")


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-") as name:
        directory = pathlib.Path(name)
        bare, _ = make_repository(directory, "r0", {"workflow/main.toml": "[0]\nrun = 'true'\n"})
        for i in range(1, REPOSITORIES):
            shutil.copytree(bare, directory / f"r{i}.git")
        phantom = Phantom(directory)
        for i in range(REPOSITORIES):
            phantom.watch(f"r{i}", directory / f"r{i}.git", "60s")
        processes = {"phantom_ci": phantom.start(subprocess.DEVNULL)}
        if shutil.which("buildbot"):
            processes["buildbot"] = start_buildbot(directory, directory)
        else:
            print("buildbot is not installed (Debian: buildbot); phantom_ci alone is measured", file=sys.stderr)
        try:
            measure(processes)
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(20)


if __name__ == "__main__":
    main()
