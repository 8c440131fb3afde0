"""Pages from templates: the book's, the explorer's and the report's, everything escaped."""

import base64
import struct
from html import escape

import jinja2


def render(path, **values):
    """The template at `path` (a Path) filled with values; a name that is not given is an error."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(path.parent), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    return environment.get_template(path.name).render(**values)


def image(png, said):
    """A picture, the bytes of a PNG, as HTML. One that is more than twice as wide as it is high
    scrolls on a narrow screen, where it would be too small to read.
    """
    width, height = struct.unpack(">II", png[16:24])
    return (f'<div class="scroll{" wide" * (width > 2 * height)}"><img alt="{escape(said)}" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}"></div>')
