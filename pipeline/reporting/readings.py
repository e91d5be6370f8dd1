"""The values in a figure, as the page shows them under the pointer and reads them out at the keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.reporting import wording
from pipeline.schedules import Array

_MOST = 40
"""Points of a line that can be read: more would only enlarge the page."""

_POINT = 72.0
"""Points per inch, the unit of SVG drawings."""

_FAINT = 0.5
"""Lines with less opacity only show the noise around others."""

_UNMARKED = ("None", "none", " ", "", None)


@dataclass(frozen=True)
class Reading:
    """A point of a figure, in the SVG drawing's own units from the top left, and what it says."""

    x: float
    y: float
    text: str


def readings(figure: Figure) -> list[Reading]:
    """Return the points of the lines that have a label or markers, line by line; `figure` must have been drawn.

    Faint lines are left out: they only show the noise.
    """
    shown = [axes for axes in figure.axes if axes.get_visible()]
    return [one for axes in shown for line in axes.get_lines() for one in _of_line(axes, line)]


def _of_line(axes: Axes, line: Line2D) -> Iterator[Reading]:
    label, figure = str(line.get_label()), axes.get_figure(root=True)
    named = not label.startswith("_")
    told = (named or line.get_marker() not in _UNMARKED) and (line.get_alpha() or 1.0) >= _FAINT
    if figure is None or not told or line.get_transform() != axes.transData:
        return
    x, y = (np.asarray(values, np.float64) for values in line.get_data())
    places = axes.transData.transform(np.column_stack([x, y])) if x.size else np.empty((0, 2))
    seen = np.flatnonzero(np.isfinite(places).all(axis=1) & _inside(axes, places))
    titles = [axes.get_title(loc="left"), label if named else ""]
    series = ", ".join(filter(None, titles)).replace(r"\$", "$").replace("\n", " ")
    names = [_name(axes, "x"), _name(axes, "y")]
    scale, height = _POINT / figure.dpi, figure.get_figheight() * _POINT
    for at in seen[np.unique(np.linspace(0, seen.size - 1, min(_MOST, seen.size)).astype(int))] if seen.size else ():
        values = [f"{name} {wording.loss(value)}" for name, value in zip(names, (x[at], y[at]), strict=True) if name]
        across, up = places[at] * scale
        yield Reading(float(across), float(height - up), ": ".join(filter(None, (series, ", ".join(values)))))


def _inside(axes: Axes, places: Array) -> NDArray[np.bool_]:
    box = axes.bbox.padded(1.0)
    return np.asarray(((places >= box.min) & (places <= box.max)).all(axis=1))


def _name(axes: Axes, which: str) -> str:
    """Return the label of an axis, which panels that share it may leave to one of them."""
    group = axes.get_shared_x_axes() if which == "x" else axes.get_shared_y_axes()
    labels = (getattr(one, f"get_{which}label")() for one in (axes, *group.get_siblings(axes)))
    return next(filter(None, labels), "")
