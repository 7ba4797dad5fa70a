"""S9. I sit on the network between the runner and its git server, and answer in its place: with a host key of my own, or with a
certificate that nobody has signed. My commits shall run."""
import pytest


@pytest.mark.demand("O1")
@pytest.mark.demand("A13")
@pytest.mark.demand("S9")
def test_a_changed_host_key_fails_closed_and_names_both_fingerprints(phantom, repo, ssh):
    # Defence: StrictHostKeyChecking=yes in git/command.c, whatever ~/.ssh/config says.
    (phantom.home / ".ssh" / "config").write_text("Host *\n\tStrictHostKeyChecking no\n\tUserKnownHostsFile /dev/null\n")
    repo.workflow("true")
    ssh.trust()
    phantom.watch(ssh.url(repo.url), ssh_key_path=ssh.key)
    daemon = phantom.start()
    phantom.wait_baseline()
    ssh.swap_host_key()
    line = daemon.wait_event("look failed repo=app .*host key")
    assert ssh.fingerprint("host_b") in line and ssh.fingerprint("host_a") in line, line
    assert "127.0.0.1" in line and "ssh-keygen -R" in line
    repo.commit_and_push()
    phantom.cli("poll", check=0)
    phantom.wait_until(lambda: phantom.repo()["failures"] >= 2, what="another failed look")
    assert phantom.jobs() == []
    assert ssh.fingerprint("host_a") not in ssh.known_hosts.read_text()  # the file itself was not touched
    ssh.swap_host_key("host_a")
    phantom.cli("poll", check=0)
    assert phantom.wait_job()["state"] == "success"


@pytest.mark.demand("S9")
def test_a_certificate_that_nobody_signed_serves_no_commit(phantom, repo, http):
    repo.workflow("true")
    phantom.watch(http.url("app", tls=True))
    daemon = phantom.start()
    assert "certificate" in daemon.wait_event("look failed repo=app")
    repo.commit_and_push()
    assert phantom.cli("run", "app").returncode != 0
    assert not [job for job in phantom.jobs() if job["steps"]]
