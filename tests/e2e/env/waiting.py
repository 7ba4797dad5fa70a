"""The one way of waiting: for a condition, with a limit."""
import time

# How long anything may take. It is for a test that fails: what works is not waited for longer than it takes, and a
# machine that is busy with other things is no reason to fail.
LIMIT = 120.0


def wait_until(condition, limit=LIMIT, what="the condition"):
    """Returns the first true value of condition(); fails when none came within `limit` seconds, LIMIT at least."""
    deadline = time.monotonic() + max(limit, LIMIT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {max(limit, LIMIT)} s")
        time.sleep(0.02)
