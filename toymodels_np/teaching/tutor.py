"""The tutor: python -m toymodels_np learn. It lists, checks, watches, and gives hints.

    learn                 the list, how far you are, and what comes next
    learn NAME            check one: 7, 07, dimensionality and 07_dimensionality.py are one name
    learn check [NAME]    the same; without a name the first that is not solved yet
    learn hint [NAME]     a hint, and the second time a second one
    learn solution NAME   the package's own source
    learn reset NAME      the file as it was given; yours is kept beside it, as NAME.py.old, or
                          NAME.py.old.2 and so on where there is one already
    learn skip [NAME]     go on to the next
    learn --watch [NAME]  check whenever the file is saved, and go on when it is solved
    learn --copy DIR      copy the exercises to DIR
    learn --report DIR …  a table of many folders, for who leads a group

A wrong answer or an error is shown for one input, as simple as can be; what your function prints
for that input is shown under it, and what else it prints is not.

Exit codes: 0 solved or done, 1 not solved, 2 refused.
"""

import argparse
import os
import shlex
from importlib import import_module
from itertools import chain, count
from pathlib import Path

from ..store.files import write_text
from .child import judge_file
from .exercise import source
from .progress import (
    COMMAND,
    copy_out,
    find_folder,
    forget,
    load,
    next_hint,
    original,
    remember,
    skip,
    state,
    typed,
)
from .records import EXERCISES, find
from .script import spoken

MARKS = {"solved": "x", "skipped": "-", "": " "}
WATCH_EXTRA = 'watching needs the extra `learn`: pip install "toymodels_np[learn]"'


def add_options(parser):
    """The options of `learn`, for the command line."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*", metavar="NAME",
                        help="an exercise, or " + ", ".join(VERBS) + " and an exercise")
    parser.add_argument("--dir", type=Path, default=Path("."), metavar="DIR",
                        help="the folder with the exercises (default: here)")
    parser.add_argument("--watch", action="store_true", help="check whenever a file is saved")
    parser.add_argument("--traceback", action="store_true",
                        help="show the traceback of an error under its sentence")
    parser.add_argument("--copy", type=Path, metavar="DIR", help="copy the exercises there")
    parser.add_argument("--report", type=Path, nargs="+", metavar="DIR",
                        help="tabulate these folders")


def run_learn(options):
    """What `learn` does with its options; returns the exit code."""
    others = [bool(options.words) or options.watch, options.copy is not None,
              options.report is not None]
    if sum(others) > 1:
        raise ValueError("--copy, --report, and an exercise or --watch exclude each other")
    if options.copy is not None:
        return _copy(options.copy)
    if options.report is not None:
        return _report(options.report)
    folder = find_folder(options.dir)
    if options.watch:
        return watch(folder, _one(folder, options.words), options.traceback)
    if not options.words:
        return _list(folder)
    verb, *rest = options.words
    if verb not in VERBS:
        verb, rest = "check", options.words
    if verb in NEED_A_NAME and not rest:
        raise ValueError(f"{verb} needs the name of an exercise, such as: {COMMAND} {verb} 04")
    return VERBS[verb](folder, _one(folder, rest), options)


def _one(folder, words):
    """The exercise that the words name, or else the first that is open."""
    if len(words) > 1:
        raise ValueError(f"learn takes one exercise at a time, got {' '.join(words)}")
    if words:
        return find(words[0])
    return _open(load(folder)) or EXERCISES[-1]


def _open(data):
    """The first exercise that is neither solved nor skipped, then the first skipped, or None."""
    waiting = [one for one in EXERCISES if state(data, one) != "solved"]
    return next((one for one in waiting if not state(data, one)), next(iter(waiting), None))


def _copy(folder):
    written = copy_out(folder)
    kept = len(EXERCISES) - len(written)
    print(f"wrote {len(written)} exercises to {folder}" +
          (f"; {kept} were there already and stay as they are" if kept else ""))
    print(f"go on with: cd {shlex.quote(str(folder))}; {COMMAND} --watch")
    return 0


def _list(folder):
    data = load(folder)
    for one in EXERCISES:
        print(f"[{MARKS[state(data, one)]}] {one.name:22} {one.title}")
    solved = sum(state(data, one) == "solved" for one in EXERCISES)
    first = _open(data)
    check = typed(folder, f"{first.number:02d}") if first else ""
    print(f"\n{solved} of {len(EXERCISES)} solved in {folder}" +
          (f"; next: {first.file}; check it with: {check}" if first else ""))
    return 0


def _report(folders):
    rows = []
    for folder in folders:
        data = load(find_folder(folder))
        marks = "".join(MARKS[state(data, one)] for one in EXERCISES).replace(" ", ".")
        hints = sum(one["hints"] for one in data.values())
        first = _open(data)
        rows.append((str(folder), marks, marks.count("x"), marks.count("-"), hints,
                     first.name if first else "all solved"))
    wide = max(len("folder"), *(len(row[0]) for row in rows))
    print(f"{'folder':{wide}}  {'exercises':{len(EXERCISES)}}  solved  skipped  hints  next")
    for name, marks, solved, skipped, hints, first in rows:
        print(f"{name:{wide}}  {marks}  {solved:6}  {skipped:7}  {hints:5}  {first}")
    return 0


def _check(folder, exercise, options):
    verdict = judge_file(exercise, folder / exercise.file)
    remember(folder, exercise, verdict.solved)
    print(spoken(exercise, verdict, options.traceback), flush=True)
    return 0 if verdict.solved else 1


def _hint(folder, exercise, options):
    number = next_hint(folder, exercise)
    again = typed(folder, f"hint {exercise.number:02d}")
    more = f" (one more: {again})" if number < 2 else ""
    print(f"{exercise.name}, hint {number} of {len(exercise.hints)}: "
          f"{exercise.hints[number - 1]}{more}")
    return 0


def _solution(folder, exercise, options):
    path, first, text = source(exercise)
    print(f"The package does {exercise.name} in {path}, from line {first} on:\n\n{text.rstrip()}")
    return 0


def _reset(folder, exercise, options):
    path = folder / exercise.file
    kept = ""
    if path.is_file() and not _as_given(path, exercise):
        old = _free_name(path)
        os.replace(path, old)
        kept = f"; what you had is in {old.name}"
    write_text(path, original(exercise))
    forget(folder, exercise)
    print(f"{exercise.file} is as it was given{kept}")
    return 0


def _as_given(path, exercise):
    """Whether a file is the original; one that cannot be read counts as somebody's work."""
    try:
        return path.read_bytes() == original(exercise).encode()
    except OSError:
        return False


def _free_name(path):
    """The first of NAME.py.old, NAME.py.old.2 and so on that nobody has."""
    names = chain((".old",), (f".old.{number}" for number in count(2)))
    return next(old for end in names
                if not os.path.lexists(old := path.with_name(path.name + end)))


def _skip(folder, exercise, options):
    skip(folder, exercise)
    following = f"next: {find(exercise.next).file}" if exercise.next else "that was the last"
    print(f"{exercise.name} is skipped; {following}")
    return 0


VERBS = {"check": _check, "hint": _hint, "solution": _solution, "reset": _reset, "skip": _skip}

NEED_A_NAME = "solution", "reset"       # what they do is not wished for by accident


def watch(folder, exercise, traceback=False, changes=None):
    """Check now and at each save, and go on to the next open exercise, until all are solved.

    `changes` yields sets of (what happened, path) as `watchfiles.watch` does.
    """
    if changes is None:
        try:
            changes = import_module("watchfiles").watch(folder, recursive=False)
        except ImportError:
            raise ImportError(WATCH_EXTRA) from None
    print(f"Watching {exercise.file}; Ctrl-C ends it.")
    options = argparse.Namespace(traceback=traceback)
    try:
        _check(folder, exercise, options)
        exercise = _onward(folder, exercise)
        while exercise is not None and (changed := next(changes, None)) is not None:
            if exercise.file in {Path(path).name for _, path in changed}:
                print(flush=True)
                _check(folder, exercise, options)
                exercise = _onward(folder, exercise)
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)("what is solved is kept; go on with: " +
                              typed(folder, "--watch")) from None
    return 0


def _onward(folder, exercise):
    """The exercise to work on now: the same until it is solved, then the next one that is open."""
    data = load(folder)
    if state(data, exercise) != "solved":
        return exercise
    following = _open(data)
    print(f"Watching {following.file} now." if following else "All exercises are solved.",
          flush=True)
    return following
