"""A push becomes a recorded, logged run of exactly that commit."""
import os
import stat

import pytest


def test_push_runs_the_steps_of_the_commit_and_records_them(phantom, repo):
    repo.workflow("echo hello", "sh -c 'cat name; git rev-parse HEAD; git status --porcelain'")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    sha = repo.commit_and_push({"name": "world\n"}, "say who")
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    assert job["subject"] == "say who"
    assert job["author"] == "Ada <ada@example.org>"
    assert job["trigger"] == "push"
    assert [step["state"] for step in job["steps"]] == ["success", "success"]
    assert phantom.log(job["id"]) == b"hello\nworld\n" + sha.encode() + b"\n"
    daemon.wait_event(rf"job finished job={job['id']} repo=app branch=main sha={sha} state=success")
    assert any(line == f"app#{job['id']} | hello" for line in daemon.lines)


@pytest.mark.demand("O10")
@pytest.mark.parametrize("step, expected", [
    ('bash -lc "echo a && echo b"', b"a\nb\n"),
    ("printf '%s|' 'a b' \"c d\" e\\ f ''", b"a b|c d|e f||"),
    ("echo $HOME *.toml a;b", b"$HOME *.toml a;b\n"),
    (["printf", "%s|", "a b", "$(id)", "`id`", "", "x'y\"z"], b"a b|$(id)|`id`||x'y\"z|"),
])
def test_steps_are_argument_vectors_without_a_shell(phantom, repo, step, expected):
    repo.workflow("true")
    phantom.watch(repo)
    phantom.start()
    phantom.wait_baseline()
    sha = repo.workflow(step)
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    assert phantom.log(job["id"]) == expected


def test_steps_run_in_numeric_order_and_gaps_are_allowed(phantom, repo):
    repo.commit_and_push({"workflow/main.toml": "[10]\nrun='echo ten'\n[0]\nrun='echo zero'\n[2]\nrun='echo two'\n"})
    phantom.watch(repo)
    result = phantom.cli("run", "app", check=0)
    assert result.stdout == b"zero\ntwo\nten\n"
    assert [step["number"] for step in phantom.jobs()[0]["steps"]] == [0, 2, 10]


def test_a_thousand_steps_run(phantom, repo):
    repo.workflow(*["true"] * 1000)
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    assert len(phantom.jobs()[0]["steps"]) == 1000


def test_the_first_failing_step_ends_the_job(phantom, repo):
    repo.workflow("echo one", "sh -c 'echo two; exit 3'", "echo three")
    phantom.watch(repo)
    result = phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "failed"
    assert "step 1" in job["reason"] and "exit 3" in job["reason"]
    assert [(s["state"], s["exit_code"]) for s in job["steps"]] == [("success", 0), ("failed", 3)]
    assert b"three" not in result.stdout


@pytest.mark.demand("B8")
@pytest.mark.parametrize("step, words", [
    ("sh -c 'exit 1'", ["exit 1"]),
    ("sh -c 'exit 126'", ["exit 126", "could not be executed"]),
    ("sh -c 'exit 127'", ["exit 127", "not found"]),
    ("sh -c 'exit 255'", ["exit 255"]),
    ("sh -c 'kill -KILL $$'", ["SIGKILL", "memory"]),
    ("sh -c 'kill -SEGV $$'", ["SIGSEGV"]),
    ("sh -c 'kill -TERM $$'", ["SIGTERM"]),
    ("no-such-command-anywhere x", ["command not found: no-such-command-anywhere", "PATH="]),
    ("./absent", ["no such file: ./absent"]),
    ("./not-executable", ["not executable"]),
    ("./no-format", ["exec format error"]),
    ("./bad-interpreter", ["interpreter"]),
])
def test_only_exit_zero_is_success_and_every_other_end_is_explained(phantom, repo, step, words):
    for name, content, mode in [("not-executable", "#!/bin/sh\n", 0o644), ("no-format", "echo hi\n", 0o755),
                                ("bad-interpreter", "#!/no/such/interpreter\n", 0o755)]:
        path = repo.clone / name
        path.write_text(content)
        path.chmod(mode)
    repo.workflow(step, "echo never")
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "failed", job
    for word in words:
        assert word in job["reason"], job["reason"]
    assert len(job["steps"]) == 1


def test_a_commit_without_a_workflow_for_the_branch_is_skipped(phantom, repo):
    repo.commit_and_push({"workflow/other.toml": "[0]\nrun='true'\n"})
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "skipped"
    assert "workflow/main.toml" in job["reason"]


def test_a_branch_with_slashes_has_its_workflow_in_directories(phantom, repo):
    repo.workflow("echo $PHANTOM_CI_BRANCH", "sh -c 'echo $PHANTOM_CI_BRANCH'", branch="feature/x.y")
    phantom.watch(repo, branch="feature/x.y")
    assert phantom.cli("run", "app", check=0).stdout == b"$PHANTOM_CI_BRANCH\nfeature/x.y\n"


@pytest.mark.parametrize("text, where", [
    ("", "workflow/main.toml: the workflow has no steps"),
    ("[0]\nrun = 'true'\n[0]\nrun='x'\n", ":3:"),
    ("[0]\nrun = 'true'\n[00]\nrun='x'\n", ":3:2: step 0 stands here again; it is in line 1"),
    ("[a]\nrun = 'true'\n", ":1:2: \"a\" is not the number of a step"),
    ("[-1]\nrun = 'true'\n", ":1:2: \"-1\" is not the number"),
    ("[0]\nrun = 'true'\nruns = 'x'\n", ":3:1: unknown key \"runs\", did you mean \"run\"?"),
    ("[0]\nname = 'x'\n", ":1:2: step 0 has no \"run\""),
    ("[0]\nrun = 5\n", ":2:7: \"run\" must be"),
    ("[0]\nrun = \"echo 'x\"\n", ":2:7: \"run\" has a quote without its partner"),
    ("[0]\nrun = ''\n", ":2:7: \"run\" names no command"),
    ("[0]\nrun = []\n", ":2:7: \"run\" names no command"),
    ("[0]\nrun = ['a', 5]\n", ":2:13: \"run\" must be an array of strings"),
    ("[0]\nrun = \"a\\u0000b\"\n", "NUL"),
    ("run = 'true'\n", ":1:1: \"run\" stands outside of a step"),
    ("[0]\nrun = \n", ":2:"),
])
def test_an_invalid_workflow_runs_nothing_and_is_named_by_line_and_column(phantom, repo, text, where):
    repo.commit_and_push({"workflow/main.toml": text})
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "error" and job["steps"] == []
    assert where in job["reason"], job["reason"]
    file = phantom.directory / "w.toml"
    file.write_text(text)
    assert where.replace("workflow/main.toml", str(file)) in phantom.cli("check", file, check=78).err


def test_a_fifo_in_the_place_of_a_workflow_stops_nobody(phantom, repo):
    """S12: git can't hold one, but a step can leave one in a kept path, and `check` can be given one."""
    pipe = phantom.directory / "pipe.toml"
    os.mkfifo(pipe)
    assert "not a regular file" in phantom.cli("check", pipe, check=78, limit=20).err
    repo.workflow("sh -c 'rm workflow/main.toml; mkfifo workflow/main.toml; ls workflow'")
    phantom.watch(repo, keep=["workflow/"])
    for _ in range(2):
        assert phantom.cli("run", "app", check=0, limit=20).out == "main.toml\n"


@pytest.mark.demand("S8")
@pytest.mark.demand("O17")
def test_a_step_sees_the_allow_list_and_nothing_else(phantom, repo, fake_git):
    environments = phantom.directory / "environments"
    fake_git.on("*", f"env >>{environments}")
    hostile = {"DISCORD_WEBHOOK_URL": "canary", "LD_PRELOAD": "", "GIT_DIR": "/tmp/canary", "BASH_ENV": "/x",
               "PYTHONPATH": "/canary", "GIT_SSH_COMMAND": "canary", "IFS": "x",
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "canary",
               "GIT_EXTERNAL_DIFF": "canary", "SSH_ASKPASS": "canary", "AWS_SECRET_ACCESS_KEY": "canary"}
    repo.workflow("env")
    phantom.watch(repo, env={"MINE": "yes", "CI": "mine"})
    phantom.start(env={**hostile, **fake_git.env})
    phantom.wait_baseline()
    sha = repo.commit_and_push()
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    seen = dict(line.split("=", 1) for line in phantom.log(job["id"]).decode().splitlines())
    assert set(seen) == {
        "PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "CI", "PHANTOM_CI", "PHANTOM_CI_REPO", "PHANTOM_CI_BRANCH",
        "PHANTOM_CI_TAG", "PHANTOM_CI_TRIGGER",
        "PHANTOM_CI_SHA", "PHANTOM_CI_PREVIOUS_SHA", "PHANTOM_CI_JOB", "PHANTOM_CI_STEP", "PHANTOM_CI_WORKSPACE",
        "PHANTOM_CI_JOB_TOKEN", "MINE"}
    assert seen["MINE"] == "yes" and seen["CI"] == "mine" and seen["PHANTOM_CI"] == "true"
    assert seen["PHANTOM_CI_SHA"] == sha and seen["PHANTOM_CI_REPO"] == "app"
    assert seen["PHANTOM_CI_PREVIOUS_SHA"] == job["previous_sha"]
    assert not os.path.exists(seen["TMPDIR"])
    assert "GIT_TERMINAL_PROMPT=0" in environments.read_text(), "git was called, and through the one that notes"
    assert "canary" not in environments.read_text()


def test_a_step_runs_in_the_checkout_with_no_input_in_a_session_of_its_own(phantom, repo):
    repo.workflow("sh -c 'pwd; readlink /proc/self/fd/0; ps -o sid= -p $$ | tr -d \" \"; echo $$'")
    phantom.watch(repo)
    lines = phantom.cli("run", "app", check=0).out.split("\n")
    assert lines[0] == str(phantom.cache / "workspaces" / "app" / "main")
    assert lines[1] == "/dev/null"
    assert lines[2] == lines[3]


def test_the_temporary_directory_is_private_and_goes_with_the_job(phantom, repo):
    repo.workflow("sh -c 'stat -c %a $TMPDIR; ls -A $TMPDIR; touch $TMPDIR/x; mkdir -m 0 $TMPDIR/y; echo $TMPDIR'")
    phantom.watch(repo)
    lines = phantom.cli("run", "app", check=0).out.split("\n")
    assert lines[0] == "700" and len(lines) == 3
    assert not os.path.exists(lines[1])


def test_git_describe_and_status_work_in_a_step(phantom, repo):
    repo.commit({"a": "1"})
    repo.git("tag", "-a", "-m", "one", "v1.0")
    repo.push()
    repo.git("push", "-q", "origin", "v1.0")
    sha = repo.workflow("git describe --tags", "git status --porcelain", "git rev-parse HEAD")
    phantom.watch(repo)
    assert phantom.cli("run", "app", check=0).out == f"v1.0-1-g{sha[:7]}\n{sha}\n"


def test_kept_paths_survive_cleaning_and_nothing_else_does(phantom, repo):
    repo.workflow("sh -c 'ls -A target cache.bin junk 2>/dev/null; mkdir -p target junk; echo x > target/x; touch cache.bin junk/y'")
    phantom.watch(repo, keep=["target/", "cache.bin"])
    assert phantom.cli("run", "app", check=0).out == ""
    assert phantom.cli("run", "app").out == "cache.bin\n\ntarget:\nx\n"


@pytest.mark.demand("O3")
def test_when_the_checkout_fails_no_step_runs(phantom, repo):
    repo.workflow("touch ran")
    phantom.watch(repo)
    phantom.start(env={"PHANTOM_CI_FAULT_JOB": "job.checkout:*:EIO"})
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "error" and job["steps"] == []
    assert "cannot check out" in job["reason"]
    assert not list(phantom.cache.rglob("ran"))


@pytest.mark.demand("F5")
def test_the_second_job_fetches_nothing_when_nothing_is_new(phantom, repo, fake_git):
    repo.workflow("true")
    phantom.watch(repo, road="git")
    phantom.cli("run", "app", check=0)
    phantom.cli("retry", "1", check=0)
    phantom.start(env=fake_git.env)
    phantom.wait_job(trigger="retry", state="success")
    assert fake_git.calls("ls-remote") and fake_git.calls("fetch") == 0


def test_submodules_are_checked_out_only_when_asked(phantom, repo, make_repo):
    library = make_repo("library")
    library.commit_and_push({"code": "1"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", library.url, "sub")
    repo.workflow("sh -c 'ls sub'")
    phantom.watch(repo, name="without")
    phantom.watch(repo, name="with", submodules=True)
    assert phantom.cli("run", "without", check=0).out == ""
    assert phantom.cli("run", "with", check=0).out == "code\n"


def test_state_and_logs_are_private(phantom, repo):
    repo.workflow("echo secret")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    for path in [phantom.state, phantom.cache, phantom.state / "logs", phantom.state / "logs" / "1"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    assert stat.S_IMODE((phantom.state / "state.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((phantom.state / "logs" / "1" / "output").stat().st_mode) == 0o600


@pytest.mark.demand("F1")
def test_what_cannot_be_cleaned_is_set_aside_and_the_next_job_has_a_new_workspace(phantom, repo):
    """An immutable file defeats even root; it needs a file system that has them."""
    repo.workflow("sh -c 'ls junk 2>/dev/null; mkdir -p junk/locked; touch junk/locked/x; chattr +i junk/locked/x; "
                  "mkdir -m 0 closed'")
    phantom.watch(repo)
    assert phantom.cli("run", "app", check=0).out == ""
    trash = phantom.cache / "trash"
    try:
        result = phantom.cli("run", "app", check=0)
        assert "set aside" in result.out and "locked" not in result.out
        assert list(trash.iterdir())
        assert "could not be removed" in phantom.cli("status").out
    finally:
        for path in [*phantom.cache.rglob("x")]:
            os.system(f"chattr -i '{path}'")


@pytest.mark.demand("F3")
def test_a_change_of_line_ending_rules_gives_exactly_what_a_fresh_clone_has(phantom, repo):
    repo.commit({"a.txt": b"one\r\ntwo\r\n", "b.txt": b"one\ntwo\n", "c.bin": b"\x00\r\n"})
    repo.workflow("sha256sum a.txt b.txt c.bin")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    for rules in ["* text=auto\n*.bin binary\n", "*.txt text eol=crlf\n", "* -text\n", "*.txt text eol=lf\n"]:
        repo.write({".gitattributes": rules})
        repo.git("add", "--renormalize", "-A")
        repo.commit()
        repo.push()
        fresh = phantom.directory / "fresh"
        repo.git("clone", "-q", repo.url, str(fresh))
        expected = repo.git("-c", "alias.sum=!sha256sum a.txt b.txt c.bin", "sum", cwd=fresh) + "\n"
        assert phantom.cli("run", "app", check=0).out == expected
        repo.git("-c", f"alias.gone=!rm -rf {fresh}", "gone")


@pytest.mark.demand("O13")
@pytest.mark.demand("E1")
def test_values_of_env_stand_in_no_command_line(phantom, repo):
    repo.workflow("sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr \"\\0\" \" \" | grep -c canary-[v]alue; "
                  "tr \"\\0\" \"\\n\" </proc/$PPID/environ | grep -c canary-[v]alue'", "true")
    phantom.watch(repo, env={"SECRET": "canary-value"})
    phantom.cli("run", "app", check=1)
    assert phantom.log(1) == b"0\n0\n"


@pytest.mark.demand("O16")
def test_the_source_tree_holds_no_keys_and_nothing_that_phones_home():
    import pathlib
    import subprocess
    root = pathlib.Path(__file__).resolve().parents[2]
    files = subprocess.run(["git", "-C", root, "ls-files"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    assert files
    assert not [f for f in files if f.endswith((".pem", ".key", ".pub", "id_rsa"))]
    page = (root / "README.md").read_text()
    assert "![" not in page and "<img" not in page
