"""Signed commits only, and what a person approves."""
import concurrent.futures
import os
import pty
import shutil
import signal

import pytest

from env.keys import GpgKeys, SshKeys
from env.waiting import wait_until


@pytest.fixture
def keys(place):
    keys = SshKeys(place)
    keys.make("ann")
    keys.allow("ann")
    return keys


@pytest.fixture
def gpg(place):
    gpg = GpgKeys(place)
    yield gpg
    gpg.stop()


def watch_signed(phantom, repo, keys, *steps, **options):
    """A daemon that runs what ann has signed; the workflow is hers."""
    keys.sign_with(repo, "ann")
    repo.workflow(*(steps or ["true"]))
    phantom.watch(repo, allowed_signers=str(keys.allowed), **options)
    daemon = phantom.start()
    phantom.wait_baseline()
    return daemon


def push_unsigned(repo, keys, files=None, **options):
    keys.sign_with(repo, None)
    return repo.commit_and_push(files, **options)


def push_signed(repo, keys, files=None, name="ann"):
    keys.sign_with(repo, name)
    return repo.commit_and_push(files)


def rewrite_and_push(repo, sha, change):
    """Pushes the commit object `sha` with its text changed."""
    text = repo.git("cat-file", "commit", sha) + "\n"
    changed = change(text)
    assert changed != text
    new = repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=changed.encode())
    repo.git("reset", "-q", "--hard", new)
    repo.force(new)
    return new


def test_a_commit_signed_by_an_allowed_key_runs_and_its_signer_is_told(phantom, repo, keys):
    watch_signed(phantom, repo, keys)
    sha = push_signed(repo, keys)
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success"
    assert (job["signer"], job["signing_key"]) == ("ann@example.org", keys.fingerprint("ann"))
    text = phantom.cli("job", job["id"], check=0).out
    assert "ann@example.org" in text and keys.fingerprint("ann") in text


def test_a_key_that_is_not_allowed_is_named(phantom, repo, keys):
    keys.make("eve")
    watch_signed(phantom, repo, keys)
    job = phantom.wait_job(sha=push_signed(repo, keys, name="eve"))
    assert job["state"] == "blocked" and keys.fingerprint("eve") in job["reason"]


def test_a_stolen_or_stripped_signature_is_no_signature(phantom, repo, keys):
    watch_signed(phantom, repo, keys)
    sha = push_signed(repo, keys)
    assert phantom.wait_job(sha=sha)["state"] == "success"
    spliced = rewrite_and_push(repo, sha, lambda text: text.replace("a change", "another change"))
    job = phantom.wait_job(sha=spliced)
    assert job["state"] == "blocked" and "bad signature" in job["reason"]

    def strip(text):
        begin, end = text.index("gpgsig "), text.index("-----END SSH SIGNATURE-----\n")
        return text[:begin] + text[end + len("-----END SSH SIGNATURE-----\n"):].lstrip(" \n").join(["\n", ""])
    stripped = rewrite_and_push(repo, sha, strip)
    job = phantom.wait_job(sha=stripped)
    assert job["state"] == "blocked" and "is not signed" in job["reason"]


def test_a_key_out_of_date_is_refused_even_for_a_commit_that_is_dated_back(phantom, repo, keys):
    watch_signed(phantom, repo, keys)
    keys.allow("ann", options='valid-before="20160101"')
    job = phantom.wait_job(sha=push_signed(repo, keys))
    assert job["state"] == "blocked" and "at the commit's date" in job["reason"]
    repo.env["GIT_COMMITTER_DATE"] = "2015-06-01 12:00:00 +0000"
    job = phantom.wait_job(sha=push_signed(repo, keys))
    assert job["state"] == "blocked" and "but not now" in job["reason"]


def test_range_finds_the_unsigned_commit_under_a_signed_tip_and_tip_does_not(phantom, repo, keys):
    watch_signed(phantom, repo, keys, verify="range")
    assert phantom.wait_job(sha=push_signed(repo, keys))["state"] == "success"
    keys.sign_with(repo, None)
    hidden = repo.commit({"x": "1"})
    tip = push_signed(repo, keys, {"y": "1"})
    job = phantom.wait_job(sha=tip)
    assert job["state"] == "blocked" and f"come with it, {hidden[:10]} is not signed" in job["reason"]
    # what comes later brings it, too, until a person has said yes to it
    later = push_signed(repo, keys)
    job = phantom.wait_job(sha=later)
    assert job["state"] == "blocked" and hidden[:10] in job["reason"]
    phantom.cli("approve", job["id"], "--yes", check=0)
    assert phantom.wait_job(sha=later, trigger="retry")["state"] == "success"
    assert phantom.wait_job(sha=push_signed(repo, keys))["state"] == "success"


def test_range_looks_into_both_sides_of_a_merge(phantom, repo, keys):
    watch_signed(phantom, repo, keys, verify="range")
    base = push_signed(repo, keys)
    assert phantom.wait_job(sha=base)["state"] == "success"
    keys.sign_with(repo, None)
    side = repo.commit({"side": "1"}, branch="side")
    repo.git("checkout", "-q", "-B", "main", base)
    keys.sign_with(repo, "ann")
    repo.commit({"main": "1"})
    repo.git("merge", "-q", "-S", "--no-ff", "-m", "a merge", "side")
    job = phantom.wait_job(sha=repo.push("main"))
    assert job["state"] == "blocked" and f"{side[:10]} is not signed" in job["reason"]


def test_a_new_branch_brings_only_what_ran_on_no_other(phantom, repo, keys):
    keys.sign_with(repo, None)
    repo.workflow("true")
    keys.sign_with(repo, "ann")
    repo.commit_and_push({"workflow/rel/1.toml": "[0]\nrun = 'true'\n"})
    phantom.watch(repo, branch=["main", "rel/*"], allowed_signers=str(keys.allowed), verify="range")
    phantom.start()
    phantom.wait_baseline()
    # nothing has run yet: the whole history comes with it
    job = phantom.wait_job(sha=repo.commit_and_push(branch="rel/1"))
    assert job["state"] == "blocked" and "is not signed" in job["reason"]
    sha = repo.commit_and_push({"x": "1"})
    assert phantom.wait_job(sha=sha, branch="main")["state"] == "success"
    sha = repo.commit_and_push({"x": "2"}, branch="rel/1")
    assert phantom.wait_job(sha=sha)["state"] == "success"


@pytest.mark.demand("A6")
def test_a_branch_moved_back_to_a_signed_old_commit_does_not_run(phantom, repo, keys):
    watch_signed(phantom, repo, keys, on_rewind="block")
    old = push_signed(repo, keys, {"hole": "open"})
    assert phantom.wait_job(sha=old)["state"] == "success"
    new = push_signed(repo, keys, {"hole": "mended"})
    assert phantom.wait_job(sha=new)["state"] == "success"
    repo.force(old)
    phantom.wait_until(lambda: len(phantom.jobs(sha=old)) == 2, what="the move to be seen")
    phantom.wait_idle()
    job = phantom.jobs(sha=old)[1]
    assert job["state"] == "blocked" and job["blocked_by"] == "rewind" and job["signer"] == "ann@example.org"


@pytest.mark.parametrize("change, words", [
    (lambda path: path.chmod(0o666), "may be written by others"),
    (lambda path: (path.rename(f"{path}.old"), path.symlink_to(f"{path}.old")), "is a symbolic link"),
    (lambda path: path.unlink(), "cannot read"),
    (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "is not a regular file"),
], ids=["writable", "symlink", "absent", "fifo"])
def test_keys_that_cannot_be_believed_let_nothing_run(phantom, repo, keys, change, words):
    watch_signed(phantom, repo, keys)
    change(keys.allowed)
    job = phantom.wait_job(sha=push_signed(repo, keys))
    assert job["state"] == "error" and words in job["reason"] and str(keys.allowed) in job["reason"]
    assert job["steps"] == []


# ---------------------------------------------------------------------------- gpg

def test_gpg_keys_count_by_fingerprint_and_the_users_own_home_is_left_alone(phantom, repo, gpg):
    ann, eve = gpg.make("ann"), gpg.make("eve")
    gpg.sign_with(repo, "ann")
    repo.workflow("true")
    phantom.watch(repo, allowed_gpg_keys=[ann], gpg_keyring=str(gpg.keyring))
    phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success" and job["signing_key"] == ann and "ann@example.org" in job["signer"]
    gpg.sign_with(repo, "eve")
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "blocked" and eve in job["reason"]
    assert not (phantom.home / ".gnupg").exists()
    assert not [p for p in phantom.processes() if p[1].split()[0].endswith("gpg-agent")
                and str(phantom.cache) in p[1]]


def test_without_gpg_nothing_runs_and_the_reason_says_what_to_install(phantom, repo, gpg, place):
    ann = gpg.make("ann")
    gpg.sign_with(repo, "ann")
    repo.workflow("true")
    programs = place / "programs"
    programs.mkdir()
    for name in ("git", "sh", "ssh"):
        (programs / name).symlink_to(shutil.which(name))
    phantom.env["PATH"] = str(programs)
    phantom.watch(repo, allowed_gpg_keys=[ann], gpg_keyring=str(gpg.keyring))
    phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "error" and "there is no gpg in PATH" in job["reason"] and "apt install" in job["reason"]


# ------------------------------------------------------------------------ approve

def blocked_job(phantom, repo, keys, **options):
    watch_signed(phantom, repo, keys, **options)
    return phantom.wait_job(sha=push_unsigned(repo, keys))


def test_approve_runs_that_commit_and_no_other(phantom, repo, keys):
    job = blocked_job(phantom, repo, keys)
    assert job["state"] == "blocked"
    out = phantom.cli("approve", job["id"], "--yes", check=0).out
    assert job["sha"] in out and "is not signed" in out
    again = phantom.wait_job(trigger="retry")
    assert again["state"] == "success" and again["sha"] == job["sha"] and again["retry_of"] == job["id"]
    text = phantom.cli("job", again["id"], check=0).out
    assert "approved by tester (uid" in text and "is not signed" in text
    other = phantom.wait_job(sha=push_unsigned(repo, keys, {"x": "1"}))
    assert other["state"] == "blocked"


def test_retry_of_a_blocked_job_asks_the_rules_again(phantom, repo, keys):
    keys.make("eve")
    watch_signed(phantom, repo, keys)
    job = phantom.wait_job(sha=push_signed(repo, keys, name="eve"))
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "blocked"
    keys.allow("ann", "eve")
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(trigger="retry", state="success")["signer"] == "eve@example.org"


def test_strict_signatures_cannot_be_approved(phantom, repo, keys):
    job = blocked_job(phantom, repo, keys, strict_signatures=True)
    assert job["state"] == "blocked" and "nobody can approve it" in job["reason"]
    assert "strict_signatures" in phantom.cli("approve", job["id"], "--yes", check=1).err
    assert len(phantom.jobs()) == 1


def test_an_approval_given_before_strict_signatures_is_void(phantom, repo, keys):
    daemon = watch_signed(phantom, repo, keys)
    job = phantom.wait_job(sha=push_unsigned(repo, keys))
    daemon.stop()
    phantom.cli("approve", job["id"], "--yes", check=0)
    text = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(text + "strict_signatures = true\n")
    phantom.start()
    assert phantom.wait_job(trigger="retry")["state"] == "blocked"


def test_approve_asks_and_refuses_without_a_terminal(phantom, repo, keys):
    job = blocked_job(phantom, repo, keys)
    result = phantom.cli("approve", job["id"], check=2)
    assert "--yes" in result.err and len(phantom.jobs()) == 1
    assert phantom.cli("approve", "999", "--yes", check=3).err
    assert phantom.cli("approve", "x", "--yes", check=2).err


def answer(phantom, job, typed):
    """Runs `approve` on a terminal and types; (exit code, what was shown)."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(phantom.command()[0], phantom.command("approve", job["id"]), phantom.env)
        finally:
            os._exit(127)
    shown = b""
    signal.alarm(60)
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, typed)
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass
    signal.alarm(0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def test_approve_on_a_terminal_takes_yes_and_nothing_else(phantom, repo, keys):
    watch_signed(phantom, repo, keys)
    job = phantom.wait_job(sha=push_unsigned(repo, keys, subject="\x1b]0;owned\x07 subject"))
    code, shown = answer(phantom, job, b"\n")
    assert code == 1 and "nothing was changed" in shown and len(phantom.jobs()) == 1
    assert "\x1b]0;" not in shown and "subject" in shown and "(so the commit says)" in shown
    code, shown = answer(phantom, job, b"y\n")
    assert code == 0 and phantom.wait_job(trigger="retry")["state"] == "success"


def test_two_approvals_at_once_queue_one_job(phantom, repo, keys):
    job = blocked_job(phantom, repo, keys)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = sorted(r.returncode for r in pool.map(
            lambda _: phantom.cli("approve", job["id"], "--yes"), range(4)))
    assert codes == [0, 1, 1, 1]
    assert len(phantom.jobs(trigger="retry")) == 1


def test_a_rewind_is_approved_once_and_not_for_the_next_time(phantom, repo):
    shas = [repo.workflow("true")]
    shas += [repo.commit_and_push({"n": f"{i}\n"}) for i in range(2)]
    phantom.watch(repo, on_rewind="block")
    phantom.start()
    phantom.wait_baseline()
    repo.force(shas[1])
    job = phantom.wait_job(sha=shas[1])
    assert job["state"] == "blocked" and job["blocked_by"] == "rewind"
    phantom.cli("retry", job["id"], check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "blocked"
    phantom.cli("approve", job["id"], "--yes", check=0)
    assert phantom.wait_job(trigger="retry", state="success")["sha"] == shas[1]
    # it is the commit to grow from now, also from where the branch was before
    repo.force(shas[2])
    assert phantom.wait_job(sha=shas[2])["state"] == "success"
    repo.force(shas[1])
    wait_until(lambda: len(phantom.jobs(sha=shas[1], trigger="push")) == 2, 30, "the second rewind")
    phantom.wait_idle()
    assert phantom.jobs(sha=shas[1], trigger="push")[1]["state"] == "blocked"


def test_an_approval_that_dies_has_happened_wholly_or_not_at_all(phantom, repo, keys):
    daemon = watch_signed(phantom, repo, keys)
    job = phantom.wait_job(sha=push_unsigned(repo, keys))
    daemon.stop()
    for number in range(1, 20):
        result = phantom.cli("approve", job["id"], "--yes", env={"PHANTOM_CI_FAULT": f"store.commit:{number}:KILL"})
        if result.returncode >= 0:
            break
        assert not phantom.jobs(trigger="retry")
    assert number > 1 and result.returncode == 0
    assert len(phantom.jobs(trigger="retry")) == 1


# -------------------------------------------------------------- workflow_approval

def watch_approved(phantom, repo, **options):
    """A daemon that asks for approval of workflows; the first one has been approved, and has run."""
    repo.workflow("true")
    phantom.watch(repo, workflow_approval="on_change", **options)
    daemon = phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push({"Makefile": "all:\n"}))
    assert job["state"] == "blocked" and job["blocked_by"] == "workflow" and "not been approved yet" in job["reason"]
    shown = phantom.cli("approve", job["id"], "--yes", check=0).out
    assert "workflow/main.toml, the whole of it" in shown and 'run = "true"' in shown
    assert phantom.wait_job(trigger="retry")["state"] == "success"
    return daemon


def test_a_changed_workflow_waits_until_its_change_was_seen_and_approved(phantom, repo, place):
    watch_approved(phantom, repo)
    assert phantom.wait_job(sha=repo.commit_and_push({"src": "1"}))["state"] == "success"
    sha = repo.workflow(f"touch {place}/\x1b[31mran")
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "blocked" and job["blocked_by"] == "workflow" and job["steps"] == []
    assert "workflow/main.toml has changed since" in job["reason"] and f"approve {job['id']}" in job["reason"]
    # what is pushed on top of it waits as well, and the old workflow runs at once
    assert phantom.wait_job(sha=repo.commit_and_push({"src": "2"}))["state"] == "blocked"
    assert phantom.wait_job(sha=repo.workflow("true"))["state"] == "success"
    assert not [p for p in place.iterdir() if p.name.endswith("ran")]
    shown = phantom.cli("approve", job["id"], "--yes", check=0).out
    assert '-run = "true"' in shown and "+run = " in shown and "\x1b" not in shown
    assert phantom.wait_job(sha=sha, trigger="retry")["state"] == "success"
    assert [p for p in place.iterdir() if p.name.endswith("ran")]


def test_approve_paths_pin_more_than_the_workflow(phantom, repo):
    watch_approved(phantom, repo, approve_paths=["Makefile", "scripts/**"])
    assert phantom.wait_job(sha=repo.commit_and_push({"src/x": "1"}))["state"] == "success"
    job = phantom.wait_job(sha=repo.commit_and_push({"Makefile": "all: evil\n", "src/x": "2"}))
    assert job["state"] == "blocked" and "approve_paths" in job["reason"]
    shown = phantom.cli("approve", job["id"], "--yes", check=0).out
    assert "+all: evil" in shown and "src/x" not in shown
    assert phantom.wait_job(sha=job["sha"], trigger="retry")["state"] == "success"
    job = phantom.wait_job(sha=repo.commit_and_push({"scripts/deep/new": "1"}))
    assert job["state"] == "blocked"


def test_a_workflow_of_one_branch_is_approved_for_no_other(phantom, repo):
    watch_approved(phantom, repo)
    text = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(text.replace('target_branch = "main"', 'target_branch = ["main", "dev"]'))
    phantom.cli("poll")
    repo.push("dev")
    phantom.wait_baseline(branch="dev")
    job = phantom.wait_job(sha=repo.commit_and_push({"workflow/dev.toml": '[0]\nrun = "true"\n'}, branch="dev"))
    assert job["state"] == "blocked" and "workflow/dev.toml has not been approved yet" in job["reason"]


def test_what_cannot_be_shown_is_not_approved(phantom, repo):
    watch_approved(phantom, repo)
    job = phantom.wait_job(sha=repo.workflow("false"))
    assert job["state"] == "blocked"
    repo.bare.rename(f"{repo.bare}.gone")
    shutil.rmtree(phantom.cache / "mirrors")
    result = phantom.cli("approve", job["id"], "--yes")
    assert result.returncode != 0 and "can't be shown" in result.err
    assert len(phantom.jobs(sha=job["sha"])) == 1


def test_a_signature_and_a_workflow_are_approved_one_after_the_other(phantom, repo, keys):
    keys.sign_with(repo, None)
    watch_signed(phantom, repo, keys, workflow_approval="on_change")
    job = phantom.wait_job(sha=push_unsigned(repo, keys))
    assert job["blocked_by"] == "signature"
    phantom.cli("approve", job["id"], "--yes", check=0)
    second = phantom.wait_job(retry_of=job["id"])
    assert second["state"] == "blocked" and second["blocked_by"] == "workflow"
    phantom.cli("approve", second["id"], "--yes", check=0)
    assert phantom.wait_job(retry_of=second["id"])["state"] == "success"
