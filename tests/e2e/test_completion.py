"""Completion in real shells: what is offered, and that no name of anybody's becomes code."""
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import time

import pytest

from env.gitrepo import toml_string
from env.waiting import LIMIT

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "completions"
MUST_RUN = os.environ.get("PHANTOM_CI_TESTS_MUST_RUN") == "1"
# Legal names of branches that a shell would understand.
HOSTILE = ["evil$(touch${IFS}pwned)", "back`touch${IFS}pwned`", "semi;touch${IFS}pwned", "it's", 'dou"ble', "pipe|touch", "a&b", "x!y"]


def need(shell):
    if not shutil.which(shell):
        assert not MUST_RUN, f"{shell} is not installed"
        pytest.skip(f"{shell} is not installed")


@pytest.fixture
def typist(phantom, repo):
    """An installation with two sections, hostile branches and a job; its program logs how it is called."""
    repo.workflow("true")
    for name in HOSTILE:
        repo.git("push", "-q", "origin", f"HEAD:refs/heads/{name}")
    phantom.watch(repo, branch="")
    phantom.watch(repo, name="other", branch="main")
    phantom.start()
    phantom.wait_baseline()
    phantom.wait_baseline("other")
    phantom.cli("run", "app", "--branch", "main", check=0)
    phantom.stop_all()
    programs = phantom.directory / "bin"
    programs.mkdir()
    (programs / "phantom_ci").write_text(
        f'#!/bin/sh\ncase $1 in\n__complete) exec {" ".join(phantom.command())} "$@" ;;\nesac\n'
        f'for word; do printf \'<%s>\' "$word"; done > {phantom.directory}/called.new\n'
        f'mv {phantom.directory}/called.new {phantom.directory}/called\n')
    (programs / "phantom_ci").chmod(0o755)
    phantom.env["PATH"] = f"{programs}:{phantom.env['PATH']}"
    return phantom


def offered(phantom, *words):
    out = phantom.cli("__complete", "--", "line", *words, check=0).out
    return [line.split("\t")[0] for line in out.splitlines()]


def test_the_program_knows_what_may_stand_at_the_cursor(typist):
    assert {"add", "notify", "restore", "help"} <= set(offered(typist, ""))
    assert "__complete" not in offered(typist, "")
    assert offered(typist, "notify", "") == ["list", "retry", "test"]
    assert set(offered(typist, "pause", "")) == {"app", "other"}
    assert set(offered(typist, "run", "app", "--branch", "")) == {"main", *HOSTILE}
    assert offered(typist, "run", "other", "--branch", "") == ["main"]
    assert offered(typist, "job", "") == ["1"] and offered(typist, "retry", "") == ["1"]
    assert offered(typist, "cancel", "") == []
    assert "--detach" in offered(typist, "run", "app", "-") and "--detach" not in offered(typist, "run", "--detach", "app", "-")
    assert "given-up" in offered(typist, "notify", "list", "--state", "")
    assert "queued" in offered(typist, "jobs", "--state", "") and "--state=queued" in offered(typist, "jobs", "--state=")
    assert offered(typist, "notify", "test", "") == ["discord", "slack", "custom"]
    assert typist.cli("__complete", "--", "line", "check", "", check=0).out == "\tfiles\n"
    assert typist.cli("__complete", "--", "line", "--config-dir", "", check=0).out == "\tdirectories\n"
    assert offered(typist, "no-such-command", "") == []


def test_every_command_and_option_is_offered_with_its_meaning(typist):
    commands = offered(typist, "")
    for line in typist.cli("help", check=0).out.splitlines():
        word = line.split()[0] if line.startswith("  ") and line[2:3].isalpha() else None
        assert not word or word == "phantom_ci" or word in commands
    for row in typist.cli("__complete", "--", "line", "logs", "-", check=0).out.splitlines():
        assert row.startswith("--") and "\t" in row
    assert set(offered(typist, "logs", "-")) >= {"--follow", "--step", "--raw", "--state-dir", "--help"}


def test_it_makes_nothing_and_is_silent_on_a_fresh_machine(phantom):
    for words in (["", ], ["run", ""], ["job", ""], ["why", "x", "--branch", ""]):
        result = phantom.cli("__complete", "--", "line", *words, check=0)
        assert result.err == ""
    assert not phantom.state.exists() and not phantom.cache.exists()


def test_a_broken_configuration_and_a_foreign_database_are_passed_over(phantom):
    phantom.write_repo_toml("[app\n")
    phantom.state.mkdir(mode=0o700)
    (phantom.state / "state.db").write_bytes(b"no database at all" * 100)
    (phantom.state / "state.db").chmod(0o600)
    result = phantom.cli("__complete", "--", "line", "run", "", check=0)
    assert (result.out, result.err) == ("", "")
    assert (phantom.state / "state.db").read_bytes() == b"no database at all" * 100


class Terminal:
    """A shell on a terminal, at which somebody types."""

    def __init__(self, phantom, *command):
        env = {**phantom.env, "TERM": "dumb", "PS1": "READY> ", "PROMPT": "READY> ", "INPUTRC": "/dev/null", "HISTFILE": "/dev/null"}
        self.shown = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(phantom.directory / "home")
                os.execvpe(command[0], list(command), env)
            finally:
                os._exit(127)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.fd], [], [], left)[0]:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            self.shown += chunk.decode(errors="replace")

    def wait(self, condition, what):
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, (what, self.shown)
            self.read(0.05)

    def type(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def start_shell(phantom, shell):
    need(shell)
    if shell == "bash":
        terminal = Terminal(phantom, "bash", "--norc", "--noprofile", "-i")
        setup = f". {SCRIPTS}/phantom_ci.bash"
    else:
        terminal = Terminal(phantom, "zsh", "-f", "-i")
        setup = f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D"
    terminal.wait(lambda: "READY> " in terminal.shown, "the prompt")
    terminal.type(f"{setup}; echo set''up\n")
    terminal.wait(lambda: "READY> " in terminal.shown.partition("setup\r\n")[2], "the prompt after the set-up")
    return terminal


def complete_and_run(phantom, shell, typed):
    """Types the beginning of a line, a Tab and Enter; the words with which the program was then called."""
    called = phantom.directory / "called"
    called.unlink(missing_ok=True)
    terminal = start_shell(phantom, shell)
    try:
        before = len(terminal.shown)
        terminal.type(typed + "\t")
        # Keys are taken one after another: what was completed is in the line before Enter is looked at.
        terminal.wait(lambda: len(terminal.shown) - before > len(typed), "the completion")
        terminal.type("\n")
        terminal.wait(called.exists, "the call")
        return called.read_text()
    finally:
        terminal.close()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize("typed,called", [("phantom_ci pau", "<pause>"), ("phantom_ci pause oth", "<pause><other>"),
                                          ("phantom_ci jobs --state=timeo", "<jobs><--state=timeout>")])
def test_a_tab_completes(typist, shell, typed, called):
    assert complete_and_run(typist, shell, typed) == called


# zsh itself takes "!" between double quotes for its history, whoever wrote it there.
CASES = [(shell, quote, name) for shell in ("bash", "zsh") for quote in ("", "'", '"') for name in HOSTILE
         if (shell, quote, name) != ("zsh", '"', "x!y")]


@pytest.mark.parametrize("shell,quote,name", CASES)
def test_a_hostile_branch_is_one_word_and_never_code(typist, shell, quote, name):
    beginning = {"it's": "it", 'dou"ble': "dou", "a&b": "a", "x!y": "x"}.get(name, name[:4])
    typed = f"phantom_ci run app --branch {quote}{beginning}"
    assert complete_and_run(typist, shell, typed) == f"<run><app><--branch><{name}>"
    assert not list(typist.directory.rglob("pwned"))


def test_fish_offers_what_the_program_says_and_runs_none_of_it(typist):
    need("fish")

    def complete(line):
        script = f"source {SCRIPTS}/phantom_ci.fish; complete -C {toml_string(line).replace('$', chr(92) + '$')}"
        result = subprocess.run(["fish", "--no-config", "-c", script], env=typist.env, cwd=typist.home, timeout=LIMIT,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        return [line.split("\t")[0] for line in result.stdout.decode().splitlines()]
    assert complete("phantom_ci pau") == ["pause"]
    assert set(complete("phantom_ci pause ")) == {"app", "other"}
    names = complete("phantom_ci run app --branch ")
    assert {name.replace("\\", "") for name in names} >= {"main", *HOSTILE}
    assert complete("phantom_ci notify list --state gi") == ["given-up"]
    assert not list(typist.directory.rglob("pwned"))
