"""The verb `explorer`: write the page."""

from pathlib import Path

from ...store.files import check_writable, os_errors_as, write_text
from .page import explorer

BEGINS = b"<!DOCTYPE html>"


def add_options(parser):
    """The options of `explorer`."""
    parser.add_argument("--out", type=Path, default=Path("explorer.html"), metavar="FILE",
                        help="the page, .html; a page that is there already is replaced")


def run_explorer(options):
    """Write the page, whole or not at all."""
    path = options.out
    if path.suffix != ".html":
        raise ValueError(f"--out must end in .html, got {str(path)!r}")
    check_writable(path)
    if path.exists():
        with os_errors_as(f"cannot read {path}"), path.open("rb") as stream:
            begin = stream.read(len(BEGINS))
        if begin not in (BEGINS, b""):
            raise FileExistsError(f"{path} is there already, and no page: give another name")
    write_text(path, explorer())
    print(f"wrote {path}: open it in a browser; it needs no network")
