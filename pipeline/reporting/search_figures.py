"""Figures of the search: its trials, the leaderboard with its intervals, and the basins of the finalists."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.evaluation import setting_prefix
from pipeline.objective import VAL_LOSS, Objective
from pipeline.reporting import style, wording
from pipeline.reporting.report_inputs import Entry, entries
from pipeline.reporting.style import GRID, INK, MUTED, TEXT, WIDE, Mark, Marks
from pipeline.results import Basin, SearchResult
from pipeline.schedules import Array

_TRIAL_COLUMNS, _BASIN_COLUMNS = 2, 3
"""The most panels side by side."""

_ONE_LINE = 20
"""The longest name of a finalist that leaves room for the width of its basin in a panel's title."""


def leaderboard(search: SearchResult, *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw a forest plot: the mean objective and its interval for each finalist and baseline, the best at the top."""
    lines = entries(search)
    marks = marks or style.marks(entry.row.scheme for entry in lines if entry.role != "baseline")
    figure, (axes,) = style.canvas(width, 0.9 + 0.42 * max(len(lines), 2))
    for place, entry in enumerate(lines):
        _interval(axes, place, entry, marks)
    _names(axes, lines, beside=width >= WIDE)
    _value_axis(axes, [entry for entry in lines if not entry.diverged], search.objective.label)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(False, axis="y")
    return figure


def _names(axes: Axes, lines: Sequence[Entry], *, beside: bool) -> None:
    """Label each line at the left, with its verdict at the right if `beside`, otherwise below the name."""
    names = [style.plain(entry.label) if beside else f"{style.plain(entry.label)}\n{entry.standing}" for entry in lines]
    axes.set_yticks(range(len(lines)), names)
    for place, (text, entry) in enumerate(zip(axes.get_yticklabels(), lines, strict=True)):
        weight = "bold" if entry.role == "winner" else "normal"
        text.set_fontweight(weight)
        if beside:
            right = axes.get_yaxis_transform()
            axes.text(1.02, place, entry.standing, transform=right, va="center", color=INK, size=TEXT, weight=weight)


def _value_axis(axes: Axes, shown: Sequence[Entry], label: str) -> None:
    """Scale the axis to all intervals, but start a logarithmic one no lower than a quarter of the lowest mean."""
    style.label(axes, x=label)
    if not shown:
        return
    means = [entry.row.objective.mean for entry in shown]
    ends = [end for entry in shown for end in _ends(entry)]
    low, high = min(ends), max(ends)
    if min(means) > 0 and max(means) / min(means) >= 3:
        low = max(low, min(means) / 4)
        axes.set_xlim(low / 1.1, high * 1.1)
    style.log_or_linear(axes.xaxis, low, high)
    axes.axvline(means[0], color=MUTED, linewidth=1, linestyle=":", zorder=0)


def _interval(axes: Axes, place: int, entry: Entry, marks: Marks) -> None:
    baseline = Mark(MUTED, "s")
    mark = baseline if entry.role == "baseline" else marks[entry.row.scheme]
    best = entry.role == "winner"
    if best:
        axes.axhspan(place - 0.5, place + 0.5, color=mark.color, alpha=0.1, lw=0, zorder=0)
    if entry.diverged:
        return
    axes.plot(_ends(entry), [place, place], color=mark.color, linewidth=3.2 if best else 2, solid_capstyle="round")
    axes.plot(
        [entry.row.objective.mean],
        [place],
        marker=mark.marker,
        markersize=10 if best else 8,
        color=mark.color,
        markerfacecolor=mark.color if best or entry.row.verdict in ("tie", "equivalent") else style.SURFACE,
        markeredgewidth=1.8,
        linestyle="none",
        zorder=4,
        label=style.plain(f"{entry.label} ({wording.level(entry.row.objective)} {wording.span(entry.row.objective)})"),
    )


def _ends(entry: Entry) -> list[float]:
    """Return the bounds of the interval, or the mean twice if there is one seed only."""
    interval = entry.row.objective
    if not np.isfinite([interval.low, interval.high]).all():
        return [interval.mean, interval.mean]
    return [interval.low, interval.high]


def trials(
    frame: pd.DataFrame, objective: Objective = VAL_LOSS, *, marks: Marks | None = None, width: float = WIDE
) -> Figure:
    """Draw the objective against initial rate of every trial, with a colour and marker for each scheme.

    Each optimizer and batch size has a panel, all on the same scales. Diverged trials are crosses at the edge of the
    worst values.

    Args:
        frame: The trials, with the columns `optimizer`, `batch_size`, `scheme`, `initial_lr`, `state` and the metric of
            the objective.
        objective: What the search was judged by.
        marks: The colour and marker of each scheme; by default the figure chooses its own.
        width: In inches.

    """
    groups = _by_setting(frame)
    columns = min(_TRIAL_COLUMNS, len(groups)) if width >= WIDE else 1
    rows = -(-len(groups) // columns)
    alone = 4.6 if width >= WIDE else 4.8
    figure, panels = style.canvas(
        width, alone if rows == 1 else 1.4 + 2.7 * rows, rows, columns, sharex=True, sharey=True
    )
    marks = marks or style.marks(frame["scheme"].astype(str))
    rates, values = _rates(frame), _values(frame, objective)
    diverged = _diverged(frame, objective)
    finite = values[~diverged]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.1, 1.0)
    style.log_or_linear(panels[0].yaxis, low, high)
    if rates.size:
        style.log_or_linear(panels[0].xaxis, float(rates.min()), float(rates.max()))
    for at, (axes, (title, group)) in enumerate(zip(panels, groups, strict=False)):
        _trials_of(axes, group, objective, marks)
        below = at + columns >= len(groups)
        style.label(axes, x="initial learning rate" if below else None, title=title or None)
        style.label(axes, y=objective.label if at % columns == 0 else None)
        axes.tick_params(labelbottom=below)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    style.legend(figure, 6 if width >= WIDE else 2, _keys(marks, frame["scheme"].astype(str), bool(diverged.any())))
    return figure


@dataclass(frozen=True)
class _Setting:
    optimizer: str
    batch_size: int


def _by_setting(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Group the trials by optimizer and batch size, each group with a label that distinguishes it."""
    settings = list(map(_Setting, frame["optimizer"].astype(str), frame["batch_size"].astype(int)))
    compared = list(dict.fromkeys(settings))
    return [
        (setting_prefix(setting, compared).strip(), frame[[own == setting for own in settings]]) for setting in compared
    ] or [("", frame)]


def _rates(frame: pd.DataFrame) -> Array:
    return frame["initial_lr"].to_numpy(dtype=np.float64)


def _values(frame: pd.DataFrame, objective: Objective) -> Array:
    return frame[objective.metric].to_numpy(dtype=np.float64)


def _diverged(frame: pd.DataFrame, objective: Objective) -> NDArray[np.bool_]:
    stopped = frame["state"].astype(str).str.contains("diverged", case=False)
    return np.asarray(~np.isfinite(_values(frame, objective)) | stopped.to_numpy(), np.bool_)


def _trials_of(axes: Axes, frame: pd.DataFrame, objective: Objective, marks: Marks) -> None:
    rates, values = _rates(frame), _values(frame, objective)
    schemes = frame["scheme"].astype(str).to_numpy()
    diverged = _diverged(frame, objective)
    for name in dict.fromkeys(schemes):
        chosen = (schemes == name) & ~diverged
        _points(axes, rates[chosen], values[chosen], marks[name], wording.scheme(name))
        lost = rates[(schemes == name) & diverged]
        if lost.size:
            style.crosses(axes, lost, marks[name].color, bottom=objective.direction == "max")


def _points(axes: Axes, x: Array, y: Array, mark: Mark, label: str) -> None:
    axes.plot(
        x,
        y,
        label=style.plain(label),
        linestyle="none",
        marker=mark.marker,
        color=mark.color,
        markersize=8,
        markeredgecolor=style.SURFACE,
        markeredgewidth=0.8,
    )


def _keys(marks: Marks, schemes: Iterable[str], diverged: bool) -> list[Line2D]:
    entries = [(marks[name].marker, marks[name].color, wording.scheme(name)) for name in dict.fromkeys(schemes)]
    if diverged:
        entries.append(("x", INK, "diverged"))
    return [
        Line2D([], [], linestyle="none", marker=marker, color=color, markeredgewidth=2, label=style.plain(text))
        for marker, color, text in entries
    ]


def basins(search: SearchResult, *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw the objective against initial rate for each finalist, with the noise between seeds as a band.

    Each finalist has a panel, the best first, all on the same scales. The range of rates within noise of the best is
    shaded. Rates that diverged are crosses at the edge of the worst values.
    """
    shown = [(entry, entry.row.basin) for entry in entries(search) if entry.row.basin is not None]
    marks = marks or style.marks(entry.row.scheme for entry, _ in shown)
    columns = min(_BASIN_COLUMNS, max(len(shown), 1)) if width >= WIDE else 1
    rows = -(-max(len(shown), 1) // columns)
    figure, panels = style.canvas(width, 1.4 + 2.7 * rows, rows, columns, sharex=True, sharey=True)
    between = ": " if all(len(entry.label) <= _ONE_LINE for entry, _ in shown) else "\n"
    for axes, (entry, basin) in zip(panels, shown, strict=False):
        _basin_panel(axes, entry, basin, marks[entry.row.scheme], search.objective)
        style.label(axes, title=f"{entry.label}{between}{basin.decades:.1f} decades")
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    if shown:
        _basin_scale(panels[0], [basin for _, basin in shown])
    for at, axes in enumerate(panels):
        below = at + columns >= len(shown)
        style.label(
            axes,
            x="initial learning rate" if below else None,
            y=search.objective.label if at % columns == 0 else None,
        )
        axes.tick_params(labelbottom=below)
    style.legend(figure, 2 if width >= WIDE else 1, _basin_keys())
    return figure


def _basin_panel(axes: Axes, entry: Entry, basin: Basin, mark: Mark, objective: Objective) -> None:
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


def _basin_scale(axes: Axes, shown: list[Basin]) -> None:
    """Scale both axes, which all panels share, to the rates and losses of all basins."""
    rates = [rate for basin in shown for rate in basin.rates]
    losses = [loss for basin in shown for loss in basin.values if np.isfinite(loss)]
    style.log_or_linear(axes.xaxis, min(rates), max(rates))
    if losses:
        style.log_or_linear(axes.yaxis, min(losses), max(losses))


def _basin_keys() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=MUTED, marker="o", label="mean of the trainings at a rate"),
        Patch(color=MUTED, alpha=0.35, label="noise between seeds (one deviation)"),
        Patch(color=GRID, label="rates within noise of the best"),
        Line2D([], [], color=INK, linestyle=":", label="rate of the finalist"),
    ]
