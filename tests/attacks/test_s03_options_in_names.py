"""S3. I can get a line into Repo.toml, or into somebody's script that calls `phantom_ci add`: an address or a branch that begins
with a dash, hides an option behind a host, or carries a control byte. git or ssh shall take it for an option that runs a command
(--upload-pack, -oProxyCommand)."""
import itertools

import pytest

from env.gitrepo import toml_string

CANARY = "touch canary"
DASHED = ["--upload-pack=" + CANARY, "-u" + CANARY, "--exec=" + CANARY, "-c", "-", "--", "-oProxyCommand=" + CANARY,
          "--config=core.sshCommand=" + CANARY, "-h", "--help"]
URLS = [*DASHED,
        *(f"ssh://{dash}/x" for dash in DASHED), *(f"ssh://u@{dash}/x" for dash in DASHED),
        *(f"ssh://{dash}@host/x" for dash in DASHED), *(f"git@{dash}:x" for dash in DASHED),
        *(f"{dash}:x" for dash in DASHED), *(f"host:{dash}" for dash in DASHED),
        *(f"https://{dash}/x" for dash in DASHED), *(f"git://{dash}/x" for dash in DASHED),
        *(f"ssh://host:{port}/x" for port in ("99999999", "0", "-1", "22 -oProxyCommand=x", "22x", "")),
        *(f"https://host/{byte}x" for byte in ("\n", "\r", "\t", "\x01", "\x7f", "\x1b[31m", "%0a", "%00", "%1f", " ")),
        "", " ", "relative/path", "./x", "../x", "https://", "https://host", "https://host/", "https:///x", "ssh://", "ssh://h",
        "file://", "file://relative", "file:x", "a\tb:c", "host name:path", "https://ho st/x", "https://h$(id)/x", "ssh://h;id/x",
        "ssh://[::1/x", "ssh://[-o]/x", "git@[x]:y", "git@:x", ":x", "@:x", "x" * 5000, "https://h/" + "y" * 5000]
BRANCHES = [*DASHED[:6], "-h", "a..b", "a b", "a~1", "a^", "a^{}", "a:b", ":a", "+a:b", "x.lock", "x.lock/y", "/a", "a/", "a//b", "@{",
            "a@{1}", "@", "HEAD", ".a", "a/.b", "a.", "a\x01b", "a\nb", "a\x7fb", "a\\b", "a\x1b[2J", "x" * 1100]


def test_there_are_two_hundred_of_them():
    """In Repo.toml and on the command line, each is tried twice."""
    assert len(set(URLS)) + len(set(BRANCHES)) >= 150


def batches(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


@pytest.mark.demand("S3")
@pytest.mark.parametrize("urls", batches(URLS, 16), ids=itertools.count())
def test_hostile_addresses_are_refused_everywhere_and_run_nothing(phantom, urls):
    # Defence: git/url.c, a grammar of what is allowed, asked by config/ and `add` alike.
    for url in urls:
        result = phantom.cli("add", "--", url, "main")
        assert result.returncode in (2, 78), (url, result.returncode, result.err)
        assert "\x1b" not in result.err
        assert not (phantom.config / "Repo.toml").exists()
    phantom.write_repo_toml("".join(f"[a{i}]\npath = {toml_string(url)}\n" for i, url in enumerate(urls)))
    errors = phantom.cli("check", check=78).err
    for line in range(2, 2 * len(urls) + 1, 2):
        assert f"Repo.toml:{line}:8: " in errors, (urls[line // 2 - 1], errors)
    assert phantom.cli().returncode == 78
    assert not list(phantom.directory.rglob("canary"))


@pytest.mark.demand("S3")
def test_hostile_branch_names_are_refused(phantom, repo):
    repo.workflow("true")
    for branch in BRANCHES:
        result = phantom.cli("add", "--", repo.url, branch)
        assert result.returncode in (2, 78), (branch, result.err)
        assert "\x1b" not in result.err and not (phantom.config / "Repo.toml").exists()
    phantom.write_repo_toml("".join(f"[a{i}]\npath = \"/srv/a\"\ntarget_branch = {toml_string(branch)}\n"
                                    for i, branch in enumerate(BRANCHES)))
    errors = phantom.cli("check", check=78).err
    for line in range(3, 3 * len(BRANCHES) + 1, 3):
        assert f"Repo.toml:{line}:" in errors, (BRANCHES[line // 3 - 1], errors)


@pytest.mark.demand("S3")
def test_arguments_of_commands_are_no_options_of_git(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    for word in DASHED[:-2]:  # without those that ask for help
        for arguments in (["run", "app", "--sha", word], ["run", "app", "--branch", word], ["run", "--", word]):
            assert phantom.cli(*arguments).returncode != 0
    assert phantom.jobs() == []
    assert not list(phantom.directory.rglob("canary"))
