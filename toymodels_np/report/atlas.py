"""What the report shows of the atlas: certified minima and saddles of small models, in words."""

from fractions import Fraction
from math import ceil, log10

from ..theory.certify.atlas import OPEN, load_atlas

DECIMALS = 18               # of a loss at most; many intervals are narrower
SMALLEST = 7                # decimals of norms and biases beyond which they are 0
TIMES = "\u00a0×\u00a0"     # no line ends there


def sections():
    """All entries: [(size in words, entries)], each entry a dictionary of words."""
    found = {}
    for entry in load_atlas():
        said = f"{entry.n_features} features in {_dimensions(entry.n_hidden)}"
        found.setdefault(said, []).append(_words(entry))
    return list(found.items())


def _dimensions(m):
    return "1 dimension" if m == 1 else f"{m} dimensions"


def _words(entry):
    proved = entry.kind != OPEN
    pairs = list(zip(entry.norms, entry.biases))
    kinds = {}
    for norm, bias in pairs:                            # what looks the same is one
        said = _short(norm), _short(bias)
        kinds[said] = kinds.get(said, 0) + 1
    norms, biases = ([_times(said[k], count) for said, count in kinds.items()] for k in (0, 1))
    return {"p": f"{float(entry.feature_probability):g}", "name": entry.name, "kind": entry.kind,
            "proved": proved, "reason": entry.reason, "norms": norms, "biases": biases,
            "loss": within(*entry.certificate.loss_interval) if proved else f"{entry.loss:.12f}",
            "index": entry.index if proved else "–", "rank": entry.hessian_rank if proved else "–",
            "coefficient": "–" if entry.learning_coefficient is None
                           else f"{entry.learning_coefficient:g}"}


def _short(x):
    return f"{round(x, SMALLEST) + 0.0:.5g}"


def _times(said, count):
    return said if count == 1 else f"{said}{TIMES}{count}"


def within(low, high):
    """An interval of Fractions as "x ± r", decimals that are sure to contain it."""
    width = float(high - low)
    digits = min(DECIMALS, ceil(-log10(width))) if width else DECIMALS
    unit = Fraction(1, 10**digits)
    middle = round((low + high) / 2 / unit)
    radius = max(high / unit - middle, middle - low / unit, Fraction(0))
    sign, whole = "-" * (middle < 0), str(abs(middle)).rjust(digits + 1, "0")
    cut = len(whole) - digits
    return f"{sign}{whole[:cut]}.{whole[cut:]} ± {ceil(radius)}e-{digits}"
