"""A model and a law of your own: a leaky ReLU at the output, and features that are 0 or 1.

A model is a subclass of tm.Model: the shapes of its parameters, a forward pass and, under it, the
backward pass. A law is a subclass of tm.Features with another `sample`. From there on everything
that trains or looks is the same; what is exact only for the package's own models is refused.
Change SLOPE, or the law, and see which geometry wins.
"""

import common
import numpy as np

import toymodels_np as tm

N, M, P = 5, 2, 0.05                        # features, hidden dimensions, feature probability
SLOPE = 0.1                                 # of the leaky ReLU below zero
INSTANCES, STEPS, BATCH, RATE = 6, 3000, 256, 0.01


class Leaky(tm.Model):
    """x' = leaky(W'W x + b), where leaky(z) is z above 0 and SLOPE z below."""

    parameter_shapes = {"W": "mn", "b": "n"}            # (..., m, n) and (..., n)

    def _forward(self, x):
        W, b = self.parameters
        h = x @ W.swapaxes(-1, -2)                      # (..., B, m)
        z = h @ W + b[..., None, :]                     # (..., B, n)
        return np.where(z > 0, z, SLOPE * z), (h, z)

    def _backward(self, x, cache, d_output):
        W, _ = self.parameters
        h, z = cache
        dz = d_output * np.where(z > 0, 1, SLOPE).astype(z.dtype)                   # (..., B, n)
        dh = dz @ W.swapaxes(-1, -2)                                                # (..., B, m)
        dW = h.swapaxes(-1, -2) @ dz + dh.swapaxes(-1, -2) @ x                      # (..., m, n)
        return dW, dz.sum(-2)


class Binary(tm.Features):
    """Features that are 1 where they are active: the same law with its values rounded up."""

    def sample(self, rng, batch_size, *, dtype=np.float64):
        return np.ceil(super().sample(rng, batch_size, dtype=dtype))


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/your_own_model.py --seed 1")
    options = common.parse(parser, arguments)
    features = Binary(N, P)
    models = Leaky.init(N, M, INSTANCES, seed=options.seed)
    x = Binary(N, 0.5).sample(np.random.default_rng(options.seed), 64)
    print(f"relative error of the gradient: {tm.check_gradient(models, x, features):.1e}")

    history = tm.train(models, features, steps=STEPS, batch_size=BATCH, learning_rate=RATE,
                       schedule="cosine", seed=options.seed)
    x = features.sample(np.random.default_rng(options.seed), 100_000)
    losses = [history.model[i].loss(x, features) for i in range(INSTANCES)]
    names = [tm.name_geometry(W) for W in history.model.W]
    for name, loss in zip(names, losses):
        print(f"loss {loss:.5f}  {name}")

    best = history.model[int(np.argmin(losses))]
    figure = tm.plots.canvas(13, 6)
    left, right = figure.subplots(1, 2)
    tm.plots.geometry(best.W, ax=left).set_title("the best model's directions")
    tm.plots.history(history, ax=right)
    record = {"slope": SLOPE, "geometry": names, "loss": losses, "W": best.W, "b": best.b}
    for path in common.write(figure, record, options.out / "your_own_model"):
        print("wrote", path)


if __name__ == "__main__":
    main()
