"""Figure of regret against cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.reporting import style

_LEAST, _MOST = 0.002, 10.0
"""Regrets beyond these are drawn at the edge."""

_COSTS = (0.5, 1, 2, 3, 5, 10, 15, 25, 60)
_REGRETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Searches(Protocol):
    """The searches of one method within one budget: costs, and regrets for each judgement."""

    @property
    def costs(self) -> list[float]:
        """In full trainings."""

    @property
    def regrets(self) -> dict[str, list[float]]:
        """For each judgement."""


def draw(found: Mapping[str, Sequence[Searches]], path: Path) -> None:
    """Draw median and worst regret of each method against its cost, for each judgement."""
    judgements = next(searches for searches in found.values() if searches)[0].regrets
    figure, axes = style.canvas(style.WIDE, 6.5, rows=2, columns=len(judgements), sharex=True, sharey="row")
    panels = [(statistic, judgement) for statistic in (np.median, np.max) for judgement in judgements]
    looks = {"ours": style.Mark(style.INK, "o"), **style.marks(method for method in found if method != "ours")}
    for panel, (statistic, judgement) in zip(axes, panels, strict=True):
        for method, searches in found.items():
            look, ours = looks[method], method == "ours"
            panel.plot(
                [float(np.median(one.costs)) for one in searches],
                [min(max(float(statistic(one.regrets[judgement])), _LEAST), _MOST) for one in searches],
                color=look.color,
                marker=look.marker,
                linewidth=2.5 if ours else 1.2,
                markersize=6 if ours else 5,
                zorder=3 if ours else 2,
                label=method,
            )
        for axis, ticks, percent in ((panel.xaxis, _COSTS, False), (panel.yaxis, _REGRETS, True)):
            _logarithmic(axis, ticks, percent=percent)
        name = "Median" if statistic is np.median else "Worst"
        style.label(panel, x="cost, full trainings" if panel in axes[-len(judgements) :] else None)
        style.label(panel, title=f"{name} regret, {judgement}")
    style.legend(figure, 4)
    figure.savefig(path, dpi=110)


def _logarithmic(axis: Axis, ticks: Sequence[float], *, percent: bool) -> None:
    set_scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    set_scale("log")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%" if percent else f"{value:g}"))
