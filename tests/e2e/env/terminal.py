"""A command with a terminal of its own, where programs that ask questions would ask them."""
import os
import pty
import select
import signal
import time

from .waiting import LIMIT


def run_on_terminal(command, env, limit=LIMIT, answer=b""):
    """Runs it with a controlling terminal, at which this is typed and nothing else: (exit code, what it showed, seconds)."""
    begin = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(command[0], command, env)
        finally:
            os._exit(127)
    shown = b""
    os.write(terminal, answer)
    try:
        while True:
            left = begin + limit - time.monotonic()
            if left <= 0 or not select.select([terminal], [], [], left)[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError(f"{command} did not end within {limit} s: {shown.decode(errors='replace')}")
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # EIO: the last process that had the terminal is gone
                chunk = b""
            if not chunk:
                break
            shown += chunk
    finally:
        os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace"), time.monotonic() - begin
