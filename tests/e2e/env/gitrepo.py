"""A bare repository and a clone to push from."""
import os
import subprocess

from .waiting import LIMIT


class GitRepo:
    """`origin`: of a repository that somewhere else is there already, with `env` for git to get at it. `options`: of
    git init."""

    def __init__(self, directory, name="app", origin=None, env=None, options=()):
        self.bare = directory / "remotes" / f"{name}.git"
        self.clone = directory / "clones" / name
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            **(env or {}),
        }
        self.clone.parent.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "--initial-branch=main", *options, str(self.clone), cwd=directory)
        if not origin:
            self.bare.parent.mkdir(parents=True, exist_ok=True)
            self.git("init", "-q", "--bare", "--initial-branch=main", *options, str(self.bare), cwd=directory)
        self.git("remote", "add", "origin", origin or str(self.bare))

    @property
    def url(self):
        return str(self.bare)

    def git(self, *args, cwd=None, check=True, input=None):
        result = subprocess.run(["git", *args], cwd=cwd or self.clone, env=self.env, input=input,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        if check and result.returncode != 0:
            raise AssertionError(f"git {args}: {result.stderr.decode(errors='replace')}")
        return result.stdout.decode(errors="surrogateescape").strip()

    def write(self, files):
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)

    def commit(self, files=None, subject="a change", branch=None):
        """A commit with these files, on the branch that is checked out; its SHA."""
        if branch:
            self.git("checkout", "-q", "-B", branch)
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.head()

    def head(self):
        return self.git("rev-parse", "HEAD")

    def push(self, branch="main", *options):
        self.git("push", "-q", *options, "origin", f"HEAD:refs/heads/{branch}")
        return self.head()

    def commit_and_push(self, files=None, subject="a change", branch="main"):
        self.commit(files, subject)
        return self.push(branch)

    def force(self, sha, branch="main"):
        """Moves the branch on the remote, as a force push does."""
        self.git("push", "-q", "--force", "origin", f"{sha}:refs/heads/{branch}")

    def delete(self, branch):
        self.git("push", "-q", "origin", f":refs/heads/{branch}")

    def workflow(self, *steps, branch="main", subject="a workflow"):
        """Commits and pushes a workflow of these steps (strings for `run`), numbered from 0."""
        return self.commit_and_push({f"workflow/{branch}.toml": workflow(*steps)}, subject, branch)


def toml_string(text):
    escaped = "".join(
        f"\\u{ord(c):04X}" if ord(c) < 32 or ord(c) == 127 else ("\\" + c if c in "\"\\" else c) for c in text)
    return f'"{escaped}"'


def workflow(*steps):
    """The text of a workflow; a step is a string, or a list for the array form."""
    text = ""
    for number, step in enumerate(steps):
        value = toml_string(step) if isinstance(step, str) else "[" + ", ".join(map(toml_string, step)) + "]"
        text += f"[{number}]\nrun = {value}\n"
    return text
