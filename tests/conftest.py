"""Hypothesis profiles: "ci" draws the same few examples; HYPOTHESIS_PROFILE=nightly draws many."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Files of few tests that take long: what begins first does not keep one core busy at the end.
LONG = {"test_book", "test_branches", "test_certify", "test_certify_global", "test_certify_tube",
        "test_derivations", "test_examples", "test_explorer_browser", "test_flow", "test_fuzz",
        "test_minima", "test_penalties", "test_pentagon_to_digon", "test_reliability",
        "test_rows_11_14", "test_rows_15_17", "test_rows_a", "test_rows_b", "test_source",
        "test_walkthrough", "test_walkthrough_later"}

settings.register_profile("ci", derandomize=True, max_examples=25, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(items):
    """The LONG files before all others."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture
def interrupts():
    """Ctrl-C raises KeyboardInterrupt, even in a suite that runs in the background, where a shell
    ignores it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
