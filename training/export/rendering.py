"""HTML and SVG from the templates beside this file: escaped, and loud about a forgotten value."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, **values: object) -> Markup:
    """Return a template filled in, every value in it escaped.

    Args:
        template: name of a file in `templates/`.
        values: by the names that the template uses; what is `Markup` already stays as it is.

    Raises:
        jinja2.UndefinedError: the template uses a name that is not among `values`.
    """
    return Markup(_TEMPLATES.get_template(template).render(**values))
