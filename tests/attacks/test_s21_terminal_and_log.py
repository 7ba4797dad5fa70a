"""S21. I can push, or run the git server. What my step prints, and what my server says to git, drives the terminal of whoever looks
(colours, titles, an overwritten line, a link that is none), and forges lines of the runner's own log."""
import os
import socketserver
import subprocess
import threading

import pytest

# C0, C1, CSI, OSC, DCS, and what Unicode has of the kind; the good neighbour shows that output was printed at all.
SEQUENCES = [bytes([code]) for code in range(1, 32) if code not in (9, 10)] + [
    b"\x7f", b"\x1b[31m", b"\x1b[2J", b"\x1b[1A", b"\x1b[0;0H", b"\x1b]0;title\x07", b"\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\",
    b"\x1b]52;c;ZXZpbA==\x07", b"\x1bP$q\x1b\\", b"\x1b_x\x1b\\", b"\x1b^x\x1b\\", b"\x1bX\x1b\\", b"\x1bc", b"\x1b#8", b"\x1b(0",
    b"\x1b[?1049h", b"\x1b[6n", b"\x1b[21t", b"\x9b31m", b"\x9d0;t\x9c", b"\x90q\x9c", b"\x84", b"\x85",
    "\u009b31m".encode(), "\u009d0;t\u009c".encode(), "\u0085".encode(), "\u2028".encode(), "\u2029".encode(), "\u202e".encode(),
    "\u2066".encode(), "\ufeff".encode(), b"\xc0\x9b", b"\xff\xfe", b"ok\roverwritten", b"a\x08b",
]


def on_terminal(phantom, *words):
    """What a command writes to a terminal."""
    master, slave = os.openpty()
    shown = subprocess.Popen(phantom.command(*words), env={**phantom.env, "TERM": "xterm"}, stdout=slave, stderr=slave,
                             stdin=subprocess.DEVNULL)
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    shown.wait(60)
    os.close(master)
    return text


def assert_harmless(text):
    shown = text.replace(b"\r\n", b"\n")  # the terminal's own
    for code in (*range(0, 9), *range(11, 32), 0x7f):
        assert bytes([code]) not in shown, (code, shown)
    decoded = shown.decode(errors="strict")
    assert not [c for c in decoded if 0x80 <= ord(c) < 0xa0 or c in "\u2028\u2029"], shown


@pytest.mark.demand("S21")
def test_control_characters_never_reach_a_terminal(phantom, repo):
    # Defence: base/text.c, through which whatever is foreign goes before a terminal.
    assert len(SEQUENCES) >= 60
    repo.commit({"step.py": f"import os\nfor s in {SEQUENCES!r}:\n    os.write(1, b'<' + s + b'>\\n')\n"})
    repo.workflow("/usr/bin/python3 step.py")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    assert phantom.log(1) == b"".join(b"<" + sequence + b">\n" for sequence in SEQUENCES), "the log itself is byte-exact"
    text = on_terminal(phantom, "logs", 1)
    assert b"-- step 0: /usr/bin/python3 step.py" in text and b"\\x1b[31m" in text
    assert_harmless(text)
    assert_harmless(on_terminal(phantom, "job", 1))


@pytest.mark.demand("S21")
def test_a_line_that_looks_like_the_runner_changes_nothing(phantom, repo):
    # Defence: nothing is parsed back from a log; lines of steps in the daemon's terminal carry their job in front.
    line = "2026-01-01 00:00:00 job finished job=1 state=success"
    repo.commit({"step.py": f"print({line!r})\nprint('\\r' + {line!r})\nraise SystemExit(1)\n"})
    repo.workflow("/usr/bin/python3 step.py")
    phantom.watch(repo)
    daemon = phantom.start()
    phantom.wait_baseline()
    job = phantom.wait_job(sha=repo.commit_and_push())
    assert job["state"] == "failed"
    assert phantom.log(job["id"]).decode() == f"{line}\n\r{line}\n"
    daemon.wait_event(r"job finished .*state=failed")
    assert line not in daemon.lines
    assert f"app#{job['id']} | {line}" in daemon.lines


@pytest.mark.demand("S21")
def test_what_a_git_server_says_is_shown_escaped(phantom, place):
    # Defence: git/explain.c.
    class Rude(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.read(int(self.rfile.read(4), 16) - 4)  # what it asks for: else it may be told nothing at all
            text = b"ERR \x1b[31mred\x1b]0;t\x07\r2026-01-01 00:00:00 job finished job=1 state=success\n"
            self.wfile.write(b"%04x" % (len(text) + 4) + text)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        phantom.watch(f"git://127.0.0.1:{server.server_address[1]}/app")
        daemon = phantom.start()
        line = daemon.wait_event("look failed repo=app")
        assert "\x1b" not in line and "\x07" not in line and "red" in line
        assert_harmless(on_terminal(phantom, "repo"))
        server.shutdown()
