"""The manual says what the program does: every command, option and key, no others; and its examples run."""
import os
import re
import shutil
import subprocess

import pytest

from env.documents import MANUAL as PAGES
from env.documents import OPERATIONS, README, commands
from env.phantom import ROOT
from env.terminal import run_on_terminal

MUST_RUN = os.environ.get("PHANTOM_CI_TESTS_MUST_RUN") == "1"
GLOBAL = {"--config-dir", "--state-dir", "--cache-dir", "--help"}
DAEMON = {"--quiet", "--kill-jobs", "--ready-fd"}


def render(page):
    if not shutil.which("mandoc"):
        assert not MUST_RUN, "mandoc is not installed"
        pytest.skip("mandoc is not installed")
    out = subprocess.run(["mandoc", "-Tascii", "-Owidth=1000", str(page)], stdout=subprocess.PIPE, check=True).stdout
    return re.sub(r".\x08", "", out.decode())


def manual(name):
    return render(next(page for page in PAGES if page.name == name))


def usages(phantom):
    """{"notify list": usage line}"""
    overview = phantom.cli("help", check=0).out
    found = {}
    for name in re.findall(r"^  ([a-z][a-z-]+) ", overview, re.M):
        text = phantom.cli(name, "--help", check=0).out
        subs = re.findall(rf"^  phantom_ci ({name} [a-z]+)", text, re.M)
        for command in subs or [name]:
            found[command] = phantom.cli(*command.split(), "--help", check=0).out
    return found


def keys_of(name):
    source = (ROOT / "src" / "config" / name).read_text()
    return set(re.findall(r'^    \{"(\w+)", (?:SCHEMA_|\.type)', source, re.M))


def named_keys(page):
    """What stands in bold as a variable: .Va"""
    words = set()
    for line in (ROOT / "docs" / "man" / page).read_text().splitlines():
        if line.startswith((".Va ", ".It Va ")):
            words |= {word for word in line.split()[1:] if re.fullmatch(r"[a-z_]{2,}", word)}
    return words


def test_the_page_of_the_program_names_every_command_and_option_and_no_other(phantom):
    text = manual("phantom_ci.1")
    known = usages(phantom)
    options = set(GLOBAL | DAEMON | {"--json"})
    for command, usage in known.items():
        assert re.search(rf"^ +{command}\b", text, re.M), command
        options |= set(re.findall(r"(--[a-z][a-z-]+)", usage))
    named = set(re.findall(r"(--[a-z][a-z-]+)", text))
    assert options - named == set(), "missing in the manual"
    assert named - options == {"--create-home"}, "only in the manual (useradd's own apart)"
    headings = set(re.findall(r"^     ([a-z][a-z-]+(?: (?:list|retry|test|service))?)(?= [A-Z\[-]|,|$)", text, re.M))
    assert {heading for heading in headings if heading.split()[0] not in {c.split()[0] for c in known}} <= {"help"}


def test_each_option_stands_in_the_usage_of_its_command_in_the_manual(phantom):
    text = manual("phantom_ci.1")
    for command, usage in usages(phantom).items():
        lines = [line for line in text.splitlines() if re.match(rf" +{command}\b", line)]
        for option in set(re.findall(r"^ .*?(--[a-z][a-z-]+)", usage, re.M)) - GLOBAL:
            assert any(option in line for line in lines), (command, option)


def test_every_key_is_in_its_page_and_no_other():
    repo, config = keys_of("repo_section.c"), keys_of("config.c")
    assert len(repo) > 30 and len(config) > 10
    assert repo - named_keys("phantom_ci-repo.toml.5") == set()
    assert named_keys("phantom_ci-repo.toml.5") - repo == set()
    assert config - named_keys("phantom_ci-config.toml.5") == set()
    assert named_keys("phantom_ci-config.toml.5") - config - {"path"} == set()


def test_the_examples_of_the_configuration_pages_are_valid(phantom):
    names = {"phantom_ci-repo.toml.5": "Repo.toml", "phantom_ci-config.toml.5": "config.toml",
             "phantom_ci-workflow.5": "main.toml"}
    for page, name in names.items():
        source = (ROOT / "docs" / "man" / page).read_text()
        example = re.search(r"\.Sh EXAMPLES\n\.Bd -literal\n(.*?)\n\.Ed", source, re.S)[1]
        path = phantom.directory / name
        path.write_text(example + "\n")
        path.chmod(0o600)
        phantom.cli("check", path, check=0)


def test_the_pages_are_clean_and_refer_to_each_other():
    if not shutil.which("mandoc"):
        assert not MUST_RUN, "mandoc is not installed"
        pytest.skip("mandoc is not installed")
    out = subprocess.run(["mandoc", "-Tlint", *map(str, PAGES)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    # Whether other programs' pages are on this machine is no matter of ours.
    said = [line for line in out.stdout.decode().splitlines() if "referenced manual not found" not in line]
    assert said == []
    ours = {page.name.rpartition(".")[0] for page in PAGES}
    for page in PAGES:
        for name in re.findall(r"^\.Xr (phantom_ci\S*) ", page.read_text(), re.M):
            assert name in ours, (page.name, name)


# Commands that are not run here, and why.
NOT_RUN = {
    "./dev demo": "it is the demonstration itself",
    "./dev test": "it runs this test",
    "./dev build --release": "the build is what is tested",
    "sudo meson install -C build/release": "test_install runs it into a directory of its own",
    "phantom_ci": "the daemon is started by the test, in the background",
}


@pytest.fixture
def reader(phantom, make_repo, receiver):
    """Somebody who types what the documentation says: with a repository, a receiver of messages, and /srv/backup."""
    repo = make_repo("project")
    for branch in ("main", "master"):
        repo.workflow("echo out", branch=branch)
    bin_directory = phantom.directory / "bin"
    backups = phantom.directory / "backup"
    for directory in (bin_directory, backups, phantom.home / ".config"):
        directory.mkdir()
    (phantom.home / ".config" / "phantom_ci").symlink_to(phantom.config)
    program = bin_directory / "phantom_ci"
    program.write_text(f'#!/bin/sh\nexec {" ".join(phantom.command())} "$@"\n')
    program.chmod(0o755)
    (bin_directory / "sqlite3").write_text("""#!/usr/bin/python3
import sqlite3, sys
print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]).fetchall())
""")
    (bin_directory / "sqlite3").chmod(0o755)
    env = {**phantom.env, "PATH": f"{bin_directory}:{phantom.env['PATH']}"}
    places = {"https://example.org/me/project.git": repo.url, "/srv/git/project.git": repo.url, "logs 12": "logs 1",
              "/srv/backup": str(backups), "sqlite3 ci.backup": f"sqlite3 {backups}/ci.backup",
              "https://hooks.slack.com/services/...": receiver.url("/services/x")}

    def type_in(command):
        for said, here in places.items():
            command = command.replace(said, here)
        code, shown, _ = run_on_terminal(["/bin/sh", "-c", f"cd; {command}"], env, answer=b"y\n")
        return code, shown
    return type_in


def type_all(reader, path):
    """Types what is for users; what root is to type is test_service's, in a machine of its own."""
    typed = [command for is_root, command in commands(path) if not is_root and command not in NOT_RUN]
    for command in typed:
        code, said = reader(command)
        assert code == 0, (command, said)
        if " add " in command:
            assert reader("phantom_ci run project")[0] == 0  # there is a job to look at
    return typed


def test_the_examples_of_the_manual_run(phantom, reader):
    daemon = phantom.start()
    typed = [command for page in PAGES for command in type_all(reader, page)]
    assert len(typed) >= 6 and daemon.is_alive()


def test_the_commands_of_the_readme_run(reader, receiver):
    assert len(type_all(reader, README)) >= 7
    assert [request.json()["blocks"] for request in receiver.requests], "notify test sends one"
    known = {command for _, command in commands(README)}
    assert set(NOT_RUN) <= known, "the list of what is not run names what the README does not have"


def test_the_commands_of_the_operations_page_run(phantom, reader):
    reader("phantom_ci add /srv/git/project.git main --name project && phantom_ci run project")
    reader("echo 'SLACK_WEBHOOK_URL=https://hooks.slack.com/services/...' > ~/.config/phantom_ci/.env")
    (phantom.config / ".env").chmod(0o600)
    assert len(type_all(reader, OPERATIONS)) >= 6


def test_every_block_of_commands_is_marked_as_one():
    """Else no test would see it."""
    for path in (README, OPERATIONS, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "examples" / "README.md"):
        for kind, body in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", path.read_text(), re.M | re.S):
            looks_so = re.search(r"^ *([$#] |phantom_ci|\./dev|sudo|meson|systemctl)", body, re.M)
            assert not looks_so or kind in ("sh", "console"), (path, body)
