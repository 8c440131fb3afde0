"""Row 17: six features, twelve neurons' work for ten neurons: the asymmetric superposition motif.

Twelve sides of features want a neuron each and there are ten. A neuron then stores two features unequally, reading one
strongly and writing it weakly and the other way round, and a second neuron inhibits the output that would be wrongly
excited. A finder looks for this in every model of starts that nobody picked; with twelve neurons it must find nothing.
"""

import numpy as np

from ..core.features import Features
from ..core.models import AbsoluteValue
from ..engine.train import train
from ..geometry.neurons import asymmetric_motifs
from ..theory.exact.loss import estimate_loss
from .. import plots
from .claims import Claim
from .base import Experiment

SECTION = "Computation in Superposition: the Asymmetric Superposition Motif"
SETTINGS = {"n_features": 6, "n_hidden": 10, "room": 12, "decay": 0.8, "feature_probability": 0.2, "models": 20,
            "steps": 4000, "batch_size": 256, "learning_rate": 1e-2, "samples": 2**14}
FAINT = 0.05                                    # a weight below this gets no arrow
NUMBERS = ("asymmetry", "read", "write", "excitation", "inhibition", "cancelled", "ablated")


def run(job):
    """All motifs of many models that are short of neurons, and how many there are in models that are not.

    "motif_model" (Q,) says which model each motif is in, `NUMBERS` (Q,) its numbers: "ablated" is the loss without the
    inhibition over that with it. "motifs" and "room_motifs" (models,) count them in each model.
    """
    n, count = job["n_features"], job["models"]
    law = Features(n, job["feature_probability"], job["decay"] ** np.arange(n), signed=True)
    options = {key: job[key] for key in ("steps", "batch_size", "learning_rate", "seed")}
    short, roomy = (train(AbsoluteValue.init(n, m, count, seed=job["seed"]), law, schedule="cosine",
                          record_every=job["steps"], progress=False, **options).model
                    for m in (job["n_hidden"], job["room"]))
    loss = estimate_loss(short, law, samples=job["samples"])[0]
    return (motifs_of(short, law, loss, job["samples"]) | dict(zip(("W1", "W2", "b"), short.parameters))
            | {"loss": loss, "room_motifs": np.array([len(asymmetric_motifs(roomy[i])) for i in range(count)])})


def motifs_of(model, law, loss, samples):
    """The motifs of a stack of models with these losses, as `run` returns them."""
    found = [asymmetric_motifs(model[i], law, samples=samples) for i in range(len(loss))]
    table = np.array([_numbers(model[i], motif, loss[i]) for i, motifs in enumerate(found) for motif in motifs])
    return dict(zip(NUMBERS, table.reshape(-1, len(NUMBERS)).T)) | {
        "motifs": np.array([len(motifs) for motifs in found]),
        "motif_model": np.repeat(np.arange(len(found)), [len(motifs) for motifs in found])}


def _numbers(model, motif, loss):
    """(7,) as in NUMBERS; "read" is |W1_ja / W1_jb|, "write" W2_bj / W2_aj."""
    j, a, b = motif.neuron, motif.strong[0], motif.weak[0]
    return (motif.asymmetry, abs(model.W1[j, a] / model.W1[j, b]), model.W2[b, j] / model.W2[a, j], motif.excitation,
            motif.inhibition, motif.cancelled, (loss + motif.ablation) / loss)


def all_motifs(runs, name):
    """One of NUMBERS for every motif of every run, or a single 0 if there is no motif."""
    values = np.concatenate([run[name] for run in runs])
    return values if len(values) else np.zeros(1)


def weights_of(model, motif):
    """What the motif's neurons read (2, 2) and write (2, 2): a row each, columns strong and weak feature.

    The neuron is scaled as in the paper's example, where it reads 2 and -1/2: to a product of 1 but for the sign. The
    inhibitor's largest input is 1.
    """
    rows, columns = [motif.neuron, motif.inhibitor], [motif.strong[0], motif.weak[0]]
    read, write = model.W1[np.ix_(rows, columns)].astype(float), model.W2.T[np.ix_(rows, columns)].astype(float)
    scale = np.array([abs(read[0]).prod() ** 0.5, abs(model.W1[motif.inhibitor]).max()])[:, None]
    return read / scale, write * scale


def _best_motif(runs):
    """(motif, what it reads, what it writes) of the model of lowest loss that has one, or None."""
    places = [(run["loss"][i], r, i) for r, run in enumerate(runs) for i in np.flatnonzero(run["motifs"])]
    if not places:
        return None
    _, r, i = min(places)
    model = AbsoluteValue(*(runs[r][name][i] for name in ("W1", "W2", "b")))
    motif = asymmetric_motifs(model)[0]
    return motif, *weights_of(model, motif)


def draw(runs):
    """The motif in the best model that has one, its numbers over all motifs, and how often it is found."""
    figure = plots.canvas(18, 7.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.75, 1.15, 0.75))
    font, title = plots.STYLE["font"] + 2, plots.STYLE["title"] + 2
    left.axis("off")
    shown = _best_motif(runs)
    if shown:
        _diagram(left, *shown)
    left.set_title("the motif in the best model that has one", fontsize=title)

    x, y = (np.concatenate([run[name] for run in runs]) for name in ("asymmetry", "ablated"))
    middle.axvline(4, color="0.3", linestyle="--", linewidth=2, label="the paper's example")
    middle.plot(x, y, "o", color=plots.BLUE, markersize=10, alpha=0.75, markeredgecolor="white")
    middle.set(xscale="log", yscale="log", xlim=(1.8, 1.15 * max([8, *x])), ylim=(1, 1.3 * max([30, *y])))
    middle.set_xticks([2, 4, 8], ["2", "4", "8"])
    middle.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    middle.minorticks_off()
    middle.set_xlabel("asymmetry", fontsize=font)
    middle.set_ylabel("loss without the inhibition / with it", fontsize=font)
    middle.set_title("every motif found", fontsize=title)
    middle.legend(fontsize=font, frameon=False, loc="lower right")

    counts = [np.concatenate([run[name] for run in runs]) for name in ("motifs", "room_motifs")]
    rates = [(count > 0).mean() for count in counts]
    right.bar([0, 1], rates, color=(plots.BLUE, plots.GREY), width=0.7)
    for place, count in enumerate(counts):
        right.text(place, rates[place] + 0.02, f"{(count > 0).sum()} of {len(count)}", ha="center", fontsize=font)
    right.set_xticks([0, 1], [f"{runs[0]['n_hidden']} neurons", f"{runs[0]['room']} neurons"])
    right.set_ylim(0, 1.1)
    right.set_title("models with a motif", fontsize=title)
    for axes in (middle, right):
        axes.tick_params(labelsize=font)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _diagram(axes, motif, read, write):
    """Two inputs, the neuron and its inhibitor, two outputs, and the weights in between: blue excites, red inhibits."""
    font, height = plots.STYLE["font"] + 3, (1.0, 0.0)
    names = f"x_{{{motif.strong[0]}}}", f"x_{{{motif.weak[0]}}}"
    axes.set(xlim=(-0.25, 2.3), ylim=(-0.75, 1.35))
    (wrong, out), (right, back) = ((abs(read[row, 0]), abs(write[row, 1])) for row in (0, 1))
    axes.text(1.02, -0.55, f"${names[0]}$ wrongly excites $|{names[1]}|$ by {wrong:.2f} × {out:.2f} = "
              f"{wrong * out:.2f};\nthe inhibitor takes back {right:.2f} × {back:.2f} = {right * back:.2f}",
              ha="center", va="center", fontsize=font)
    for neuron in (0, 1):
        for feature in (0, 1):
            _arrow(axes, 0, height[feature], height[neuron], read[neuron, feature], font)
            _arrow(axes, 1, height[neuron], height[feature], write[neuron, feature], font)
    for column, labels in ((0, [f"${name}$" for name in names]), (2, [f"$|{name}|$" for name in names])):
        for y, label in zip(height, labels):
            axes.text(column, y, label, ha="center", va="center", fontsize=plots.STYLE["title"] + 7)
    for y, label, above in zip(height, (f"neuron {motif.neuron}", f"inhibitor {motif.inhibitor}"), (0.2, -0.2)):
        axes.plot(1, y, "o", markersize=36, color="white", markeredgecolor="black", markeredgewidth=2.5)
        axes.text(1, y + above, label, ha="center", va="center", fontsize=font + 1)


def _arrow(axes, column, start, end, weight, font):
    """An arrow from (column, start) to (column + 1, end), as wide as its weight, with the number; none for almost 0."""
    if abs(weight) < FAINT:
        return
    colour, rise = plots.BLUE if weight > 0 else plots.VERMILION, end - start
    at = 0.3 if rise else 0.5                                           # so that numbers of arrows that cross do not
    axes.annotate("", (column + 0.86, end - 0.14 * rise), (column + 0.14, start + 0.14 * rise),
                  arrowprops={"arrowstyle": "-|>", "color": colour, "mutation_scale": 24, "shrinkA": 0, "shrinkB": 0,
                              "linewidth": 1.5 + 2.2 * min(abs(weight), 4)})
    axes.text(column + at, start + at * rise, f"{weight:+.2f}".replace("-", "−"), ha="center", va="center",
              color=colour, fontsize=font, fontweight="bold", bbox={"boxstyle": "round,pad=0.15", "color": "white"})


CLAIMS = (
    Claim("asymmetric-motif-found", SECTION,
          "Models that are short of neurons learn the asymmetric motif: in more starts than not, none picked.",
          lambda runs: np.concatenate([run["motifs"] > 0 for run in runs]), low=0.5, summary="mean"),
    Claim("motif-reads-unequally", SECTION,
          "A neuron reads one of its two features about 4 times as strongly as the other (2 and -1/2), within a factor "
          "of 2.", lambda runs: all_motifs(runs, "read"), low=2, high=8),
    Claim("motif-writes-unequally", SECTION,
          "It writes that feature about 4 times as weakly as the other (1/2 and 2), within a factor of 2.",
          lambda runs: all_motifs(runs, "write"), low=2, high=8),
    Claim("motif-asymmetry", SECTION,
          "So its asymmetry, the geometric mean of both, is about 4, within a factor of 2.",
          lambda runs: all_motifs(runs, "asymmetry"), low=2, high=8),
    Claim("motif-inhibits", SECTION,
          "A second neuron takes back what the first wrongly excites: the part that it takes back, at least 0.9.",
          lambda runs: all_motifs(runs, "cancelled"), low=0.9),
    Claim("motif-inhibition-pays", SECTION,
          "The inhibition matters: without this one weight the loss at least doubles.",
          lambda runs: all_motifs(runs, "ablated"), low=2),
    Claim("no-motif-with-room", SECTION,
          "With a neuron for every side of every feature there is no motif: the share of models that show one.",
          lambda runs: np.concatenate([run["room_motifs"] > 0 for run in runs]), high=0.05, summary="mean"),
)

ASYMMETRIC_MOTIF = Experiment(
    "asymmetric-motif", 17, "The asymmetric superposition motif", SECTION, "12", SETTINGS | {"seeds": 1},
    SETTINGS | {"models": 25, "steps": 10_000, "batch_size": 1024, "learning_rate": 3e-3, "samples": 2**16, "seeds": 2},
    run, draw, CLAIMS)
