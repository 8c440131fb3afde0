"""Is an answer right? If not, why not, in half a sentence; and how answers and inputs are shown."""

from itertools import permutations

import numpy as np

ALMOST = 1e-4               # of an answer's largest entry: smaller errors are hardly seen
SMALLEST = 1e-3             # answers up to this are compared as if the largest entry were this
MOST_ENTRIES = 10**6        # of an answer that is looked at
WIDEST = 160                # characters of a value that is shown
DIGITS_ONLY = "digits only, as in float32 or from a difference"


def trouble(given, expected, tolerance):
    """What is wrong with `given`, half a sentence that goes on from "your answer", or ""."""
    if given is None:
        return "is None (is a return missing?)"
    if isinstance(expected, tuple):
        return _tuple_trouble(given, expected, tolerance)
    if isinstance(expected, str):
        if not isinstance(given, str):
            return f"is a {type(given).__name__} and should be a str"
        return "" if given == expected else "is not right"
    if isinstance(expected, (bool, np.bool_)):
        if not isinstance(given, (bool, np.bool_)):
            return f"is a {type(given).__name__} and should be True or False"
        return "" if bool(given) == bool(expected) else "is not right"
    return _number_trouble(given, np.asarray(expected, float), tolerance)


def _tuple_trouble(given, expected, tolerance):
    if not isinstance(given, (tuple, list)):
        return f"is a {type(given).__name__} and should be a tuple of {len(expected)}"
    if len(given) != len(expected):
        return f"has {len(given)} parts and should have {len(expected)}"
    for number, (one, right) in enumerate(zip(given, expected)):
        if said := trouble(one, right, tolerance):
            return said if said == "is not right" else f"has a part, number {number}, that {said}"
    return ""


def _number_trouble(given, expected, tolerance):
    a, said = _as_array(given)
    if said:
        return said
    if a.shape != expected.shape:
        return f"has shape {a.shape} and should have {expected.shape}"
    if not np.isfinite(a).all():
        return "has entries that are NaN or infinite"
    if close(a, expected, tolerance):
        return ""
    error, scale = abs(a - expected).max(), abs(expected).max()
    if error > ALMOST * scale:
        return "is not right"
    return f"agrees to {np.log10(scale / error):.0f} {DIGITS_ONLY}"


def almost(said):
    """Whether `trouble` said of an answer that it is right but for its last digits."""
    return said.endswith(DIGITS_ONLY)


def _as_array(given):
    """(an array of floats, "") or (None, half a sentence)."""
    if not isinstance(given, (int, float, list, tuple, np.ndarray, np.generic)):
        return None, f"is a {type(given).__name__} and should be a number or an array"
    try:
        a = np.asarray(given)
    except ValueError:
        return None, (f"is a {type(given).__name__} of parts of unequal lengths and should be an "
                      f"array")
    if a.dtype.kind not in "fiub":
        return None, f"is an array of dtype {a.dtype} and should be one of real numbers"
    if a.size > MOST_ENTRIES:
        return None, f"has {a.size} entries, which is too many to look at"
    return a.astype(float), ""


def close(a, b, tolerance):
    """Whether arrays of one shape agree, relative to b's largest entry; NaN agrees with NaN."""
    finite = abs(b[np.isfinite(b)])
    scale = max(finite.max(initial=0.0), SMALLEST)
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def same(given, other, tolerance):
    """Whether a learner's answer is that of a known mistake, NaN and infinity included."""
    if isinstance(other, tuple):
        alike = isinstance(given, (tuple, list)) and len(given) == len(other)
        return alike and all(same(a, b, tolerance) for a, b in zip(given, other))
    if isinstance(other, (str, bool, np.bool_)):
        return isinstance(given, (str, bool, np.bool_)) and given == other
    a, said = _as_array(given)
    b = np.asarray(other, float)
    return not said and a.shape == b.shape and close(a, b, tolerance)


def pattern(answers, rights, tolerance):
    """What is wrong with all answers in one way, such as a factor, half a sentence, or ""."""
    if isinstance(rights[0], (str, bool, np.bool_)):
        return ""
    several = isinstance(rights[0], tuple)
    given, expected = ([_parts(one, several) for one in many] for many in (answers, rights))
    if any(one is None or len(one) != len(given[0]) for one in given + expected):
        return ""

    def undone(undo):
        return all(same(x, y, tolerance) for a, b in zip(given, expected)
                   for x, y in zip(undo(a), b))

    if undone(lambda parts: [x.T for x in parts]):
        return "is the transpose of what is expected"
    if any(undone(lambda parts, order=order: [parts[i] for i in order])
           for order in permutations(range(len(given[0])))):
        return "has its parts in another order than asked for"
    factors = [_factor(xs, ys, tolerance) for xs, ys in zip(zip(*given), zip(*expected))]
    if len({*factors}) == 1 and factors[0]:
        return f"is always {factors[0]:g} times what is expected"
    wrong = [i for i, c in enumerate(factors) if c != 1]
    if len(wrong) == 1 and factors[wrong[0]]:
        i, = wrong
        return f"has a part, number {i}, that is always {factors[i]:g} times what is expected"
    return ""


def _parts(value, several):
    """The arrays of which an answer consists, or None where one is no array of real numbers."""
    if several and not isinstance(value, (tuple, list)):
        return None
    read = [_as_array(one) for one in (value if several else [value])]
    return None if any(said for _, said in read) else [a for a, _ in read]


def _factor(xs, ys, tolerance):
    """The number that xs are times ys, or None where there is none."""
    if any(x.shape != y.shape for x, y in zip(xs, ys)):
        return None
    x, y = max(zip(xs, ys), key=lambda pair: abs(pair[1]).max())
    largest = abs(y).argmax()
    for c in (1.0, x.flat[largest] / (y.flat[largest] or np.inf)):
        if c and np.isfinite(c) and all(close(x / c, y, tolerance) for x, y in zip(xs, ys)):
            return float(c)
    return None


def show(value, digits=None):
    """A value in one line of at most WIDEST characters, with five or six digits or so many."""
    if isinstance(value, tuple):
        text = f"({', '.join(show(one, digits) for one in value)})"
    elif isinstance(value, (float, np.floating)):
        text = f"{value:.{digits or 6}g}"
    elif isinstance(value, (np.ndarray, list)):
        try:
            value = np.asarray(value)
            value = value + 0.0 if value.dtype.kind == "f" else value               # no -0
            form = {"float_kind": f"{{:.{digits or 5}g}}".format}
            text = np.array2string(value, precision=5, separator=", ", threshold=40,
                                   suppress_small=False, formatter=form)
        except Exception:               # such as lists of unequal lengths
            text = _repr(value)
    else:
        text = _repr(value)
    text = " ".join(text.split())
    return text if len(text) <= WIDEST else f"{text[:WIDEST - 2]} …"


def apart(one, other):
    """Two values as they are shown, with as many digits as it takes to tell them apart."""
    for digits in (None, 8, 12, 17):
        texts = show(one, digits), show(other, digits)
        if texts[0] != texts[1]:
            return texts
    return show(one), show(other)


def _repr(value):
    try:
        return repr(value)
    except Exception:                   # a learner's class, or an integer of too many digits
        return f"a {type(value).__name__}"
