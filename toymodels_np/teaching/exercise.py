"""What is known of an exercise: its inputs, the package's answer, mistakes, hints.

An answer is the package's own function, and a mistake is a wrong function with a message of its
own. The solution that a learner may see is read from the package's source: there is no second copy.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

PACKAGE = __package__.partition(".")[0]


@dataclass(frozen=True)
class Mistake:
    """A known mistake. `said` goes on from "what you get if …".

    `function` is wrong in this way, and so are those of `also`, with other answers than its own,
    such as where a tolerance is another.
    """

    said: str
    function: Callable
    also: tuple = ()


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    name : of its file without .py, such as "04_loss"        function : what the learner writes
    title : what it is about, in a few words
    inputs : inputs(draw) gives the tuple of arguments of one call, simple ones first (`Draw`)
    answer : the package's own function of these arguments
    mistakes : at least four `Mistake`s, which the drawn inputs tell apart
    hints : two, the second says more
    solution : "module:name" of the source that is the solution, in this package
    line : the line of it that does the work
    shown : what the learner has just shown, after success
    view : what is compared of an answer, where answers are not unique
    tolerance : relative to the largest entry of the package's answer
    examples : the number of inputs on which it is checked
    """

    name: str
    title: str
    function: str
    inputs: Callable
    answer: Callable
    mistakes: tuple
    hints: tuple
    solution: str
    line: str
    shown: str
    view: Callable = lambda answer: answer
    tolerance: float = 1e-7
    examples: int = 60
    next: str | None = None

    @property
    def number(self):
        return int(self.name.partition("_")[0])

    @property
    def file(self):
        return f"{self.name}.py"


def chained(exercises):
    """The exercises in the order of their numbers, each knowing the name of the next."""
    ordered = sorted(exercises, key=lambda one: one.number)
    following = [one.name for one in ordered[1:]] + [None]
    return tuple(replace(one, next=name) for one, name in zip(ordered, following))


def source(exercise):
    """(path from the package's folder, first line, text) of the package's own solution."""
    module_name, _, dotted = exercise.solution.partition(":")
    thing = import_module(f"{PACKAGE}.{module_name}")
    for part in dotted.split("."):
        thing = getattr(thing, part)
    lines, first = inspect.getsourcelines(thing)
    root = Path(__file__).parents[2]
    return Path(inspect.getsourcefile(thing)).relative_to(root).as_posix(), first, "".join(lines)


def deciding_line(exercise):
    """(path, number, text) of the line of the package that does what the exercise asks for."""
    path, first, text = source(exercise)
    for number, line in enumerate(text.splitlines(), first):
        if exercise.line in line:
            return path, number, line.strip()
    return path, first, text.splitlines()[0].strip()            # the package was edited
