"""Figures of the articles' experiments in the style of the articles: one panel each, plain axes, losses per epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reporting import style
from pipeline.reporting.style import INK, PALETTE, TEXT, WIDE
from pipeline.schedules import Array

_PANEL = 2.5
"""Height of a panel in inches."""

_TITLE = 34
"""Characters of a title that fit above a panel."""

_FAR = 20.0
"""The factor from which losses need a logarithmic axis: a linear one would show only the largest."""


@dataclass(frozen=True)
class Panel:
    """The losses of one experiment: a frame with the columns seed, epoch, loss and val_loss, one row per epoch."""

    title: str
    history: pd.DataFrame


def scheme_curves(curves: Mapping[str, Array], *, width: float = WIDE) -> Figure:
    """Draw the learning rate of each epoch, one panel per scheme; `curves` maps titles to float64[epochs]."""
    figure, grid = _grid(len(curves), width)
    for axes, (title, rates) in zip(grid, curves.items(), strict=False):
        axes.plot(np.arange(rates.size), rates, color=PALETTE["blue"], linewidth=2)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=False)
        axes.yaxis.get_offset_text().set_fontsize(TEXT - 1)
        _label(axes, "learning rate", title)
    return figure


def losses(panels: Sequence[Panel], *, width: float = WIDE) -> Figure:
    """Draw training and validation loss per epoch, one panel per experiment: each seed, and their mean."""
    figure, grid = _grid(len(panels), width)
    for axes, panel in zip(grid, panels, strict=False):
        _losses(axes, panel.history)
        _label(axes, "loss", panel.title)
    style.legend(figure, 2)
    return figure


def _label(axes: Axes, quantity: str, title: str) -> None:
    style.label(axes, x="epoch", y=quantity, title=fill(title, _TITLE))


def _losses(axes: Axes, history: pd.DataFrame) -> None:
    drawn = {"loss": ("training loss", PALETTE["blue"], "-"), "val_loss": ("validation loss", PALETTE["orange"], "--")}
    for column, (label, color, dash) in drawn.items():
        for _, seed in history.groupby("seed"):
            axes.plot(seed["epoch"], seed[column], color=color, alpha=0.25, linewidth=0.8)
        mean = history.groupby("epoch")[column].mean()
        dot = "o" if mean.size == 1 else None  # one epoch makes no line
        axes.plot(mean.index, mean, color=color, linestyle=dash, linewidth=2, marker=dot, label=label)
    seen = history[["loss", "val_loss"]].to_numpy(np.float64)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if seen.size and seen.max() / seen.min() > _FAR:
        style.log_or_linear(axes.yaxis, float(seen.min()), float(seen.max()))
    axes.tick_params(labelcolor=INK)


def _grid(panels: int, width: float) -> tuple[Figure, list[Axes]]:
    columns = min(3, panels) if width >= WIDE else 1
    rows = -(-panels // columns)
    figure, grid = style.canvas(width, _PANEL * rows + 0.3, rows, columns)
    for axes in grid[panels:]:
        axes.set_axis_off()
    for axes in grid[:panels]:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    return figure, grid
