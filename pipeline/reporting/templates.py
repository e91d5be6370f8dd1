"""The templates of all pages, set up in one way."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape


def template(name: str, filters: Mapping[str, Callable[..., Any]]) -> Template:
    """Return a template of this folder, which escapes HTML and knows these filters.

    What it is not given is an error, not an empty text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.j2"]),  # Markdown has no need of it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
