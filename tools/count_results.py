#!/usr/bin/env python3
"""Adds up test results.

usage: count_results.py meson LOG.json...     Meson's meson-logs/testlog.json with TAP output
       count_results.py pytest REPORT.xml...  pytest's --junitxml

Prints `PASSED FAILED SKIPPED`, then one line for each failure or skip.
"""
import json
import re
import sys
import xml.etree.ElementTree


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.notes = []

    def fail(self, name):
        self.failed += 1
        self.notes.append(f"failed: {name}")

    def skip(self, name):
        self.skipped += 1
        self.notes.append(f"skipped: {name}")


def count_tap(tally, program, text):
    """Counts the lines of one program; returns how many were seen and how many failed."""
    seen = failed = 0
    for line in text.splitlines():
        match = re.match(r"(not )?ok\b\s*\d*\s*-?\s*(.*)", line)
        if not match:
            continue
        seen += 1
        name = f"{program} {match.group(2)}".strip()
        if re.search(r"#\s*(skip|todo)\b", line, re.IGNORECASE):
            tally.skip(name)
        elif match.group(1):
            failed += 1
            tally.fail(name)
        else:
            tally.passed += 1
    return seen, failed


def count_meson(tally, path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            test = json.loads(line)
            program = test["name"].split(" / ")[-1]
            seen, failed = count_tap(tally, program, test.get("stdout") or "")
            if test["result"] == "SKIP" and not seen:
                tally.skip(program)
            elif test["result"] not in ("OK", "SKIP") and not failed:
                # It died on the way: what it had reported till then does not tell.
                tally.fail(f"{program}: {test['result']}")
            elif not seen:
                tally.fail(f"{program}: ran no test")


def count_pytest(tally, path):
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            tally.fail(name)
        elif case.find("skipped") is not None:
            tally.skip(f"{name}: {case.find('skipped').get('message', '')}")
        else:
            tally.passed += 1


def main(arguments):
    if len(arguments) < 2 or arguments[0] not in ("meson", "pytest"):
        print(__doc__, file=sys.stderr)
        return 2
    tally = Tally()
    for path in arguments[1:]:
        try:
            (count_meson if arguments[0] == "meson" else count_pytest)(tally, path)
        except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
            tally.fail(f"no results in {path}: {error}")
    print(tally.passed, tally.failed, tally.skipped)
    print("\n".join(tally.notes), end="\n" if tally.notes else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
