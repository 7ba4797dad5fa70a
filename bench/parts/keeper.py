#!/usr/bin/env python3
"""Runs a program, and takes in whatever of its descendants loses its parent (a daemonized ssh master, say), so that
the whole tree stays below this process and its times can be added up: see tree.py.

It passes SIGTERM on to the program, and ends when no descendant is left.
"""
import ctypes
import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def main():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    program = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program, signal.SIGTERM))
    os.closerange(3, 64)  # what was passed on is the program's alone
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
