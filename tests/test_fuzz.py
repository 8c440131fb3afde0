"""A thousand hostile calls; tests/fuzz.py makes any number, and says what its words mean."""

import random
from pathlib import Path

import fuzz
import hostile
import numpy as np
import pytest

from toymodels_np.cli.parser import VERBS

CALLS = 1000


def test_a_thousand_hostile_calls_are_answered():
    records = fuzz.run(0, range(CALLS))
    assert len(records) == CALLS
    faults = [record for record in records if record["outcome"] in fuzz.FAULTS]
    assert faults == []
    outcomes = [record["outcome"] for record in records]
    assert outcomes.count("ok") > CALLS / 10 and outcomes.count("refused") > CALLS / 10


def test_all_that_is_public_is_called_or_said_not_to_be():
    """A new name needs a good value for its arguments in tests/hostile.py, or a reason."""
    options = {f"command {name} {option[0]}" for name, (_, add, *_) in VERBS.items()
               for option, _ in fuzz.Recorder(add).options}
    assert fuzz.EXCLUDED <= set(fuzz.public()) | options
    assert set(fuzz.verbs()) == set(VERBS) <= set(fuzz.BASES)
    for name, function in fuzz.targets().items():
        for one in fuzz.signature(name, function):
            if one.name != "self":
                hostile.good(name, one.name, random.Random(0), Path, one.default)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(fuzz.targets()) - set(fuzz.SLOW)))
def test_good_arguments_are_good(name, tmp_path):
    """Else a fuzzer is refused at the door, and never sees what is behind it."""
    for number in range(6):
        positional, named, _ = fuzz.arguments(
            name, fuzz.targets()[name], random.Random(number),
            fuzz.Places(tmp_path / f"{number}"), odds=(1, 0, 0, 0))
        try:
            fuzz.targets()[name](*positional, **named)
            return
        except (ValueError, TypeError) as error:
            refused = error
    raise AssertionError(f"six good calls were refused, the last with {refused}")


def test_a_seed_and_a_number_name_a_call(tmp_path):
    drawn = [fuzz.draw(random.Random("1/5"), fuzz.Places(Path(tmp_path / f"{i}")))[:2]
             for i in range(2)]
    assert drawn[0][0] == drawn[1][0]


def leak():
    raise KeyError("x")


def refuse():
    raise ValueError("a sentence that the package did not raise")


@pytest.mark.parametrize("call, mask, outcome", [
    (lambda: 1.0, False, "ok"), (lambda: np.array([1, np.nan]), False, "silent"),
    (lambda: {"a": [1.0, float("inf")]}, False, "silent"), (lambda: 1.0, True, "silent"),
    (leak, False, "raw"), (refuse, False, "raw"), (lambda: np.empty(2**50), False, "blown up"),
    (lambda: fuzz.targets()["gram"]("W"), False, "refused")])
def test_the_fuzzer_sees_every_fault(call, mask, outcome):
    before = fuzz.signal.signal(fuzz.signal.SIGALRM, fuzz.watch)
    try:
        assert fuzz.outcome_of(call, "a call", mask)[0] == outcome
    finally:
        fuzz.signal.signal(fuzz.signal.SIGALRM, before)
