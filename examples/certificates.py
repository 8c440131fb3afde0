"""Minima that are proved: the pentagon, the two digons, and a saddle that leads away from these.

Five features in two dimensions, p = 0.05. Each stationary point is proved in ball arithmetic to
exist, to be alone in a box, and to be a minimum or a saddle; each certificate is written to a file,
and checked by a program that shares nothing with the one that made it. The figure shows the three
models, the intervals in which their losses lie, and the boxes in which each is alone.
"""

import common
import numpy as np

import toymodels_np as tm

P = 0.05
SMALLEST = 1e-22                        # of the logarithmic axis of widths


def digons():
    """Two digons and a dropped feature, in closed form."""
    e = tm.energies.antipodal(P)
    W = np.hstack([np.kron(np.eye(2), [e.norm, -e.norm]), np.zeros((2, 1))])
    return tm.ReluOutput(W, np.append(np.full(4, e.bias), P / 2))


def points(features):
    """The three models by name; what floats say of them, nothing is proved yet."""
    two = digons()
    pushed = tm.ReluOutput(two.W + 0.3 * np.eye(2, 5, 4), two.b)    # the dropped feature moves out
    return {"pentagon": common.find_minimum(features, 2, starts=4).model,
            "2 digons + dropped": two, "saddle": tm.climb_to_saddle(pushed, features)}


def draw(models, certificates, path):
    """Models above; below the losses, and the widths of their intervals beside the boxes' radii."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 3, figsize=(11, 7), height_ratios=[3, 2], layout="constrained")
    for ax, (name, model) in zip(axes[0], models.items(), strict=True):
        tm.plots.geometry(model.W, ax=ax)
        ax.set_title(f"{name}\nindex {certificates[name].index}, proved")
    for ax in axes[1]:
        ax.remove()
    left, right = (figure.add_subplot(axes[1, 0].get_gridspec()[1, k]) for k in (slice(0, 2), 2))
    for k, c in enumerate(certificates.values()):
        low, high = map(float, c.loss_interval)
        left.plot(low, k, "o", color="black")
        left.annotate(f"{low:.15f}", (low, k), xytext=(0, 8), textcoords="offset points",
                      ha="center")
        right.plot([float(c.loss_interval[1] - c.loss_interval[0]), float(c.radius)], [k, k], "-o",
                   color="black")
    left.set(yticks=range(3), yticklabels=list(certificates), ylim=(-0.5, 2.7), xlabel="exact loss")
    left.margins(x=0.2)
    right.set(xscale="log", xlim=(SMALLEST, 1), yticks=[], ylim=(-0.5, 2.7),
              xlabel="width of the loss interval (left)\nand radius of uniqueness (right)")
    figure.savefig(path)
    plt.close(figure)


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/certificates.py --out out", seed=False)
    options = common.parse(parser, arguments)
    features, certificates = tm.Features(5, P), {}
    models = points(features)
    for name, model in models.items():
        c = certificates[name] = tm.certify(model, features)
        file = options.out / f"certificate-{name.replace(' ', '-').replace('-+', '')}.json"
        c.save(file)
        low, high = c.loss_interval
        print(f"{name}: index {c.index}, alone within {float(c.radius):g}, loss {float(low):.16f}, "
              f"known to {float(high - low):.0e}; checked: {tm.check_certificate(file)}")
    figure = options.out / "certificates.png"
    draw(models, certificates, figure)
    print(f"wrote {figure}")


if __name__ == "__main__":
    main()
