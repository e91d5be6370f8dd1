"""Figures of a regression's test set: predicted against true values, and what remains."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pipeline.predictions import Predictions, Values
from pipeline.reporting import style
from pipeline.reporting.style import MUTED, PALETTE, WIDE


def against_true(found: Predictions, *, width: float = WIDE) -> Figure:
    """Draw predicted against true values, and the residual, predicted minus true, against the predicted value.

    Each predicted value has a row of two panels, on a phone a column of them.
    """
    columns = 2 if width >= WIDE else 1
    rows = len(found.values) * 2 // columns
    figure, panels = style.canvas(width, 0.6 + 3.4 * rows, rows, columns)
    for at, values in enumerate(found.values):
        which = f" of {values.name}" if len(found.values) > 1 else ""
        left, right = panels[2 * at], panels[2 * at + 1]
        _predicted(left, values)
        style.label(left, x="true value", y="predicted value", title=f"Predicted against true{which}")
        _residuals(right, values)
        style.label(right, x="predicted value", y="predicted minus true", title=f"Residuals{which}")
    return figure


def _predicted(axes: Axes, values: Values) -> None:
    both = [*values.true, *values.predicted]
    ends = [min(both), max(both)]
    axes.plot(ends, ends, color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
    _points(axes, values.true, values.predicted)


def _residuals(axes: Axes, values: Values) -> None:
    axes.axhline(0, color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
    _points(axes, values.predicted, np.subtract(values.predicted, values.true))


def _points(axes: Axes, x: ArrayLike, y: ArrayLike) -> None:
    axes.plot(
        np.asarray(x), np.asarray(y), linestyle="none", marker="o", markersize=5, color=PALETTE["blue"],
        markeredgecolor=style.SURFACE, markeredgewidth=0.5,
    )  # fmt: skip
