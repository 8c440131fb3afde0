"""A claim of the paper: one sentence, one number, and a tolerance that stands before the number is measured."""

from dataclasses import dataclass
from typing import Callable

import numpy as np

HOLDS, CORRECTED, FAILS = "holds", "holds with a correction", "does not reproduce"
SUMMARIES = {"median": np.median, "mean": np.mean, "smallest": np.min, "largest": np.max}


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the number that says whether it is so.

    name : short, unique, in words with hyphens       section : the paper's section
    sentence : the claim, in our words                measure : runs, a list of results, one a seed -> numbers (k,)
    low, high : where the summary of these numbers must lie; None is no bound
    summary : "median", "mean" (of successes: their rate), "smallest" or "largest" of the numbers
    expected : the bounds in words, if the numbers alone say too little
    correction : where the claim is right up to a number, a sentence with {measured} in it for what is right instead
    """

    name: str
    section: str
    sentence: str
    measure: Callable
    low: float | None = None
    high: float | None = None
    summary: str = "median"
    expected: str = ""
    correction: str = ""

    def check(self, runs):
        """The claim's record over these runs: a dictionary of strings and numbers, ready for JSON."""
        numbers = np.atleast_1d(np.asarray(self.measure(runs), dtype=np.float64))
        if not numbers.size or not np.isfinite(numbers).all():
            raise ArithmeticError(f"the claim {self.name!r} measured {numbers.tolist()}, which is no number")
        measured = float(SUMMARIES[self.summary](numbers))
        inside = (self.low is None or measured >= self.low) and (self.high is None or measured <= self.high)
        verdict = HOLDS if inside else CORRECTED if self.correction else FAILS
        return {"name": self.name, "section": self.section, "sentence": self.sentence, "measured": measured,
                "summary": self.summary, "spread": [float(numbers.min()), float(numbers.max())],
                "count": int(numbers.size), "expected": self.expected or self._bounds(), "verdict": verdict,
                "correction": self.correction.format(measured=f"{measured:.6g}") if verdict == CORRECTED else ""}

    def _bounds(self):
        if self.low is None or self.high is None:
            return f"at least {self.low:g}" if self.high is None else f"at most {self.high:g}"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
