"""S20. I can push to b/tool. The runner also builds a/tool, or Tool, or tool.git: if the two share a checkout or a mirror, what my job
leaves runs in theirs."""
import pytest

from env.gitrepo import toml_string
from env.site import shell


@pytest.mark.demand("O7")
@pytest.mark.demand("S20")
def test_repositories_with_the_same_last_path_component_do_not_meet(site, level):
    # Defence: workspaces are named after the section, mirrors after a hash of the whole address (git/mirror.c).
    first, second = site.make_repo("a/tool"), site.make_repo("b/tool")
    first.workflow(shell("echo first; touch left"))
    second.workflow(shell("echo second; ls"))
    site.phantom.watch(first, name="one", sandbox=level)
    site.phantom.watch(second, name="two", sandbox=level)
    site.own()
    ran = not (site.old_kernel and level != "off")
    assert site.phantom.cli("run", "one", check=0 if ran else 1).out.startswith("first\n") == ran
    assert (site.phantom.cli("run", "two", check=0 if ran else 1).out == "second\nworkflow\n") == ran
    assert len(list((site.phantom.cache / "mirrors").glob("*.git"))) == 2


@pytest.mark.demand("S20")
def test_names_that_differ_in_case_dots_or_slashes_have_places_of_their_own(phantom, make_repo, place):
    names = ["tool", "Tool", "tool.git", "tool.", "TOOL.GIT"]
    repos = [make_repo(f"r{number}/{name}") for number, name in enumerate(names)]
    for name, repo in zip(names, repos):
        repo.workflow(shell(f"ls left-* 2>/dev/null; touch left-{name}; echo ran"))
        phantom.watch(repo, name=toml_string(name), keep=["left-" + other for other in names])
    for name in names:
        assert phantom.cli("run", name, check=0).out == "ran\n"
    addresses = [repos[0].url, repos[0].url + "/", "file://" + repos[0].url]
    for number, address in enumerate(addresses):
        phantom.watch(address, name=f"again{number}")
        assert phantom.cli("run", f"again{number}", check=0).out == "ran\n"
    workspaces = {path for path in (phantom.cache / "workspaces").glob("*/main")}
    assert len(workspaces) == len(names) + len(addresses)
