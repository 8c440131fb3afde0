"""Toy models of superposition in NumPy: train them, look at them, solve them exactly, check the paper."""

from .core.features import Features
from .core.gradcheck import check_gradient
from .core.models import AbsoluteValue, Linear, ReluHidden, ReluOutput
from .core.train import History, train
from .geometry.align import align, distance
from .geometry.measures import dimensions_per_feature, feature_dimensionality, gram, interference, norms
from .geometry.tegum import name_geometry
from .theory import energies
from .theory.exact import estimate_loss, expected_loss, expected_loss_and_grad
from .theory.minima import Minimum, NotConverged, find_minimum
from .theory.phase import PhaseDiagram, extra_phase, phase_diagram
from .theory.branches import CriticalPoint, Parameter, StabilityLimit, critical_point, stability_limit
from .theory.flow import Flow, Plateau, gradient_flow
