"""What the examples share: a command line that refuses in one line, and what they write."""

import argparse
import json
import sys
from pathlib import Path

import toymodels_np as tm
from toymodels_np.interrupts import passed_on


def parser(description, example, *, seed=True, full=None):
    """A parser with --out, --seed unless nothing is random, and --full if `full` says what it does.

    A bad argument is one line on stderr and exit code 2.
    """
    words = argparse.ArgumentParser(description=description, epilog=f"example: {example}",
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.error = lambda message: sys.exit(
        print(f"error: {message}; see --help", file=sys.stderr) or 2)
    if seed:
        words.add_argument("--seed", type=int, default=0,
                           help="seed of the random numbers, 0 or more (default: 0)")
    if full:
        words.add_argument("--full", action="store_true", help=full)
    words.add_argument("--out", type=Path, default=Path("out"), metavar="DIR",
                       help="folder for the figure and the numbers, made if it is missing "
                            "(default: %(default)s)")
    return words


def parse(parser, arguments):
    """The checked options; the folder exists and can be written to."""
    options = parser.parse_args(arguments)
    if getattr(options, "seed", 0) < 0:
        parser.error(f"argument --seed: must be 0 or more, got {options.seed}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / ".writable").touch()
        (options.out / ".writable").unlink()
    except OSError as error:
        parser.error(f"argument --out: cannot write to {options.out}: {error.strerror}")
    return options


def find_minimum(features, n_hidden, **options):
    """`tm.find_minimum`, but Ctrl-C ends the script: half a search is no point of a figure."""
    with passed_on():
        return tm.find_minimum(features, n_hidden, **options)


def write(figure, record, path):
    """Write the figure to `path`.png and the record to `path`.json, and return both paths."""
    png, numbers = (path.with_name(path.name + suffix) for suffix in (".png", ".json"))
    tm.plots.save(figure, png)
    numbers.write_text(json.dumps(record, indent=1, default=lambda a: a.tolist()))
    return png, numbers
