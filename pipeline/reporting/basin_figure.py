"""The figure of the basins: how much the initial rate of each finalist matters."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipeline.objective import Objective
from pipeline.reporting import style
from pipeline.reporting.board import Entry, entries
from pipeline.reporting.style import GRID, INK, MUTED, WIDE, Mark, Marks
from pipeline.results import Basin, SearchResult

_COLUMNS = 3

_ONE_LINE = 20
"""Letters of a name that leave room for more in the title of a panel."""


def basins(search: SearchResult, *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw the objective against initial rate for each finalist, with the noise between seeds as a band.

    One panel each, the best first, on the same axes: the range of rates that is within noise of the best is shaded.
    Rates that diverged are crosses at the edge where the worst would be.
    """
    shown = [(entry, entry.row.basin) for entry in entries(search) if entry.row.basin is not None]
    marks = marks or style.marks(entry.row.scheme for entry, _ in shown)
    columns = min(_COLUMNS, max(len(shown), 1)) if width >= WIDE else 1
    rows = -(-max(len(shown), 1) // columns)
    figure, panels = style.canvas(width, 1.4 + 2.7 * rows, rows, columns, sharex=True, sharey=True)
    between = ": " if all(len(entry.label) <= _ONE_LINE for entry, _ in shown) else "\n"
    for axes, (entry, basin) in zip(panels, shown, strict=False):
        _panel(axes, entry, basin, marks[entry.row.scheme], search.objective)
        style.label(axes, title=f"{entry.label}{between}{basin.decades:.1f} decades")
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    if shown:
        _scale(panels[0], [basin for _, basin in shown])
    for at, axes in enumerate(panels):
        below = at + columns >= len(shown)
        style.label(
            axes,
            x="initial learning rate" if below else None,
            y=search.objective.label if at % columns == 0 else None,
        )
        axes.tick_params(labelbottom=below)
    style.legend(figure, 2 if width >= WIDE else 1, _keys())
    return figure


def _panel(axes: Axes, entry: Entry, basin: Basin, mark: Mark, objective: Objective) -> None:
    rates, losses = np.array(basin.rates), np.array(basin.values)
    sound = np.isfinite(losses)
    noise = basin.noise if np.isfinite(basin.noise) else 0.0
    axes.axvspan(basin.lr_low, basin.lr_high, color=mark.color, alpha=0.1, lw=0, zorder=0)
    axes.axvline(entry.row.initial_lr, color=INK, linewidth=1, linestyle=":", zorder=1)
    axes.fill_between(rates[sound], losses[sound] - noise, losses[sound] + noise, color=mark.color, alpha=0.25, lw=0)
    axes.plot(
        rates[sound], losses[sound], color=mark.color, marker=mark.marker, markersize=6, markeredgecolor=style.SURFACE
    )
    if not sound.all():
        style.crosses(axes, rates[~sound], mark.color, bottom=objective.direction == "max")


def _scale(axes: Axes, shown: list[Basin]) -> None:
    """Fit both axes to all panels, which share them; losses far above the best need not be seen whole."""
    rates = [rate for basin in shown for rate in basin.rates]
    losses = [loss for basin in shown for loss in basin.values if np.isfinite(loss)]
    style.log_or_linear(axes.xaxis, min(rates), max(rates))
    if losses:
        style.log_or_linear(axes.yaxis, min(losses), max(losses))


def _keys() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=MUTED, marker="o", label="one short training each"),
        Patch(color=MUTED, alpha=0.35, label="noise between seeds (two deviations)"),
        Patch(color=GRID, label="rates within noise of the best"),
        Line2D([], [], color=INK, linestyle=":", label="rate of the finalist"),
    ]
