"""The paper's experiments, one file a row of its table or a few rows that belong together: run, drawn and claimed."""

from importlib import import_module
from pkgutil import iter_modules

from .base import Experiment

_found = [value for module in iter_modules(__path__) for value in vars(import_module(f".{module.name}", __name__)).values()
          if isinstance(value, Experiment)]
EXPERIMENTS = {experiment.name: experiment for experiment in sorted(_found, key=lambda e: e.row)}
