"""What steps write is kept byte for byte, within a cap, and shown safely."""
import os
import pathlib
import subprocess

import pytest


def run_script(phantom, repo, script, **keys):
    """Runs a Python script as the only step; the job."""
    repo.commit({"step.py": script})
    repo.workflow("/usr/bin/python3 step.py")
    phantom.watch(repo, **keys)
    phantom.cli("run", "app", limit=300)
    return phantom.jobs()[-1]


@pytest.mark.demand("D5")
@pytest.mark.demand("O9")
def test_output_is_kept_byte_for_byte(phantom, repo):
    every = bytes(range(256)) * 300 + "äöü€😀".encode() * 100 + b"\xff\xfe\x00 no newline at the end"
    job = run_script(phantom, repo, f"import os\nos.write(1, {every!r})\n")
    assert job["state"] == "success"
    assert phantom.log(job["id"]) == every


def test_stdout_and_stderr_are_merged_in_their_order(phantom, repo):
    job = run_script(phantom, repo, "import os\nfor i in range(1000):\n    os.write(1 + i % 2, b'%d\\n' % i)\n")
    assert phantom.log(job["id"]) == b"".join(b"%d\n" % i for i in range(1000))


@pytest.mark.demand("D3")
def test_the_last_line_before_a_kill_is_never_lost(phantom, repo):
    script = "import os, signal\nfor i in range(500):\n    os.write(1, b'%d\\n' % i)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    expected = b"".join(b"%d\n" % i for i in range(500))
    job = run_script(phantom, repo, script)
    assert job["steps"][0]["signal"] == "SIGKILL"
    assert phantom.log(job["id"]) == expected
    phantom.start("--quiet")
    for _ in range(50):
        phantom.cli("retry", "1", check=0)
    phantom.wait_until(lambda: len(phantom.jobs(state="failed")) == 51, 60, "fifty retries")
    for number in range(2, 52):
        assert (phantom.state / "logs" / str(number) / "output").read_bytes() == expected


@pytest.mark.demand("D1")
@pytest.mark.demand("D2")
@pytest.mark.demand("O9")
@pytest.mark.slow
def test_a_gigabyte_of_output_keeps_head_and_tail_in_flat_memory(phantom, repo):
    script = ("import os\nos.write(1, b'the head\\n')\nline = b'x' * 99 + b'\\n'\nblock = line * 10000\n"
              "for i in range(1024):\n    os.write(1, block)\nos.write(1, b'the tail\\n')\n")
    repo.commit({"step.py": script})
    repo.workflow("/usr/bin/python3 step.py")
    phantom.watch(repo, log_cap="8M")
    running = subprocess.Popen(phantom.command("run", "app"), env=phantom.env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    peak = 0
    while running.poll() is None:
        for pid, command in phantom.processes():
            if "phantom_ci-job" in command:
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    peak = max(peak, *[int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")])
                except (OSError, TypeError):
                    pass
    running.stderr.close()
    assert running.returncode == 0
    assert 0 < peak < 32 * 1024, f"{peak} KiB"
    kept = sum(p.stat().st_size for p in (phantom.state / "logs" / "1").iterdir())
    assert kept < 8.5 * 1024 * 1024
    result = phantom.cli("logs", "1", check=0)
    total = 1024 * 10000 * 100 + 18
    assert result.stdout.startswith(b"the head\nxxx") and result.stdout.endswith(b"xxx\nthe tail\n")
    dropped = int(result.err.split("phantom_ci: ")[1].split(" bytes")[0])
    assert len(result.stdout) + dropped == total
    assert phantom.jobs()[0]["steps"][0]["log_length"] == total


def test_limit_step_timestamps_and_several_jobs(phantom, repo):
    repo.workflow("seq 1 100", "printf 'a\\nb'")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    phantom.cli("run", "app", check=0)
    assert phantom.cli("logs", "1", "--limit", "3").out == "100\na\nb"
    assert phantom.cli("logs", "1", "--step", "1").out == "a\nb"
    assert phantom.cli("logs", "1", "--step", "0", "--limit", "1").out == "100\n"
    assert phantom.cli("logs", "1", "--step", "7", check=3)
    lines = phantom.cli("logs", "--limit", "4").out.splitlines()
    assert lines == ["app#2 | 99", "app#2 | 100", "app#2 | a", "app#2 | b"]
    assert len(phantom.cli("logs").out.splitlines()) == 50
    assert len(phantom.cli("logs", "--limit", "0").out.splitlines()) == 204
    assert phantom.cli("logs", "nothing").out == ""
    stamped = phantom.cli("logs", "1", "--timestamps", "--limit", "1").out
    assert stamped[4] == "-" and stamped[13] == ":" and stamped.endswith(" b")
    phantom.cli("logs", "99", check=3)


def test_follow_prints_what_comes_and_ends_with_the_job(phantom, repo):
    gate = phantom.directory / "gate"
    repo.workflow(f"sh -c 'echo before; while [ ! -e {gate} ]; do sleep 0.02; done; echo after'")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    job = phantom.wait_job(sha=sha, state="running")
    following = subprocess.Popen(phantom.command("logs", "-f", job["id"]), env=phantom.env, stdout=subprocess.PIPE)
    assert following.stdout.readline() == b"before\n"
    gate.touch()
    assert following.stdout.read() == b"after\n"
    assert following.wait(20) == 0


def test_live_output_is_led_by_its_job_and_quiet_leaves_it_to_the_log(phantom, repo):
    repo.workflow("printf 'one\\ntwo'")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert [line for line in daemon.lines if "|" in line] == [f"app#{job['id']} | one", f"app#{job['id']} | two"]
    daemon.stop()
    daemon = phantom.start("--quiet")
    job = phantom.wait_job(sha=repo.commit_and_push())
    daemon.wait_event(f"job finished job={job['id']}")
    assert not [line for line in daemon.lines if "|" in line]
    assert phantom.log(job["id"]) == b"one\ntwo"


def test_a_reader_of_the_daemon_that_does_not_read_never_stops_a_job(phantom, repo):
    """The daemon's standard output is a full pipe; the job ends all the same, and its log has everything."""
    repo.workflow("/usr/bin/python3 -c 'print(\"x\" * 99 + \"\\n\", end=\"\", flush=True) or [print(\"y\" * 99) for _ in range(20000)]'")
    phantom.watch(repo)
    read_end, write_end = os.pipe()
    ready_read, ready_write = os.pipe()
    daemon = subprocess.Popen(phantom.command("--ready-fd", ready_write), env=phantom.env, stdout=write_end,
                              stderr=write_end, stdin=subprocess.DEVNULL, pass_fds=[ready_write])
    os.close(write_end)
    os.close(ready_write)
    assert os.read(ready_read, 1)
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success"
    assert len(phantom.log(job["id"])) == 100 * 20001
    daemon.terminate()
    assert daemon.wait(20) == 0
    os.close(read_end)
    os.close(ready_read)
