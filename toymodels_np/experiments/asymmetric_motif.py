"""Row 17: six features, twelve neurons' work for ten neurons: the asymmetric superposition motif.

Twelve sides of features want a neuron each and there are ten, so that some neurons are shared. Such
a neuron stores its two features unequally, reading one strongly and writing it weakly and the other
way round, and a second neuron inhibits the output that would be wrongly excited.

How unequally, and how much is taken back, is measured on all shared neurons of all models that have
learned, whether they look like the motif or not: `shared_neurons` sets no bound on either.
`asymmetric_motifs` does, and counts how many models have it. Neurons are scaled to a largest input
weight of 1.
"""

import numpy as np

from ..core.features import Features
from ..core.models import AbsoluteValue
from ..core.streams import ABLATION_STREAM, random_stream
from ..geometry.neurons import (
    AT_WORK,
    asymmetric_motifs,
    normalise_neurons,
    served_features,
    service,
)
from ..plots import rows as pictures
from ..theory.estimate import estimate_loss
from .absolute_value import LEARNED, constant_loss
from .base import Experiment, fit
from .claims import Claim, NotMeasured

SECTION = "Computation in Superposition: the Asymmetric Superposition Motif"
SETTINGS = {"n_features": 6, "n_hidden": 10, "room": 12, "decay": 0.8, "feature_probability": 0.2,
            "models": 10, "steps": 4000, "batch_size": 256, "learning_rate": 1e-2,
            "samples": 2**14}
NUMBERS = "model", "read", "write", "jobs", "taken", "taken_second", "ablated", "ablated_other"


def run(job):
    """All shared neurons of many models that are short of neurons, and the motifs in all models.

    W1, W2, b, loss (models,); NUMBERS (Q,) of each shared neuron, as `shared_neurons` says, and the
    index of its model; "motifs" and "room_motifs" (models,): how many neurons store one; and
    "room_loss" (models,), since only models with room that have learned count.
    """
    n, count, law = job["n_features"], job["models"], features_of(job)
    short, roomy = (fit(AbsoluteValue.init(n, m, count, seed=job["seed"]), law, job,
                        schedule="cosine", record_every=max(1, job["steps"]))
                    for m in (job["n_hidden"], job["room"]))
    loss, room_loss = (estimate_loss(models, law, samples=job["samples"])[0]
                       for models in (short, roomy))
    return (dict(zip(("W1", "W2", "b"), short.parameters)) | {"loss": loss}
            | shared_in(short, law, job["samples"], job["seed"])
            | {"motifs": count_motifs(short), "room_motifs": count_motifs(roomy),
               "room_loss": room_loss})


def features_of(job):
    """The law of the job's signed features."""
    n = job["n_features"]
    return Features(n, job["feature_probability"], job["decay"] ** np.arange(n), signed=True)


# -- what is measured -----------------------------------------------------------------------------

def count_motifs(models):
    """How many neurons of each model store a motif: (models,) of int."""
    return np.array([len({motif.neuron for motif in asymmetric_motifs(models[i])})
                     for i in range(len(models.W1))])


def shared_in(models, law, samples, seed):
    """NUMBERS of all shared neurons of a stack of models, each an array (Q,)."""
    x = law.sample(random_stream(seed, ABLATION_STREAM, 0), samples)
    rows = [(i, *row) for i in range(len(models.W1))
            for row in shared_neurons(models[i], law, x)]
    return dict(zip(NUMBERS, np.array(rows, float).reshape(-1, len(NUMBERS)).T))


def shared_neurons(model, law, x):
    """The neurons with at least AT_WORK of the job of two features: a list of rows of numbers.

    A model that has not learned has none: random weights do some of a job by chance.
    Of its two strongest features, a is the one that the neuron reads more strongly, b the other:
    read = |W1_ja / W1_jb|, at least 1; write = W2_bj / W2_aj; jobs = s_ja / s_jb, how much more of
    its job a gets; taken, the part of |W1_ja| W2_bj, what x_a wrongly gives to output b, that the
    strongest other neuron takes back, and the second strongest; and the loss on x without the
    first one's inhibition over that with it, and the same for the median of all weights that are
    written to output b.
    """
    model = normalise_neurons(model)
    sides = served_features(model) * (service(model) >= AT_WORK)                        # (m, n)
    rows, loss = [], model.loss(x, law)
    if not learned(loss, law):
        return rows
    for j in np.flatnonzero((sides != 0).sum(1) >= 2):
        pair = np.argsort(-service(model)[j])[:2]
        a, b = pair[np.argsort(-abs(model.W1[j, pair]), kind="stable")]
        read, write = abs(model.W1[j, a] / model.W1[j, b]), model.W2[b, j] / model.W2[a, j]
        on = np.maximum(model.W1[:, a] * sides[j, a], 0)
        taken = on * np.maximum(-model.W2[b], 0) / (abs(model.W1[j, a]) * model.W2[b, j])
        first, second = np.argsort(-taken, kind="stable")[:2]
        other = np.argsort(abs(model.W2[b]), kind="stable")[model.n_hidden // 2]
        rows.append((read, write, read / write, taken[first], taken[second],
                     *(_without(model, b, k, law, x) / loss for k in (first, other))))
    return rows


def learned(loss, law):
    """Whether a model with this loss, a number or an array, clearly beats the best constant."""
    return loss <= (1 - LEARNED) * constant_loss(law)


def _without(model, output, neuron, law, x):
    """The loss on x where this neuron does not write to this output."""
    W2 = model.W2.copy()
    W2[output, neuron] = 0
    return model.from_parameters((model.W1, W2, model.b)).loss(x, law)


def typical(runs, measure):
    """The median over a run's shared neurons of `measure`, a function of the run: one a run."""
    if runs[0]["n_hidden"] >= 2 * runs[0]["n_features"]:
        raise _not_short(runs)
    numbers = [np.median(measure(run)) for run in runs if len(run["model"])]
    if not numbers:
        raise NotMeasured("the claim speaks of neurons that serve two features, and there are none")
    return numbers


def asymmetry(run):
    """sqrt(read write) of the run's shared neurons, (Q,); 4 in the paper's example."""
    return np.sqrt(run["read"] * run["write"])


def motif_counts(runs, name="motifs"):
    """How many neurons of each model store a motif, all runs in a row; of models with room only
    those that have learned, since random weights hardly ever do.
    """
    if name == "motifs" and runs[0]["n_hidden"] >= 2 * runs[0]["n_features"]:
        raise _not_short(runs)
    if name == "room_motifs" and runs[0]["room"] < 2 * runs[0]["n_features"]:
        raise NotMeasured("the claim speaks of a neuron for every side of every feature, and "
                          f"there are {runs[0]['room']} for {2 * runs[0]['n_features']} sides")
    counts = [run[name] for run in runs]
    if name == "room_motifs":
        counts = [count[learned(run["room_loss"], features_of(run))]
                  for count, run in zip(counts, runs)]
    if not sum(map(len, counts)):
        raise NotMeasured("no model with a neuron for every side has learned")
    return np.concatenate(counts)


def _not_short(runs):
    """The exception for runs in which there are no fewer neurons than sides of features."""
    return NotMeasured("the claim speaks of fewer neurons than sides of features, and the runs "
                       f"have {runs[0]['n_hidden']} for {2 * runs[0]['n_features']}")


# -- the figure and the claims ---------------------------------------------------------------------

def best_motif(runs):
    """(model, motif) of lowest loss among the models with most motifs, or None."""
    places = [(-run["motifs"][i], run["loss"][i], r, i) for r, run in enumerate(runs)
              for i in np.flatnonzero(run["motifs"])]
    if not places:
        return None
    _, _, r, i = min(places)
    model = AbsoluteValue(*(runs[r][name][i] for name in ("W1", "W2", "b")))
    return normalise_neurons(model), asymmetric_motifs(model)


def draw(runs):
    """The motifs of one model, all shared neurons, and in how many models the motif is found."""
    diagrams = []
    if found := best_motif(runs):
        model, motifs = found
        for motif in {motif.neuron: motif for motif in reversed(motifs)}.values():
            rows, columns = [motif.neuron, motif.inhibitor], [motif.strong[0], motif.weak[0]]
            place = np.ix_(rows, columns)
            diagrams.append((rows, columns, model.W1[place], model.W2.T[place]))
    unequal = np.concatenate([asymmetry(run) for run in runs])
    taken = np.concatenate([run["taken"] for run in runs])
    counts = {f"{runs[0][key]} neurons": np.concatenate([run[name] for run in runs])
              for key, name in (("n_hidden", "motifs"), ("room", "room_motifs"))}
    return pictures.asymmetric_motif.figure(diagrams[:2], unequal, taken, counts)


CLAIMS = (
    Claim("asymmetric-motif-found", SECTION,
          "Models that are short of neurons learn the asymmetric motif: in more starts than not, "
          "none picked.", lambda runs: motif_counts(runs) > 0, low=0.5, summary="share"),
    Claim("motif-twice", SECTION,
          "One model can have the motif twice, in two neurons: the most that a model has.",
          motif_counts, low=2, summary="largest"),
    Claim("motif-reads-unequally", SECTION,
          "A shared neuron reads one of its two features about 4 times as strongly as the other (2 "
          "and -1/2), within a factor of 2; the control is how much more of its job it gets.",
          lambda runs: typical(runs, lambda run: run["read"]), low=2, high=8,
          control=lambda runs: typical(runs, lambda run: run["jobs"])),
    Claim("motif-writes-unequally", SECTION,
          "It writes that feature about 4 times as weakly as the other (1/2 and 2), in a factor "
          "of 2; the control is how much more of its job it gets.",
          lambda runs: typical(runs, lambda run: run["write"]), low=2, high=8,
          control=lambda runs: typical(runs, lambda run: run["jobs"])),
    Claim("motif-asymmetry", SECTION,
          "So its asymmetry, the geometric mean of both, is about 4, within a factor of 2; the "
          "control is a neuron that reads and writes the same feature more strongly.",
          lambda runs: typical(runs, asymmetry), low=2, high=8,
          control=lambda runs: typical(runs, lambda run: np.sqrt(run["jobs"]))),
    Claim("motif-inhibits", SECTION,
          "A second neuron takes back what a shared one wrongly excites: the part that it takes "
          "back, to a tenth; the control is what a third neuron takes back.",
          lambda runs: typical(runs, lambda run: run["taken"]), low=0.9, high=1.1,
          control=lambda runs: typical(runs, lambda run: run["taken_second"])),
    Claim("motif-inhibition-pays", SECTION,
          "The inhibition matters: without this one weight the loss at least doubles; the control "
          "is the median of the weights that are written to the same output.",
          lambda runs: typical(runs, lambda run: run["ablated"]), low=2, kind="ours",
          control=lambda runs: typical(runs, lambda run: run["ablated_other"])),
    Claim("no-motif-with-room", SECTION,
          "With a neuron for every side of every feature there is no motif: the share of models "
          "that show one; the control are the models that are short of neurons.",
          lambda runs: motif_counts(runs, "room_motifs") > 0, high=0.2, summary="share",
          kind="ours", control=lambda runs: motif_counts(runs) > 0),
)

EXPERIMENT = Experiment(
    "asymmetric-motif", 17, "The asymmetric superposition motif", SECTION, "12",
    SETTINGS | {"seeds": 5},
    SETTINGS | {"models": 20, "steps": 10_000, "batch_size": 1024, "learning_rate": 3e-3,
                "samples": 2**16, "seeds": 5}, run, draw, CLAIMS)

if __name__ == "__main__":
    from .command import main
    main("asymmetric-motif")
