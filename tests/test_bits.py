"""Training gives the bits that it gave before: every class, dense batches and lists.

The hashes depend on the BLAS kernels of the machine, so they are kept for one kernel and one NumPy;
elsewhere the test says that it does not know. `python tests/test_bits.py` prints the hashes of this
machine, for a maintainer who changes samples or arithmetic on purpose and says so in CHANGELOG.md.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import toymodels_np as tm

STORED = Path(__file__).with_name("bits.json")
SETS = {"correlated": [(0, 1)], "anticorrelated": [(2, 3, 4)]}
LAWS = {
    "small": (tm.Features(5, 0.05), 2, 256),
    "dense": (tm.Features(7, 0.7, 0.9 ** np.arange(7)), 3, 128),
    "always on": (tm.Features(6, 1.0), 2, 64),
    "mixed": (tm.Features(8, np.geomspace(0.01, 1, 8), signed=True), 3, 100),
    "sets": (tm.Features(7, [0.1, 0.1, 0.3, 0.3, 0.3, 0.5, 0.02], **SETS), 3, 200),
    "instances": (tm.Features(6, [[0.5], [0.05], [1.0]], [[1.0], [0.5], [2.0]]), 2, 128),
    "lists": (tm.Features(40, 0.05, 0.9 ** np.arange(40)), 6, 1024),
    "lists, signed": (tm.Features(33, 0.02, signed=True), 6, 1100),
    "lists and dense": (tm.Features(32, [[0.5], [0.05], [0.01]]), 5, 1024),
}
MODELS = (tm.Linear, tm.ReluOutput, tm.ReluHidden, tm.AbsoluteValue)


def machine():
    """What the bits depend on: NumPy's version, and the kernels of its BLAS."""
    kernels = sorted({str(info.get("architecture")) for info in threadpool_info()
                      if info["user_api"] == "blas"})
    return f"numpy {np.__version__}, {', '.join(kernels)}"


def digest(history):
    found = hashlib.sha256()
    for a in (history.losses, *history.parameters.parameters, *history.state.mean,
              *history.state.square, history.state.random):
        found.update(np.ascontiguousarray(a).tobytes())
    return found.hexdigest()[:16]


def hashes(name):
    """Of a run and of the same run continued, for each class and precision."""
    law, m, batch_size = LAWS[name]
    result = {}
    for cls in MODELS:
        for dtype in ("float32", "float64"):
            models = cls.init(law.n_features, m, 3, seed=5, dtype=dtype)
            history = tm.train(models, law, steps=60, batch_size=batch_size, learning_rate=0.01,
                               seed=7, record_every=25, weight_decay=0.01 * (name == "sets"))
            assert history.engine == "engine.host"
            more = tm.resume(history, steps=13)
            result[f"{cls.__name__} {dtype} {name}"] = digest(history) + digest(more)
    return result


@pytest.mark.parametrize("name", LAWS)
def test_every_bit_is_as_it_was(name):
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    if machine() not in stored:
        pytest.skip(f"the hashes are of {', '.join(stored)}, and this is {machine()}")
    found = hashes(name)
    assert found == {key: stored[machine()][key] for key in found}


if __name__ == "__main__":
    every = {key: value for name in LAWS for key, value in hashes(name).items()}
    print(json.dumps({machine(): every}, indent=1))
