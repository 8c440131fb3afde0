"""What the examples share: a command line that refuses in one line, and the two files that each example writes."""

import argparse
import json
import sys
from pathlib import Path

import toymodels_np as tm
from toymodels_np import plots as figures


def parser(description, example, *, seed=True, full=None):
    """A parser with --out, --seed unless nothing is random, and --full if `full` says what it does.

    A bad argument is one line on stderr and exit code 2.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=f"example: {example}")
    parser.error = lambda message: sys.exit(print(f"error: {message}; see --help", file=sys.stderr) or 2)
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers, 0 or more (default: 0)")
    if full:
        parser.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR",
                        help="folder for the figure and the numbers, made if it is missing (default: out)")
    return parser


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


def write(figure, record, path):
    """Write the figure to `path`.png and the record, whose arrays become lists, to `path`.json; return both paths."""
    png, numbers = (path.with_name(path.name + suffix) for suffix in (".png", ".json"))
    figures.save(figure, png)
    numbers.write_text(json.dumps(record, indent=1, default=lambda a: a.tolist()))
    return png, numbers


def experiment(name, description, arguments, *, frames=60, **settings):
    """Run one of `tm.experiments` with these settings over its quick or full ones: claims, a figure and JSON.

    Where it has an animation, that is written too, as HTML with so many frames.
    """
    row = tm.experiments[name]
    words = parser(description, f"python examples/{Path(sys.argv[0]).name} --out out", seed=False,
                   full="the paper's sizes and more seeds, from minutes to an hour; can be resumed")
    words.add_argument("--seeds", type=int, metavar="N", help="how many runs, each with its own seed")
    options = parse(words, arguments)
    settings = row.settings(options.full) | ({} if options.full else settings)
    if options.seeds is not None:
        if options.seeds < 1:
            words.error(f"argument --seeds: must be at least 1, got {options.seeds}")
        settings["seeds"] = options.seeds
    runs = row.runs(settings, options.out / "runs")
    records = row.check(runs)
    for record in records:
        print(f"{record['name']}: {record['sentence']}\n    measured {record['measured']:.6g} "
              f"({record['summary']} of {record['count']}, {record['spread'][0]:.4g} to {record['spread'][1]:.4g}), "
              f"expected {record['expected']}: {record['verdict']}. {record['correction']}".rstrip())
    stem = options.out / name.replace("-", "_")
    written = write(row.draw(runs), {"settings": settings, "claims": records}, stem)
    if row.animate is not None:
        page = stem.with_suffix(".html")
        page.write_text(row.animate(runs, frames), encoding="utf-8")
        written = *written, page
    for path in written:
        print("wrote", path)
