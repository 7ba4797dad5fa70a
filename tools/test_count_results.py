"""The tally can't be fooled: what died, was skipped or ran nothing is not counted as passed."""
import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("count_results.py")


def count(kind, path):
    result = subprocess.run([sys.executable, SCRIPT, kind, path], capture_output=True, text=True, check=True)
    return tuple(int(number) for number in result.stdout.split("\n")[0].split())


@pytest.mark.parametrize("result, stdout, expected", [
    ("OK", "# random seed\n1..2\nok 1 /a\nok 2 /b\n", (2, 0, 0)),
    ("OK", "ok 1 /a # SKIP no sshd\nok 2 /b\n", (1, 0, 1)),
    ("FAIL", "ok 1 /a\nnot ok 2 /b\n", (1, 1, 0)),
    ("ERROR", "ok 1 /a\n", (1, 1, 0)),
    ("TIMEOUT", "", (0, 1, 0)),
    ("OK", "", (0, 1, 0)),
    ("SKIP", "1..0 # SKIP\n", (0, 0, 1)),
])
def test_meson_log(tmp_path, result, stdout, expected):
    log = tmp_path / "testlog.json"
    log.write_text(json.dumps({"name": "phantom_ci / test_x", "result": result, "stdout": stdout}) + "\n")
    assert count("meson", log) == expected


def test_pytest_report(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite><testcase classname="m" name="a"/>'
                      '<testcase classname="m" name="b"><failure message="x">y</failure></testcase>'
                      '<testcase classname="m" name="c"><error message="x">y</error></testcase>'
                      '<testcase classname="m" name="d"><skipped message="x">y</skipped></testcase>'
                      "</testsuite></testsuites>")
    assert count("pytest", report) == (1, 2, 1)


def test_absent_report_is_a_failure(tmp_path):
    assert count("pytest", tmp_path / "none.xml") == (0, 1, 0)
    assert count("meson", tmp_path / "none.json") == (0, 1, 0)
