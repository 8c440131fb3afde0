"""Tables of benchmarks in Markdown: on the screen, or in the place that a file keeps for them."""

from pathlib import Path


def show(name, head, rows, below, where):
    """Print a table, or put it into the file `where` between the comment lines of this name.

    Without `where` (None) nothing happens; True prints.
    """
    if where is None:
        return
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    text = "\n".join([line(head), line(["---"] * len(head)), *map(line, rows), "", *below])
    if where is True:
        return print(f"\n{text}")
    path, marks = Path(where), [f"<!-- {name}: {edge} -->" for edge in ("begins", "ends")]
    page = path.read_text(encoding="utf-8")
    if not all(page.count(mark) == 1 for mark in marks):
        raise SystemExit(f"{path} must have the lines {' and '.join(marks)} once each")
    before, _ = page.split(marks[0])
    _, after = page.split(marks[1])
    path.write_text(f"{before}{marks[0]}\n{text}\n{marks[1]}{after}", encoding="utf-8")


def add_option(parser):
    parser.add_argument("--markdown", nargs="?", const=True, metavar="FILE",
                        help="print the table in Markdown, or replace the one in FILE")
