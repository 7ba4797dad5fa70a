"""What is installed, where, and that it works there and elsewhere."""
import json
import re
import shutil
import stat
import subprocess

import pytest

from env.documents import MANUAL, OPERATIONS, README
from env.gitrepo import GitRepo
from env.phantom import BUILD, ROOT
from env.waiting import LIMIT


def run(*words, **options):
    return subprocess.run(list(map(str, words)), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT, **options).stdout.decode()


# The places that the page of operations names, so that somebody without the build directory finds what to remove.
PLACES = re.compile(r"(bin/phantom_ci|libexec/phantom_ci/.*|share/doc/phantom_ci/.*|share/man/man\d/phantom_ci.*|"
                    r"share/bash-completion/completions/phantom_ci|share/zsh/site-functions/_phantom_ci|"
                    r"share/fish/vendor_completions.d/phantom_ci.fish)")


def test_the_build_of_the_readme_installs_below_its_prefix_alone(place):
    command = re.search(r"`meson setup build (.*) && meson install -C build`", README.read_text())[1]
    options = command.replace("$HOME", str(place)).split()
    assert f"--prefix={place}/.local" in options
    run("meson", "setup", *options, place / "build", cwd=ROOT)
    installed = json.loads(run("meson", "introspect", "--installed", place / "build")).values()
    assert len(installed) >= 15
    for path in installed:
        assert path.startswith(f"{place}/.local/") and PLACES.fullmatch(path.removeprefix(f"{place}/.local/")), path


def test_the_places_of_what_is_installed_are_documented():
    section = OPERATIONS.read_text().partition("## Uninstall")[2]
    for place in ("bin/phantom_ci", "libexec/phantom_ci/", "share/doc/phantom_ci/", "share/man/man*/phantom_ci*"):
        assert f"`{place}`" in section
    assert "completions in `share/`" in section and "ninja -C build uninstall" in section


@pytest.fixture
def installed(place):
    """An installed tree that was moved since."""
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", place / "dest")
    prefix = next(path.parent.parent for path in (place / "dest").rglob("bin/phantom_ci"))
    files = {path.relative_to(prefix) for path in prefix.rglob("*") if path.is_file()}
    assert {path.relative_to(prefix) for path in (place / "dest").rglob("*") if path.is_file()} == files, "DESTDIR"
    return shutil.move(prefix, place / "moved tree")


def test_every_installed_file_has_its_place_and_a_safe_mode(installed):
    for path in installed.rglob("*"):
        mode = path.stat().st_mode
        if path.is_file():
            name = str(path.relative_to(installed))
            assert PLACES.fullmatch(name), name
            wanted = 0o755 if name.startswith(("bin/", "libexec/")) or mode & 0o100 else 0o644
            assert stat.S_IMODE(mode) == wanted, name
        else:
            assert stat.S_IMODE(mode) == 0o755, path
    assert {path.name for path in installed.glob("share/man/man*/*")} == {path.name for path in MANUAL}


def test_the_installed_tree_works_where_it_was_moved_to(installed, phantom, place, receiver):
    """It finds its helpers beside itself: a job runs, and a message is sent."""
    repo = GitRepo(place)
    repo.workflow("sh -c 'echo $PHANTOM_CI_REPO'")
    env = {name: value for name, value in phantom.env.items() if name != "PHANTOM_CI_LIBEXEC_DIR"}

    def type_in(*words):
        command = [installed / "bin" / "phantom_ci", *phantom.command()[1:], *words]
        return run(*command, env=env, cwd=phantom.home)
    type_in("add", repo.url, "main", "--name", "app")
    assert type_in("run", "app").splitlines()[0] == "app"
    (phantom.config / ".env").write_text(f"CUSTOM_WEBHOOK_URL={receiver.url()}\n")
    (phantom.config / ".env").chmod(0o600)
    assert "delivered: HTTP 200" in type_in("notify", "test")
    assert receiver.requests[0].json()["kind"] == "test"
