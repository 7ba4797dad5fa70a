"""S5. I can push. My .gitmodules has a name that climbs out of .git/modules, an address or a path that is an option, a command for
`update`, a carriage return that one part of git sees and another does not, or is a symbolic link: whoever checks out submodules runs
my program. (CVE-2018-11235, -17456, CVE-2019-19604, -1387, CVE-2024-32002, CVE-2025-48384.)"""
import pytest

FORMS = {
    "name": '[submodule "../../evil"]\n\tpath = sub\n\turl = OTHER\n',
    "name-dot-git": '[submodule "x/../../hooks"]\n\tpath = sub\n\turl = OTHER\n',
    "url-option": '[submodule "sub"]\n\tpath = sub\n\turl = -utouch CANARY\n',
    "url-upload-pack": '[submodule "sub"]\n\tpath = sub\n\turl = --upload-pack=touch CANARY\n',
    "url-newline": '[submodule "sub"]\n\tpath = sub\n\turl = "https://host/%0ahost=github.com"\n',
    "path-option": '[submodule "sub"]\n\tpath = -sub\n\turl = OTHER\n',
    "update": '[submodule "sub"]\n\tpath = sub\n\turl = OTHER\n\tupdate = !touch CANARY\n',
    "symlink": None,
}


def commit_modules(repo, text, path="sub", head=None):
    """A commit with such a .gitmodules and a submodule; git itself would not make it."""
    repo.commit()
    repo.write({"workflow/main.toml": "[0]\nrun = 'sh -c \"ls -A sub; echo ran\"'\n"})
    repo.git("add", "-A")
    blob = repo.git("hash-object", "-w", "--stdin", input=(text or "elsewhere").encode())
    listing = repo.git("ls-tree", "-z", repo.git("write-tree"))
    listing += f"\0{'100644' if text else '120000'} blob {blob}\t.gitmodules\0" + f"160000 commit {head}\t{path}\0"
    tree = repo.git("mktree", "-z", "--missing", input=listing.lstrip("\0").replace("\0\0", "\0").encode())
    repo.force(repo.git("commit-tree", tree, "-p", "HEAD", "-m", "modules"))


@pytest.mark.demand("S5")
@pytest.mark.parametrize("submodules", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("form", FORMS)
def test_a_gitmodules_that_no_git_would_write_is_refused_before_anything_is_checked_out(phantom, repo, make_repo, form, submodules):
    # Defence: fetch.fsckObjects in git/command.c; the mirror never holds such a commit.
    canary = phantom.directory / "canary"
    other = make_repo("other")
    head = other.commit_and_push({"payload": "x"})
    text = FORMS[form] and FORMS[form].replace("OTHER", other.url).replace("CANARY", str(canary))
    commit_modules(repo, text, head=head)
    phantom.watch(repo, submodules=submodules)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["state"] == "error" and job["steps"] == [], job
    assert "is refused" in job["reason"] and "gitmodules" in job["reason"], job
    assert not canary.exists()
    assert not list(phantom.cache.rglob("evil*"))


@pytest.mark.demand("S5")
def test_submodules_are_left_alone_unless_asked_for(phantom, repo, make_repo):
    other = make_repo("other")
    head = other.commit_and_push({"payload": "x"})
    commit_modules(repo, f'[submodule "sub"]\n\tpath = sub\n\turl = {other.url}\n', head=head)
    phantom.watch(repo)
    assert phantom.cli("run", "app", check=0).out == "ran\n"


@pytest.mark.demand("S5")
def test_a_carriage_return_runs_no_hook_of_a_submodule(phantom, repo, make_repo):
    """CVE-2025-48384: the path is written with the return and read without; a link leads it into .git/modules/sub/hooks."""
    # Defence: core.hooksPath=/dev/null, in case git itself is old.
    canary = phantom.directory / "canary"
    other = make_repo("other")
    hook = other.clone / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    head = other.commit_and_push()
    (repo.clone / "sub").symlink_to(".git/modules/sub/hooks")
    repo.git("add", "sub")
    commit_modules(repo, f'[submodule "sub"]\n\tpath = "sub\r"\n\turl = {other.url}\n', path="sub\r", head=head)
    phantom.watch(repo, submodules=True)
    phantom.cli("run", "app")
    assert phantom.jobs()[0]["state"] in ("success", "error")
    assert not canary.exists()


@pytest.mark.demand("S5")
def test_a_submodule_on_this_machine_shares_no_file_with_its_source(phantom, repo, make_repo):
    """A step could write into the other repository through a hard link, out of any sandbox."""
    # Defence: url.file:///.insteadOf in git/checkout.c: git's short cut for local clones is not taken.
    other = make_repo("other")
    head = other.commit_and_push({"payload": "x"})
    commit_modules(repo, f'[submodule "sub"]\n\tpath = sub\n\turl = {other.url}\n', head=head)
    phantom.watch(repo, submodules=True)
    assert phantom.cli("run", "app", check=0).out.startswith(".git\npayload\n")
    objects = [path for path in (phantom.cache / "workspaces").glob("*/*/.git/modules/**/*") if path.is_file()]
    assert objects and not [path for path in objects if path.stat().st_nlink > 1]
