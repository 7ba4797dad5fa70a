"""S4. I can get an address into Repo.toml, or commit a .gitmodules: ext::, fd:: or any scheme in capitals makes git start a program
that I name. The user even has protocol.ext.allow=always in his own configuration."""
import pytest

from env.gitrepo import toml_string

HELPERS = ["ext::sh -c touch% canary", "EXT::sh -c touch% canary", "Ext::x", "ext:://x", "fd::17", "FD::17,18/x", "file::/srv/x",
           "https::https://host/x", "ssh::x", "git-remote-ext::x", "https://host/x::y", "/srv/ext::sh", "file:///srv/ext::sh",
           "host:ext::sh -c x", "ssh://host/ext::x", "HTTPS://host/x", "SSH://host/x", "FILE:///srv/x", "ftp://host/x", "ftps://host/x",
           "rsync://host/x", "git+ssh://host/x", "ssh+git://host/x", "javascript:x::y", "data://x/y", "persistent-https://host/x",
           "ext://sh/x", "bundle::x", "codecommit::x", "hg::https://host/x"]


def allow_everything(phantom):
    (phantom.home / ".gitconfig").write_text('[protocol]\n\tallow = always\n[protocol "ext"]\n\tallow = always\n'
                                             '[protocol "fd"]\n\tallow = always\n[protocol "file"]\n\tallow = always\n')


@pytest.mark.demand("S4")
def test_addresses_of_helpers_are_refused_everywhere(phantom):
    # Defence: git/url.c knows five schemes, in lower case, and no "::".
    allow_everything(phantom)
    for url in HELPERS:
        result = phantom.cli("add", "--", url, "main")
        assert result.returncode in (2, 78), (url, result.err)
        phantom.write_repo_toml(f"[app]\npath = {toml_string(url)}\n")
        assert "Repo.toml:2:8: " in phantom.cli("check", check=78).err, url
        (phantom.config / "Repo.toml").unlink()
    assert not list(phantom.directory.rglob("canary"))


@pytest.mark.demand("S4")
@pytest.mark.parametrize("url", ["ext::sh -c 'touch CANARY'", "EXT::sh -c 'touch CANARY'", "fd::0", "http://127.0.0.1:9/x"])
def test_a_submodule_brings_no_helper_and_no_other_protocol(phantom, repo, url):
    # Defence: GIT_ALLOW_PROTOCOL, which counts more than protocol.*.allow, is the scheme of the section's own address and https.
    allow_everything(phantom)
    canary = phantom.directory / "canary"
    head = repo.commit({".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = {url.replace("CANARY", str(canary))}\n'})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},s")
    repo.git("commit", "-q", "-m", "a submodule")
    repo.write({"workflow/main.toml": "[0]\nrun = 'echo ran'\n"})
    repo.git("add", "workflow")
    repo.git("commit", "-q", "-m", "a workflow")
    repo.push()
    phantom.watch(repo, submodules=True)
    result = phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "error" and job["steps"] == [] and "ran" not in result.out, job
    assert "not allowed" in job["reason"] or "submodule" in job["reason"], job
    assert not canary.exists()
