"""Toy models of superposition in NumPy: train them, look at them, solve them, check the paper."""

from importlib import import_module as _import_module

from . import early  # first: the rest takes its time
from .core.features import Features
from .core.gradcheck import check_gradient
from .core.loop import History
from .core.models import AbsoluteValue, Linear, Model, ReluHidden, ReluOutput
from .engine.train import resume, train
from .experiments.claims import Claim
from .geometry import polytopes
from .geometry.align import align, distance
from .geometry.measures import (
    dimensions_per_feature,
    feature_dimensionality,
    gram,
    interference,
    leverage_scores,
    norms,
)
from .geometry.neurons import (
    Motif,
    Neuron,
    StackPlot,
    asymmetric_motifs,
    describe_neurons,
    monosemanticity,
    normalise_neurons,
    served_features,
    service,
    stack_plot,
)
from .geometry.tegum import factors, name_geometry
from .store.keeper import Keeper
from .store.runs import load, save
from .store.sweep import SweepReport, load_sweep, sweep
from .theory import energies
from .theory.attack import (
    adversarial_loss,
    adversarial_training,
    attack,
    mean_input_norm,
    strongest_attack,
    vulnerability,
)
from .theory.branches import (
    CriticalPoint,
    Parameter,
    StabilityLimit,
    critical_point,
    stability_limit,
)
from .theory.certify import check_certificate
from .theory.certify.atlas import AtlasEntry, load_atlas
from .theory.certify.certificate import Certificate, certify
from .theory.certify.climb import climb_to_saddle
from .theory.certify.overall import GlobalCertificate, certify_global
from .theory.exact.loss import estimate_loss, expected_loss, expected_loss_and_grad
from .theory.flow import Flow, Plateau, gradient_flow
from .theory.minima import Minimum, NotConverged, find_minimum, polish
from .theory.phase import PhaseDiagram, extra_phase, phase_diagram
from .version import __version__


def __getattr__(name):
    """`plots` is imported when it is asked for: matplotlib takes as long as all the rest."""
    if name == "plots":
        return _import_module(".plots", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), "plots"])
