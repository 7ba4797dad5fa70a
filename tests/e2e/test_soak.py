"""Exactness over all roads at once: random pushes, force pushes, deletions and returns of branches, while helpers and
the daemon are killed, refs are packed and the configuration is read again. Each tip that a look must have seen has one
job, none has two, and the last one has run.
"""
import dataclasses
import os
import random
import re
import signal
import time

import pytest

from env.gitrepo import GitRepo, workflow
from env.processes import descendants

BRANCHES = ["main", "dev", "feature/a", "feature/b/c"]
TARGETS = ["main", "dev", "feature/*"]
PUSHES = 400
PUSHING_SECONDS = 35  # at most, unless PHANTOM_CI_SOAK_PUSHES asks for a number


@dataclasses.dataclass(eq=False)
class Branch:
    """What a branch of a remote is and was."""
    repo: str
    name: str
    tip: str = None          # None: it is not there
    last: str = None         # its tip before it was deleted
    pushed_ms: float = 0     # when the push of the tip was over
    history: list = dataclasses.field(default_factory=list)  # all tips, oldest first; the first is the baseline
    seen: set = dataclasses.field(default_factory=set)       # those that a good look must have seen


class Remote:
    """A repository behind one of the roads, with the objects of all commits, and what was pushed where."""

    def __init__(self, place, name):
        self.repo = GitRepo(place, name)
        files = {f"workflow/{branch}.toml": workflow("git rev-parse HEAD") for branch in BRANCHES}
        self.base = self.repo.commit(files)
        self.tree = self.repo.git("rev-parse", "HEAD^{tree}")
        self.commits = 0
        self.repo.git("push", "-q", "origin", "HEAD:refs/heads/spare")
        # A branch that HEAD names can't be deleted by a push.
        self.repo.git("--git-dir", self.repo.url, "symbolic-ref", "HEAD", "refs/heads/spare")
        self.branches = [Branch(name, branch) for branch in BRANCHES]
        self.push({branch: self.commit(self.base) for branch in self.branches})

    def commit(self, parent):
        self.commits += 1
        return self.repo.git("commit-tree", self.tree, "-p", parent, "-m", f"number {self.commits}")

    def push(self, tips):
        """{branch: SHA, or None to delete it} in one `git push`, as a force push where it must be one."""
        refs = [f"{sha or ''}:refs/heads/{branch.name}" for branch, sha in tips.items()]
        self.repo.git("push", "-q", "--force", "origin", *refs)
        for branch, sha in tips.items():
            branch.last, branch.tip, branch.pushed_ms = branch.tip or branch.last, sha, time.time() * 1000
            if sha and sha not in branch.history:
                branch.history.append(sha)

    def act(self, dice):
        """One random push; its branches."""
        branch = dice.choice(self.branches)
        if branch.tip is None:
            returns = dice.random() < 0.3
            self.push({branch: branch.last if returns else self.commit(dice.choice([branch.last, self.base]))})
        elif (what := dice.random()) < 0.1:
            self.push({branch: None})
        elif what < 0.3:
            self.push({branch: self.commit(dice.choice(branch.history))})
        elif what < 0.4:
            others = dice.sample(self.branches, 2)
            self.push({other: self.commit(other.tip or other.last) for other in others})
            return others
        else:
            self.push({branch: self.commit(branch.tip)})
        return [branch]


class Soak:
    def __init__(self, phantom, remotes, dice):
        self.phantom, self.remotes, self.dice = phantom, remotes, dice
        self.branches = [branch for remote in remotes.values() for branch in remote.branches]
        self.daemon = phantom.start("--quiet")
        self.done = {"push": 0, "daemon killed": 0, "helper killed": 0, "reload": 0, "refs packed": 0}

    def note_what_was_seen(self):
        """A good look that began after a push saw its tip: by what the daemon tells of its last look."""
        for repo in self.phantom.json("repo"):
            is_over = repo["next_look"] and repo["last_ok"] and repo["last_ok"] >= repo["last_look"]
            for branch in self.remotes[repo["name"]].branches:
                if is_over and branch.tip and repo["last_look"] > branch.pushed_ms + 1:
                    branch.seen.add(branch.tip)

    def known_tips(self):
        return {(repo["name"], branch["name"]): branch["tip"] if branch["state"] != "branch missing" else None
                for repo in self.phantom.json("repo") for branch in repo["branches"]}

    def wait_until_known(self, branches, limit=120):
        def known():
            tips = self.known_tips()
            return all(tips.get((branch.repo, branch.name)) == branch.tip for branch in branches)
        self.phantom.wait_until(known, limit, f"the tips of {branches}")
        for branch in branches:
            branch.seen.update({branch.tip} - {None})

    def disturb(self):
        what = self.dice.random()
        if what < 0.01:
            self.daemon.kill9()
            self.daemon = self.phantom.start("--quiet")
            self.done["daemon killed"] += 1
        elif what < 0.06:
            self.daemon.signal(signal.SIGHUP)
            self.done["reload"] += 1
        elif what < 0.16:
            # Whatever makes looks: phantom_ci-net, phantom_ci-ssh, git, ssh; but not jobs with what they started.
            victims = descendants(self.daemon.pid, but="phantom_ci-job")
            if victims:
                try:
                    os.kill(self.dice.choice(victims), signal.SIGKILL)
                    self.done["helper killed"] += 1
                except ProcessLookupError:
                    pass
        elif what < 0.22:
            repo = self.dice.choice(list(self.remotes.values())).repo
            repo.git("--git-dir", repo.url, "pack-refs", "--all")
            self.done["refs packed"] += 1

    def run(self, pushes, seconds):
        deadline = time.monotonic() + seconds
        while self.done["push"] < pushes and time.monotonic() < deadline:
            self.note_what_was_seen()
            pushed = self.dice.choice(list(self.remotes.values())).act(self.dice)
            self.done["push"] += 1
            self.disturb()
            if self.dice.random() < 0.1:
                self.wait_until_known(pushed)
            else:
                time.sleep(self.dice.uniform(0, 0.1))

    def settle(self):
        """Until all is known, and done."""
        self.wait_until_known(self.branches)
        self.phantom.wait_idle(180)
        # A helper may have been killed at the very end.
        self.phantom.wait_until(lambda: not any(repo["failures"] for repo in self.phantom.json("repo")), 120,
                                "good looks everywhere")

    def push_everywhere(self):
        for remote in self.remotes.values():
            remote.push({branch: remote.commit(branch.tip or remote.base) for branch in remote.branches})

    # ------------------------------------------------------------- what must hold

    def check(self):
        jobs = self.phantom.jobs()
        by_id = {job["id"]: job for job in jobs}
        for branch in self.branches:
            own = [job for job in jobs if (job["repo"], job["branch"]) == (branch.repo, branch.name)]
            self.check_branch(branch, own, by_id)
        assert {job["branch"] for job in jobs} <= set(BRANCHES)
        return jobs

    def check_branch(self, branch, jobs, by_id):
        where = f"{branch.repo} {branch.name}"
        shas = [job["sha"] for job in jobs]
        assert len(shas) == len(set(shas)), f"{where}: a tip has two jobs"
        assert shas == [sha for sha in branch.history if sha in shas], f"{where}: other commits, or another order"
        missing = branch.seen - set(shas) - {branch.history[0]}
        assert not missing, f"{where}: a look saw {missing}, and no job tells of it"
        for job in jobs:
            assert job["state"] in ("success", "superseded"), job
            if job["state"] == "success":
                output = self.phantom.state / "logs" / str(job["id"]) / "output"
                assert output.read_text() == job["sha"] + "\n", job
            else:
                by = re.match(r"superseded by (\w+) \(job (\d+)\)", job["reason"])
                newer = by_id[int(by[2])]
                assert (newer["repo"], newer["branch"]) == (branch.repo, branch.name) and newer["id"] > job["id"], job
                assert newer["sha"].startswith(by[1]), job
        why = self.phantom.json("why", branch.repo, "--branch", branch.name)[0]
        assert why["new_sha"] == branch.tip, why
        if branch.tip is None:
            assert why["kind"] == "gone", why
        elif branch.tip != branch.history[0]:
            assert jobs[-1]["sha"] == branch.tip and jobs[-1]["state"] == "success", f"{where}: the last tip has not run"


@pytest.mark.demand("A8")
@pytest.mark.slow
def test_of_many_random_pushes_over_all_roads_none_is_lost_and_none_runs_twice(phantom, place, http, ssh):
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    asked = os.environ.get("PHANTOM_CI_SOAK_PUSHES")
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    ssh.trust()
    http.log_in(phantom.home)
    phantom.env["GIT_SSL_CAINFO"] = http.ca
    remotes = {}
    for road in ("path", "http", "https", "auth", "ssh"):
        for name in (f"{road}-0", f"{road}-1"):
            remotes[name] = Remote(place, name)
            url = {"path": remotes[name].repo.url, "http": http.url(name), "https": http.url(name, tls=True),
                   "auth": http.url(name, area="auth"), "ssh": ssh.url(remotes[name].repo.url)}[road]
            phantom.watch(url, name, TARGETS, **({"ssh_key_path": ssh.key} if road == "ssh" else {}))
    soak = Soak(phantom, remotes, random.Random(seed))
    soak.wait_until_known(soak.branches)
    soak.run(int(asked or PUSHES), float("inf") if asked else PUSHING_SECONDS)
    soak.settle()
    soak.check()
    soak.push_everywhere()
    soak.settle()
    jobs = soak.check()
    seen = sum(len(branch.seen) for branch in soak.branches)
    print(f"{soak.done}; {len(jobs)} jobs, {sum(job['state'] == 'superseded' for job in jobs)} of them superseded; "
          f"{seen} tips were surely seen, of {sum(len(branch.history) for branch in soak.branches)}")
    assert len(jobs) > len(soak.branches) / 2 and seen > len(soak.branches)
