"""Figures as inline SVG, coloured by the style sheet of the page, so that one drawing serves light and dark mode."""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.reporting.style import GRID, INK, MUTED, NARROW, PALETTE, SURFACE, WIDE

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    SURFACE: "var(--surface)",
    **{color: f"var(--{name})" for name, color in PALETTE.items()},
}
_COLOR = re.compile("|".join(_VARIABLES))
_FONTS = re.compile(r"'DejaVu Sans'[^;]*")
_DECIMALS = re.compile(r"(\d+\.\d{2})\d+")
_REFERENCE = re.compile(r"url\(#")
_REFERRED = re.compile(rb'(?:url\(#|href="#)([\w.-]+)')
_NUMBERS = ("d", "points", "transform", "x", "y")
_DROPPED = ("metadata", "style")


@dataclass(frozen=True)
class Drawing:
    """A figure in two layouts, for a desktop screen and for a phone; the style sheet shows the one that fits."""

    wide: Markup
    narrow: Markup


def drawing(name: str, description: str, make: Callable[[float], Figure]) -> Drawing:
    """Draw a figure in both layouts by `make`, which takes its width; `description` is its text for screen readers."""
    # matplotlib escapes all text that it writes, so the SVG is safe.
    wide = inline(make(WIDE), f"{name}-wide", description)
    narrow = inline(make(NARROW), f"{name}-narrow", description)
    return Drawing(Markup(wide), Markup(narrow))


def inline(figure: Figure, name: str, description: str) -> str:
    """Return `figure` as an `<svg>` element; the same figure always gives the same text.

    `name` makes its ids unique in the page; `description` is its text for screen readers.
    """
    target = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "lr-pipeline", "svg.fonttype": "none"}):
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    drawn = target.getvalue()
    root = ElementTree.fromstring(drawn)
    _strip(root, {name.decode() for name in _REFERRED.findall(drawn)})
    for element in root.iter():
        _adapt(element, name)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", description)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(element: ElementTree.Element, referred: Set[str]) -> None:
    """Remove metadata, which contains outside addresses, and styles, which would apply to the whole page.

    Also remove what only takes space: unused ids, groups without attributes, and spaces between elements.
    """
    kept: list[ElementTree.Element] = []
    for child in element:
        if _local(child.tag) in _DROPPED:
            continue
        _strip(child, referred)
        child.tail = _text(child.tail)
        if child.get("id") not in referred:
            child.attrib.pop("id", None)
        kept += [child] if child.attrib or _local(child.tag) != "g" else list(child)
    element[:] = kept
    element.text = _text(element.text)


def _text(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Remove namespaces from the element, make its ids unique, and leave its colours and font to the style sheet."""
    element.tag = _local(element.tag)
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        element.set(_local(key), _attribute(_local(key), value, name))


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = _REFERENCE.sub(f"url(#{name}-", value)
    if key == "style":
        return _FONTS.sub("var(--font)", _COLOR.sub(lambda match: _VARIABLES[match[0]], value))
    return " ".join(_DECIMALS.sub(r"\1", value).split()) if key in _NUMBERS else value


def _local(qualified: str) -> str:
    return qualified.rpartition("}")[2]
