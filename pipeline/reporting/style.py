"""The look of every figure: palette, markers, axes, the thinning of long curves, and drawing as inline SVG.

Everything is set on the objects themselves, never through matplotlib's global parameters, so that figures can be drawn
while a training runs in another thread.
"""

import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree  # nosec B405 # it reads only what matplotlib has drawn

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.reporting import wording
from pipeline.reporting.readings import Reading, readings
from pipeline.schedules import Array

PALETTE = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "orange": "#e69f00",
    "sky": "#56b4e9",
}
"""Okabe and Ito's colours, which colour-blind readers can distinguish, without yellow: it vanishes on white."""

INK, MUTED, GRID, SURFACE = "#1b2027", "#5b6472", "#dfe3e8", "#ffffff"

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")

WIDE, NARROW = 10.0, 3.9
"""Widths in inches for a desktop screen and for a phone, with text of the same size."""

TEXT = 9.0


@dataclass(frozen=True)
class Mark:
    """The colour, marker and dashes of one series."""

    color: str
    marker: str
    dash: str = "-"


Marks = dict[str, Mark]


def marks(names: Iterable[str]) -> Marks:
    """Return a colour and marker for each name, in order of first appearance; the first 42 names differ."""
    colors = tuple(PALETTE.values())
    return {
        name: Mark(colors[i % len(colors)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(dict.fromkeys(names))
    }


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, *, fitted: bool = True, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` by `height` inches and its grid of styled axes, in reading order.

    Margins fit the content unless `fitted` is false; fixed margins take a third less time to draw.
    """
    figure = Figure(figsize=(width, height), layout="constrained" if fitted else None, facecolor=SURFACE)
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axes in grid:
        _style(axes)
    return figure, grid


def _style(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(which="both", colors=MUTED, labelcolor=INK, labelsize=TEXT)
    axes.grid(True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def label(axes: Axes, x: str | None = None, y: str | None = None, title: str | None = None) -> None:
    """Label the axes, with the title at the left."""
    if x is not None:
        axes.set_xlabel(x, color=INK, fontsize=TEXT)
    if y is not None:
        axes.set_ylabel(y, color=INK, fontsize=TEXT)
    if title is not None:
        axes.set_title(plain(title), loc="left", color=INK, fontsize=TEXT + 1, fontweight="bold")


def legend(figure: Figure, columns: int, handles: list[Any] | None = None) -> None:
    """Add one legend for the whole figure below its axes, with each label once."""
    if handles is None:
        drawn = [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
        handles = list({str(handle.get_label()): handle for handle in drawn}.values())
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(columns, len(handles)),
            frameon=False,
            fontsize=TEXT,
            labelcolor=INK,
        )


def plain(text: str) -> str:
    """Return `text` escaped so that a dollar sign does not start a formula."""
    return text.replace("$", r"\$")


def crosses(axes: Axes, x: Array, color: str, *, bottom: bool = False) -> None:
    """Mark diverged trainings with crosses on the top edge, or on the bottom edge if higher values are better."""
    axes.plot(
        x,
        np.full(x.size, 0.0 if bottom else 1.0),
        linestyle="none",
        marker="x",
        color=color,
        markersize=8,
        markeredgewidth=2,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )


def log_or_linear(axis: Axis, low: float, high: float) -> None:
    """Make `axis` logarithmic if its values are positive and span a factor of three, else linear; label it plainly."""
    formatter = FuncFormatter(lambda value, _: wording.number(value))
    if not (low > 0 and high / low >= 3):
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(formatter)
        return
    if isinstance(axis, XAxis):
        axis.axes.set_xscale("log")
    else:
        axis.axes.set_yscale("log")
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 1e3 else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter)


def thin(x: Array, y: Array, limit: int = 1000) -> tuple[Array, Array]:
    """Return at most `limit` points of a curve: both ends, and the lowest and highest of each stretch between them.

    The extremes preserve what regular sampling would lose: single spikes, the edges of steps, the peaks of cycles.
    Points whose `y` is not finite are left out.
    """
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if y.size <= limit:
        return x, y
    edges = np.linspace(1, y.size - 1, (limit - 2) // 2 + 1).astype(int).tolist()
    kept = {0, y.size - 1}
    for start, stop in pairwise(edges):
        kept.update((start + int(y[start:stop].argmin()), start + int(y[start:stop].argmax())))
    chosen = sorted(kept)
    return x[chosen], y[chosen]


def smooth(values: Array, window: int) -> Array:
    """Return the mean of each point and its neighbours in a centred window of `window` points, fewer at the ends."""
    if values.size == 0 or window <= 1:
        return values
    ones = np.ones(min(window, values.size))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(values.size), ones, "same")


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
    """Return a figure in both layouts; `make` draws it at a width, and `description` is for screen readers."""
    return Drawing(
        wide=inline(make(WIDE), f"{name}-wide", description),
        narrow=inline(make(NARROW), f"{name}-narrow", description),
    )


def inline(figure: Figure, name: str, description: str) -> Markup:
    """Return `figure` as an `<svg>` element; the same figure always gives the same text.

    `name` makes its ids unique in the page; `description` is for screen readers.
    """
    target = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "lr-pipeline", "svg.fonttype": "none"}):
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    drawn = target.getvalue()
    root = ElementTree.fromstring(drawn)  # nosec B314 # as just drawn
    _strip(root, {name.decode() for name in _REFERRED.findall(drawn)})
    for element in root.iter():
        _adapt(element, name)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", description)
    _add_readings(root, readings(figure))
    svg = ElementTree.tostring(root, encoding="unicode")
    return Markup(svg)  # nosec B704 # matplotlib and ElementTree escape all text


def _add_readings(root: ElementTree.Element, found: list[Reading]) -> None:
    """Add a circle for each point that can be read, unseen until the page's script shows it, with its text as title."""
    group = ElementTree.SubElement(root, "g", {"class": "readings"})
    for one in found:
        place = {"cx": f"{one.x:.1f}", "cy": f"{one.y:.1f}", "r": "4"}
        ElementTree.SubElement(ElementTree.SubElement(group, "circle", place), "title").text = one.text


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
