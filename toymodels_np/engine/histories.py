"""Whether the parts of a History belong together: `resume` asks, and whoever reads one from a file.
"""

import numpy as np

from ..core.features import Features
from ..core.loop import TrainingState
from ..core.models import Model
from . import gpu, host
from .backends import BACKENDS

KITS = dict(zip(BACKENDS, (host, gpu)))         # what the loop is made of: Batches, Step, Adam


def check_records(model, records, steps, losses):
    """ValueError unless these are the records of a run that ended in `model`."""
    if not (isinstance(records, Model) and isinstance(steps, np.ndarray) and steps.ndim == 1
            and isinstance(losses, np.ndarray)):
        raise ValueError("its records are not arrays and models")
    T = len(steps)
    if (steps.dtype.kind != "i" or not T or steps[0] or (np.diff(steps) <= 0).any()
            or losses.shape != (T, *model.instances) or losses.dtype != model.dtype
            or records.instances != losses.shape or records.dtype != model.dtype
            or [a.shape[1:] for a in records.parameters] != [a.shape for a in model.parameters]):
        raise ValueError("its records do not go together")


def check_state(state, model, features, settings):
    """ValueError unless training of `model` can go on from `state`."""
    lead = model.instances or (1,)
    shapes = [(*lead, *a.shape[len(model.instances):]) for a in model.parameters]
    if not isinstance(state, TrainingState):
        raise ValueError("its optimiser's state is none")
    for arrays in (state.mean, state.square):
        if [np.shape(a) for a in arrays] != shapes or any(a.dtype != model.dtype for a in arrays):
            raise ValueError("its optimiser's state does not go with its model")
    if settings is None or not isinstance(features, Features) or \
            features.n_features != model.n_features or \
            features.n_instances not in (None, *model.instances):
        raise ValueError("its features do not go with its model")
    words = KITS[settings["backend"]].WORDS
    if np.shape(state.random) != (*lead, words) or state.random.dtype != np.uint64:
        raise ValueError("its random state does not go with its model")
