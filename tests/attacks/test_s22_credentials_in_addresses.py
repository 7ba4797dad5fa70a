"""S22. I can get an address into Repo.toml. It has an encoded newline, no host, or a user name that is none, so that git's credential
helper is asked for another host's password; or somebody puts a password into the address, and I read it in ps or a log."""
import pytest

from env.gitrepo import toml_string

HOSTILE = ["https://host/%0ahost=github.com", "https://host/%0Ahost=x/y", "https://%0a@host/x", "https://u%0ahost=x@host/y",
           "https://host%0a/x", "https://host/%0d", "https://host/\nhost=github.com", "https:///x", "https://:443/x", "https://@/x",
           "https://?host=x/y", "https://host?x/y", "https://host/x?y=z", "https://host/x#y", "https://host\\@evil/x", "http://[::1]x/y",
           "https://evil.example\t/x", "https://hóst:x/y"]
PASSWORDS = ["https://u:canary-pw@host/x", "http://u:canary-pw@host/x", "https://:canary-pw@host/x", "ssh://u:canary-pw@host/x",
             "u:canary-pw@host:x", "https://u:canary-pw@host:443/x", "https://u:p@canary-pw@host/x", "git://u:canary-pw@host/x"]


@pytest.mark.demand("S22")
def test_addresses_that_ask_for_the_password_of_another_host_are_refused(phantom):
    # Defence: git/url.c: no control bytes, encoded or not; a host; no password.
    for url in HOSTILE + PASSWORDS:
        result = phantom.cli("add", "--", url, "main")
        assert result.returncode in (2, 78), (url, result.err)
        phantom.write_repo_toml(f"[app]\npath = {toml_string(url)}\n")
        assert "Repo.toml:2:8: " in phantom.cli("check", check=78).err, url
        (phantom.config / "Repo.toml").unlink()


@pytest.mark.demand("S22")
def test_a_password_in_an_address_is_refused_and_repeated_nowhere(phantom):
    for url in PASSWORDS:
        phantom.cli("add", "--", url, "main")
        phantom.write_repo_toml(f"[app]\npath = {toml_string(url)}\n")
        phantom.cli("check", check=78)
        phantom.cli(check=78)
        (phantom.config / "Repo.toml").unlink()
    assert not [text for text in phantom.errors if "canary-pw" in text]
    assert not [path for path in phantom.state.rglob("*") if path.is_file() and b"canary-pw" in path.read_bytes()]


@pytest.mark.demand("S22")
def test_a_login_of_a_helper_stands_in_no_command_line_no_log_and_no_git_directory(phantom, repo, http, fake_git):
    calls = phantom.directory / "environments"
    fake_git.on("*", f"env >>{calls}")
    http.log_in(phantom.home)
    repo.workflow("sh -c 'git remote -v; cat .git/config; env'")
    phantom.watch(http.url("app", area="auth"))
    phantom.env.update(fake_git.env)
    phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "success", job
    texts = [phantom.log(job["id"]).decode(), phantom.daemon_text(), fake_git.log.read_text(), calls.read_text(), phantom.cli("repo").out]
    assert "/auth/app.git" in texts[0]
    assert not [text for text in texts if "s3cret" in text]
    assert not [path for path in phantom.cache.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
