"""Verify a certificate without the program that made it: `python check.py FILE`, with python-flint.

What is verified, for every law inside the stated intervals: the box centre ± radius around (W, b),
in which column columns[k] of W is 0 below row k, holds exactly one stationary point of

    L = Σ_i I_i E (x_i - relu(Σ_j W_i·W_j x_j + b_i))² + λ Σ_{i≠j} (W_i·W_j)² + μ Σ_i W_i·W_i;

the Hessian in the other entries has `index` negative eigenvalues and no zero, on the whole box (all
of its values, where it jumps); the loss at that point lies in the stated interval. Any model close
to such a W can be rotated into this form, as the entries (k, columns[k]) are not 0 in the box.
"""

import hashlib
import json
import sys
from fractions import Fraction
from functools import cache
from math import factorial, prod
from pathlib import Path

from flint import arb, arb_mat, ctx, fmpq

KEYS = ["W", "b", "columns", "digest", "format", "index", "law", "loss", "radius"]


def check_certificate(path_or_dict):
    """True if all that a certificate (file or dict) says is so, else a ValueError with a reason."""
    try:
        if not isinstance(record := path_or_dict, dict):
            need(Path(record).is_file(), f"there is no file {record!r} to read")
            record = json.loads(Path(record).read_text(encoding="utf-8"))
        with ctx.workprec(256):
            verify(record)
    except (json.JSONDecodeError, UnicodeError, LookupError, TypeError, AttributeError,
            RecursionError, ZeroDivisionError) as error:
        raise ValueError(f"this is no certificate in JSON: {error}") from None
    return True


def need(condition, sentence):
    if not condition:
        raise ValueError(sentence)


def point(text):
    need(type(text) is str and "e" not in text.lower(), f"not a decimal or a fraction: {text!r}")
    return arb(fmpq(*Fraction(text).as_integer_ratio()))


def span(pair, least=None, most=None):
    (first, last), (low, high) = map(point, pair), map(Fraction, pair)
    need(low <= high and (least is None or low >= least) and (most is None or high <= most),
         f"the interval {pair} is upside down or out of range")
    return first.union(last)


def verify(record):
    need(sorted(record) == KEYS and record["format"] == "toymodels_np certificate 1",
         "the entries are not those of a certificate")
    rest = {key: value for key, value in record.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    need(digest == record["digest"], "the digest does not fit: something was changed")
    law, radius = read_law(record["law"]), point(record["radius"])
    rows = [[point(x) for x in row] for row in [*record["W"], record["b"]]]
    places = read_form(rows, record["columns"], radius, law["n"])
    box = lambda r: arb_mat([[(-r).union(r)] for _ in places])
    value, g, H = derivatives(law, rows, places, 0 * box(radius))
    C, one = H.mid().inv().mid(), arb_mat([[int(p == q) for q in places] for p in places])
    H = derivatives(law, rows, places, box(radius))[2]
    q = max(sum(map(abs, row)).abs_upper() for row in (one - C * H).tolist())
    if q < 1:                   # Newton's map contracts, and all matrices in H have the same index
        index = negative_eigenvalues(H.mid())
        reach = max(x.abs_upper() for x in (C * g).entries()) / (1 - q)
    else:                       # or L is strongly convex in the box, where its minimum stays inside
        floor = derivatives(law, rows, places, box(radius), floor=True)[2]
        least = 1 / max(sum(map(abs, row)).abs_upper() for row in floor.mid().inv().tolist()) / 2
        need(positive(floor - least * one), "the box may hold no stationary point, or several")
        index, reach = 0, 2 * sum(map(abs, g.entries())) / least
    need(reach < radius, "the box may hold no stationary point, or several")
    need(repr(record["index"]) == str(index), "the index is wrong")
    d = box(reach.upper())
    loss = value + (d.transpose() * g)[0, 0] + (d.transpose() * H * d)[0, 0] / 2
    low, high = map(point, record["loss"])
    need(low <= loss.lower() and loss.upper() <= high, "the loss is not in the stated interval")


def read_form(rows, columns, radius, n):
    """The places (row, column) of the entries that are free; row m is b."""
    m = len(rows) - 1
    need(m > 0 and radius > 0 and all(len(row) == n for row in rows)
         and len(set(columns)) == len(columns) <= m and set(columns) <= set(range(n)),
         "the sizes of W and b, the columns or the radius make no sense")
    held = {(c, j) for k, j in enumerate(columns) for c in range(k + 1, m)}
    need(all(rows[c][j].is_zero() for c, j in held) and
         all(abs(rows[k][j]) > radius for k, j in enumerate(columns)), "W is not of this form")
    return [(c, j) for c in range(m + 1) for j in range(n) if (c, j) not in held]


def negative_eigenvalues(A):
    """Descartes' rule is exact for the characteristic polynomial, whose roots are all real."""
    with ctx.workprec(4096):                # coefficients may be of very different sizes
        terms = (A + A.transpose()).charpoly().coeffs()
    terms = [(-1) ** k * c for k, c in enumerate(terms) if not c.is_zero()]
    need(all(c > 0 or c < 0 for c in terms), "the characteristic polynomial's signs are not sure")
    return sum((c > 0) != (d > 0) for c, d in zip(terms, terms[1:]))


def positive(H):
    """Whether all symmetric matrices in H have positive eigenvalues only, by elimination."""
    rows = H.tolist()
    for k, top in enumerate(rows):
        for i in range(k + 1, len(rows) if top[k] > 0 else 0):
            rows[i] = [x - rows[i][k] / top[k] * y for x, y in zip(rows[i], top)]
    return all(row[k] > 0 for k, row in enumerate(rows))


def read_law(law):
    """The law in balls, with all (weight, active features) that can occur."""
    n, sets, p = law["n"], law["sets"], [span(pair, 0, 1) for pair in law["probability"]]
    importance = [span(pair, 0) for pair in law["importance"]]
    need(len(law) == 6 and len(p) == len(importance) == n <= 8 and all(q > 0 for q in p)
         and sorted(i for _, members in sets for i in members) == list(range(n)),
         "the law is not one of n features, at most 8")
    cases = [(arb(1), [])]
    for kind, members in sets:
        need(kind in ("correlated", "anticorrelated") and len(
            {tuple(law["probability"][i]) for i in members}) == 1, "a set makes no sense")
        groups = [members] if kind == "correlated" else [[i] for i in members]
        options = [(1 - p[members[0]], [])] + [(p[members[0]] / len(groups), on) for on in groups]
        cases = [(x * y, on + more) for x, on in cases for y, more in options if not y.is_zero()]
    active = [sum((weight for weight, on in cases if i in on), arb(0)) for i in range(n)]
    return {"n": n, "cases": cases, "active": active, "importance": importance,
            "lambda": span(law["interference"], 0), "mu": span(law["weight_decay"])}


def mean(gains, powers, c, s):
    """E[Π_j u_j^powers_j T_s(c + Σ_j gains_j u_j)], T_s(z) = relu(z)^s / s!, T_{-1} the delta."""
    if not gains and s > 0:
        return prod([c.nonnegative_part()] * s) / factorial(s)
    if not gains:
        need(s == 0 or c > 0 or c < 0, "the box touches a kink of the loss")
        return arb(0) if s < 0 or c < 0 else arb(1) if c > 0 else arb(0.5, 0.5)
    a, m, rest = gains[0], powers[0], (gains[1:], powers[1:])
    if a.contains(0) or a.abs_upper() ** 2 < a.rad():
        return mean(*rest, c + a * arb(0.5, 0.5), s) / (m + 1)
    total = -factorial(m) * (-1 / a) ** m * mean(*rest, c, s + 1 + m)
    for i in range(m + 1):
        falling = factorial(m) // factorial(m - i)
        total += falling * (-1 / a) ** i * mean(*rest, c + a, s + 1 + i)
    return total / a


def row_terms(law, i, gains, bias, floor):
    """E (x_i - relu(z_i))² and its derivatives in the gains and, as number n, the bias."""
    n = law["n"]
    value, first, second = law["active"][i] / 3, arb_mat(n + 1, 1), arb_mat(n + 1, n + 1)
    for weight, on in law["cases"]:
        some = [gains[j] for j in on]
        of = cache(lambda *b: mean(some, [b.count(j) for j in on], bias, 2 - len(b)))
        term = cache(lambda *b: 2 * weight * (of(*b) - (of(*b, i) if i in on else 0)))
        skip = floor and i not in on and of(n, n).contains(0)      # it may be 0, else semidefinite
        value += term()
        for j in (*on, n):
            first[j, 0] += term(j)
            for k in () if skip else (*on, n):
                second[j, k] += term(min(j, k), max(j, k))
    return value, first, second


def derivatives(law, rows, places, box, floor=False):
    """Loss, gradient, Hessian (or a lower bound of it) in the `places` of `rows` moved by `box`."""
    *W, b = rows = [list(row) for row in rows]
    for x, (c, j) in enumerate(places):
        rows[c][j] += box[x, 0]
    n, m, size, lam, mu = law["n"], len(W), len(places), law["lambda"], law["mu"]
    G = [[sum((row[i] * row[j] for row in W), arb(0)) for j in range(n)] for i in range(n)]
    loss, g, H = arb(0), arb_mat(size, 1), arb_mat(size, size)
    for i in range(n):
        value, first, second = row_terms(law, i, G[i], b[i], floor)
        first, second = law["importance"][i] * first, law["importance"][i] * second
        loss += law["importance"][i] * value + mu * G[i][i]
        for j in (j for j in range(n) if j != i):          # add λ Σ_{j≠i} G_ij² + μ G_ii
            loss += lam * G[i][j] * G[i][j]
            first[j, 0] += 2 * lam * G[i][j]
            second[j, j] += 2 * lam
        first[i, 0] += mu
        J = arb_mat(n + 1, size)                           # how gains and bias move with the places
        for x, (c, j) in enumerate(places):
            J[n, x] = int((c, j) == (m, i))
            for k in range(n if c < m else 0):
                J[k, x] += W[c][k] * (j == i) + W[c][i] * (j == k)
            for y, (d, k) in enumerate(places):
                H[x, y] += (c == d < m) * ((j == i) * first[k, 0] + (k == i) * first[j, 0])
        g, H = g + J.transpose() * first, H + J.transpose() * second * J
    need(all(x.is_finite() for x in H.entries() + g.entries()), "an enclosure is unbounded")
    return loss, g, H


if __name__ == "__main__":
    print(check_certificate(sys.argv[1]))
