"""Whether models and features are exactly the package's own, so that what is read is what runs.

The fast engine and the exact theory say the same as `models.py`, `features.py`, `optim.py` and
`loop.py`, in other words. So they may only speak for the classes that stand there, as they stand
there. A subclass may compute something else, and so may a method or a function that was replaced or
a file that a reader has edited. Each is a stranger: it is trained by `loop.py`, which calls it, or
refused in a sentence.
"""

import hashlib
from functools import cache
from pathlib import Path

from .core import features, loop, models, optim
from .core.features import LAW, Features
from .core.models import MODELS, Model

OWN = (Features, *MODELS.values())
CLASSES = (*OWN, Model)
FILES = {"features": features, "models": models, "optim": optim, "loop": loop}
SNAPSHOT = {home: dict(vars(home)) for home in (*CLASSES, *FILES.values())}
WHAT = ("features", "models")                   # files that say what a model and its features are,
HOW = tuple(FILES)                              # and how they are trained
# What Python notes down by itself.
CACHED = ("__slotnames__", "__warningregistry__", "__annotations__", "__annotations_cache__")
FINGERPRINTS = {                           # of the files that engine and theory were tested against
    "features": "d37ab2b71a32e339",
    "models": "bc1ff1b9967c21c3",
    "optim": "354a651cd9c6f50b",
    "loop": "66deb45978245ade",
}


def stranger(*things, files=WHAT):
    """"" if all models, features or classes are the package's own, else half a sentence why not."""
    for thing in things:
        cls = thing if isinstance(thing, type) else type(thing)
        if cls not in OWN:
            return f"{cls.__name__} is a class of its own"
        usual = LAW if cls is Features else cls.parameter_shapes
        own = set() if thing is cls else set(vars(thing)) - set(usual)
        if own:
            return f"this {cls.__name__} has {min(own)!r} of its own"
    if why := replaced(files):
        return why
    edited = [name for name in files if fingerprint(name) not in ("", FINGERPRINTS[name])]
    return f"core/{edited[0]}.py was edited" if edited else ""


def replaced(files=HOW):
    """"" if classes and files hold the functions that they began with, else half a sentence."""
    for home in (*CLASSES, *(FILES[name] for name in files)):
        if vars(home) == SNAPSHOT[home]:        # the quick answer: the loss asks at every step
            continue
        others = [name for name, value in vars(home).items()
                  if SNAPSHOT[home].get(name) is not value and name not in CACHED]
        if others:
            return f"{home.__name__.rpartition('.')[2]}.{min(others)} was replaced"
    return ""


@cache
def fingerprint(name):
    """A hash of core/`name`.py but for blank lines and comments; "" where there is no source."""
    try:
        text = Path(__file__).with_name("core").joinpath(f"{name}.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
