"""What the page shows and no browser can work out: solved once, kept beside this file.

    python -m toymodels_np.teaching.explorer.solved     solves all of it anew, in seven minutes

solved.npz has the true minima of two phase diagrams and a life, flow and training, as float32;
lines.json has the energies of branches along four parameters, with crossings and limits. They come
from what `theory` has: closed forms, `critical_point`, `stability_limit`.
Equations (5.k) and (6.k) are in derivations/05-energies.md and 06-phase-changes.md.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from tqdm.auto import tqdm

from ...core.features import Features
from ...core.models import ReluOutput
from ...engine.train import train
from ...experiments.phase_grids import Grid, solve
from ...geometry import polytopes
from ...geometry.tegum import geometry_of
from ...store import files
from ...theory import energies
from ...theory.branches import (
    NEAR,
    STEP,
    Parameter,
    critical_point,
    sharp_lowest,
    stability_limit,
)
from ...theory.exact.loss import expected_loss
from ...theory.flow import gradient_flow

ARRAYS, LINES = (Path(__file__).with_name(name) for name in ("solved.npz", "lines.json"))
GRIDS = Grid(2, 1, 100), Grid(3, 2, 100)        # of true minima, as in rows 4 and 5
P = 0.05                                        # feature probability where one feature is varied
POINTS = 61                                     # of a curve
SETS = ((0, 1, 2), (3, 4, 5))                   # a life: two correlated sets in three dimensions
LIFE_P, SCALE, SEED, T_FINAL = 0.1, 0.01, 0, 1e5
EARLY = 1e-1                                    # the flow is shown from this time on
TRAINING = {"steps": 4000, "batch_size": 512, "learning_rate": 0.01, "schedule": "constant",
            "record_every": 20, "seed": SEED, "progress": False}


# -- lines: energies along a parameter ------------------------------------------------------------

class Line(NamedTuple):
    """A parameter of n features in m dimensions, and the branches along it.

    vary : "importance" or "probability" of the last feature, or "all" probabilities
    low, high : the values that are drawn
    at : {name of a branch: a value at which it is a minimum}
    crossings, limits : which branches cross, and which end, within what range. A feature with a
        dimension of its own sits on a kink, where nothing says how long its branch is stable
    """

    name: str
    title: str
    vary: str
    n: int
    m: int
    low: float
    high: float
    at: dict
    crossings: tuple
    limits: tuple

    def law(self, v):
        """The Features at the value v."""
        p, importance = np.full(self.n, v if self.vary == "all" else P), np.ones(self.n)
        if self.vary == "probability":
            p[-1] *= v
        elif self.vary == "importance":
            importance[-1] = v
        return Features(self.n, p, importance)


PENTAGON, DIGONS, TRIANGLE = "pentagon", "2 digons + dropped", "triangle + 2 dropped"
SOLID, ORTHOGONAL, TETRA = "triangle + digon", "2 digons + orthogonal", "tetrahedron + dropped"
KNOWN = (                   # where each branch is taken from a closed form, and where it changes
    Line("importance", "importance of feature 4", "importance", 5, 2, 0.1, 1.2,
         {PENTAGON: 1.0, DIGONS: 0.3},
         ((PENTAGON, DIGONS, 0.33, 0.45),), ((PENTAGON, 0.1, 1.0), (DIGONS, 0.1, 1.2))),
    Line("probability", "p of feature 4, as a part of the others'", "probability", 5, 2,
         0.1, 1.2, {PENTAGON: 1.0, DIGONS: 0.25},
         ((PENTAGON, DIGONS, 0.24, 0.34),), ((PENTAGON, 0.1, 1.0), (DIGONS, 0.1, 1.2))),
    Line("all", "p of all five features", "all", 5, 2, 0.02, 0.95,
         {PENTAGON: 0.1, DIGONS: 0.3, TRIANGLE: 0.75},
         ((PENTAGON, DIGONS, 0.18, 0.28), (DIGONS, TRIANGLE, 0.61, 0.655)),
         ((PENTAGON, 0.1, 0.95), (DIGONS, 0.02, 0.3), (DIGONS, 0.3, 0.95), (TRIANGLE, 0.02, 0.75),
          (TRIANGLE, 0.75, 0.95))),
    Line("solid", "p of all five, in three dimensions", "all", 5, 3,
         0.02, 0.95, {ORTHOGONAL: 0.3, SOLID: 0.6, TETRA: 0.8},
         ((ORTHOGONAL, SOLID, 0.4, 0.6),),
         ((SOLID, 0.02, 0.6), (SOLID, 0.6, 0.95), (TETRA, 0.3, 0.8),
          (TETRA, 0.8, 0.95))),
)


def closed(name, law):
    """The ReluOutput and the energy of a named geometry at equal p of all represented features."""
    p, n = float(law.feature_probability[0]), law.n_features
    parts = []                                          # [(unit columns, Energy)]
    if name == PENTAGON:
        parts = [(polytopes.polygon(5), energies.polygon(5, p))]
    elif name == TETRA:
        corners = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 3**0.5
        parts = [(corners, energies.simplex(3, p))]
    else:
        parts += [(polytopes.polygon(3), energies.polygon(3, p))] * ("triangle" in name)
        digons = 2 if name.startswith("2 digons") else name.endswith("+ digon")
        parts += [(polytopes.digon(), energies.antipodal(p))] * digons
        parts += [(np.ones((1, 1)), energies.Energy(0.0, 1.0, 0.0))] * name.endswith("orthogonal")
    m, loss = sum(len(unit) for unit, _ in parts), sum(energy.loss for _, energy in parts)
    W, b, row, column = np.zeros((m, n)), law.feature_probability / 2, 0, 0
    for unit, energy in parts:
        k, size = unit.shape
        W[row:row + k, column:column + size] = energy.norm * unit
        b[column:column + size] = energy.bias
        row, column = row + k, column + size
    for q, importance in zip(law.feature_probability[column:], law.importance[column:]):
        loss += energies.dropped(float(q), float(importance)).loss                      # (5.6)
    return ReluOutput(W, b), loss


def solve_line(line):
    """The record of a Line: crossings, limits, and curves where the branches are minima."""
    models = {name: closed(name, line.law(at))[0] for name, at in line.at.items()}
    crossings, limits = [], []
    for first, second, low, high in line.crossings:
        value, loss = crossing(line, models, first, second, low, high)
        crossings.append({"branches": [first, second], "value": value, "loss": loss})
    for name, low, high in line.limits:
        try:
            limit = stability_limit(models[name], Parameter(line.law, low, high))
        except ValueError as error:
            if "everywhere" not in str(error):          # that it is stable throughout is no error
                raise
        else:
            value, loss = limit.value, limit.loss
            if limit.kind == "crossing" and line.vary == "all":
                value = sharper(line, name, value)
                loss = closed(name, line.law(value))[1]
            limits.append({"branch": name, "value": value, "loss": loss, "kind": limit.kind})
    curves = {name: curve(line, name, models[name], limits) for name in line.at}
    return {"name": line.name, "title": line.title, "vary": line.vary, "n": line.n, "m": line.m,
            "low": line.low, "high": line.high, "p": P, "crossings": crossings, "limits": limits,
            "curves": curves}


def crossing(line, models, first, second, low, high):
    """(value, loss) where two branches cost the same: from closed forms, if both have one. (6.2)"""
    if line.vary != "all":
        point = critical_point(models[first], models[second], Parameter(line.law, low, high))
        return point.value, point.loss
    gap = lambda v: closed(first, line.law(v))[1] - closed(second, line.law(v))[1]
    value = scipy.optimize.brentq(gap, low, high, xtol=1e-13, rtol=1e-13)
    return value, closed(first, line.law(value))[1]


def sharper(line, name, value, step=STEP):
    """A crossing limit to ten digits, where the branch has a closed form. (6.3)

    `stability_limit` follows the branch by Newton's method, which leaves nine digits where the
    Hessian is singular. Here the branch is exact.
    """
    lowest = lambda v: sharp_lowest(closed(name, line.law(v))[0], line.law(v), step)
    return scipy.optimize.brentq(lowest, value - NEAR, value + NEAR, xtol=1e-13, rtol=1e-13)


def curve(line, name, model, limits):
    """The energies of a branch where it is a minimum, and W and b where it was taken from."""
    ends = [limit["value"] for limit in limits if limit["branch"] == name]
    low = max([line.low, *(v for v in ends if v < line.at[name])])
    high = min([line.high, *(v for v in ends if v > line.at[name])])
    values = np.unique([*np.linspace(low, high, POINTS), line.at[name]])
    loss = {}
    for outwards in (values[values >= line.at[name]], values[values < line.at[name]][::-1]):
        near = model
        for v in map(float, outwards):
            if name == PENTAGON and line.vary != "all":
                branch = energies.local_minimum(near.W, near.b, line.law(v).feature_probability,
                                                line.law(v).importance)
                near, loss[v] = ReluOutput(branch.W, branch.bias), branch.loss
            else:
                loss[v] = closed(name, line.law(v))[1]
    return {"at": line.at[name], "W": model.W.tolist(), "b": model.b.tolist(),
            "values": [float(v) for v in values], "loss": [float(loss[float(v)]) for v in values]}


# -- a life ---------------------------------------------------------------------------------------

def life():
    """Exact flow and training from the same first weights: (arrays, plateaus, names of shapes)."""
    features = Features(6, LIFE_P, correlated=SETS)
    start = ReluOutput(SCALE * np.random.default_rng(SEED).normal(size=(3, 6)), np.zeros(6))
    flow = gradient_flow(start, features, t_final=T_FINAL)
    history = train(start, features, **TRAINING)
    shown = flow.times >= EARLY
    arrays = {"flow_at": flow.times[shown], "flow_loss": flow.losses[shown],
              "flow_W": flow.parameters.W[shown],
              "training_at": history.steps, "training_W": history.parameters.W,
              "training_loss": expected_loss(history.parameters, features, rtol=1e-8)}
    plateaus = [{"start": max(plateau.start, EARLY), "end": plateau.end, "loss": plateau.loss,
                 "geometry": plateau.geometry, "index": plateau.index}
                for plateau in flow.plateaus if plateau.end > EARLY]
    shapes = {kind: [geometry_of(W) for W in arrays[f"{kind}_W"].astype(float)]
              for kind in ("flow", "training")}
    return arrays, plateaus, shapes


# -- what is kept ---------------------------------------------------------------------------------

@cache
def kept():
    """({name: array}, {"lines": [...], "plateaus": [...], "shapes": {…}}), as they were written."""
    with np.load(ARRAYS) as file:
        arrays = dict(file)
    return arrays, json.loads(LINES.read_text(encoding="utf-8"))


def minima(grid):
    """The kept true minima of one of the GRIDS, a float64 ReluOutput with instances (R, P)."""
    arrays, _ = kept()
    return ReluOutput(*(arrays[f"{grid.name}_{part}"].astype(np.float64) for part in "Wb"))


def main():
    """Solve all of it and write both files."""
    solved = [solve_line(line) for line in tqdm(KNOWN, desc="lines", disable=None)]
    arrays, plateaus, shapes = life()
    for grid in tqdm(GRIDS, desc="grids", disable=None):
        model = solve(grid)
        arrays |= {f"{grid.name}_{part}": getattr(model, part) for part in "Wb"}
    np.savez_compressed(ARRAYS, **{name: a.astype(np.float32) for name, a in arrays.items()})
    said = {"lines": solved, "plateaus": plateaus, "shapes": shapes}
    files.write_text(LINES, json.dumps(said, indent=1) + "\n")
    print(f"wrote {ARRAYS} and {LINES}")


if __name__ == "__main__":
    sys.exit(main())
