"""The documentation tells the truth."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def marked_tests():
    """{row: {file::test}} from the markers in the source."""
    found = {}
    for path in [*(ROOT / "tests" / "e2e").glob("test_*.py"), *(ROOT / "tests" / "attacks").glob("test_*.py")]:
        rows = []
        for line in path.read_text().splitlines():
            mark = re.match(r'@pytest\.mark\.demand\("(\w+)"\)', line)
            test = re.match(r"def (test_\w+)", line)
            if mark:
                rows.append(mark[1])
            elif test:
                for row in rows:
                    found.setdefault(row, set()).add(f"{path.name}::{test[1]}")
                rows = []
    return found


def test_the_page_of_demands_names_the_tests_that_cover_them():
    listed = {}
    for line in (ROOT / "docs" / "demands.md").read_text().splitlines():
        row = re.match(r"\| (\w\d+) \| .* \| (.*) \|$", line)
        if row:
            assert row[1] not in listed, f"{row[1]} has two rows"
            listed[row[1]] = set(re.findall(r"`([^`]+)`", row[2]))
    assert listed == marked_tests()


def test_the_page_about_security_names_tests_that_exist_and_every_attack():
    named = set(re.findall(r"`((?:e2e|attacks)/test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "security.md").read_text()))
    assert len(named) > 50
    for path, test in sorted(named):
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / path).read_text(), re.M), f"{path} has no {test}"
    attacks = {f"attacks/{path.name}" for path in (ROOT / "tests" / "attacks").glob("test_*.py")}
    assert {path for path, _ in named if path.startswith("attacks/")} == attacks
    for number in range(1, 26):
        found = list((ROOT / "tests" / "attacks").glob(f"test_s{number:02}_*.py"))
        assert len(found) == 1, f"S{number}: {found}"
        assert found[0].read_text().startswith(f'"""S{number}. '), found[0]


def test_the_examples_are_valid(phantom):
    examples = sorted((ROOT / "examples").glob("*.toml"))
    assert len(examples) >= 3
    for path in examples:
        copy = phantom.directory / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        phantom.cli("check", copy, check=0)


def test_the_readme_names_every_command_and_no_other(phantom):
    page = (ROOT / "README.md").read_text()
    overview = phantom.cli("help", check=0).out
    commands = set(re.findall(r"^  ([a-z-]+) ", overview, re.M))
    table = page[page.index("## Commands"):page.index("| exit code |")]
    named = set(re.findall(r"`([a-z-]+)(?: [^`]*)?`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.M))))
    assert commands == named


def test_every_option_of_a_command_is_in_its_usage_line(phantom):
    for command in ["add", "backup", "doctor", "gc", "import-original", "jobs", "logs", "reset", "restore", "run", "status",
                    "why"]:
        out = phantom.cli(command, "--help", check=0).out
        options = set(re.findall(r"(--[a-z-]+)", out.split("\n", 1)[1])) - {
            "--config-dir", "--state-dir", "--cache-dir", "--json", "--help", "--follow"}
        usage = out.split("\n", 1)[0]
        missing = {option for option in options if option not in usage and option != "--limit:"}
        assert not missing, (command, missing)


def test_the_version_is_the_same_everywhere(phantom):
    version = phantom.cli("version", check=0).out.split()[1]
    assert f"version: '{version}'" in (ROOT / "meson.build").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_dev_explains_each_of_its_commands():
    for command in ["setup", "build", "demo", "test", "bench", "lint", "format", "fuzz"]:
        out = subprocess.run([ROOT / "dev", command, "--help"], check=True, stdout=subprocess.PIPE).stdout.decode()
        assert f"./dev {command}" in out
