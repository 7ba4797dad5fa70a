"""Steps of the host (`steps`, `workflow_file`) in place of the repository's workflow."""
import hashlib
import os
import shutil

import pytest

from env.gitrepo import workflow
from env.keys import SshKeys
from env.wallclock import NIGHT, look, set_clock


@pytest.fixture
def host_file(place):
    """A workflow that belongs to this machine."""
    path = place / "etc" / "host.toml"
    path.parent.mkdir(mode=0o755)
    write(path, "echo from the host")
    return path


def write(path, *steps):
    path.write_text(workflow(*steps))
    path.chmod(0o644)


def watch(phantom, repo, **keys):
    """A daemon, once it knows the tip; the repository has something to push on."""
    repo.commit_and_push({"payload": "1"})
    phantom.watch(repo, **keys)
    daemon = phantom.start()
    phantom.wait_baseline()
    return daemon


def test_steps_of_the_host_run_and_the_repository_needs_no_workflow(phantom, repo):
    watch(phantom, repo, steps=["sh -c 'echo step $PHANTOM_CI_STEP of $PHANTOM_CI_BRANCH'", "test -f payload"])
    sha = repo.commit_and_push({"payload": "2"})
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success", job
    assert [(s["number"], s["argv"][0], s["state"]) for s in job["steps"]] == [(0, "sh", "success"),
                                                                               (1, "test", "success")]
    assert phantom.log(job["id"]) == b"step 0 of main\n"
    text = phantom.cli("job", job["id"], check=0).out
    assert 'the steps are the host\'s: "steps" of the section' in text
    assert phantom.job(job["id"])["notes"] == ['the steps are the host\'s: "steps" of the section']


def test_a_failed_step_of_the_host_ends_the_job_and_is_named(phantom, repo):
    watch(phantom, repo, steps=["true", "sh -c 'exit 3'", "true"])
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "failed" and "step 1" in job["reason"] and len(job["steps"]) == 2


def test_tables_and_arrays_of_words_are_steps_as_in_a_workflow(phantom, repo):
    repo.commit_and_push({"payload": "1"})
    phantom.watch(repo)
    text = (phantom.config / "Repo.toml").read_text().rstrip()
    phantom.write_repo_toml(text + """
        [[app.steps]]
        run = "printf '%s|' 'a b' # and no more"
        [[app.steps]]
        run = ["printf", "%s|", "it's", "", "*", "$HOME"]
        """)
    phantom.cli("check", check=0)
    phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success" and phantom.log(job["id"]) == b"a b|it's||*|$HOME|"


def test_a_workflow_file_is_read_for_each_job_anew_and_its_digest_is_kept(phantom, repo, host_file):
    watch(phantom, repo, workflow_file=str(host_file))
    first = phantom.wait_job(sha=repo.commit_and_push())
    digest = hashlib.sha256(host_file.read_bytes()).hexdigest()
    assert first["state"] == "success" and phantom.log(first["id"]) == b"from the host\n"
    assert phantom.job(first["id"])["notes"] == [f"the steps are the host's: workflow_file {host_file}, SHA-256 {digest}"]
    write(host_file, "echo changed")
    second = phantom.wait_job(sha=repo.commit_and_push())
    assert phantom.log(second["id"]) == b"changed\n"
    assert digest not in phantom.cli("job", second["id"], check=0).out
    # a retry runs what the machine wants now, an approval of the repository's is not asked for
    phantom.cli("retry", first["id"], check=0)
    again = phantom.wait_job(trigger="retry")
    assert again["sha"] == first["sha"] and phantom.log(again["id"]) == b"changed\n"
    phantom.cli("run", "app", check=0)
    assert phantom.log(phantom.wait_job(trigger="run")["id"]) == b"changed\n"


@pytest.mark.parametrize("plant", [
    lambda clone, place: (clone / "workflow/main.toml").write_text(workflow(f"touch {place}/ran")),
    lambda clone, place: (clone / "workflow/main.toml").write_bytes(b"\x00[[[\xff\x1b]0;owned\x07"),
    lambda clone, place: (clone / "workflow/main.toml").write_bytes(b"#" * (300 * 1024)),
    lambda clone, place: (clone / "workflow/main.toml").symlink_to("/etc/passwd"),
    lambda clone, place: ((clone / "workflow/main.toml").mkdir(), (clone / "workflow/main.toml/x").write_text("x")),
], ids=["steps", "garbage", "large", "symlink", "directory"])
@pytest.mark.parametrize("level", ["off", "workspace"])
def test_nothing_of_the_repositorys_own_workflow_is_read_or_run(phantom, repo, host_file, place, plant, level):
    watch(phantom, repo, workflow_file=str(host_file), sandbox=level)
    (repo.clone / "workflow").mkdir()
    plant(repo.clone, place)
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success", job
    assert len(job["steps"]) == 1 and phantom.log(job["id"]) == b"from the host\n"
    assert not (place / "ran").exists()
    text = phantom.cli("job", job["id"], check=0).out
    assert "workflow/main.toml" not in text


UNBELIEVABLE = {
    "writable": (lambda path: path.chmod(0o664), "may be written by others (mode 664); mend it with: chmod go-w "),
    "symlink": (lambda path: (path.rename(f"{path}.old"), path.symlink_to(f"{path}.old")), "is a symbolic link"),
    "absent": (lambda path: path.unlink(), "cannot read"),
    "fifo": (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "is not a regular file"),
    "directory": (lambda path: (path.unlink(), path.mkdir(0o700)), "is not a regular file"),
    "large": (lambda path: path.write_bytes(b"#" * (256 * 1024 + 1)), "262144 bytes"),
}
if os.geteuid() == 0:
    UNBELIEVABLE["foreign"] = (lambda path: os.chown(path, 12345, -1), "belongs to user 12345")


@pytest.mark.parametrize("what", UNBELIEVABLE)
def test_a_workflow_file_that_cannot_be_believed_lets_nothing_run(phantom, repo, host_file, what):
    change, words = UNBELIEVABLE[what]
    watch(phantom, repo, workflow_file=str(host_file))
    change(host_file)
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "error" and words in job["reason"] and str(host_file) in job["reason"]
    assert job["steps"] == []
    checked = phantom.cli("check", check=78)
    assert checked.err.startswith(f"{phantom.config}/Repo.toml:1:1: \"workflow_file\" of [app]: ") and words in checked.err
    assert checked.out == ""


def test_errors_in_the_file_are_told_with_line_and_column(phantom, repo, host_file):
    watch(phantom, repo, workflow_file=str(host_file))
    host_file.write_text("[0]\nrun = 'true'\n[1]\n  rum = 'true'\n")
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "error" and job["steps"] == []
    assert f'{host_file}:4:3: unknown key "rum", did you mean "run"?' in job["reason"]
    assert f'{host_file}:4:3: unknown key "rum"' in phantom.cli("check", check=78).err
    entries = phantom.json("check")
    assert {(e["file"], e["line"], e["column"]) for e in entries} == {(str(host_file), 3, 2), (str(host_file), 4, 3)}


def test_a_place_for_steps_that_is_not_clear_keeps_the_last_configuration(phantom, repo, host_file):
    daemon = watch(phantom, repo, workflow_file=str(host_file))
    text = (phantom.config / "Repo.toml").read_text().rstrip()
    phantom.write_repo_toml(text + "\nsteps = ['false']\n")
    line = daemon.wait_event("config rejected")
    assert 'Repo.toml:4:1: \\"workflow_file\\" can\'t stand beside \\"steps\\"' in line
    assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert "Repo.toml:4:1: " in phantom.cli("check", check=78).err


def test_tags_and_schedules_run_the_steps_of_the_host(phantom, repo):
    set_clock(phantom, -1, hours=9)
    watch(phantom, repo, steps=["sh -c 'echo $PHANTOM_CI_TRIGGER $PHANTOM_CI_TAG'"], target_tags="v*",
          schedule="0 3 * * *")
    repo.git("tag", "v1")
    repo.git("push", "-q", "origin", "v1")
    job = phantom.wait_job(tag="v1")
    assert job["state"] == "success" and phantom.log(job["id"]) == b"push v1\n"
    set_clock(phantom, 0)
    look(phantom)
    job = phantom.wait_job(trigger="schedule")
    assert job["state"] == "success" and phantom.log(job["id"]) == b"schedule\n"
    assert phantom.repo()["next_schedule"] == int(NIGHT.timestamp() * 1000) + 24 * 3600 * 1000
    phantom.cli("run", "app", "--tag", "v1", check=0)
    assert phantom.log(phantom.wait_job(tag="v1", trigger="run")["id"]) == b"run v1\n"


def test_signatures_are_asked_for_before_the_steps_of_the_host(phantom, repo, place):
    keys = SshKeys(place)
    keys.make("ann")
    keys.allow("ann")
    watch(phantom, repo, steps=[f"touch {place}/ran"], allowed_signers=str(keys.allowed))
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "blocked" and job["blocked_by"] == "signature"
    assert not (place / "ran").exists()


def test_what_the_steps_of_the_host_call_can_be_pinned(phantom, repo):
    watch(phantom, repo, steps=["sh ./build"], workflow_approval="on_change", approve_paths=["build"])
    job = phantom.wait_job(sha=repo.commit_and_push({"build": "echo one\n", "workflow/main.toml": "???"}))
    assert job["state"] == "blocked" and job["blocked_by"] == "workflow" and job["steps"] == []
    assert "what approve_paths names has not been approved yet" in job["reason"]
    shown = phantom.cli("approve", job["id"], "--yes", check=0).out
    assert "  build\n" in shown and "workflow/main.toml" not in shown
    assert phantom.wait_job(trigger="retry")["state"] == "success"
    assert phantom.wait_job(sha=repo.commit_and_push({"workflow/main.toml": "!!!"}))["state"] == "success"
    job = phantom.wait_job(sha=repo.commit_and_push({"build": "echo two\n"}))
    assert job["state"] == "blocked" and "what approve_paths names has changed since" in job["reason"]
    assert "+echo two" in phantom.cli("approve", job["id"], "--yes", check=0).out


def test_an_approval_is_not_given_for_more_than_is_shown(phantom, repo, host_file):
    repo.workflow("true")
    phantom.watch(repo, workflow_approval="on_change")
    phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.workflow("echo evil"))
    assert job["state"] == "blocked"
    before = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(before.replace('workflow_approval = "on_change"', f'workflow_file = "{host_file}"'))
    result = phantom.cli("approve", job["id"], "--yes")
    assert result.returncode != 0 and f"phantom_ci retry {job['id']}" in result.err
    assert len(phantom.jobs()) == 1
    phantom.write_repo_toml(before)
    assert "echo evil" in phantom.cli("approve", job["id"], "--yes", check=0).out


def test_add_writes_a_workflow_file_that_can_be_used_and_no_other(phantom, repo, host_file):
    repo.commit_and_push({"payload": "1"})
    host_file.chmod(0o666)
    refused = phantom.cli("add", repo.url, "main", "--workflow-file", host_file)
    assert refused.returncode != 0 and "may be written by others" in refused.err
    host_file.write_text("[0]\nrum = 'x'\n")
    host_file.chmod(0o644)
    refused = phantom.cli("add", repo.url, "main", "--workflow-file", host_file, check=78)
    assert f"{host_file}:2:1: unknown key" in refused.err
    assert not (phantom.config / "Repo.toml").exists()
    write(host_file, "echo from the host")
    link = phantom.home / "host.toml"
    shutil.copy(host_file, link)
    phantom.cli("add", repo.url, "main", "--name", "app", "--workflow-file", "host.toml", "--sandbox", "off", "--run",
                check=0)
    assert f'workflow_file = "{link}"\n' in (phantom.config / "Repo.toml").read_text()
    phantom.start()
    job = phantom.wait_job(trigger="add")
    assert job["state"] == "success" and phantom.log(job["id"]) == b"from the host\n"
