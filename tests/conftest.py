"""Hypothesis profiles: "ci" draws the same few examples; HYPOTHESIS_PROFILE=nightly draws many.
And which files begin.
"""

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


LONGEST = [f"test_{name}" for name in (
    "explorer_browser", "derivations", "rows_11_14", "rows_a", "examples", "certify_tube", "minima",
    "book", "exercises", "walkthrough_later", "walkthrough", "flow", "certify_global", "sweep",
    "cli", "explorer", "plots", "exact", "fuzz", "dask")]


def pytest_collection_modifyitems(items):
    """The longest files come first, so that no worker begins one when the others are done."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture
def interrupts():
    """Ctrl-C raises KeyboardInterrupt, even in a suite that runs in the background, where a shell
    ignores it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
