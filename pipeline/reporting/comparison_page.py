"""The page that compares logged trainings, and its figures."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.comparison import LR, Comparison
from pipeline.reporting import style, wording
from pipeline.reporting.style import WIDE, Drawing, Marks
from pipeline.reporting.templates import template

_PANEL = 3.2
"""Height of a panel in inches."""

_FAR = 20.0
"""The ratio of values above which an axis is logarithmic: a linear one would show only the largest."""


def render(comparison: Comparison) -> str:
    """Return the page, which loads nothing from outside. The same comparison always gives the same text."""
    filters = {"score": _score}
    return template("comparison.html.j2", filters).render(comparison=comparison, drawings=_draw(comparison))


def _score(value: float | None, metric: str) -> str:
    if value is None:
        return ""
    return wording.percent(value) if metric.endswith("accuracy") else wording.loss(value)


def _draw(comparison: Comparison) -> list[Drawing]:
    marks = style.marks(run.name for run in comparison.runs)
    groups = [(LR,), *_grouped(comparison.metrics)]
    return [
        style.drawing(
            f"curves{at}",
            f"{' and '.join(group)} of each run against {_axis(comparison)}",
            partial(curves, comparison, group, marks),
        )
        for at, group in enumerate(groups)
    ]


def _grouped(metrics: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each metric together with that of the validation."""
    groups: dict[str, tuple[str, ...]] = {}
    for name in metrics:
        own = name.removeprefix("val_")
        groups[own] = (*groups.get(own, ()), name)
    return list(groups.values())


def _axis(comparison: Comparison) -> str:
    return "epoch" if comparison.in_epochs else "step as logged"


def curves(comparison: Comparison, metrics: Sequence[str], marks: Marks, width: float = WIDE) -> Figure:
    """Draw metrics side by side, or on a phone one below the other, with a line for each run that has them."""
    columns = len(metrics) if width >= WIDE else 1
    rows = len(metrics) // columns
    figure, grid = style.canvas(width, _PANEL * rows + 0.4 * len(comparison.runs) * (width < WIDE), rows, columns)
    for axes, metric in zip(grid, metrics, strict=True):
        _panel(axes, comparison, metric, marks)
        style.label(axes, x=_axis(comparison), y="learning rate" if metric == LR else metric)
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def _panel(axes: Axes, comparison: Comparison, metric: str, marks: Marks) -> None:
    seen: list[float] = []
    for run in comparison.runs:
        if (curve := run.curves.get(metric)) is None:
            continue
        values = np.where(curve.values > 0, curve.values, np.nan) if metric == LR else curve.values
        x, y = style.thin(comparison.along(run, curve), values)
        mark = marks[run.name]
        axes.plot(
            x,
            y,
            color=mark.color,
            linewidth=1.6,
            marker=mark.marker,
            markersize=5,
            markevery=max(1, x.size // 8),
            label=style.plain(run.name),
        )
        seen += y.tolist()
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if seen and min(seen) > 0 and max(seen) / min(seen) > _FAR:
        style.log_or_linear(axes.yaxis, min(seen), max(seen))
