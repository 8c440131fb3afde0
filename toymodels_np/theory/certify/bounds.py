"""One output's loss bounded on a whole box of gains and biases, from its two extreme corners alone.

    a        active gains                 z_v   the bias and the gains of a corner v of the cube
    plain    E relu(z)^2 and its derivatives in the bias and in every gain, given who is active
    own      the derivatives of these in the output's own gain

Features are never negative, so that z rises with the bias and with every gain, and with z rises
every entry of plain and own. The loss and its slopes are plain - own: what they can be in a box
follows from `moments` at its lowest and its highest corner (13.10). These are exact points: nothing
is divided by a ball with a radius worth mentioning, and a gain that is exactly 0 is left out.
"""

from math import factorial

from .enclose import ball


def moments(law, i, gains, bias):
    """(plain, own) of output i at exact gains (n balls) and bias: lists of the value, the slope in
    the bias, and the slopes in the n gains. The loss is P(x_i ≠ 0)/3 + plain - own.
    """
    n = len(gains)
    zero = ball(0)
    plain, own = [zero] * (n + 2), [zero] * (n + 2)
    for weight, on in law.supports:
        where = on.index(i) if i in on else None
        first, second = _given([gains[j] for j in on], bias, where)
        if not first:
            continue                                                    # the ReLU is never on
        for place, j in enumerate((0, 1, *(j + 2 for j in on))):
            plain[j] += weight * first[place]
            if where is not None:
                own[j] += weight * second[place]
    return plain, own


def _given(a, bias, own):
    """`moments` given who is active: the value, the slope in the bias, and those in the active
    gains; no numbers at all where the ReLU is never on.
    """
    z = [bias]
    for gain in a:
        z += [x + gain for x in z]
    if not any(x > 0 for x in z):
        return [], []
    if all(x >= 0 for x in z):
        return _never_off(a, bias, own)
    zeros = [j for j, gain in enumerate(a) if gain.is_zero()]
    if zeros:
        return _without(a, bias, own, zeros[0])
    sums = _corner_sums(a, z)
    return _plain(a, sums), [] if own is None else _own(a, sums, own)


def _never_off(a, bias, own):
    """Where the ReLU does nothing the means are moments of uniform variables."""
    middle = bias + sum(a, ball(0)) / 2
    plain = [middle**2 + sum((x * x for x in a), ball(0)) / 12, 2 * middle]
    plain += [middle + x / 6 for x in a]
    if own is None:
        return plain, []
    second = [ball(1) / 2] * len(a)
    second[own] = ball(2) / 3
    return plain, [plain[2 + own], ball(1), *second]


def _without(a, bias, own, j):
    """A variable whose gain is 0 does not matter: its mean is 1/2, and that of its square 1/3."""
    rest = a[:j] + a[j + 1:]
    inner = None if own is None or own == j else own - (own > j)
    plain, second = _given(rest, bias, inner)
    slope = plain[1] / 2
    result = [*plain[:2 + j], slope, *plain[2 + j:]]
    if own is None:
        return result, []
    if own != j:
        return result, [*second[:2 + j], second[1] / 2, *second[2 + j:]]
    # own == j: E u relu(z) = E relu(z) / 2, and so on; the step's mean is half the second
    # derivative.
    steps = _second_in_bias(rest, bias)
    return result, [slope, steps[0] / 2, *[x / 2 for x in steps[1:1 + j]], steps[0] / 3,
                    *[x / 2 for x in steps[1 + j:]]]


def _second_in_bias(a, bias):
    """Second derivatives of E relu(z)^2 in the bias twice, and in the bias and each gain; no gain
    is 0 but where z has one sign.
    """
    z, k = [bias], len(a)
    for gain in a:
        z += [x + gain for x in z]
    if not any(x > 0 for x in z):
        return [ball(0)] * (k + 1)
    if all(x >= 0 for x in z):
        return [ball(2)] + [ball(1)] * k
    zeros = [j for j, gain in enumerate(a) if gain.is_zero()]
    if zeros:
        j = zeros[0]
        inner = _second_in_bias(a[:j] + a[j + 1:], bias)
        return [*inner[:1 + j], inner[0] / 2, *inner[1 + j:]]
    total, single, _ = _corner_sums(a, z)
    return [total[0]] + [single[j][0] - total[1] / a[j] for j in range(k)]


def _corner_sums(a, z):
    """Σ_v ± 2 T_s(z_v) / Π a for s = k, k + 1, k + 2: over all v, over v_j = 1, over v_i = v_j = 1.
    """
    k, zero = len(a), ball(0)
    total, single = [zero] * 3, [[zero] * 3 for _ in a]
    double = {(i, j): zero for j in range(k) for i in range(j)}
    scale = ball(2)
    for gain in a:
        scale = scale / gain
    for v, x in enumerate(z):
        if not x > 0:
            continue
        power = x**k * scale / (factorial(k) if (k - v.bit_count()) % 2 == 0 else -factorial(k))
        terms = [power, power * x / (k + 1), power * x * x / ((k + 1) * (k + 2))]
        total = [s + t for s, t in zip(total, terms)]
        ones = [j for j in range(k) if v >> j & 1]
        for j in ones:
            single[j] = [s + t for s, t in zip(single[j], terms)]
            for i in ones:
                if i < j:
                    double[i, j] += power
    return total, single, double


def _plain(a, sums):
    total, single, _ = sums
    return [total[2], total[1], *(s[1] - total[2] / x for s, x in zip(single, a))]


def _own(a, sums, o):
    """The derivatives of `_plain` in the gain a_o, by the quotient rule. (13.2)"""
    total, single, double = sums
    result = [single[o][1] - total[2] / a[o], single[o][0] - total[1] / a[o]]
    for j, x in enumerate(a):
        if j == o:
            result.append(single[o][0] - 2 * single[o][1] / x + 2 * total[2] / (x * x))
        else:
            pair = double[min(o, j), max(o, j)]
            result.append(pair - single[j][1] / a[o] - single[o][1] / x + total[2] / (a[o] * x))
    return result
