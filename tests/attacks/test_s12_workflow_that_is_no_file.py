"""S12. I can push. My workflow/main.toml is a symbolic link to a file of the host, a submodule, a directory, a file too large, or has
bytes in it that one reader takes for an end and another does not: the runner shall read what it should not, or run what nobody saw."""
import pytest


@pytest.mark.demand("S12")
@pytest.mark.parametrize("kind", ["symlink", "absolute-symlink", "symlinked-directory", "directory", "submodule", "large", "nul"])
def test_a_workflow_that_is_no_plain_file_is_refused(phantom, repo, kind):
    # Defence: git/mirror_read.c reads a blob with mode 100644 or 100755 from the object database, never through the file system.
    outside = phantom.directory / "outside.toml"
    outside.write_text("[0]\nrun = 'touch canary'\n")
    path = repo.clone / "workflow" / "main.toml"
    if kind != "symlinked-directory":
        path.parent.mkdir()
    if kind == "symlink":
        repo.write({"elsewhere.toml": "[0]\nrun = 'touch canary'\n"})
        path.symlink_to("../elsewhere.toml")
    elif kind == "absolute-symlink":
        path.symlink_to(outside)
    elif kind == "symlinked-directory":
        repo.write({"real/main.toml": "[0]\nrun = 'touch canary'\n"})
        path.parent.symlink_to("real")
    elif kind == "directory":
        repo.write({"workflow/main.toml/x": "x"})
    elif kind == "large":
        repo.write({"workflow/main.toml": "[0]\nrun='true'\n" + "#" * 300000})
    elif kind == "nul":
        repo.write({"workflow/main.toml": b"[0]\nrun = 'true'\n\0[1]\nrun = 'touch canary'\n"})
    else:
        sha = repo.commit()
        repo.git("update-index", "--add", "--cacheinfo", f"160000,{sha},workflow/main.toml")
        repo.git("commit", "-q", "-m", "a submodule")
    if kind == "submodule":
        repo.push()
    else:
        repo.commit_and_push()
    phantom.watch(repo)
    phantom.cli("run", "app", check=1)
    job = phantom.jobs()[0]
    # what lies behind a linked directory is no file of the commit at all
    assert job["state"] == ("skipped" if kind == "symlinked-directory" else "error"), job
    assert job["steps"] == [] and job["reason"], job
    assert not list(phantom.directory.rglob("canary"))
