#!/usr/bin/env python3
"""What a step costs at each level of the sandbox, beside a plain posix_spawn of the same program and beside bubblewrap
alone with the same mounts and namespaces.

A job with many steps of `true` less a job with one, divided by the difference, is what one step costs; of that, what the
runner does for every step (its record on disk, its log) is taken off by the level "off", which starts a plain process:
    price(level) = step(level) - step("off") + posix_spawn
The mounts of the rival are those that `phantom_ci sandbox NAME --json` tells. Medians of alternating rounds, wall clock.
"""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from common import Phantom, make_repository

STEPS = 60
ROUNDS = 7
LEVELS = ("off", "workspace", "strict")
TARGET = 1.3


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def spawn():
    pid = os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
    os.waitpid(pid, 0)


def bwrap_arguments(operations):
    arguments, read_only = ["bwrap"], []
    for operation in operations:
        kind, path, value = operation["operation"], operation.get("path"), operation.get("value")
        if kind == "namespace":
            arguments += [f"--unshare-{value}"]
        elif kind == "no-network":
            arguments += ["--unshare-net"]
        elif kind == "capabilities":
            arguments += ["--cap-drop", "ALL"]
        elif kind == "read":
            arguments += ["--ro-bind", path, path]
        elif kind == "write":
            # The temporary directory is that of a job: the one that was named is gone with it.
            pathlib.Path(value or path).mkdir(parents=True, exist_ok=True)
            arguments += ["--bind", value or path, path]
        elif kind == "link":
            arguments += ["--symlink", value, path]
        elif kind == "file":
            arguments += ["--ro-bind", "/etc/hostname", path]
        elif kind in ("empty", "hide-directory"):
            arguments += ["--tmpfs", path] if path != "/" else []
            read_only = ["--remount-ro", path, *read_only]
        elif kind == "hide-file":
            arguments += ["--ro-bind", "/dev/null", path]
        elif kind == "devices":
            arguments += ["--dev", path]
        elif kind == "processes":
            arguments += ["--proc", path]
    return arguments + read_only + ["--die-with-parent", "--as-pid-1", "--", "/bin/true"]


def main():
    with tempfile.TemporaryDirectory(prefix="phantom_ci-bench-", dir="/var/tmp") as name:
        directory = pathlib.Path(name)
        phantom = Phantom(directory)
        sections = directory / "config" / "Repo.toml"
        text = ""
        for count in (1, STEPS + 1):
            workflow = "".join(f'[{i}]\nrun = "/bin/true"\n' for i in range(count))
            bare, _ = make_repository(directory, f"r{count}", {"workflow/main.toml": workflow})
            for level in LEVELS:
                text += f'[{level}-{count}]\npath = "{bare}"\ntarget_branch = "main"\nsandbox = "{level}"\n'
        sections.write_text(text)
        sections.chmod(0o600)

        def run(*args):
            return subprocess.run(phantom.command(*args), env=phantom.env, check=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE).stdout

        rivals = {level: bwrap_arguments(json.loads(run("sandbox", f"{level}-1", "--json"))["operations"])
                  for level in LEVELS[1:]}
        step = {level: [] for level in LEVELS}
        bare_bwrap = {level: [] for level in LEVELS[1:]}
        plain = []
        for _ in range(ROUNDS):
            for level in LEVELS:
                many = timed(lambda: run("run", f"{level}-{STEPS + 1}"))
                one = timed(lambda: run("run", f"{level}-1"))
                step[level].append((many - one) / STEPS)
            plain.append(timed(lambda: [spawn() for _ in range(STEPS)]) / STEPS)
            for level, arguments in rivals.items():
                bare_bwrap[level].append(timed(lambda: [subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
                                                        for _ in range(STEPS)]) / STEPS)
        spawned = statistics.median(plain)
        base = statistics.median(step["off"])
        print(f"posix_spawn {spawned * 1000:8.2f} ms; a step at \"off\" with its record and log {base * 1000:.2f} ms")
        for level in LEVELS[1:]:
            price = statistics.median(step[level]) - base + spawned
            rival = statistics.median(bare_bwrap[level])
            note = f" (at most {TARGET}: {'yes' if price / rival <= TARGET else 'NO'})" if level == "workspace" else ""
            print(f"{level:11} {price * 1000:8.2f} ms, {price / spawned:5.1f} times posix_spawn; bare bwrap "
                  f"{rival * 1000:.2f} ms: {price / rival:.2f} times{note}")


if __name__ == "__main__":
    main()
