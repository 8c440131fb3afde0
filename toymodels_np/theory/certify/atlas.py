"""The atlas: certified minima and saddles of small models, kept beside the code as JSON.

`examples/atlas.py` writes it, `load_atlas` reads it, and every certificate in it can be checked
anew.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ... import disk
from .certificate import Certificate, from_dict

FOLDER = Path(__file__).with_name("atlas")
MINIMUM, SADDLE, OPEN = "minimum", "saddle", "not certified"


@dataclass(frozen=True)
class AtlasEntry:
    """One stationary point of ReluOutput on n equal independent features in m dimensions.

    n_features, n_hidden, feature_probability (a Fraction)       name : its geometry
    kind : "minimum", "saddle" or "not certified"; then `reason` says which test failed
    loss, norms, biases : floats, to be read; the certificate has the proved ones
    certificate : a Certificate, or None where there is none
    """

    n_features: int
    n_hidden: int
    feature_probability: Fraction
    name: str
    kind: str
    loss: float
    norms: tuple
    biases: tuple
    certificate: Certificate | None
    reason: str = ""

    @property
    def index(self):
        """The number of negative eigenvalues of the Hessian off the rotations, or None."""
        return self.certificate.index if self.certificate else None

    @property
    def hessian_rank(self):
        """The rank of the Hessian, or None."""
        return self.certificate.hessian_rank if self.certificate else None

    @property
    def learning_coefficient(self):
        """The local learning coefficient of a minimum, half the Hessian's rank, or None."""
        return self.certificate.learning_coefficient if self.index == 0 else None


def load_atlas(folder=None):
    """All entries of the atlas, a list of AtlasEntry: by size, then by probability, then by loss.

    folder : where its JSON files are; by default those that come with the package
    Raises FileNotFoundError if there are none, ValueError if they are something else.
    """
    folder = FOLDER if folder is None else disk.check_path("folder", folder)
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"there is no atlas in {folder}")
    try:
        entries = [_read(e) for file in files for e in _listed(file)]
        return sorted(entries, key=lambda e: (
            e.n_features, e.n_hidden, e.feature_probability, e.loss))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{folder} holds no atlas: {error}") from None


def _listed(file):
    """What the file holds, if that is a list, and not an empty one."""
    found = json.loads(_text(file))
    if not isinstance(found, list) or not found:
        raise ValueError(f"{file.name} is no list of entries")
    return found


def _text(file):
    with disk.os_errors_as(f"cannot read {file}"), disk.open_regular(file) as stream:
        return stream.read().decode()


def _read(e):
    certificate = from_dict(e["certificate"]) if e["certificate"] else None
    return AtlasEntry(e["n_features"], e["n_hidden"], Fraction(e["feature_probability"]), e["name"],
                      e["kind"], e["loss"], tuple(e["norms"]), tuple(e["biases"]), certificate,
                      e["reason"])


def entry(model, features, loss, name, certificate):
    """What an atlas keeps of a model and its Certificate, as JSON can hold it."""
    kind = OPEN if not certificate.proved else SADDLE if certificate.index else MINIMUM
    return {"n_features": model.n_features, "n_hidden": model.n_hidden,
            "feature_probability": str(Fraction(repr(float(features.feature_probability[0])))),
            "name": name, "kind": kind, "loss": float(loss),
            "norms": [round(float(x), 9) for x in (model.W**2).sum(0) ** 0.5],
            "biases": [round(float(x), 9) for x in model.b], "reason": certificate.reason,
            "certificate": certificate.to_dict() if certificate.proved else None}
