#!/usr/bin/env python3
"""The rules of this source tree that no compiler knows.

usage: check_source.py [--root DIR] [CHECK...]     (all checks without a name)

arrows     which folder of src/ may include which
libraries  a third-party header is included in its one place only
lengths    files up to 700 lines, functions up to 80
banned     functions that have no place here
twice      no macro that evaluates its arguments twice asks the clock
listed     every source file is named in a meson.build
"""
import argparse
import pathlib
import re
import sys

FILE_LINES = 700
FUNCTION_LINES = 80

# folder -> folders it may include besides itself. `.` is src/main.c, which ties the parts together.
ARROWS = {
    ".": {"base", "commands", "daemon", "git", "poll"},
    "base": set(),
    "config": {"base"},
    "store": {"base"},
    "git": {"base"},
    "sandbox": {"base"},
    "notify": {"base", "config", "store"},
    "credential": {"base", "git", "net"},
    "poll": {"base", "config", "git", "net"},
    "net": {"base", "git", "sandbox"},
    "ssh": {"base", "git", "net"},
    "daemon": {"base", "config", "store", "poll", "net", "notify"},
    "job": {"base", "config", "store", "git", "notify", "sandbox"},
    "commands": {"base", "config", "store", "git", "sandbox", "notify", "net", "poll", "daemon"},
}

# header -> files that may include it.
LIBRARIES = {
    r"sqlite3\.h": r"src/store/",
    r"toml\+\+": r"src/config/toml_shim\.cpp$",
    r"curl/": r"src/net/",
    r"jansson\.h": r"src/(config|commands|daemon|job|notify)/",
    r"seccomp\.h|linux/landlock\.h": r"src/sandbox/",
    r"sys/socket\.h": r"src/daemon/sd_notify\.c$|src/sandbox/filter\.c$|src/net/attempt\.c$"
                        r"|src/ssh/control\.c$",
    r"netdb\.h|pwd\.h|gio/": r"^$",
}

# function -> (why not, files where it is allowed all the same).
BANNED = {
    r"strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strncpy|strncat": ("no bound, or no end", None),
    r"system|popen|g_spawn_command_line_(?:a?sync)": ("runs a shell or an unlimited child", None),
    r"alloca|g_alloca|g_newa|g_newa0": ("grows the stack by input", None),
    r"strtok|ctime|asctime|gmtime|localtime": ("shared static state", None),
    r"tmpnam|tempnam|mktemp": ("a race for the name", None),
    r"getpwuid(?:_r)?|getpwnam(?:_r)?|getgrgid|getgrnam|g_get_home_dir|g_get_user_name"
    r"|g_get_real_name": ("asks the user database, which may open a socket", None),
    r"getaddrinfo|gethostbyname|socket|socketpair|connect|bind|listen|accept4?": (
        "nothing here opens a connection",
        r"^src/daemon/sd_notify\.c$|^src/net/attempt\.c$|^src/ssh/control\.c$|^tests/"),
    r"explicit_bzero|memrchr|strchrnul|mempcpy": ("macOS has none (base/wipe.h overwrites)", None),
    r"vfork|setjmp|longjmp": ("control flow that cleanup attributes do not survive", None),
}


def blank_comments_and_strings(text):
    """The same text, line for line, with comments and the contents of literals as blanks."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings = []

    def files(self, *folders, suffixes=(".c", ".h", ".cpp")):
        for folder in folders:
            base = self.root / folder
            for path in sorted(base.rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    yield path.relative_to(self.root).as_posix(), path.read_text("utf-8", "replace")

    def report(self, name, line, message):
        self.findings.append(f"{name}:{line}: {message}")


def check_arrows(tree):
    include = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
    for name, text in tree.files("src"):
        parts = name.split("/")
        folder = parts[1] if len(parts) > 2 else "."
        if folder not in ARROWS:
            tree.report(name, 1, f'the folder "{folder}" has no row in ARROWS (tools/check_source.py)')
            continue
        for number, line in enumerate(text.split("\n"), 1):
            match = include.match(line)
            if not match or match.group(1) in ("phantom_ci_config.h", "service_templates.h"):
                continue
            target = match.group(1)
            if "/" not in target or ".." in target:
                tree.report(name, number, f'include "{target}" as "folder/file.h"')
            elif target.split("/")[0] not in ARROWS[folder] | {folder}:
                tree.report(name, number, f"{folder} must not include {target.split('/')[0]} ({target})")


def check_libraries(tree):
    for name, text in tree.files("src"):
        for number, line in enumerate(text.split("\n"), 1):
            match = re.match(r"^\s*#\s*include\s+[<\"]([^>\"]+)[>\"]", line)
            if not match:
                continue
            for header, place in LIBRARIES.items():
                if re.match(header, match.group(1)) and not re.search(place, name):
                    tree.report(name, number, f"<{match.group(1)}> has another place in this tree")


def check_lengths(tree):
    for name, text in tree.files("src", "tests"):
        lines = text.rstrip("\n").split("\n")
        if len(lines) > FILE_LINES:
            tree.report(name, len(lines), f"{len(lines)} lines; {FILE_LINES} at most")
        start = None
        # The format puts a function's braces, and nothing else, alone into the first column.
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start - 1 > FUNCTION_LINES:
                    tree.report(name, start, f"function of {number - start - 1} lines; "
                                             f"{FUNCTION_LINES} at most")
                start = None


def check_banned(tree):
    patterns = [(re.compile(r"(?<![\w.>])(" + names + r")\s*\("), why, allowed)
                for names, (why, allowed) in BANNED.items()]
    for name, text in tree.files("src", "tests"):
        for number, line in enumerate(blank_comments_and_strings(text).split("\n"), 1):
            for pattern, why, allowed in patterns:
                match = pattern.search(line)
                if match and not (allowed and re.search(allowed, name)):
                    tree.report(name, number, f"{match.group(1)}(): {why}")


def arguments_at(text, opening):
    """What stands in the parentheses that open there."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return text[opening:at]
    return text[opening:]


def check_twice(tree):
    """MIN() and the like evaluate what they return a second time, when the clock has gone on."""
    for name, text in tree.files("src", "tests"):
        code = blank_comments_and_strings(text)
        for match in re.finditer(r"\b(MIN|MAX|CLAMP|ABS)\(", code):
            call = re.search(r"\bclock_\w+\(", arguments_at(code, match.end() - 1))
            if call:
                tree.report(name, code.count("\n", 0, match.start()) + 1,
                            f"{match.group(1)}() asks {call.group(0)}) twice; name its answer first")


def check_listed(tree):
    listed = {}
    for folder in ("src", "tests"):
        path = tree.root / folder / "meson.build"
        listed[folder] = path.read_text("utf-8") if path.exists() else ""
    for name, _ in tree.files("src", suffixes=(".c", ".cpp")):
        if f"'{name.split('/', 1)[1]}'" not in listed["src"]:
            tree.report(name, 1, "not named in src/meson.build")
    for name, _ in tree.files("tests/unit", "tests/fuzz", suffixes=(".c",)):
        stem = pathlib.PurePosixPath(name).stem
        if not re.search(rf"'(?:unit/|fuzz/)?{re.escape(stem)}(?:\.c)?'", listed["tests"]):
            tree.report(name, 1, "not named in tests/meson.build")


CHECKS = {"arrows": check_arrows, "libraries": check_libraries, "lengths": check_lengths,
          "banned": check_banned, "twice": check_twice, "listed": check_listed}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    options = parser.parse_args(arguments)
    for name in options.checks:
        if name not in CHECKS:
            parser.error(f"no check {name}; there are: {' '.join(CHECKS)}")
    tree = Tree(options.root)
    for name in options.checks or CHECKS:
        CHECKS[name](tree)
    print("\n".join(tree.findings), end="\n" if tree.findings else "")
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
