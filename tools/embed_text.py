#!/usr/bin/env python3
"""Text files as C strings: embed_text.py OUTPUT NAME=FILE...

Each becomes `static const char NAME[]`. One source for what is installed and for what the program writes.
"""
import pathlib
import sys


def literal(line):
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'    "{escaped}\\n"'


def main(arguments):
    output, *pairs = arguments
    parts = ["/* Made by tools/embed_text.py. */"]
    for pair in pairs:
        name, _, path = pair.partition("=")
        lines = pathlib.Path(path).read_text("utf-8").splitlines()
        parts.append(f"static const char {name}[] =\n" + "\n".join(map(literal, lines)) + ";")
    pathlib.Path(output).write_text("\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
