"""Pages from templates: the book's, the explorer's and the report's, everything escaped."""

import jinja2


def render(path, **values):
    """The template at `path` (a Path) filled with values; a name that is not given is an error."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(path.parent), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    return environment.get_template(path.name).render(**values)
