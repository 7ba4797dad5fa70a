"""S10. I can push, and I have a commit that was looked at and one that was not. Between the instant at which the runner sees the one
and that at which it checks out, I move the branch: the other one shall run under the first one's name."""
import threading

import pytest

PUSHES = 500


@pytest.mark.demand("S10")
@pytest.mark.demand("O4")
def test_while_the_branch_moves_without_a_pause_each_job_runs_its_own_commit(phantom, repo):
    # Defence: the look's SHA is recorded with the job, fetched by its id, and checked out by its id (git/mirror.c, checkout.c).
    repo.commit({"secret": "0\n"})
    repo.workflow("sh -c 'git rev-parse HEAD; cat number'")
    tree = {}
    lines = ["feature done\n"]
    parent = repo.head()
    for number in range(PUSHES):
        lines.append(f"commit refs/heads/all\nmark :{number + 1}\ncommitter Eve <e@example.org> {1700000000 + number} +0000\n"
                     f"data 1\nx\nfrom {parent if number == 0 else f':{number}'}\n"
                     f"M 100644 inline number\ndata {len(str(number)) + 1}\n{number}\n\n")
    marks = phantom.directory / "marks"
    repo.git("fast-import", "--quiet", f"--export-marks={marks}", input=("".join(lines) + "done\n").encode())
    for line in marks.read_text().splitlines():
        mark, sha = line.split()
        tree[sha] = int(mark[1:]) - 1
    repo.git("push", "-q", "origin", "refs/heads/all:refs/elsewhere/all")
    assert len(tree) == PUSHES
    phantom.watch(repo, poll_interval="50ms")
    phantom.start("--quiet")
    phantom.wait_baseline()

    def move():
        for sha in sorted(tree, key=tree.get):
            repo.git("update-ref", "refs/heads/main", sha, cwd=repo.bare)
    mover = threading.Thread(target=move)
    mover.start()
    mover.join()
    last = max(tree, key=tree.get)
    phantom.wait_job(sha=last)
    phantom.wait_idle()
    ran = [job for job in phantom.jobs() if job["state"] == "success"]
    assert {job["state"] for job in phantom.jobs()} <= {"success", "superseded"}
    assert last in {job["sha"] for job in ran}
    for job in ran:
        log = (phantom.state / "logs" / str(job["id"]) / "output").read_text()
        assert log == f"{job['sha']}\n{tree[job['sha']]}\n", job
