"""Features that draw as the engine does, so that the plain loop can meet the engine's rows."""

import numpy as np

import toymodels_np as tm
from toymodels_np.engine.sampler import Sampler


def engine_sample(features, rng, batch_size, dtype=np.float64, rows=False):
    """A batch (B, n) of features without an instance axis, by the engine's dense sampler, which
    draws it as columns or as rows.
    """
    shape = features.n_features, batch_size
    x = np.empty((1, 1, *(shape[::-1] if rows else shape)), dtype)
    Sampler(features, rows).fill([rng], x)
    return x[0, 0] if rows else x[0, 0].T


class EngineLaw(tm.Features):
    """The same law as Features; since it is a class of its own, `tm.train` takes the plain loop."""

    dtype = np.float64

    def sample(self, rng, batch_size, *, dtype=None):
        return engine_sample(self, rng, batch_size, dtype or self.dtype)


class EngineLaw32(EngineLaw):
    """As the engine draws for models in float32."""

    dtype = np.float32


def as_engine_law(features, dtype):
    """`features` as an EngineLaw for models of this dtype."""
    cls = EngineLaw if np.dtype(dtype) == np.float64 else EngineLaw32
    return cls(features.n_features, features.feature_probability, features.importance,
               signed=features.signed, correlated=features.correlated,
               anticorrelated=features.anticorrelated)
