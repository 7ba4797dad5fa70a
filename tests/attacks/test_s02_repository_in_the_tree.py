"""S2. I can push. I commit a whole bare repository, with a configuration that names commands, as plain files. Whoever runs git in
that directory shall take it for a repository of his own and run them."""
import pytest

from env.site import shell


@pytest.mark.demand("S2")
def test_a_bare_repository_inside_the_tree_is_only_files(site, level):
    # Defence: our git never runs in the tree (--git-dir, --work-tree) and has safe.bareRepository=explicit.
    canary = site.make_open_directory("canary")
    inner = site.repo.clone / "inner"
    site.repo.git("init", "-q", "--bare", str(inner))
    site.repo.git("--git-dir", str(inner), "config", "core.fsmonitor", f"touch {canary}/ran")
    site.repo.git("--git-dir", str(inner), "config", "core.worktree", str(site.repo.clone))
    for name in ("objects", "refs"):
        (inner / name / "keep").write_text("")
    if site.attack(level, shell("cat inner/config")) is None:
        return
    for _ in range(2):
        assert "fsmonitor" in site.attack_again(level, shell("cat inner/config"))
    assert not list(canary.iterdir())
