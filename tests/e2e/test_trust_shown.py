"""The rules of trust as a person meets them: in repo, status and doctor."""
import pytest

from env.gitrepo import workflow
from env.keys import SshKeys


@pytest.fixture
def keys(place):
    keys = SshKeys(place)
    keys.make("ann")
    keys.allow("ann")
    return keys


def blocked(phantom):
    return phantom.json("status")[0]["blocked"]


def findings(phantom, *args):
    """What doctor says of files that decide what may run: subject -> (status, detail, mend)."""
    found = phantom.json("doctor", "--offline", *args)
    return {f["subject"]: (f["status"], f["detail"], f["mend"]) for f in found if f["check"] == "trust"}


def test_repo_shows_the_rules_of_each_section_and_no_column_without_any(phantom, make_repo, keys, place):
    plain = make_repo("plain")
    phantom.watch(plain, name="plain")
    assert "TRUST" not in phantom.cli("repo", check=0).out
    assert phantom.repo("plain")["trust"] == {
        "allowed_signers": None, "allowed_gpg_keys": [], "gpg_keyring": None, "verify": "tip",
        "strict_signatures": False, "workflow_approval": "never", "approve_paths": [], "steps": [],
        "workflow_file": None}
    phantom.watch(plain, name="signed", allowed_signers=str(keys.allowed), verify="range", strict_signatures=True,
                  workflow_approval="on_change", approve_paths=["Makefile", "x/**"])
    phantom.watch(plain, name="ours", steps=["make", "make 'a b'"])
    phantom.watch(plain, name="file", workflow_file=f"{place}/host.toml")
    lines = phantom.cli("repo", check=0).out.splitlines()
    assert "TRUST" in lines[0]
    shown = {line.split()[0]: line for line in lines}
    assert "signed range (strict), approved workflow, approved Makefile x/**" in shown["signed"]
    assert "2 steps of the host" in shown["ours"] and f"steps of {place}/host.toml" in shown["file"]
    trust = phantom.repo("signed")["trust"]
    assert (trust["allowed_signers"], trust["verify"], trust["strict_signatures"], trust["workflow_approval"],
            trust["approve_paths"]) == (str(keys.allowed), "range", True, "on_change", ["Makefile", "x/**"])
    assert phantom.repo("ours")["trust"]["steps"] == ["make", "make 'a b'"]
    assert phantom.repo("file")["trust"]["workflow_file"] == f"{place}/host.toml"


def test_status_counts_what_waits_for_approval_and_nothing_that_is_past(phantom, repo, keys):
    repo.workflow("true")
    phantom.watch(repo, allowed_signers=str(keys.allowed))
    phantom.start()
    phantom.wait_baseline()
    assert blocked(phantom) == 0 and "blocked" not in phantom.cli("status", check=0).out
    first = phantom.wait_job(sha=repo.commit_and_push())
    assert first["state"] == "blocked" and blocked(phantom) == 1
    second = phantom.wait_job(sha=repo.commit_and_push())
    assert second["state"] == "blocked" and blocked(phantom) == 1, "the later one brings the earlier one"
    text = phantom.cli("status", check=0).out
    assert "1 job blocked, until a person runs phantom_ci approve JOB" in text
    assert f"  job {second['id']} app main {second['sha'][:10]}: signature\n" in text
    phantom.cli("approve", second["id"], "--yes", check=0)
    assert phantom.wait_job(trigger="retry")["state"] == "success"
    assert blocked(phantom) == 0
    # what nobody may approve does not wait for it
    assert phantom.wait_job(sha=repo.commit_and_push({"x": "1"}))["state"] == "blocked"
    assert blocked(phantom) == 1
    before = (phantom.config / "Repo.toml").read_text()
    phantom.write_repo_toml(before + "strict_signatures = true\n")
    assert blocked(phantom) == 0
    # nor what belongs to a section that is gone
    phantom.write_repo_toml(before.replace("[app]", "[other]"))
    assert blocked(phantom) == 0


def test_doctor_says_whether_the_files_that_decide_can_be_believed(phantom, repo, keys, place):
    host = place / "host.toml"
    host.write_text(workflow("true", "true"))
    host.chmod(0o644)
    phantom.watch(repo, allowed_signers=str(keys.allowed), workflow_file=str(host))
    found = findings(phantom)
    assert found[str(keys.allowed)][0] == "ok" and found[str(host)][:2] == (
        "ok", "workflow_file of [app]: 2 steps, nobody else can write it")
    host.chmod(0o664)
    keys.allowed.chmod(0o666)
    found = findings(phantom, "app")
    for path, mode in ((host, 664), (keys.allowed, 666)):
        status, detail, mend = found[str(path)]
        assert status == "fail" and f"may be written by others (mode {mode})" in detail
        assert mend == f"chmod go-w '{path}'"
    host.chmod(0o644)
    host.write_text("[0]\nrun = 1\n")
    keys.allowed.chmod(0o600)
    keys.allowed.write_text("")
    found = findings(phantom)
    assert found[f"{host}:2:7"][0] == "fail" and "must be a string or an array of strings" in found[f"{host}:2:7"][1]
    assert found[str(keys.allowed)][0] == "warn" and "every commit is blocked" in found[str(keys.allowed)][1]
    host.unlink()
    assert "cannot read" in findings(phantom)[str(host)][1]


def test_doctor_warns_of_a_workflow_that_its_own_steps_can_change(phantom, repo, place):
    granted = place / "granted"
    granted.mkdir()
    host = granted / "host.toml"
    host.write_text(workflow("true"))
    host.chmod(0o644)
    phantom.watch(repo, workflow_file=str(host), sandbox="workspace", writable=[str(granted)])
    found = [f for f in phantom.json("doctor", "--offline") if f["check"] == "trust"]
    assert [f["status"] for f in found] == ["ok", "warn"] and '"writable" lets the steps change' in found[1]["detail"]
    phantom.write_repo_toml((phantom.config / "Repo.toml").read_text().replace('granted"]', 'grante"]'))
    assert [f["status"] for f in phantom.json("doctor", "--offline") if f["check"] == "trust"] == ["ok"]
