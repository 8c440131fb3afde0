"""Running experiments from words: settings, runs and their controls, verdicts, and files.

`python -m toymodels_np experiment NAME` and `python -m toymodels_np.experiments.NAME` both end in
`run` below, and the verbs `claims` and `report` go through `run_all`, too. Every run is a job of a
sweep: what is there is not computed again, and what other code has left is not used.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from .. import experiments, plots
from ..core import checks
from ..interrupts import saying
from ..store import files
from ..store.shell import Parser, exit_code, worker_pool
from ..store.sweep import sweep_rows
from ..version import __version__
from .base import FIRST_SEED, Experiment
from .claims import NotMeasured


class Row(NamedTuple):
    """An experiment that has run: `controls` are the runs on which claims must fail."""

    experiment: Experiment
    settings: dict
    runs: list
    controls: list
    records: list


def main(name, arguments=None):
    """Run the row `name` as the words say (the command line's, if None); SystemExit if it fails."""
    module = f"toymodels_np.experiments.{name.replace('-', '_')}"
    parser = Parser(prog=f"python -m {module}", epilog=f"example: python -m {module} --out out",
                    description=f"Run the experiment {name} and check its claims.",
                    formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_options(parser, single=True)
    parser.set_defaults(name=name)
    code = exit_code(run, parser.parse_args(arguments))
    if code:
        sys.exit(code)


def add_options(parser, *, single):
    """The options that all three verbs share, and those of a `single` experiment."""
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", default=True,
                      help="small sizes and few seeds: minutes")
    mode.add_argument("--full", action="store_true",
                      help="the paper's sizes: on two cores an hour and a half for all; "
                           "it goes on where it was stopped")
    if single:
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                            help="another value for a setting, in JSON; may be repeated")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help="how many runs, instead of as many as the settings say")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, metavar="N",
                        help="seed of the first run; those after it count on")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR",
                        help="folder for runs and results")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")


# -- settings from words -------------------------------------------------------------------------

def parse_changes(words):
    """["KEY=VALUE", ...] -> {key: value}, where a value is JSON, or else the word that it is."""
    changes = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ValueError(f"--set takes KEY=VALUE, got {word!r}")
        if key in changes:
            raise ValueError(f"--set gives {key!r} twice")
        try:
            changes[key] = json.loads(text, parse_constant=_no_number)
        except json.JSONDecodeError:
            changes[key] = text
        except RecursionError:
            raise ValueError(f"--set {key}: the value is nested too deeply") from None
    return changes


def _no_number(text):
    raise ValueError(f"--set takes finite numbers, got {text}")


def _settings(experiment, options):
    """The experiment's settings as the options change them."""
    changes = parse_changes(getattr(options, "set", ()))
    if options.seeds is not None:
        if "seeds" in changes:
            raise ValueError("--seeds and --set seeds=… say the same thing: give one of them")
        changes["seeds"] = checks.integer("--seeds", options.seeds)
    return experiment.settings(options.full, changes)


# -- runs and records ----------------------------------------------------------------------------

def run_rows(rows, out, *, first_seed=FIRST_SEED, full=False, executor=None, progress=None):
    """Several experiments with their controls, on one executor: a list of Row.

    rows : list of (experiment, settings)       out : folder of the runs, which may be there
    full : whether the settings are large enough for claims that small ones leave undecided
    Raises RunsFailed with the first reason if some runs failed; all others are kept.
    """
    parts = []
    for experiment, settings in rows:
        for chosen in (settings, settings | experiment.control if experiment.control else None):
            jobs = [] if chosen is None else experiment.jobs(chosen, first_seed)
            parts.append((experiment.run, jobs, Path(out) / experiment.name))
    swept = sweep_rows(parts, executor=executor, progress=progress)
    unused = sum(report.unused for report, _ in swept)
    if unused:
        print(f"{unused} results of other code are in {out} and were not used")
    found = iter([[outcome | job for job, outcome in part] for _, part in swept])
    done = []
    for experiment, settings in rows:
        runs, controls = next(found), next(found)
        records = experiment.check(runs, controls, full=full)
        done.append(Row(experiment, settings, runs, controls, records))
    return done


def run_all(options, names):
    """The Rows of these names, run as the options of the command line say."""
    checks.integer("--workers", options.workers)
    checks.integer("--first-seed", options.first_seed, minimum=0)
    rows = [(experiments[name], _settings(experiments[name], options)) for name in names]
    files.check_folder(options.out)
    with worker_pool(options.workers) as executor:
        return run_rows(rows, _folder(options), first_seed=options.first_seed, full=options.full,
                        executor=executor)


def going_on(options):
    """A context: an interrupt inside, of runs and of what is made of them, says where runs are."""
    return saying(f"finished runs are in {_folder(options)}; the same command goes on from there")


def _folder(options):
    return options.out / ("runs-full" if options.full else "runs-quick")


# -- the verb `experiment` -----------------------------------------------------------------------

def run(options):
    """Runs, verdicts on the screen, and NAME.json, NAME.png and perhaps NAME.html in the folder."""
    stem = options.out / options.name
    files.check_folder(options.out)
    for suffix in (".json", ".png", ".html"):
        files.check_writable(stem.with_suffix(suffix))
    with going_on(options):
        row, = run_all(options, [options.name])
        print_records(row.records)
        write_json(stem.with_suffix(".json"), {
            "experiment": row.experiment.name, "version": __version__, "full": options.full,
            "first_seed": options.first_seed, "settings": row.settings, "claims": row.records})
        try:
            save_figure(stem.with_suffix(".png"), row.experiment.draw(row.runs))
            if row.experiment.animate is not None:
                write_text(stem.with_suffix(".html"), row.experiment.animate(row.runs))
        except NotMeasured as missing:
            print(f"no figure: {missing}")


def print_records(records):
    """Each claim in a few lines: verdict, kind, number, control, and a reason where one is due."""
    for record in records:
        print(f"{record['verdict']:24s} {record['name']} ({record['kind']}): {measured(record)}")
        notes = [record["correction"]]
        if record["measured"] is not None:
            notes += [f"control: {control(record)}", record["reason"]]
        for note in filter(None, notes):
            print(f"{'':24s} {note}")


def measured(record):
    """What was measured beside what was expected, in words, or why it was not measured."""
    if record["measured"] is None:
        return f"{record['reason']}; expected {record['expected']}"
    return f"{record['measured']:.6g} ({spread(record)}), expected {record['expected']}"


def spread(record):
    """Of how many numbers the measured one is the summary; their range, or a share's interval."""
    low, high = record["spread"]
    what = "95 % interval " if record["summary"] == "share" else ""
    return f"{record['summary']} of {record['count']}, {what}{low:.6g} to {high:.6g}"


def control(record):
    """The control's number with its verdict, in words, or why there is none."""
    if record["control"] is None:
        return record["control_reason"] or "none"
    return f"{record['control']:.6g}, {record['control_verdict']}"


# -- files ---------------------------------------------------------------------------------------

def write_text(path, text):
    """Write a text file, whole or not at all, and say so."""
    files.write_text(path, text)
    print(f"wrote {path}")


def write_json(path, value):
    """Write plain values as JSON, whole or not at all, and say so."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def save_figure(path, figure):
    """Write a figure, whole or not at all, and say so; the suffix says which kind of picture."""
    with files.rewriting(path) as stream:
        plots.save(figure, stream, format=path.suffix[1:])
    print(f"wrote {path}")
