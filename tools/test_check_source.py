"""Each rule of check_source.py finds what it is for, and says nothing about a clean tree."""
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("check_source.py")


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "src/base").mkdir(parents=True)
    (tmp_path / "src/store").mkdir()
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "src/meson.build").write_text("'base/a.c', 'store/b.c'\n")
    (tmp_path / "tests/meson.build").write_text("'test_a'\n")
    (tmp_path / "src/base/a.c").write_text("int a(void)\n{\n    return 0;\n}\n")
    (tmp_path / "src/store/b.c").write_text('#include "base/a.h"\n#include <sqlite3.h>\n')
    (tmp_path / "tests/unit/test_a.c").write_text("int main(void)\n{\n    return 0;\n}\n")
    return tmp_path


def check(tree, *checks):
    result = subprocess.run([sys.executable, SCRIPT, "--root", tree, *checks],
                            capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.returncode == (1 if result.stdout else 0)
    return result.stdout


def test_clean_tree_has_no_findings(tree):
    assert check(tree) == ""


@pytest.mark.parametrize("include, word", [
    ('"store/b.h"', "base must not include store"),
    ('"a.h"', 'as "folder/file.h"'),
    ('"../store/b.h"', 'as "folder/file.h"'),
])
def test_arrow_against_the_order_is_found(tree, include, word):
    (tree / "src/base/a.c").write_text(f"\n#include {include}\n")
    assert word in check(tree, "arrows")
    assert "src/base/a.c:2:" in check(tree, "arrows")


def test_folder_without_a_row_is_found(tree):
    (tree / "src/new").mkdir()
    (tree / "src/new/x.c").write_text("")
    assert "has no row" in check(tree, "arrows")


def test_sqlite_outside_the_store_is_found(tree):
    (tree / "src/base/a.c").write_text("#include <sqlite3.h>\n")
    assert "another place" in check(tree, "libraries")


@pytest.mark.parametrize("lines, found", [(80, False), (81, True)])
def test_function_length_limit_is_80(tree, lines, found):
    (tree / "src/base/a.c").write_text("int a(void)\n{\n" + "    ;\n" * lines + "}\n")
    assert ("function of 81 lines" in check(tree, "lengths")) == found


@pytest.mark.parametrize("lines, found", [(700, False), (701, True)])
def test_file_length_limit_is_700(tree, lines, found):
    (tree / "src/base/a.c").write_text("\n" * (lines - 1) + "int a;\n")
    assert ("701 lines" in check(tree, "lengths")) == found


@pytest.mark.parametrize("call", ["strcpy(a, b)", "x = system (a)", "getpwuid(0)", "strtok(a, b)", "popen(a, b)",
                                  "alloca(4)", "sprintf(a, b)", "getaddrinfo(a)", "socket(a)"])
def test_banned_call_is_found(tree, call):
    (tree / "src/base/a.c").write_text(f"void a(void)\n{{\n    {call};\n}}\n")
    assert "src/base/a.c:3:" in check(tree, "banned")


def test_a_clock_that_is_asked_twice_is_found(tree):
    (tree / "src/base/a.c").write_text("int f(void)\n{\n    return MAX(end_ms -\n               clock_monotonic_ms(), 0);\n}\n")
    assert "src/base/a.c:3:" in check(tree, "twice")


@pytest.mark.parametrize("text", ["/* strcpy(a, b) */", "// system(x)", 'puts("sprintf(x)");', "g_strcpy_x(a);",
                                  "file_system(x);", "s->socket(a);"])
def test_what_only_looks_like_a_banned_call_is_not_found(tree, text):
    (tree / "src/base/a.c").write_text(f"{text}\n")
    assert check(tree, "banned") == ""


def test_notification_socket_is_allowed_in_its_file(tree):
    (tree / "src/daemon").mkdir()
    (tree / "src/daemon/sd_notify.c").write_text("int fd = socket(a, b, c);\n")
    assert check(tree, "banned") == ""


@pytest.mark.parametrize("name", ["src/base/new.c", "tests/unit/test_new.c", "tests/fuzz/fuzz_new.c"])
def test_file_that_no_build_names_is_found(tree, name):
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("")
    assert name in check(tree, "listed")
