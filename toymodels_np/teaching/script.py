"""What stands at the foot of an exercise: `check(__file__)`."""

import inspect
import sys
import textwrap
from pathlib import Path

from ..store.shell import KNOWN_ERRORS
from .child import judge_file
from .exercise import deciding_line
from .progress import remember
from .records import find, of_file

WIDTH = 96                  # columns of a paragraph


def check(path):
    """Check the exercise in the file `path` and say what comes of it; exit code 1 if unsolved.

    It does nothing where the file is not the program that was started: the tutor loads it too. With
    --traceback on the command line the traceback of an error is shown under its sentence.
    """
    if inspect.currentframe().f_back.f_globals.get("__name__") != "__main__":
        return
    try:
        exercise = of_file(path)
        verdict = judge_file(exercise, path)
        remember(Path(path).absolute().parent, exercise, verdict.solved, create=False)
    except KNOWN_ERRORS as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    print(spoken(exercise, verdict, "--traceback" in sys.argv[1:]))
    sys.exit(0 if verdict.solved else 1)


def spoken(exercise, verdict, traceback=False):
    """All that is said of a verdict: a sentence; after success also what was shown, and where.

    The sentence is one line, but on a terminal it is broken between words. What the function
    printed for the input that is shown comes under it.
    """
    if not verdict.solved:
        said = verdict.said
        if sys.stdout.isatty():
            said = textwrap.fill(said, WIDTH, break_long_words=False, break_on_hyphens=False)
        end = f"\n\n{verdict.traceback.rstrip()}" if traceback and verdict.traceback else ""
        return f"{said}{_printed(exercise, verdict)}{end}"
    path, number, line = deciding_line(exercise)
    onward = f"Next: {find(exercise.next).file}" if exercise.next else "That was the last exercise."
    shown = textwrap.fill(f"{exercise.name} is solved. {exercise.shown}", WIDTH)
    return (f"{shown}\nThe package does it in {path}, line {number}:\n\n    {line}\n\n{onward}")


def _printed(exercise, verdict):
    if not verdict.printed:
        return ""
    return (f"\n\nThe last lines that {exercise.function} printed then:\n\n"
            f"{textwrap.indent(verdict.printed, '    ')}")
