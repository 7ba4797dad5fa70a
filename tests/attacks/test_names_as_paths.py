"""I can push branches, or get a section into Repo.toml. Names that climb, are absolute, are too long for a file system, or are what
the runner itself calls its files, shall lead its checkouts, logs and locks elsewhere, or to those of another repository."""
from env.gitrepo import toml_string

SECTIONS = ["..", ".", "a/b", "../../x", "/etc/x", "a\\b", "x" * 100, "con", "-x", "app.git", "ünïcödé", "a b", "lock", "workspaces",
            "a:b", "%2e%2e", "~", "$HOME", "*", "a\tb"]
BRANCHES = ["x/../y".replace("..", "dots"), "%2e%2e/x", "$HOME", "lock", "index", "x" * 200, "/".join("d" * 50), "a/" * 20 + "b", "-x",
            "origin/main", "refs/heads/x", "COM1", "main.git"]


def inside(directory, allowed):
    return [path for path in directory.rglob("*") if not any(path == a or a in path.parents for a in allowed)]


def test_names_of_sections_lead_nowhere_else(phantom, repo):
    # Defence: file_component_from_name() makes one component of every name.
    repo.workflow("pwd")
    refused, ran = [], []
    for name in SECTIONS:
        phantom.write_repo_toml(f"[{toml_string(name)}]\npath = {toml_string(repo.url)}\ntarget_branch = \"main\"\n")
        if phantom.cli("check").returncode == 78:
            refused.append(name)
            continue
        out = phantom.cli("run", "--", name, check=0).out
        workspace = out.strip()
        assert workspace.startswith(f"{phantom.cache}/workspaces/") and workspace.endswith("/main"), (name, out)
        assert len(workspace[len(f"{phantom.cache}/workspaces/"):].split("/")) == 2 and "/../" not in workspace, (name, out)
        ran.append(workspace)
    assert len(set(ran)) == len(ran) and ran and len(refused) + len(ran) == len(SECTIONS)
    assert inside(phantom.directory, [phantom.cache, phantom.state, phantom.config, phantom.home, repo.bare.parent, repo.clone.parent]) == []


def test_names_of_branches_lead_nowhere_else(phantom, repo):
    repo.commit()
    phantom.watch(repo, branch="")
    for name in BRANCHES:
        repo.commit_and_push({f"workflow/{name}.toml": "[0]\nrun = 'pwd'\n"} if len(name) < 250 else None, branch=name)
    seen = set()
    for name in BRANCHES:
        out = phantom.cli("run", "app", "--branch=" + name).out
        workspace = out.strip().splitlines()[0]
        assert workspace.startswith(f"{phantom.cache}/workspaces/app/"), (name, out)
        assert len(workspace[len(f"{phantom.cache}/workspaces/app/"):].split("/")) == 1, (name, out)
        seen.add(workspace)
    assert len(seen) == len(BRANCHES)
    assert inside(phantom.directory, [phantom.cache, phantom.state, phantom.config, phantom.home, repo.bare.parent, repo.clone.parent]) == []
