"""Certificates: what was proved about a stationary point, how it is kept, and what to say when it
was not proved.

A certificate on disk is JSON with exact rationals and finite decimals as strings, and a digest over
all of it. `check.py` reads it and repeats the proof with formulas and code of its own.
"""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ... import disk
from ...core import checks
from ...core.models import Model, ReluOutput
from ...known import stranger
from ..minima import Minimum
from . import check_certificate
from .enclose import Law, bounds, law_of, precise
from .local import Gauge, NotProved, Proof, fix_gauge, newton, rotated_into

FORMAT = "toymodels_np certificate 1"
NOTCHES = (1, 3, 6, 12)         # radii to be tried, below the largest, until the checker agrees
LOSS_DIGITS = 40                # decimal digits to which loss intervals are rounded outwards


@dataclass(frozen=True)
class Certificate:
    """What is proved about one stationary point of the exact loss of ReluOutput.

    proved : whether all tests passed; if not, `reason` says which failed and by how much
    index : the number of negative eigenvalues of the Hessian off the rotations; 0 is a strict local
        minimum modulo rotations
    loss_interval : (low, high), Fractions around the loss there
    radius : Fraction; the stationary point is the only one whose free parameters all lie within it
    W, b : the centre of that box, m lists of n and n Fractions, in a triangular gauge
    columns : the columns of W that the gauge makes triangular (13.4)      law : the exact Law
    """

    proved: bool
    law: Law
    reason: str = ""
    index: int | None = None
    loss_interval: tuple | None = None
    radius: Fraction | None = None
    W: tuple = ()
    b: tuple = ()
    columns: tuple = ()

    @property
    def model(self):
        """The centre as a ReluOutput of floats."""
        self._need()
        return ReluOutput(np.array(self.W, dtype=float), np.array(self.b, dtype=float))

    @property
    def hessian_rank(self):
        """The rank of the Hessian: the number of free parameters, as no other eigenvalue is 0."""
        self._need()
        return len(Gauge(len(self.W), len(self.b), self.columns).free)

    @property
    def learning_coefficient(self):
        """Half the rank of the Hessian at a strict local minimum, else ArithmeticError."""
        if not self.proved or self.index:
            raise ArithmeticError("the learning coefficient is half the rank at a proved minimum "
                                  "only")
        return self.hessian_rank / 2

    def to_dict(self):
        """The certificate as JSON can hold it, with its digest. Raises ValueError if nothing is
        proved.
        """
        self._need()
        pairs = lambda intervals: [[str(low), str(high)] for low, high in intervals]
        law = {"n": self.law.n, "probability": pairs(self.law.probability),
               "importance": pairs(self.law.importance),
               "sets": [[kind, list(members)] for kind, members in self.law.sets],
               "interference": pairs([self.law.interference])[0],
               "weight_decay": pairs([self.law.weight_decay])[0]}
        record = {"format": FORMAT, "law": law, "W": [[decimal(w) for w in row] for row in self.W],
                  "b": [decimal(x) for x in self.b], "columns": list(self.columns),
                  "radius": decimal(self.radius), "index": self.index,
                  "loss": [decimal(x) for x in self.loss_interval]}
        return record | {"digest": digest(record)}

    def save(self, path):
        """Write the certificate to `path` as JSON, whole or not at all.

        Raises ValueError if nothing is proved, TypeError or ValueError where `path` is none,
        OSError with a sentence where nothing can be written.
        """
        disk.write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    def _need(self):
        if not self.proved:
            raise ValueError(f"nothing was proved: {self.reason}")


def from_dict(record):
    """The Certificate that `to_dict` gave; it is read, not checked."""
    pairs = lambda rows: tuple((Fraction(low), Fraction(high)) for low, high in rows)
    law = record["law"]
    law = Law(law["n"], pairs(law["probability"]), pairs(law["importance"]),
              tuple((kind, tuple(members)) for kind, members in law["sets"]),
              *pairs([law["interference"], law["weight_decay"]]))
    return Certificate(True, law, "", record["index"], tuple(map(Fraction, record["loss"])),
                       Fraction(record["radius"]),
                       tuple(tuple(map(Fraction, row)) for row in record["W"]),
                       tuple(map(Fraction, record["b"])), tuple(record["columns"]))


def decimal(x):
    """A Fraction as a finite decimal if it is one, else as numerator/denominator."""
    x = Fraction(x)
    digits = next((d for d in range(2 * LOSS_DIGITS + 1) if (x * 10**d).denominator == 1), None)
    if digits is None:
        return str(x)
    text = str(abs(x.numerator * 10**digits // x.denominator)).rjust(digits + 1, "0")
    cut = len(text) - digits
    return "-" * (x < 0) + text[:cut] + "." * bool(digits) + text[cut:]


def digest(record):
    """SHA-256 over the record without its digest, keys sorted."""
    rest = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def certify(minimum_or_model, features=None, *, interference=None, weight_decay=None):
    """Prove that a stationary point of the exact loss exists at a model, is alone, and what it is.

    Parameters
    ----------
    minimum_or_model : Minimum or single ReluOutput at, or within rounding of, a stationary point
    features : Features, at most eight and not signed; those of a Minimum if not given
    interference, weight_decay : strengths of the penalties λ Σ_{i≠j} (W_i·W_j)² and μ ‖W‖²;
        numbers, Fractions or intervals (low, high); default those of the Minimum, else 0

    Returns a Certificate that `check_certificate` accepts. Where a test fails, `proved` is False
    and `reason` says which failed and by how much: at a kink, where the Hessian is singular (flat
    directions that no rotation explains), or where Newton's method leads out of the box of
    uniqueness. Raises TypeError or ValueError for what cannot be enclosed, ImportError without
    python-flint.
    """
    model, features, penalties = _subject(minimum_or_model, features, interference, weight_decay)
    W, b, law = model.W.astype(float), model.b.astype(float), law_of(features, *penalties)
    refused = None
    for notches in NOTCHES:                 # in a smaller box the checker's bounds are narrower
        certificate = certify_law(W, b, law, notches=notches)
        if not certificate.proved:
            return refused or certificate
        try:
            check_certificate(certificate.to_dict())
            return certificate
        except ValueError as error:
            refused = Certificate(False, law, f"the checker: {error}")
    return refused


@precise
def certify_law(W, b, law, near=True, notches=1):
    """`certify` for W (m, n) and b (n,) of floats and a Law, whose numbers may be intervals, before
    it is checked.

    With near=False Newton's method may lead out of the box of uniqueness. The radius is so many
    notches, half or less each, below the largest.
    """
    gauge, start = fix_gauge(W, b)
    try:
        centre = newton(law, gauge, start)
        proof = Proof(law, gauge, centre).largest_radius(notches)
        away = max(abs(Fraction(float(x)) - y) for x, y in zip(rotated_into(gauge, W, b), centre))
        if near and away > proof.radius:
            raise NotProved(f"the ball: Newton's method led {float(away):.3g} away, out of the "
                            f"radius of uniqueness {float(proof.radius):.3g}")
        low, high = bounds(proof.loss)
    except ArithmeticError as failure:
        return Certificate(False, law, str(failure))
    scale, spare = 10**LOSS_DIGITS, high - low          # which leaves the checker room for rounding
    loss = (Fraction((low - spare) * scale // 1 - 1, scale),
            Fraction(-(-(high + spare) * scale // 1) + 1, scale))
    return Certificate(True, law, "", proof.index, loss, proof.radius, *gauge.matrix(centre),
                       gauge.columns)


def _subject(given, features, interference, weight_decay):
    """The checked model, features and penalties of `certify`."""
    model = given
    if isinstance(given, Minimum):
        model = given.model
        features = given.features if features is None else features
        interference = given.interference if interference is None else interference
        weight_decay = given.weight_decay if weight_decay is None else weight_decay
    if not isinstance(model, Model):
        raise TypeError(f"minimum_or_model must be a Minimum or a ReluOutput, got {given!r}")
    if strange := stranger(model):
        raise TypeError(f"only the package's own models can be certified, and {strange}")
    if not isinstance(model, ReluOutput) or model.instances:
        raise TypeError(f"minimum_or_model must be a single ReluOutput, got {model!r}")
    checks.weights(model.W), checks.array("b", model.b)
    if features is None:
        raise ValueError("features must be given beside a model")
    if getattr(features, "n_features", model.n_features) != model.n_features:
        raise ValueError(f"the model has {model.n_features} features, but features have "
                         f"{features.n_features}")
    penalties = [0.0 if one is None else one for one in (interference, weight_decay)]
    return model, features, penalties
