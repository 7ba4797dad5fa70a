"""git's check of what is fetched: what old tools wrote wrongly does no harm, and a known object can be let through."""


def rewrite(repo, kind, content):
    return repo.git("hash-object", "-t", kind, "-w", "--literally", "--stdin", input=content)


def old_commit(repo, tree=None, author=b"Ann <a@example.org> 1700000000 +0000"):
    """A commit as some old tool might have made it, with the workflow of HEAD."""
    tree = tree or repo.git("rev-parse", "HEAD^{tree}")
    return rewrite(repo, "commit", b"tree %s\nparent %s\nauthor %s\ncommitter Ann <a@example.org> 1700000000 +0000\n\nold\n" % (
        tree.encode(), repo.head().encode(), author))


def test_faults_of_old_tools_are_let_through(phantom, repo):
    repo.workflow("echo ran")
    workflow = bytes.fromhex(repo.git("rev-parse", "HEAD:workflow"))
    padded = rewrite(repo, "tree", b"040000 workflow\0" + workflow)
    commits = [old_commit(repo, tree=padded)]
    for author in (b"Ann <a@example.org>1700000000 +0000", b"Ann<a@example.org> 1700000000 +0000",
                   b"<a@example.org> 1700000000 +0000", b"Ann 1700000000 +0000", b"Ann <a@example.org> 1700000000 +051800",
                   b"Ann <a@example.org> 01700000000 +0000"):
        commits.append(old_commit(repo, author=author))
    phantom.watch(repo)
    for sha in commits:
        repo.force(sha)
        assert phantom.cli("run", "app", check=0).out == "ran\n", repo.git("cat-file", "commit", sha)


def test_a_skip_list_of_the_user_lets_a_known_object_through(phantom, repo):
    repo.workflow("echo ran")
    faulty = rewrite(repo, "commit", repo.git("cat-file", "commit", old_commit(repo)).encode() + b"\0and more\n")
    repo.force(faulty)
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[-1]
    assert job["state"] == "error" and job["steps"] == []
    assert f"object {faulty}: nulInCommit" in job["reason"] and "fetch.fsck.skipList" in job["reason"], job
    known = phantom.home / "known"
    known.write_text(faulty + "\n")
    (phantom.home / ".gitconfig").write_text(f"[fetch \"fsck\"]\n\tskipList = {known}\n")
    assert phantom.cli("run", "app", check=0).out == "ran\n"
