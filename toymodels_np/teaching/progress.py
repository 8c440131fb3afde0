"""How far a learner is: a small file in the folder with the exercises, and the folder itself."""

import errno
import json
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path

from ..store.files import os_errors_as, write_text
from .records import EXERCISES

COMMAND = "python -m toymodels_np learn"
FILE = "progress.json"
STATES = "solved", "skipped"
MOST = 10**5                            # bytes of a progress file


def originals():
    """The folder with the exercises as they are given: in the installed package, or in a clone."""
    package = Path(__file__).parents[1]
    for folder in (package / "exercises", package.parent / "examples" / "exercises"):
        if (folder / EXERCISES[0].file).is_file():
            return folder
    raise FileNotFoundError(errno.ENOENT, "the package was installed without its exercises")


def original(exercise):
    """The text of the exercise as it is given."""
    return (originals() / exercise.file).read_text(encoding="utf-8")


def copy_out(folder):
    """Copy all exercises into `folder`, which is made; return the files that were written.

    Files that are there already stay as they are: they may be somebody's work.
    """
    folder, written = Path(folder), []
    with os_errors_as(f"the exercises cannot be copied to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for exercise in EXERCISES:
            path = folder / exercise.file
            if not os.path.lexists(path):
                write_text(path, original(exercise))
                written.append(path)
    if not (folder / FILE).exists():
        _save(folder, {})
    return written


def find_folder(folder):
    """The folder with the exercises to work on: `folder` itself, or examples/exercises in it."""
    folder = Path(folder)
    for place in (folder, folder / "examples" / "exercises"):
        if any((place / one.file).is_file() for one in EXERCISES):
            return place
    raise FileNotFoundError(f"there are no exercises in {folder}; copy them with "
                            f"{COMMAND} --copy DIR")


def typed(folder, words):
    """The command that does `words` with the exercises in `folder`, as one types it from here."""
    with suppress(FileNotFoundError):
        if find_folder(".") == folder:
            return f"{COMMAND} {words}"
    return f"{COMMAND} --dir {shlex.quote(str(folder))} {words}"


def load(folder):
    """{name of an exercise: {"state": "solved" or "skipped" or "", "hints": 0 … 2}} of a folder."""
    path = Path(folder) / FILE
    if not os.path.lexists(path):
        return {}
    with os_errors_as(f"{path} cannot be read"):
        with open(path, "rb") as stream:
            text = stream.read(MOST)
    try:
        data = json.loads(text)
        good = {name: {"state": one["state"], "hints": one["hints"]} for name, one in data.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = None
    if good is None or not all(_sound(name, one) for name, one in good.items()):
        raise ValueError(f"{path} is damaged; delete it to begin anew, the exercises stay")
    return good


def _sound(name, one):
    known = re.fullmatch(r"\d\d_\w+", name)
    return known and one["state"] in ("", *STATES) and one["hints"] in (0, 1, 2)


def _save(folder, data):
    write_text(Path(folder) / FILE, json.dumps(data, indent=1) + "\n")


def state(data, exercise):
    return data.get(exercise.name, {}).get("state", "")


def remember(folder, exercise, solved, create=True):
    """Note that an exercise is solved, or that it is so no more."""
    if not create and not (Path(folder) / FILE).is_file():
        return
    data = load(folder)
    if solved or state(data, exercise) == "solved":
        _change(folder, data, exercise, state="solved" if solved else "")


def skip(folder, exercise):
    _change(folder, load(folder), exercise, state="skipped")


def forget(folder, exercise):
    data = load(folder)
    data.pop(exercise.name, None)
    _save(folder, data)


def next_hint(folder, exercise):
    """The number, 1 or 2, of the hint that comes now, and remember that it was given."""
    data = load(folder)
    given = min(data.get(exercise.name, {}).get("hints", 0) + 1, len(exercise.hints))
    _change(folder, data, exercise, hints=given)
    return given


def _change(folder, data, exercise, **changes):
    before = data.get(exercise.name, {"state": "", "hints": 0})
    if before | changes != before or exercise.name not in data:
        _save(folder, data | {exercise.name: before | changes})
