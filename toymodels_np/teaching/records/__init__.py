"""All exercises in reading order, a file a chapter, and how they are found by name."""

import re
from difflib import get_close_matches
from pathlib import Path

from ..exercise import chained
from . import features, geometry, learning, models, theory

EXERCISES = chained(one for chapter in (features, models, geometry, theory, learning)
                    for one in chapter.EXERCISES)


def find(name):
    """The exercise that its number, its name or the path of its file means, or ValueError."""
    plain = Path(str(name)).name.removesuffix(".py").strip().lower()
    for one in EXERCISES:
        if plain in (one.name, one.name.partition("_")[2]):
            return one
        if re.fullmatch(r"[0-9]{1,3}", plain) and int(plain) == one.number:
            return one
    names = [one.name for one in EXERCISES]
    near = get_close_matches(plain, names + [one.partition("_")[2] for one in names], 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else \
        f"; they are {names[0]} to {names[-1]}"
    raise ValueError(f"there is no exercise {str(name)!r:.80}{hint}")


def of_file(path):
    """The exercise that a file is, by its name."""
    for one in EXERCISES:
        if Path(path).name == one.file:
            return one
    raise ValueError(f"{Path(path).name} is no exercise's file: keep the name that it was given")
