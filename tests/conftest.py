"""Hypothesis profiles: "ci" draws the same few examples; HYPOTHESIS_PROFILE=nightly draws many."""

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Some hundred thousand objects stay until the end: to look through them again and again takes a
# thirtieth of the time of the suite.
gc.set_threshold(50_000)

settings.register_profile("ci", derandomize=True, max_examples=25, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def interrupts():
    """Ctrl-C raises KeyboardInterrupt, even in a suite that runs in the background, where a shell
    ignores it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
