"""Regular polygons along an interval of p: what is proved for all probabilities in it at once.

    P       an interval of the probability that all n features share    half   P less its middle
    a, b    the two free numbers of a polygon: its squared norm and its bias
    κ       the number of a wave around a polygon

Neither rotations nor permutations of equal features change the loss. So a regular polygon is
stationary where its two free numbers are, and its Hessian falls into small blocks, one for each
wave around it (13.12). All of them are made of one output's row, which `rows.py` encloses.
"""

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from ...core import checks
from ..energies import polygon
from .enclose import ball, balls_of, bounds, flint, precise, rational
from .local import NotProved, inertia
from .rows import Row, equal_law, row_bounds, slopes_of

MOST_CORNERS = 7                # of a polygon, as an output has 2^n cases
WIDER = Fraction(3, 4)          # of a box's radius, as a part of how far the polygon moves over P
LEAKS = Fraction(1, 4)          # of the one number's way that is added to the other's
LEAST = Fraction(1, 10**7)      # radius of a box around the polygon of floats at one p
DIGITS = 30                     # decimals of a centre
GROWTH = Fraction(9, 8)         # of a stretch after one that was proved
SHRINK = Fraction(3, 4)         # of one that was not


class Stretch(NamedTuple):
    """A polygon that is proved to be a strict minimum, modulo rotations, for every p in P.

    n : number of features and corners       low, high : Fractions, the ends of P
    centre, radius : (a, b) each, Fractions; for every p there is one stationary polygon with a and
        b in this box, and no other one
    energy : (low, high), Fractions around its loss at the middle of P
    slope : (low, high), Fractions around dE/dp on all of P
    """

    n: int
    low: Fraction
    high: Fraction
    centre: tuple
    radius: tuple
    energy: tuple
    slope: tuple


# -- one polygon -----------------------------------------------------------------------------------

@cache
@precise
def _angles(n):
    """Balls for the cosines and sines of the n angles of a regular polygon."""
    cos, sin, turn = flint().arb.cos_pi_fmpq, flint().arb.sin_pi_fmpq, flint().fmpq
    return ([cos(turn(2 * min(k, n - k), n)) for k in range(n)],
            [sin(turn(2 * k, n)) for k in range(n)])


@cache
@precise
def waves(n):
    """For each wave the coefficients of its block (13.12): [({(j, k): matrix}, {j: matrix})].

    The first multiply the Hessian of the row, j, k <= n, the second its slopes. A wave moves corner
    j outwards by ρ cos κθ_j, along the circle by τ sin κθ_j, its bias by β cos κθ_j; nothing moves
    along the circle for κ = 0, which is a rotation, nor in one dimension, n = 2.
    """
    c, s = _angles(n)
    return [_wave(n, c, s, [c[wave * j % n] for j in range(n)],
                  [s[wave * j % n] for j in range(n)], round_too=n > 2 and wave > 0)
            for wave in range(n // 2 + 1)]


def _wave(n, c, s, out, around, round_too):
    bend = {j: [[ball(0)] * 3 for _ in range(3)] for j in range(n)}
    square = {(j, k): [[ball(0)] * 3 for _ in range(3)] for j in range(n + 1) for k in range(j + 1)}
    for i in range(n):
        forms = []
        for j in range(n):
            k = (i + j) % n                             # W_i·n_k = -sin, n_i·W_k = sin of j's angle
            forms.append([c[j] * (out[i] + out[k]), s[j] * (around[i] - around[k]), ball(0)])
            dot = [[c[j] * out[i] * out[k], -s[j] * out[i] * around[k]],
                   [s[j] * around[i] * out[k], c[j] * around[i] * around[k]]]
            for x in range(2):
                for y in range(2):
                    bend[j][x][y] += dot[x][y] + dot[y][x]
        forms.append([ball(0), ball(0), out[i]])
        for (j, k), matrix in square.items():
            for x in range(3):
                for y in range(3):
                    more = forms[j][x] * forms[k][y]
                    matrix[x][y] += more if j == k else more + forms[j][y] * forms[k][x]
    keep = (0, 1, 2) if round_too else (0, 2)
    cut = lambda matrix: flint().arb_mat([[matrix[x][y] for y in keep] for x in keep])
    return {jk: cut(m) for jk, m in square.items()}, {j: cut(m) for j, m in bend.items()}


def blocks(row, a):
    """The blocks of a polygon's Hessian, one a wave, from its Row and its squared norm. (13.12)

    Moves of the corners are multiplied by the norm, so that a alone is left.
    """
    result = []
    for square, bend in waves(len(row.slope) - 1):
        total = 0 * bend[0]
        for j, matrix in bend.items():
            total += matrix * (row.slope[j] / a)
        for (j, k), matrix in square.items():
            total += matrix * row.hessian[j, k]
        result.append(total)
    return result


def _gradient(row):
    """Gradient (2, 1) of one output's loss in a and b."""
    c = _angles(len(row.slope) - 1)[0]
    return flint().arb_mat([[sum((x * y for x, y in zip(c, row.slope)), ball(0))], [row.slope[-1]]])


def _hessian(row):
    """Hessian (2, 2) of one output's loss in a and b."""
    n = len(row.slope) - 1
    J = flint().arb_mat([[*_angles(n)[0], ball(0)], [ball(0)] * n + [ball(1)]])
    return J * row.hessian * J.transpose()


def _near(n, low, high):
    """(centre, radius) of the box in which the polygon is looked for, from floats."""
    energies = [polygon(n, float(p)) for p in (low, (low + high) / 2, high)]
    first, middle, last = ((Fraction(float(e.norm)) ** 2, Fraction(float(e.bias)))
                           for e in energies)
    centre = tuple(Fraction(round(x * 10**DIGITS), 10**DIGITS) for x in middle)
    way = [abs(x - y) for x, y in zip(first, last)]
    radius = (WIDER * (way[0] + LEAKS * way[1]), WIDER * (way[1] + LEAKS * way[0]))
    return centre, tuple(Fraction(int((x + LEAST) * 10**DIGITS), 10**DIGITS) for x in radius)


@precise
def stretch(n, low, high):
    """Prove that the regular polygon of n equal features is a strict minimum for each p in P.

    n : 3, 5 or 7 features in two dimensions; 2 in one dimension, the antipodal pair
    low, high : the ends of P; Fractions, numbers or decimal strings, 0 < low <= high <= 1
    Returns a Stretch. Raises NotProved with the test that fails, ValueError or TypeError on bad
    arguments.
    """
    n, low, high = _checked(n, low, high)
    middle, (centre, radius) = (low + high) / 2, _near(n, low, high)
    half, c = ball(low - middle, high - middle), _angles(n)[0]
    laws = balls_of(equal_law(n, middle, middle)), slopes_of(n, low, high)
    rows = lambda a, b, order: row_bounds(laws, [a * x for x in c], b, order)
    here, shift = rows(*map(ball, centre), 1)
    box = [ball(x - r, x + r) for x, r in zip(centre, radius)]
    there, along = rows(*box, 2)
    g0, H = _gradient(here), _hessian(there) + _hessian(along) * half
    whole, exact = _reach(H, g0, _gradient(shift), half, radius)
    if whole >= 1:
        raise NotProved(f"Krawczyk's test: the polygon may be {float(whole):.3g} radii of the box "
                        f"away from its centre")
    both = Row(ball(0), [x + y * half for x, y in zip(there.slope, along.slope)],
               there.hessian + along.hessian * half)
    for wave, block in enumerate(blocks(both, box[0])):
        if index := _index(block):
            raise NotProved(f"LDL': wave {wave} around the polygon has the index {index}")
    d = flint().arb_mat([[ball(-exact * r, exact * r)] for r in radius])
    energy = ball(middle) / 3 + here.value + (d.transpose() * g0)[0, 0]
    energy = n * (energy + (d.transpose() * H * d)[0, 0] / 2)
    return Stretch(n, low, high, centre, radius, bounds(energy),
                   bounds(n * (ball(1) / 3 + along.value)))


def _checked(n, low, high):
    if checks.integer("n", n) not in range(2, MOST_CORNERS + 1) or n % 2 == 0 and n > 2:
        raise ValueError(f"n must be 2, 3, 5 or 7, got {n}")
    try:
        low, high = Fraction(low), Fraction(high)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"low and high must be numbers, got {low!r} and {high!r}: "
                         f"{error}") from None
    if not 0 < low <= high <= 1:
        raise ValueError(f"low and high must satisfy 0 < low <= high <= 1, got {low} and {high}")
    return n, low, high


def _reach(H, g, shift, half, radius):
    """How far a zero can be from the centre, in radii of the box: for all of P, and at its middle.

    g, shift : the gradient at the centre and its derivative in p. (13.5)
    """
    upper = lambda x: rational(x.abs_upper())
    if not all(x.is_finite() for x in H.entries()):
        raise NotProved("the tube: an enclosure is unbounded")
    C = H.mid().inv().mid()
    rest = (flint().arb_mat([[1, 0], [0, 1]]) - C * H).tolist()
    q = max(sum(upper(x) * r for x, r in zip(row, radius)) / own for row, own in zip(rest, radius))
    if q >= 1:
        raise NotProved(f"Krawczyk's test: |1 - C H| is {float(q):.3g} where less than 1 is needed")
    steps = C * g + C * shift * half, C * g
    return [max(upper(x) / r for x, r in zip(step.entries(), radius)) / (1 - q) for step in steps]


def _index(block):
    """`inertia` of a block, after a change of basis that makes its middle diagonal."""
    floats = np.array([[float(x.mid()) for x in row] for row in block.tolist()])
    if not np.isfinite(floats).all():
        raise NotProved("the tube: an enclosure is unbounded")
    M = flint().arb_mat([[ball(Fraction(float(x))) for x in row]
                         for row in np.linalg.eigh((floats + floats.T) / 2)[1]])
    return inertia(M.transpose() * block * M)


# -- many stretches --------------------------------------------------------------------------------

def cover(n, low, high, widest=Fraction(1, 500), narrowest=Fraction(1, 10**6)):
    """Yield Stretches that together hold every p in [low, high], from the left, as far as they go.

    Where two of them meet the polygon of both is the same: it goes through all of [low, high].
    """
    n, low, high = _checked(n, low, high)
    width, last = min(widest / 8, high - low), None
    while low < high and width >= narrowest:
        end = min(low + width, high)
        try:
            this = stretch(n, low, end)
            if last is None or joined(last, this):
                yield this
                low, last = end, this
                width = min(Fraction(int(width * GROWTH * 10**7), 10**7), widest)
                continue
        except NotProved:
            pass
        width = Fraction(int(width * SHRINK * 10**7), 10**7)


def joined(first, second):
    """Whether the polygon of one Stretch is that of the next where they meet.

    There the polygon is proved once more in a small box, which must lie inside of both of theirs.
    """
    if first.n != second.n or first.high != second.low:
        return False
    small = stretch(first.n, first.high, first.high)
    return all(abs(x - y) + r <= big for one in (first, second) for x, y, r, big in
               zip(one.centre, small.centre, small.radius, one.radius))


def gap(five):
    """((low, high), (low, high)) on all of a Stretch of the pentagon: its energy less that of two
    digons and a dropped feature, and the slope of this in p.

    Raises NotProved where the digon is not proved there.
    """
    two = stretch(2, five.low, five.high)
    middle, half = (five.low + five.high) / 2, (five.high - five.low) / 2
    slope = (five.slope[0] - 2 * two.slope[1] - Fraction(1, 3) + five.low / 2,
             five.slope[1] - 2 * two.slope[0] - Fraction(1, 3) + five.high / 2)
    reach, v = half * max(map(abs, slope)), middle / 3 - middle**2 / 4                       # (5.6)
    return (five.energy[0] - 2 * two.energy[1] - v - reach,
            five.energy[1] - 2 * two.energy[0] - v + reach), slope
