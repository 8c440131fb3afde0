"""The price of legibility: what nearly orthogonal directions cost, and what a price on interference
buys.

Left: the lowest exact loss under a bound c on |cos| between any two directions, in units of what
c = 0 costs, for three features in two dimensions and for five. Circles mark kinks: there another
geometry becomes possible. Right: with a price on interference, the loss without the price and the
coherence of the minimum.
"""

import common
import matplotlib.pyplot as plt
import numpy as np

import toymodels_np as tm

SIZES, P = ((3, 2), (5, 2)), 0.05
BOUNDS, PRICES = np.linspace(0, 1, 6), np.logspace(-4, 0, 5)
FULL_BOUNDS, FULL_PRICES = np.linspace(0, 1, 41), np.logspace(-4, 0, 25)
STARTS = 1
JUMP = 0.05                     # a fall by this share of the cost between two bounds is a kink


def coherence(W):
    """The largest |cos| between two columns of W that are not dropped."""
    size = tm.norms(W)
    W = W[:, size > 0.1] / size[size > 0.1]
    return float(np.triu(abs(tm.gram(W)), 1).max(initial=0))


def frontier(n, m, bounds, seed):
    """The lowest losses under the bounds, relative to the cost of orthogonality. (14.6)"""
    features = tm.Features(n, P)
    losses = [common.find_minimum(features, m, starts=STARTS, seed=seed, coherence=c).loss
              for c in bounds]
    return np.array(losses) / ((n - m) * P * (4 - 3 * P) / 12)


def priced(n, m, prices, seed):
    """The loss without the price and the coherence of the minima at these prices, (2, prices)."""
    features, result = tm.Features(n, P), []
    for price in prices:
        model = common.find_minimum(features, m, starts=8, seed=seed, interference=price).model
        result.append((float(tm.expected_loss(model, features)), coherence(model.W)))
    return np.array(result).T


def draw(record):
    """Both panels."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    angle = right.twinx()
    for colour, (name, x) in zip(("tab:blue", "tab:orange"), record["sizes"].items()):
        cost = np.array(x["cost"])
        left.plot(record["bounds"], cost, ".-", color=colour, label=name)
        kinks = np.flatnonzero(-np.diff(cost) > JUMP) + 1
        left.plot(np.array(record["bounds"])[kinks], cost[kinks], "o", color=colour, ms=11,
                  fillstyle="none")
        right.semilogx(record["prices"], x["loss"], ".-", color=colour, label=name)
        angle.semilogx(record["prices"], x["coherence"], ".:", color=colour)
    left.plot([], [], "ko", ms=11, fillstyle="none", label="another geometry becomes possible")
    left.set(xlabel="bound on the coherence, max |cos|", ylabel="loss / loss of orthogonality",
             ylim=(0, 1.05), title="Forbidden: a bound on what directions share")
    right.set(xlabel="price of interference", ylabel="loss without the price",
              title="Taxed: a price on interference")
    angle.set(ylabel="coherence (dotted)", ylim=(-0.02, 1.05))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def lines(record):
    """The key numbers in words, a line each."""
    for name, x in record["sizes"].items():
        cost = ", ".join(f"{c:.3f} at {bound:.2g}" for bound, c in zip(record["bounds"], x["cost"]))
        yield f"{name}: loss / loss of orthogonality under a bound: {cost}"
        paid = zip(record["prices"], x["loss"], x["coherence"])
        yield f"{name}: loss and coherence at a price: " + ", ".join(
            f"{loss:.5f} and {cosine:.2f} at {price:.0e}" for price, loss, cosine in paid)


def main(arguments=None):
    full = common.parser(__doc__, "python examples/price_of_legibility.py --out out",
                         full="more bounds and prices, some twenty minutes")
    options = common.parse(full, arguments)
    bounds, prices = (FULL_BOUNDS, FULL_PRICES) if options.full else (BOUNDS, PRICES)
    record = {"p": P, "bounds": bounds, "prices": prices, "sizes": {}}
    for n, m in SIZES:
        loss, cosine = priced(n, m, prices, options.seed)
        record["sizes"][f"{n} features in {m}"] = {
            "cost": frontier(n, m, bounds, options.seed), "loss": loss, "coherence": cosine}
    print("\n".join(lines(record)))
    for path in common.write(draw(record), record, options.out / "price_of_legibility"):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
