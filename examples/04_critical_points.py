"""From the pentagon to digons, and on to the triangle: where two geometries cost the same.

Five features in two dimensions. What varies is one feature's importance, one feature's probability,
or the probability of all five alike. At a critical point two energies cross with different slopes,
a first-order change; each geometry stays a local minimum beyond it, up to its stability limit, so
that training can stick to either (hysteresis). Features are numbered from 0: the one is feature 4.
"""

import common
import numpy as np
from tqdm.auto import tqdm

import toymodels_np as tm

P = 0.05                                            # probability where one feature is varied
PENTAGON, DIGONS, TRIANGLE = "pentagon", "2 digons + dropped", "triangle + 2 dropped"
LABELS = {vary: f"{vary} of feature 4, relative to the others"
          for vary in ("importance", "probability")} | {"all": "probability p of all five features"}
CHANGES = (                 # what varies, from, to, two geometries, a range around the crossing
    ("importance", 0.1, 1.0, PENTAGON, DIGONS, (0.33, 0.45)),
    ("probability", 0.1, 1.0, PENTAGON, DIGONS, (0.24, 0.34)),
    ("all", 0.05, 0.5, PENTAGON, DIGONS, (0.18, 0.28)),
    ("all", 0.5, 0.95, DIGONS, TRIANGLE, (0.61, 0.655)),
)
TITLES = {"importance": "one feature's importance", "probability": "one feature's probability",
          "all": "the probability of all"}
WINNERS_AT = (0.05, 0.2, 0.25, 0.4, 0.6, 0.7, 0.8, 0.95)    # p of all, for the lowest minimum
STARTS = 6
POINTS = 41                                         # of each curve
PAPER = 2.5                                         # "collapses when 2.5 times less frequent"


def features(vary, value):
    scaled = np.array([1, 1, 1, 1, value])
    p = {"all": value, "probability": P * scaled, "importance": P}[vary]
    return tm.Features(5, p, scaled if vary == "importance" else 1.0)


def closed_form(vary, geometry, value):
    """The energy by the closed forms, or None for a pentagon that is not regular."""
    p, law = value if vary == "all" else P, features(vary, value)
    if geometry == DIGONS:
        return tm.energies.digons(2, p, dropped=1, dropped_probability=law.feature_probability[4],
                                  dropped_importance=law.importance[4]).loss
    if vary == "all":
        return (tm.energies.polygon(5, p).loss if geometry == PENTAGON else
                tm.energies.polygon(3, p).loss + 2 * tm.energies.dropped(p).loss)


def curve(vary, geometry, values, anchor, model):
    """The energy at ascending `values`: closed, or relaxed from `model` at `anchor` outwards."""
    energy = {}
    up, down = [v for v in values if v >= anchor], [v for v in values[::-1] if v < anchor]
    for outwards in (up, down):
        near = model
        for v in outwards:
            energy[v] = closed_form(vary, geometry, v)
            if energy[v] is None:
                minimum = common.find_minimum(features(vary, v), 2, initial=near[None])
                energy[v], near = minimum.loss, minimum.model
    return [energy[v] for v in values]


def branch_of(vary, low, high, critical, k, name):
    """The record of one of the two branches that meet at `critical`, with its limit, if any."""
    model, stable, limit = critical.models[k], [low, high], None
    try:
        limit = tm.stability_limit(model, tm.Parameter(lambda v: features(vary, v), low, high))
        stable[int(limit.value > critical.value)] = limit.value
    except ValueError as error:
        if "everywhere" not in str(error):          # that it is stable throughout is no error here
            raise
    values = np.unique([*np.linspace(low, high, POINTS), critical.value, *stable])
    grid = [float(v) for v in values if stable[0] <= v <= stable[1]]
    return {"geometry": name, "slope": critical.slopes[k], "W": model.W, "b": model.b,
            "limit": limit and limit.value, "kind": limit and limit.kind, "stable": stable,
            "values": grid, "energy": curve(vary, name, grid, critical.value, model)}


def solve(change, winners):
    """The record of one change of geometry: where they cross, slopes, limits and both curves."""
    vary, low, high, *names, near = change
    p = near[0] if vary == "all" else P
    found = sorted(zip(WINNERS_AT, winners), key=lambda pair: abs(pair[0] - p))
    starts = [next(w.model for _, w in found if w.geometry == name) for name in names]
    starts = [model.from_parameters([a[..., np.argsort(-tm.norms(model.W))]     # 4 is dropped
                                     for a in model.parameters]) for model in starts]
    critical = tm.critical_point(*starts, tm.Parameter(lambda v: features(vary, v), *near))
    branches = [branch_of(vary, low, high, critical, k, name) for k, name in enumerate(names)]
    return {"vary": vary, "title": TITLES[vary], "from": low, "to": high,
            "critical": critical.value, "loss": critical.loss, "branches": branches,
            "coexistence": [max(b["stable"][0] for b in branches),
                            min(b["stable"][1] for b in branches)]}


def describe(change):
    """Print where two geometries cost the same, and how far each lasts."""
    a, b = change["branches"]
    print(f"{LABELS[change['vary']]}: {a['geometry']} and {b['geometry']} cost the same\n"
          f"  at {change['critical']:.10f}; slopes dE/dv {a['slope']:.6f} and {b['slope']:.6f}, "
          f"which differ by {abs(a['slope'] - b['slope']):.6f}: first-order")
    for branch in (a, b):
        lasts = (f"a local minimum from {change['from']:g} to {change['to']:g} throughout"
                 if branch["limit"] is None else
                 f"stops being a local minimum at {branch['limit']:.8f} ({branch['kind']})")
        print(f"  {branch['geometry']:<20} {lasts}")
    if change["vary"] != "all":
        word = "frequent" if change["vary"] == "probability" else "important"
        lasts = "throughout" if a["limit"] is None else f"until {1 / a['limit']:.3f} times less"
        print(f"exact: {1 / change['critical']:.3f} times less {word}; the pentagon lasts, as a "
              f"local minimum, {lasts}")


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/04_critical_points.py --out out")
    options = common.parse(parser, arguments)
    winners = [common.find_minimum(features("all", p), 2, starts=STARTS, seed=options.seed)
               for p in tqdm(WINNERS_AT, desc="winners", unit="p", disable=None, leave=False)]
    if missing := {PENTAGON, DIGONS, TRIANGLE} - {minimum.geometry for minimum in winners}:
        raise SystemExit(f"no start led to: {', '.join(missing)}; try another --seed")
    changes = [solve(change, winners)
               for change in tqdm(CHANGES, desc="changes", disable=None, leave=False)]

    print(f"n = 5, m = 2, seed {options.seed}; p = {P} where one feature is varied\n"
          f"paper: about {PAPER:g} times less frequent, where the fifth point collapses")
    for change in changes:
        describe(change)
    print(f"lowest minimum of {STARTS} starts, all five alike: " + "; ".join(
        f"p = {p:g} {minimum.geometry}" for p, minimum in zip(WINNERS_AT, winners)))
    figure = tm.plots.critical_points(
        changes, LABELS, {"probability": (1 / PAPER, f"paper: {1 / PAPER:g}")})
    record = {"n": 5, "m": 2, "p": P, "seed": options.seed, "paper": PAPER, "changes": changes,
              "winners": [{"p": p, "geometry": minimum.geometry, "loss": minimum.loss}
                          for p, minimum in zip(WINNERS_AT, winners)]}
    for path in common.write(figure, record, options.out / "critical_points"):
        print("wrote", path)


if __name__ == "__main__":
    main()
