"""A claim: a sentence, a number, bounds that stand before it is measured, a control that must fail.

A claim speaks over runs, one a seed. Its verdict is read off the summary of their numbers:

    holds                    the summary lies within the bounds
    holds with a correction  it does not, but what is right instead can be said with a number
    does not reproduce       it does not
    undecided                it is too near a bound for so few seeds, or was not measured,
                             or needs larger sizes
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from ..core import checks

HOLDS, CORRECTED, FAILS, UNDECIDED = VERDICTS = (
    "holds", "holds with a correction", "does not reproduce", "undecided")
KINDS = {"paper": "the paper says so", "identity": "a theorem or an identity",
         "ours": "we add this"}
SUMMARIES = {"median": np.median, "mean": np.mean, "share": np.mean,
             "smallest": np.min, "largest": np.max}
EXTREMES = ("smallest", "largest")      # of all seeds: a number on the bound itself is decided
NEAR = 0.25             # of the spread over seeds: what is nearer to a bound decides nothing
CONFIDENCE = 0.95       # of a share's binomial interval, which must lie on one side of the bound
TOO_FEW = "too near its bound for so few of them: more seeds would decide it (--seeds)"
TOO_NEAR = ("nearer to its bound than a quarter of its range over the seeds: runs that differ "
            "less, as longer ones do, would decide it")


class NotMeasured(Exception):
    """The runs hold nothing of what a claim speaks of; the message says what is missing."""


@dataclass(frozen=True)
class Claim:
    """What is said, and the number that says whether it is so.

    name : short, unique, in words with hyphens       section : the paper's section
    sentence : the claim, in our words
    measure : runs, a list of results, one a seed -> numbers (k,)
    low, high : where the summary of these numbers must lie; None is no bound
    summary : "median", "mean", "smallest" or "largest" of the numbers, or "share", their mean
        where each is a success, 1, or a failure, 0, on its own
    expected : the bounds in words, if the numbers alone say too little
    correction : where the claim is right up to a number, a sentence with {measured} in it for
        what is right instead
    kind : "paper", "identity" or "ours"
    control : None, where `measure` is to be applied to the experiment's control runs (untrained
        models, unless it says otherwise); a function of the runs like `measure` for a rival of
        its own; or a sentence why there is no control
    decided_by : if not "", quick runs cannot refute the claim, and this sentence says what would
        decide it

    Raises ValueError for a summary or kind that is not one of these and for bounds that are none,
    TypeError without a name or a function, and for words that are none.
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
    kind: str = "paper"
    control: Callable | str | None = None
    decided_by: str = ""

    def __post_init__(self):
        if not isinstance(self.name, str) or not callable(self.measure):
            raise TypeError(f"a claim has a name and a function that measures it, got "
                            f"{self.name!r} and {self.measure!r}")
        for argument in ("section", "sentence", "expected", "correction", "decided_by"):
            if not isinstance(value := getattr(self, argument), str):
                raise TypeError(f"{argument} of the claim {self.name!r} must be words, got "
                                f"{value!r}")
        self._corrected(0.0)                    # here, and not once all has run
        if not (self.control is None or isinstance(self.control, str) or callable(self.control)):
            raise TypeError(f"control of the claim {self.name!r} must be None, a function or a "
                            f"sentence why there is none, got {self.control!r}")
        for argument, value, allowed in (("summary", self.summary, SUMMARIES),
                                         ("kind", self.kind, KINDS)):
            if not isinstance(value, str) or value not in allowed:
                raise ValueError(f"{argument} of the claim {self.name!r} must be one of "
                                 f"{', '.join(allowed)}, got {value!r}")
        bounds = [checks.real(f"a bound of the claim {self.name!r}", bound)
                  for bound in (self.low, self.high) if bound is not None]
        if not bounds or bounds != sorted(bounds):
            raise ValueError(f"the claim {self.name!r} must have a lower or an upper bound, the "
                             f"lower one below, got low={self.low}, high={self.high}")

    def check(self, runs, controls=(), *, full=False):
        """The claim's record over these runs and control runs: a dictionary, ready for JSON."""
        _check_runs("runs", runs)
        _check_runs("controls", controls)
        if not isinstance(full, bool):
            raise TypeError(f"full must be True or False, got {full!r}")
        record = {"name": self.name, "section": self.section, "kind": self.kind,
                  "sentence": self.sentence, "measured": None, "summary": self.summary,
                  "spread": None, "count": 0, "control": None, "control_verdict": None,
                  "control_reason": "", "expected": self.expected or self._bounds(),
                  "correction": "", "reason": ""}
        try:
            numbers = self._numbers(self.measure, runs)
        except NotMeasured as missing:
            return record | {"verdict": UNDECIDED, "reason": f"not measured: {missing}",
                             "control_reason": "the claim itself was not measured"}
        measured, verdict = self._judge(numbers)
        if verdict == FAILS and self.correction:
            verdict = CORRECTED
        near = TOO_FEW if self.summary == "share" else TOO_NEAR
        reason = near if verdict == UNDECIDED else ""
        if verdict == FAILS and self.decided_by and not full:
            verdict, reason = UNDECIDED, self.decided_by
        said = self._corrected(measured) if verdict == CORRECTED else ""
        return record | self._control(runs, controls) | {
            "measured": measured, "spread": self._spread(numbers), "count": int(numbers.size),
            "verdict": verdict, "correction": said, "reason": reason}

    def _corrected(self, measured):
        """The correction with what was measured in it."""
        try:
            return self.correction.format(measured=f"{measured:.6g}")
        except (LookupError, ValueError, AttributeError):
            raise ValueError(f"correction of the claim {self.name!r} must have no braces but "
                             f"{{measured}}, got {self.correction!r}") from None

    def _control(self, runs, controls):
        """The same measure on what must fail, or why there is none."""
        if isinstance(self.control, str):
            return {"control_reason": self.control}
        try:
            if self.control is None and not controls:
                raise NotMeasured("this experiment has no control runs")
            numbers = self._numbers(*((self.measure, controls) if self.control is None
                                      else (self.control, runs)))
        except NotMeasured as missing:
            return {"control_reason": f"not measured: {missing}"}
        measured, verdict = self._judge(numbers)
        return {"control": measured, "control_verdict": verdict}

    def _numbers(self, measure, runs):
        """What the runs give, (k,), if these are numbers."""
        try:
            values = measure(runs)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"the claim {self.name!r} cannot be measured on these runs: "
                             f"{type(error).__name__}: {error}") from error
        try:
            numbers = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
        except (TypeError, ValueError):
            raise TypeError(f"the claim {self.name!r} must measure numbers, got "
                            f"{values!r}") from None
        if not numbers.size or not np.isfinite(numbers).all():
            raise ArithmeticError(f"the claim {self.name!r} measured {numbers.tolist()}, "
                                  f"which is no number")
        if self.summary == "share" and not np.isin(numbers, (0, 1)).all():
            raise ArithmeticError(f"the claim {self.name!r} speaks of a share, and measured "
                                  f"{numbers.tolist()}, which are not all 0 or 1")
        return numbers

    def _judge(self, numbers):
        """The summary, and whether it holds, fails, or is too near a bound to say."""
        measured = float(SUMMARIES[self.summary](numbers))
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if self.summary == "share":
            low, high = self._spread(numbers)
            near = any(low < bound < high for bound in bounds)
        else:
            # On the bound itself all is said where it speaks of all seeds, or of one value alone.
            decided = self.summary in EXTREMES or self.low == self.high
            near = any(abs(measured - bound) < NEAR * np.ptp(numbers)
                       and not (decided and measured == bound) for bound in bounds)
        inside = ((self.low is None or measured >= self.low)
                  and (self.high is None or measured <= self.high))
        return measured, UNDECIDED if near else HOLDS if inside else FAILS

    def _spread(self, numbers):
        """The range of the numbers, [low, high]; of a share its binomial interval."""
        if self.summary != "share":
            return [float(numbers.min()), float(numbers.max())]
        trials = scipy.stats.binomtest(round(numbers.sum()), numbers.size)
        return [float(end) for end in trials.proportion_ci(CONFIDENCE)]

    def _bounds(self):
        if self.low is None or self.high is None:
            return f"at least {self.low:g}" if self.high is None else f"at most {self.high:g}"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


def _check_runs(name, runs):
    """TypeError unless the runs are a list."""
    if not isinstance(runs, (list, tuple)):
        raise TypeError(f"{name} must be a list of results, one a seed, got {runs!r}")


def place(values, wanted, name):
    """Where `wanted` stands among the values of the setting `name`: an index, or NotMeasured."""
    values = np.ravel(values)
    found = np.flatnonzero(np.isclose(values, wanted, rtol=1e-9, atol=0))
    if not len(found):
        raise NotMeasured(f"the claim speaks of {name} = {wanted:g}, and the runs have "
                          f"{', '.join(f'{value:g}' for value in values) or 'none'}")
    return int(found[0])


def requires(runs, **settings):
    """NotMeasured unless the runs were made with these settings."""
    for name, wanted in settings.items():
        if runs[0][name] != wanted:
            raise NotMeasured(f"the claim speaks of {name} = {wanted}, and the runs have "
                              f"{runs[0][name]}")
