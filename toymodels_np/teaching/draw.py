"""Inputs of exercises, drawn by Hypothesis: few, simple first, always the same."""

import os
import tempfile
from functools import cache
from importlib import import_module

import numpy as np

HALVES = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
POSITIVE = (1.0, 0.5, 2.0, 0.25, 3.0)
PROBABILITIES = (0.5, 0.1, 0.25, 0.8, 0.05)
EXTRA = "checking an exercise needs the extra `learn`: pip install \"toymodels_np[learn]\""


class Draw:
    """What an exercise's `inputs` draws with: simple values stand first in each list."""

    def __init__(self, draw, strategies):
        self._draw, self._from = draw, strategies.sampled_from

    def one_of(self, values):
        """One of the values; the first is the simplest."""
        return self._draw(self._from(values))

    def integer(self, low, high):
        return self.one_of(range(low, high + 1))

    def array(self, *shape, values=HALVES):
        """An array of that shape with entries from `values`."""
        flat = [self.one_of(values) for _ in range(int(np.prod(shape)))]
        return np.array(flat, dtype=float).reshape(shape)

    def weights(self, m, n):
        """W (m, n) in which no column is zero."""
        W = self.array(m, n)
        W[0, ~W.any(0)] = 1.0
        return W


def library():
    """The module `hypothesis`; ImportError with a sentence where it is not installed."""
    try:
        hypothesis = import_module("hypothesis")
    except ImportError:
        raise ImportError(EXTRA) from None
    if "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ:    # keep a learner's folder clean
        folder = os.path.join(tempfile.gettempdir(), "toymodels_np_hypothesis")
        import_module("hypothesis.configuration").set_hypothesis_home_dir(folder)
    return hypothesis


@cache
def drawn(exercise):
    """The inputs on which an exercise is checked: a tuple of tuples of arguments."""
    hypothesis, found = library(), []

    @_settings(exercise)
    @hypothesis.given(_strategy(exercise))
    def collect(arguments):
        found.append(arguments)

    collect()
    return tuple(found)


def smallest(exercise, condition):
    """The simplest arguments that Hypothesis finds for which `condition(arguments)` holds."""
    return library().find(_strategy(exercise), condition, settings=_settings(exercise))


def _settings(exercise):
    hypothesis = library()
    phases = hypothesis.Phase.generate, hypothesis.Phase.shrink
    return hypothesis.settings(max_examples=exercise.examples, derandomize=True, database=None,
                               deadline=None, phases=phases,
                               suppress_health_check=list(hypothesis.HealthCheck))


def _strategy(exercise):
    strategies = import_module("hypothesis.strategies")

    @strategies.composite
    def arguments(draw):
        return tuple(exercise.inputs(Draw(draw, strategies)))

    return arguments()
