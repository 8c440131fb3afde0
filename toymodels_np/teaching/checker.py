"""Check a learner's function against the package's own, and say which mistake it makes.

`examine` calls the function in this process; `child.py` is the process of its own in which that
happens, since a learner's code may loop, exit or ask for all memory.
"""

import copy
import inspect
import io
import traceback
import warnings
from contextlib import redirect_stdout
from functools import cache
from typing import NamedTuple

import numpy as np

from .compare import almost, apart, pattern, same, show, trouble
from .draw import drawn, smallest

MOST_PRINTED = 2000         # characters of what a function prints that are kept
LINES_PRINTED = 12          # lines of it that are shown


class Verdict(NamedTuple):
    """Whether an exercise is solved, what is said of it, a traceback where there is one, and what
    the learner's function printed for the input that is shown."""

    solved: bool
    said: str
    traceback: str = ""
    printed: str = ""


class Raised(NamedTuple):
    """An exception that the learner's function raised."""

    error: BaseException
    traceback: str


def examine(exercise, function):
    """The Verdict on the learner's `function`."""
    if not callable(function):
        return Verdict(False, f"{exercise.function} must be a function, and it is "
                              f"{show(function)}.")
    inputs = drawn(exercise)
    right = call(exercise.answer, inputs[0])
    if isinstance(right, Raised):       # such as where somebody edited the package
        return Verdict(False, f"{exercise.name} cannot be checked here: "
                              f"{first_line(right.error)}.")
    if said := _signature_trouble(exercise, function, inputs[0]):
        return Verdict(False, said)
    answers = []
    for arguments in inputs:
        answer, printed = overheard(function, arguments)
        if isinstance(answer, Raised):
            return _on_error(exercise, function, arguments, answer, printed)
        answers.append(answer)
    wrong = [(arguments, answer, said)
             for arguments, answer, right in zip(inputs, answers, right_answers(exercise))
             if (said := judged(exercise, answer, right))]
    if not wrong:
        return Verdict(True, "")
    if mistake := diagnose(exercise, answers):
        why = f"is exactly what you get if {mistake.said}"
    elif all(almost(said) for *_, said in wrong):
        why = ""
    else:
        why = pattern(answers, right_answers(exercise), exercise.tolerance)
    return _on_wrong(exercise, function, wrong, why)


def call(function, arguments):
    """What the function makes of copies of the arguments, or a Raised."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = function(*copy.deepcopy(arguments))
            if inspect.iscoroutine(answer):
                answer.close()          # it was never awaited, and Python would say so later
            return answer
    except BaseException as error:      # exit() and Ctrl-C are no way out of an exercise
        return Raised(error, traceback.format_exc())


class _Tail(io.TextIOBase):
    """A stream that keeps the end of what is written, since a loop may print for ever."""

    text = ""

    def write(self, text):
        self.text = (self.text + text)[-MOST_PRINTED:]
        return len(text)


def overheard(function, arguments):
    """(what `call` gives, the last lines that the function printed)."""
    tail = _Tail()
    with redirect_stdout(tail):
        answer = call(function, arguments)
    lines = tail.text.splitlines()[-LINES_PRINTED:]
    return answer, "\n".join("".join(c if c.isprintable() else " " for c in line).rstrip()
                             for line in lines)


@cache
def right_answers(exercise):
    """What the package answers on the drawn inputs."""
    return [call(exercise.answer, arguments) for arguments in drawn(exercise)]


def judged(exercise, answer, right):
    """What is wrong with an answer, half a sentence, or ""."""
    expected = exercise.view(right)
    if answer is None:
        return trouble(None, expected, exercise.tolerance)
    seen = call(exercise.view, (answer,))
    if isinstance(seen, Raised):
        return f"is {show(answer)}, of which nothing can be made"
    return trouble(seen, expected, exercise.tolerance)


def diagnose(exercise, answers):
    """The known mistake that gives these answers on all drawn inputs, or None."""
    for mistake in exercise.mistakes:
        for function in (mistake.function, *mistake.also):
            if all(_like(exercise, answer, call(function, arguments))
                   for answer, arguments in zip(answers, drawn(exercise))):
                return mistake
    return None


def _like(exercise, answer, other):
    mine, theirs = (call(exercise.view, (one,)) for one in (answer, other))
    if isinstance(mine, Raised) or isinstance(theirs, Raised):
        return False
    return same(mine, theirs, exercise.tolerance)


def _signature_trouble(exercise, function, arguments):
    """A sentence if the function does not take the arguments, else ""."""
    names = ", ".join(inspect.signature(exercise.answer).parameters)
    try:
        signature = inspect.signature(function)
        signature.bind(*arguments)
    except ValueError:
        return ""                       # some built-in functions have no signature that is known
    except TypeError:
        return f"{exercise.function} must take ({names}), and yours takes {signature}."
    return ""


def _on_error(exercise, function, arguments, raised, printed):
    error = raised.error
    if isinstance(error, NotImplementedError):
        return Verdict(False, f"{exercise.name} is not written yet: {exercise.function} still "
                              f"raises NotImplementedError.", printed=printed)
    if isinstance(error, SystemExit):
        return Verdict(False, f"{exercise.function} ends the program with exit(); let it return "
                              f"the answer instead.", raised.traceback, printed)
    if isinstance(error, MemoryError):
        return Verdict(False, f"{exercise.function} asks for more memory than an exercise has "
                              f"({first_line(error)}).", raised.traceback, printed)
    kind = type(error)
    simple = _smallest(exercise, arguments, lambda one: _raises(call(function, one), kind))
    again, more = overheard(function, simple)
    if _raises(again, kind):            # else it depends on what was called before
        arguments, raised, printed = simple, again, more
    return Verdict(False, f"{exercise.function} raises {kind.__name__} with "
                          f"{_named(exercise, arguments)}: {first_line(raised.error)}.",
                   raised.traceback, printed)


def _raises(answer, kind):
    return isinstance(answer, Raised) and type(answer.error) is kind


def _on_wrong(exercise, function, wrong, why):
    """The Verdict on wrong answers, with the smallest example that shows it.

    wrong : the (arguments, answer, what is wrong), from which an answer is taken that is not even
        almost right, if there is one
    why : what is wrong with all of them, half a sentence, or ""
    """
    grave = [case for case in wrong if not almost(case[-1])]
    arguments, answer, _ = (grave or wrong)[0]

    def as_wrong(one, given):
        said = _fault(exercise, one, given)
        return bool(said) and not (grave and almost(said))

    simple = _smallest(exercise, arguments, lambda one: as_wrong(one, call(function, one)))
    again, printed = overheard(function, simple)
    if as_wrong(simple, again):
        arguments, answer = simple, again
    else:                               # it depends on what was called before
        printed = ""
    what = why or _fault(exercise, arguments, answer)
    mine, right = apart(answer, call(exercise.answer, arguments))
    return Verdict(False, f"Your answer {what}; yours is {mine}, expected is {right}, with "
                          f"{_named(exercise, arguments)}.", printed=printed)


def _fault(exercise, arguments, answer):
    """What is wrong with an answer, or "" where it is right or where nothing was answered."""
    if isinstance(answer, Raised):
        return ""
    return judged(exercise, answer, call(exercise.answer, arguments))


def _smallest(exercise, arguments, condition):
    """The simplest arguments with the condition; those given where a search does not find them."""
    try:
        return smallest(exercise, condition)
    except Exception:                   # such as Flaky: the learner's answers may be random
        return arguments


def _named(exercise, arguments):
    """W = [[1]], b = [0] and so on."""
    names = inspect.signature(exercise.answer).parameters
    return ", ".join(f"{name} = {show(value)}" for name, value in zip(names, arguments))


def first_line(error):
    """The message of an exception in one line, or its type where it has none."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    text = text or type(error).__name__
    return (text if len(text) <= 200 else f"{text[:198]} …").rstrip(".")
