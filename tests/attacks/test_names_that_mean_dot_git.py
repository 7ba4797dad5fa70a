"""I can push. My tree has files called .GIT, git~1, or .git with invisible characters, which some file systems take for .git; names
with .. in them; or two entries of one name, of which one is a link. What is checked out shall become a repository, or land elsewhere."""
import pytest

NAMES = [".git", ".GIT", ".Git", "git~1", "GIT~1", ".g\u200cit", ".gi\u200dt", "\ufeff.git", "..", ".", ".git ", ".git.", ".git::$INDEX_ALLOCATION",
         "sub/.git", "sub/.GIT"]


def commit_tree(repo, entries):
    """A commit of the workflow and these (mode, name, blob), whatever git thinks of the names."""
    def tree(lines):
        raw = b"".join(mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(sha) for mode, name, sha in lines)
        return repo.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=raw)
    workflow = repo.git("rev-parse", "HEAD:workflow")
    lines = []
    for mode, name, sha in entries:
        if "/" in name:
            directory, name = name.split("/")
            mode, name, sha = "40000", directory, tree([(mode, name, sha)])
        lines.append((mode, name, sha))
    lines.append(("40000", "workflow", workflow))
    root = tree(sorted(lines, key=lambda line: (line[1] + ("/" if line[0] == "40000" else "")).encode()))
    sha = repo.git("commit-tree", root, "-p", "HEAD", "-m", "x")
    repo.force(sha)
    return sha


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_some_file_system_takes_for_dot_git_is_refused(phantom, repo, name):
    # Defence: fetch.fsckObjects, core.protectHFS and core.protectNTFS in git/command.c.
    repo.workflow("sh -c 'ls -a; cat .git/config'")
    blob = repo.git("hash-object", "-w", "--stdin", input=b"[core]\n\tfsmonitor = touch canary\n")
    inner = repo.git("mktree", input=f"100644 blob {blob}\tconfig\n".encode())
    sha = commit_tree(repo, [("40000", name, inner)])
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    assert job["sha"] == sha and job["state"] == "error" and job["steps"] == [] and "refused" in job["reason"], job
    assert not list(phantom.directory.rglob("canary"))


def test_two_entries_of_one_name_are_refused(phantom, repo, place):
    repo.workflow("ls")
    link = repo.git("hash-object", "-w", "--stdin", input=str(place).encode())
    blob = repo.git("hash-object", "-w", "--stdin", input=b"x")
    inner = repo.git("mktree", input=f"100644 blob {blob}\tcanary\n".encode())
    commit_tree(repo, [("120000", "dir", link), ("40000", "dir", inner)])
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    assert phantom.jobs()[0]["state"] == "error" and phantom.jobs()[0]["steps"] == []
    assert not (place / "canary").exists()


def test_names_that_differ_in_case_are_two_files(phantom, repo):
    repo.workflow("sh -c 'cat README readme Readme'")
    repo.commit_and_push({"README": "1\n", "readme": "2\n", "Readme": "3\n"})
    phantom.watch(repo)
    assert phantom.cli("run", "app", check=0).out == "1\n2\n3\n"
