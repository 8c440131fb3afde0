"""Phase diagrams of the extra feature: the paper's candidates, true minima, what training finds.

Two features in one dimension, and three in two. The last feature has its relative importance and
all have the feature probability varied; it is not learned, superposed on another, or has a
dimension of its own. The paper compares a few fixed weights in each cell and leaves out the joint
solution of three features (the triangle).
"""

import common
import numpy as np
from tqdm.auto import tqdm

import toymodels_np as tm

SIZES = ((2, 1), (3, 2))                            # features, hidden dimensions
GRID, FULL_GRID = (14, 10), (40, 40)                # cells a side; even, since features tie at 1
IMPORTANCE, PROBABILITY = (0.1, 10), (0.01, 1)      # from, to; spaced evenly on log axes
NEAR = ((0.7, 1.45), (0.5, 1))                      # where the joint solution wins, 3 in 2
NEAR_GRID, FULL_NEAR = 6, 16
EVERY, STARTS = 2, 4                                # train every second cell along each axis
STEPS, BATCH, RATE = 1600, 256, 0.02
FULL_TRAINING = (4000, 512)                         # steps, batch
PUSH = 0.02                                         # of the largest norm^2: an interference counts


def train(n, m, importance, probability, steps, batch, seed):
    """The best of STARTS models in each cell, by exact loss: W (R, P, m, n); losses (R, P, S)."""
    r, p = (np.repeat(a.ravel(), STARTS)
            for a in np.meshgrid(importance, probability, indexing="ij"))
    weights = np.ones((len(r), n))
    weights[:, -1] = r
    features = tm.Features(n, p[:, None], weights)
    model = tm.train(tm.ReluOutput.init(n, m, len(r), seed=seed), features, steps=steps,
                     batch_size=batch, learning_rate=RATE, schedule="cosine", seed=seed,
                     record_every=steps).model
    shape = len(importance), len(probability), STARTS
    losses = tm.expected_loss(model, features).reshape(shape)
    best = losses.argmin(-1)[..., None, None, None]
    return np.take_along_axis(model.W.reshape(*shape, m, n), best, 2)[:, :, 0], losses


def is_joint(W):
    """Where three features all push each other away, W (..., m, n): a triangle or nearly so."""
    G = tm.gram(W)
    others = ~np.eye(W.shape[-1], dtype=bool)
    pushed = G[..., others] < -PUSH * G.max((-1, -2))[..., None]
    return pushed.all(-1) & (W.shape[-1] == 3)


def solve(n, m, cells, training, seed):
    """Candidates, true minima and trained models for n features in m dimensions, as arrays."""
    importance, probability = (np.geomspace(*span, cells) for span in (IMPORTANCE, PROBABILITY))
    truth = tm.phase_diagram(n, m, importance=importance, feature_probability=probability,
                             seed=seed)
    W, losses = train(n, m, importance[::EVERY], probability[::EVERY], *training, seed)
    flat = W.reshape(-1, m, n)
    geometry = np.array([tm.name_geometry(w) for w in flat]).reshape(W.shape[:2])
    phase = np.array([tm.extra_phase(w) for w in flat]).reshape(W.shape[:2])
    return {"n": n, "m": m, "importance": importance, "feature_probability": probability,
            "loss": truth.loss, "candidate_loss": truth.candidate_loss, "phase": truth.phase,
            "candidate_phase": truth.candidate_phase, "geometry": truth.geometry,
            "differs": truth.differs, "joint": is_joint(truth.model.W),
            "gradient_norm": truth.gradient_norm.max(),
            "largest_gap": (truth.candidate_loss - truth.loss).max(),
            "trained_importance": importance[::EVERY], "trained_probability": probability[::EVERY],
            "trained_phase": phase, "trained_geometry": geometry, "trained_joint": is_joint(W),
            "trained_losses": losses, "found": phase == truth.phase[::EVERY, ::EVERY]}


def solve_near(cells, seed):
    """The true minima of 3 in 2 where all features matter about the same, and none is rare."""
    (low, high), (start, end) = NEAR
    importance, probability = np.geomspace(low, high, cells), np.linspace(start, end, cells)
    truth = tm.phase_diagram(3, 2, importance=importance, feature_probability=probability,
                             seed=seed)
    return {"importance": importance, "feature_probability": probability, "phase": truth.phase,
            "loss": truth.loss, "geometry": truth.geometry, "joint": is_joint(truth.model.W),
            "gradient_norm": truth.gradient_norm.max(),
            "gain": (truth.candidate_loss - truth.loss) / truth.candidate_loss}


def describe(d):
    """Print how one diagram's true minima differ from the candidates, and how many are found."""
    cells, trained = d["differs"].size, d["found"].size
    row, column = np.unravel_index((d["candidate_loss"] - d["loss"]).argmax(), d["loss"].shape)
    print(f"{d['n']} features in {d['m']}: {d['differs'].sum()} of {cells} cells differ from the "
          f"best fixed candidate, largest gradient norm {d['gradient_norm']:.1e}")
    print(f"  largest energy gap {d['largest_gap']:.6f}, "
          f"{d['largest_gap'] / d['candidate_loss'][row, column]:.1%} of the candidate's, at "
          f"importance {d['importance'][row]:.3g}, p = {d['feature_probability'][column]:.3g}")
    print(f"  the best of {STARTS} trained models has the true minimum's phase in "
          f"{d['found'].sum()} of {trained} cells")


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/03_phase_diagram.py --seed 1",
                           full=f"{FULL_GRID[0]} x {FULL_GRID[1]} cells and longer training, "
                                f"about 10 minutes")
    options = common.parse(parser, arguments)
    grids, training = (FULL_GRID, FULL_TRAINING) if options.full else (GRID, (STEPS, BATCH))
    diagrams = [solve(n, m, cells, training, options.seed) for (n, m), cells in
                tqdm(zip(SIZES, grids), total=2, desc="diagrams", disable=None, leave=False)]
    near = solve_near(FULL_NEAR if options.full else NEAR_GRID, options.seed)

    for d in diagrams:
        describe(d)
    joint, everywhere = near["joint"], diagrams[1]["joint"]
    print(f"  joint solution (triangle, regular or not), which the paper leaves out: "
          f"{everywhere.sum()} of {everywhere.size} cells;\n"
          f"  near equal importances {joint.sum()} of {joint.size} cells")
    if joint.any():
        p = near["feature_probability"][joint.any(0)]
        print(f"  with p from {p.min():.2f} to {p.max():.2f}, up to "
              f"{near['gain'][joint].max():.1%} below the best candidate")

    figure = tm.plots.phase_diagram(diagrams, near)
    record = {"seed": options.seed, "diagrams": diagrams, "near": near}
    for path in common.write(figure, record, options.out / "phase_diagram"):
        print("wrote", path)


if __name__ == "__main__":
    main()
