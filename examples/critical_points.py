"""From the pentagon to digons, and on to the triangle: where two geometries cost the same, and how long each lasts.

Five features in two dimensions. What varies is one feature's importance, one feature's probability, or the probability
of all five alike. At a critical point two energies cross with different slopes, a first-order change; each geometry
stays a local minimum beyond it, up to its stability limit, so that training can stick to either (hysteresis).
"""

import numpy as np
from tqdm import tqdm

import common
import toymodels_np as tm
from toymodels_np import plots as figures

P = 0.05                                            # feature probability where one feature is varied
PENTAGON, DIGONS, TRIANGLE = "pentagon", "2 digons + dropped", "triangle + 2 dropped"
LABELS = {"importance": "importance of feature 5, relative to the others",
          "probability": "probability of feature 5, relative to the others", "all": "probability p of all five features"}
CHANGES = (                                         # what varies, from, to, two geometries, a range around the crossing
    ("importance", 0.1, 1.0, PENTAGON, DIGONS, (0.33, 0.45)),
    ("probability", 0.1, 1.0, PENTAGON, DIGONS, (0.24, 0.34)),
    ("all", 0.05, 0.5, PENTAGON, DIGONS, (0.18, 0.28)),
    ("all", 0.5, 0.95, DIGONS, TRIANGLE, (0.61, 0.655)),
)
WINNERS_AT = (0.05, 0.2, 0.25, 0.4, 0.6, 0.7, 0.8, 0.95)      # p of all five at which the lowest minimum is sought
STARTS = 6
POINTS, FULL_POINTS = 25, 101                       # of each curve
PAPER = 2.5                                         # "collapses when it is about 2.5 times less frequent"


def features(vary, value):
    scaled = np.array([1, 1, 1, 1, value])
    return tm.Features(5, value if vary == "all" else P * scaled if vary == "probability" else P,
                       scaled if vary == "importance" else 1.0)


def closed_form(vary, geometry, value):
    """The energy by the closed forms of `tm.energies`, or None for a pentagon that is not regular."""
    p = value if vary == "all" else P
    law = features(vary, value)
    if geometry == DIGONS:
        return tm.energies.digons(2, p, dropped=1, dropped_probability=float(law.feature_probability[4]),
                                  dropped_importance=float(law.importance[4])).loss
    if vary == "all":
        return (tm.energies.polygon(5, p).loss if geometry == PENTAGON else
                tm.energies.polygon(3, p).loss + 2 * tm.energies.dropped(p).loss)


def curve(vary, geometry, values, anchor, model):
    """The energy at ascending `values`: in closed form, or relaxed step by step from `model` at `anchor` outwards."""
    energy = {}
    for outwards in ([v for v in values if v >= anchor], [v for v in reversed(values) if v < anchor]):
        near = model
        for v in outwards:
            energy[v] = closed_form(vary, geometry, v)
            if energy[v] is None:
                minimum = tm.find_minimum(features(vary, v), 2, initial=near[None])
                energy[v], near = minimum.loss, minimum.model
    return [energy[v] for v in values]


def limit_of(model, vary, low, high):
    """The StabilityLimit, or None where the branch is a local minimum all the way."""
    try:
        return tm.stability_limit(model, tm.Parameter(lambda v: features(vary, v), low, high))
    except ValueError as error:
        if "everywhere" not in str(error):
            raise
        return None


def solve(vary, low, high, first, second, near, winners, points):
    """The record of one change of geometry: the critical point, both slopes, both stability limits and both curves."""
    names, p = (first, second), near[0] if vary == "all" else P
    found = sorted(zip(WINNERS_AT, winners), key=lambda pair: abs(pair[0] - p))
    starts = [next(dropped_last(w.model) for _, w in found if w.geometry == name) for name in names]
    critical = tm.critical_point(*starts, tm.Parameter(lambda v: features(vary, v), *near))
    change = {"vary": vary, "from": low, "to": high, "critical": critical.value, "loss": critical.loss, "branches": []}
    values = np.linspace(low, high, points)
    for name, slope, model in zip(names, critical.slopes, critical.models):
        limit = limit_of(model, vary, low, high)
        stable = [low, high]
        if limit is not None:
            stable[limit.value > critical.value] = limit.value
        grid = [float(v) for v in np.unique([*values, critical.value, *stable]) if stable[0] <= v <= stable[1]]
        change["branches"].append({
            "geometry": name, "slope": slope, "limit": None if limit is None else limit.value,
            "kind": None if limit is None else limit.kind, "stable": stable, "values": grid,
            "energy": curve(vary, name, grid, critical.value, model), "W": model.W, "b": model.b})
    change["coexistence"] = [max(b["stable"][0] for b in change["branches"]),
                             min(b["stable"][1] for b in change["branches"])]
    return change


def dropped_last(model):
    """The model with its features in the order of falling norms: feature 5 is one that is dropped, if any is."""
    order = np.argsort(-tm.norms(model.W), kind="stable")
    return tm.ReluOutput(model.W[:, order], model.b[order])


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/critical_points.py --out out", full="finer curves in the figure")
    options = common.parse(parser, arguments)
    winners = [tm.find_minimum(features("all", p), 2, starts=STARTS, seed=options.seed)
               for p in tqdm(WINNERS_AT, desc="winners", unit="p", disable=None, leave=False)]
    missing = {PENTAGON, DIGONS, TRIANGLE} - {minimum.geometry for minimum in winners}
    if missing:
        raise SystemExit(f"no start led to: {', '.join(missing)}; try another --seed")
    changes = [solve(*change, winners, FULL_POINTS if options.full else POINTS)
               for change in tqdm(CHANGES, desc="changes", unit="change", disable=None, leave=False)]

    print(f"n = 5, m = 2, seed {options.seed}; p = {P} where one feature is varied")
    for change in changes:
        a, b = change["branches"]
        print(f"{LABELS[change['vary']]}: {a['geometry']} and {b['geometry']} cost the same\n"
              f"  at {change['critical']:.10f}; slopes dE/dv {a['slope']:.6f} and {b['slope']:.6f}, "
              f"which differ by {abs(a['slope'] - b['slope']):.6f}: first-order")
        for branch in (a, b):
            print(f"  {branch['geometry']:<20} " + (
                f"a local minimum from {change['from']:g} to {change['to']:g} throughout" if branch["limit"] is None else
                f"stops being a local minimum at {branch['limit']:.8f} ({branch['kind']})"))
    print(f"paper: about {PAPER:g} times less frequent, where the fifth point collapses")
    for change in changes:
        if change["vary"] != "all":
            word = "frequent" if change["vary"] == "probability" else "important"
            limit = change["branches"][0]["limit"]
            print(f"exact: {1 / change['critical']:.3f} times less {word}; the pentagon lasts, as a local minimum, "
                  + ("throughout" if limit is None else f"until {1 / limit:.3f} times less"))
    print(f"lowest minimum of {STARTS} starts, all five alike: "
          + "; ".join(f"p = {p:g} {minimum.geometry}" for p, minimum in zip(WINNERS_AT, winners)))

    figure = figures.critical_points(changes, LABELS, {"probability": (1 / PAPER, f"paper: {1 / PAPER:g}")})
    record = {"n": 5, "m": 2, "p": P, "seed": options.seed, "paper": PAPER, "changes": changes, "winners": [
        {"p": p, "geometry": minimum.geometry, "loss": minimum.loss, "W": minimum.model.W, "b": minimum.model.b}
        for p, minimum in zip(WINNERS_AT, winners)]}
    for path in common.write(figure, record, options.out / "critical_points"):
        print("wrote", path)


if __name__ == "__main__":
    main()
