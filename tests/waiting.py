"""Waiting for what another thread or process does, and never without an end."""

import select
import time

DEADLINE = 60           # seconds: what has not happened by then will not
PAUSE = 0.001           # seconds between two looks


def wait_until(happened, what):
    """Return once `happened()` is true; AssertionError if there is no `what` by the deadline."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"after {DEADLINE} seconds there is no {what}"
        time.sleep(PAUSE)


def first_line(pipe):
    """The first line of a pipe, "" if it ends; AssertionError if there is none by the deadline."""
    ready, _, _ = select.select([pipe], [], [], DEADLINE)
    assert ready, f"after {DEADLINE} seconds there is no line to read"
    return pipe.readline()
