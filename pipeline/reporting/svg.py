"""Figures as SVG inside the page: coloured by its style sheet, so that one drawing serves light and dark."""

import re
from collections.abc import Set
from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from pipeline.reporting.style import GRID, INK, MUTED, PALETTE, SURFACE

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


def inline(figure: Figure, name: str, description: str) -> str:
    """`figure` as an `<svg>` element to place in a page; the same figure gives the same text.

    `name` makes its ids unique in the page; `description` is what a screen reader says in its place.
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
    """Remove metadata, which names outside addresses, and styles, which would apply to the whole page.

    And what only takes space: ids that nothing refers to, groups without attributes, and spaces between elements.
    """
    kept: list[ElementTree.Element] = []
    for child in element:
        if _local(child.tag) in _DROPPED:
            continue
        _strip(child, referred)
        child.tail = _said(child.tail)
        if child.get("id") not in referred:
            child.attrib.pop("id", None)
        kept += [child] if child.attrib or _local(child.tag) != "g" else list(child)
    element[:] = kept
    element.text = _said(element.text)


def _said(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Free the element of namespaces, make its ids unique, and hand its colours and font to the style sheet."""
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
