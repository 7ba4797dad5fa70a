"""The commands that the documentation tells people to type."""
import pathlib
import re

from .phantom import ROOT

README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"
MANUAL = sorted((ROOT / "docs" / "man").glob("*.[157]"))


def blocks(path):
    """[(kind, lines)]: kind is "sh" or "console" (with prompts, and what is printed)."""
    text = pathlib.Path(path).read_text()
    if path in MANUAL:
        return [("console", block.splitlines())
                for block in re.findall(r"^\.Bd -literal.*\n((?:(?!\.Ed).*\n)*)", text, re.M)]
    return [(kind, re.sub(rf"^{indent}", "", body, flags=re.M).splitlines())
            for indent, kind, body in re.findall(r"^( *)```(sh|console)\n(.*?)^ *```$", text, re.M | re.S)]


def commands(path):
    """[(is root's, command)] in their order, without comments."""
    found = []
    for kind, lines in blocks(path):
        for line in lines:
            prompt = re.match(r"([$#]) ", line) if kind == "console" else None
            command = re.sub(r"\s+# .*$", "", line[2:] if prompt else line).strip()
            if command and (kind == "sh" or prompt):
                found.append((bool(prompt) and prompt[1] == "#", command))
    return found
