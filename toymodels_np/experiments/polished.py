"""What training leaves on the table: how far a trained model is above the minimum of the exact loss
that it is next to. Rows 2, 3, 6 and 11 show it beside what they trained.
"""

import numpy as np

from ..theory.exact.loss import expected_loss
from ..theory.minima import polish
from .claims import Claim, NotMeasured

NOTHING = 1e-9              # a loss up to this part of an empty model's is rounding


def polished(model, features, sought):
    """Of a stack of K models: trained_loss, polished_loss and empty_loss, (K,) each.

    sought (K,) bool : which are polished; the others' polished_loss is NaN. The last is what is
    lost by always answering with the mean. (5.6)
    """
    law = features.replace(feature_probability=np.broadcast_to(
        features.feature_probability, (len(model.W), features.n_features)))
    q = law.active_probability
    result = {"trained_loss": np.asarray(expected_loss(model, law, rtol=1e-6)),
              "polished_loss": np.full(len(q), np.nan),
              "empty_loss": (law.importance * (q / 3 - q**2 / 4)).sum(-1)}
    for i in np.flatnonzero(sought):
        result["polished_loss"][i] = polish(model[int(i)], law[int(i)], progress=False).loss
    return result


def left_on_the_table(run, name="trained"):
    """By which fraction each loss is above that of its minimum, (K,), NaN if that is unknown."""
    return run[f"{name}_loss"] / run["polished_loss"] - 1


def left_by_training(runs, name="trained"):
    """`left_on_the_table` where it is most, one number a seed."""
    if not np.isfinite([run["polished_loss"] for run in runs]).any():
        raise NotMeasured("no trained model was polished: the setting `polish` says which are, "
                          "or the models are not trained")
    if any((run["polished_loss"] <= NOTHING * run["empty_loss"]).any() for run in runs):
        raise NotMeasured("the minimum next to a trained model loses nothing but rounding, of "
                          "which no loss is within 5 %")
    return [np.nanmax(left_on_the_table(run, name)) for run in runs]


def left_by_nothing(runs):
    """The same of a model that answers with the mean: the control."""
    return left_by_training(runs, "empty")


def leaves_little(name, section):
    """The claim that training ends near a minimum; the control answers with the mean."""
    return Claim(name, section, "Training ends within 5 % of the minimum that it is next to.",
                 left_by_training, high=0.05, kind="ours", control=left_by_nothing,
                 expected="loss at most 5 % above, where that is most")
