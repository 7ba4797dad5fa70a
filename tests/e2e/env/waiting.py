"""The one way of waiting: for a condition, with a limit."""
import time


def wait_until(condition, limit=30.0, what="the condition"):
    """Returns the first true value of condition(); fails when none came within `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {limit} s")
        time.sleep(0.02)
