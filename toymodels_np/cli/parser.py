"""The command line: python -m toymodels_np train | minimum | sweep | show | phase | experiment …

An error is one line on stderr and exit code 2; Ctrl-C says how to go on and is exit code 130.
"""

import argparse
from pathlib import Path

from ..core.models import MODELS
from ..core.optim import SCHEDULES
from ..engine.backends import BACKENDS
from ..experiments import NAMES
from ..experiments.command import add_options, run as run_experiment
from ..store.shell import Parser, exit_code
from ..teaching.explorer.command import add_options as add_explorer, run_explorer
from ..teaching.tutor import add_options as add_learn, run_learn
from ..version import __version__
from . import commands
from .commands import COMMAND
from .jobs import TASKS
from .options import option_name


def main(arguments=None):
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(options.run, options)


def _parser():
    parser = Parser(prog=COMMAND, description="Toy models of superposition: train them, solve "
                    "them, sweep over them, check the paper.",
                    epilog=f"example: {COMMAND} minimum --features 5 --hidden 2 --probability 0.05")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (run, add, summary, example) in VERBS.items():
        one = verbs.add_parser(name, help=summary, description=summary,
                                  epilog=f"example: {COMMAND} {name} {example}",
                                  formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        one.set_defaults(run=run)
        add(one)
    return parser


def _add_train(parser):
    _add_settings(parser, "train")
    parser.add_argument("--resume", type=Path, metavar="FILE",
                        help="go on from a saved run, for --steps more; other options may repeat "
                        "what the run has, and not contradict it")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="save the run here, every 500 steps if --schedule is constant")
    _add_overwrite(parser)


def _add_minimum(parser):
    _add_settings(parser, "minimum")
    parser.add_argument("--out", type=Path, metavar="FILE", help="save the model here")
    _add_overwrite(parser)


def _add_sweep(parser):
    parser.add_argument("config", type=Path, metavar="CONFIG.toml",
                        help="settings, seeds and a table [grid]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="folder for the results; what is there is not computed again")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--dask", metavar="ADDRESS",
                        help="a Dask scheduler to run on instead, such as tcp://host:8786")
    parser.add_argument("--chunk", type=int, default=1, metavar="N", help="jobs to a file")
    parser.add_argument("--retry-failed", action="store_true", help="run failed jobs again")


def _add_show(parser):
    parser.add_argument("path", type=Path, metavar="PATH",
                        help="folder of a sweep, or file of a run")
    parser.add_argument("--figure", type=_figure, metavar="FILE",
                        help="where the picture of a sweep goes, .png, .svg or .pdf; without "
                        "this, sweep.png in its folder")
    _add_overwrite(parser)


def _add_check(parser):
    parser.add_argument("path", type=Path, metavar="FILE", help="file of Certificate.save")


def _add_phase(parser):
    parser.add_argument("--features", type=int, default=2, metavar="N", help="n")
    parser.add_argument("--hidden", type=int, default=1, metavar="N", help="m")
    parser.add_argument("--points", type=int, default=20, metavar="N",
                        help="cells along each axis")
    parser.add_argument("--out", type=_figure, default=Path("phases.png"), metavar="FILE",
                        help="the picture")
    _add_overwrite(parser)


def _add_experiment(parser):
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add_options(parser, single=True)


def _add_claims(parser):
    add_options(parser, single=False)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records here")


def _add_report(parser):
    add_options(parser, single=False)


def _add_book(parser):
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR",
                        help="folder of book.html")


VERBS = {               # name -> what it does, its options, what is said of it, and an example
    "train": (commands.run_train, _add_train, "train models on one law of features",
              "--features 5 --hidden 2 --probability 0.05 --instances 10 --out run.npz"),
    "minimum": (commands.run_minimum, _add_minimum,
                "find the true minimum of the exact population loss",
                "--features 5 --hidden 2 --probability 0.05"),
    "sweep": (commands.run_sweep, _add_sweep,
              "train or solve at every point of a grid, from a TOML file",
              "examples/sweep.toml --out out/phases --workers 2"),
    "show": (commands.run_show, _add_show, "show a finished sweep or a saved run",
             "out/phases --figure phases.png"),
    "phase": (commands.run_phase, _add_phase,
              "draw the phase diagram of the last of a few features",
              "--features 3 --hidden 2 --points 20 --out phases.png"),
    "experiment": (run_experiment, _add_experiment,
                   "run one of the paper's experiments and check its claims",
                   "demonstration --out out"),
    "claims": (commands.run_claims, _add_claims, "check every claim of the paper",
               "--quick --json claims.json"),
    "report": (commands.run_report, _add_report,
               "run every experiment and write the report, an HTML file",
               "--quick --out out"),
    "book": (commands.run_book, _add_book,
             "write the book, all derivations with their figures in one HTML file", "--out out"),
    "explorer": (run_explorer, add_explorer,
                 "write the explorer, a page on which features are dragged, on exact numbers",
                 "--out explorer.html"),
    "check": (commands.run_check, _add_check, "check a certificate that a minimum or saddle has",
              "pentagon.json"),
    "learn": (run_learn, add_learn, "exercises that know your mistake, and a tutor", "--copy mine"),
}
HELPS = {
    "n_features": "n", "n_hidden": "m", "feature_probability": "P(x_i != 0), one or n numbers",
    "importance": "I_i, one or n numbers", "importance_decay": "r, for importances I_i r^i",
    "extra_importance": "factor on the last feature's importance",
    "extra_probability": "factor on the last feature's probability",
    "signed": "active values in [-1, 1], target |x|",
    "correlated": "features that are on together, such as 0,1; may be repeated",
    "anticorrelated": "features of which at most one is on; may be repeated",
    "interference": "factor of sum (W_i . W_j)^2 in the loss",
    "l2": "factor of |W|^2 in the loss",
    "instances": "models side by side", "starts": "starts of the search",
    "backend": "numpy, or cupy for a run on a GPU", "seed": "of the random streams"}
CHOICES = {"model": MODELS, "schedule": SCHEDULES, "backend": BACKENDS}


def _add_settings(parser, task):
    """An option for each setting of the task; what is not given is not in the namespace."""
    for name, default in (TASKS[task] | {"seed": 0}).items():
        if name == "task":
            continue
        said = HELPS.get(name, name.replace("_", " "))
        option = {
            "dest": name,
            "default": argparse.SUPPRESS,
            "help": said if default is False or default == [] else f"{said} (default: {default})",
        }
        if name == "signed":
            option["action"] = "store_true"
        elif name.endswith("correlated"):
            option |= {"action": "append", "type": _index_set, "metavar": "I,J"}
        elif name in ("feature_probability", "importance"):
            letter = "P" if name == "feature_probability" else "I"
            option |= {"nargs": "+", "type": float, "metavar": letter}
        elif name in CHOICES:
            option["choices"] = tuple(CHOICES[name])
        else:
            letter = "N" if isinstance(default, int) else "X"
            option |= {"type": type(default), "metavar": letter}
        parser.add_argument(option_name(name), **option)
    parser.set_defaults(task=task)


def _add_overwrite(parser):
    parser.add_argument("--overwrite", action="store_true",
                        help="replace the file if it is there; a run never by something else")


def _index_set(text):
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be features such as 0,1, got {text!r}") from None


def _figure(text):
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"must end in .png, .svg or .pdf, got {text!r}")
    return path
