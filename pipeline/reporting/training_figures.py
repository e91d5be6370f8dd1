"""Figures of trainings: the rates and losses of one training, and the curves of several together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.evaluation import Evaluation, Training
from pipeline.reporting import style, wording
from pipeline.reporting.style import DASHES, INK, MUTED, WIDE, Mark, Marks
from pipeline.schedules import Array

Role = Literal["winner", "finalist", "baseline", "trial"]

_ORDER: dict[Role, int] = {"winner": 0, "finalist": 1, "baseline": 2, "trial": 3}


@dataclass(frozen=True)
class NamedTraining:
    """A training with what figures need to label and group it; `name` ends in its seed and any split."""

    name: str
    scheme: str
    seed: int
    role: Role
    training: Training

    @property
    def series(self) -> str:
        """The name without seed and split: trainings that differ in these only are drawn as one series."""
        return self.name.partition(f" seed={self.seed}")[0]


@dataclass(frozen=True)
class _Series:
    """Trainings that differ in their seed only, and the mark to draw them with."""

    label: str
    role: Role
    mark: Mark
    trainings: tuple[NamedTraining, ...]

    @property
    def rates(self) -> Array:
        """The rate of each update, on the first seed."""
        return self.trainings[0].training.rates.astype(np.float64)


def lr_curve(evaluation: Evaluation, training: Training, *, width: float = WIDE) -> Figure:
    """Draw the learning rate of each update above the batch loss, raw and smoothed, against epochs.

    Every training logs this figure, so it must be quick to draw.
    """
    figure, (rate, loss) = style.canvas(width, 4.6, 2, fitted=False, sharex=True)
    figure.subplots_adjust(left=0.85 / width, right=0.98, bottom=0.1, top=0.93, hspace=0.12)
    color = style.PALETTE["blue"]
    rates, losses = training.rates.astype(np.float64), training.losses.astype(np.float64)
    epochs = np.arange(rates.size) / training.steps_per_epoch
    rate.plot(*style.thin(epochs, rates), color=color, linewidth=2)
    rate.set_ylim(bottom=0)
    rate.yaxis.set_major_locator(MaxNLocator(4))  # ticks and their labels take half of the drawing time
    rate.xaxis.set_major_locator(MaxNLocator(5))
    style.label(rate, y="learning rate", title=evaluation.name)

    finite = np.isfinite(losses)
    seen, raw = np.flatnonzero(finite) / training.steps_per_epoch, losses[finite]
    loss.plot(*style.thin(seen, raw), color=MUTED, alpha=0.35, linewidth=0.8, label="each batch")
    loss.plot(*style.thin(seen, style.smooth(raw, raw.size // 40)), color=color, linewidth=2, label="smoothed")
    if raw.size:
        style.log_or_linear(loss.yaxis, *np.quantile(raw, (0.01, 1.0)))
    style.label(loss, x="epoch", y="training loss")
    loss.legend(loc="upper right", frameon=False, fontsize=style.TEXT, labelcolor=INK)
    return figure


def lr_curves(trainings: Sequence[NamedTraining], *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw the learning rate against epochs of the winner, the finalists and the baselines, one line per series."""
    figure, (axes,) = style.canvas(width, 4.2 if width >= WIDE else 4.0)
    drawn = _series(trainings, marks)
    for series in drawn:
        rates = series.rates
        epochs = np.arange(rates.size) / series.trainings[0].training.steps_per_epoch
        # A logarithmic axis cannot show the zero at which a cosine ends: the line leaves through the bottom instead.
        _line(axes, series, *style.thin(epochs, np.where(rates > 0, rates, np.nan)))
    low, high = _visible([series.rates for series in drawn])
    style.log_or_linear(axes.yaxis, low, high)
    axes.set_ylim(low, high * 1.3)
    axes.set_xlim(left=0)
    style.label(axes, x="epoch", y="learning rate")
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def loss_curves(trainings: Sequence[NamedTraining], *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw training and validation loss per epoch: the mean over seeds, and a band from the lowest to the highest."""
    panels = (1, 2) if width >= WIDE else (2, 1)
    figure, grid = style.canvas(width, 4.2 if width >= WIDE else 6.4, *panels, sharey=True, sharex=True)
    drawn = _series(trainings, marks)
    spans = []
    for axes, key, title in zip(grid, ("loss", "val_loss"), ("Training loss", "Validation loss"), strict=True):
        for series in drawn:
            losses = _per_epoch(series, key)
            if losses.shape[1] == 0:
                continue
            epochs = np.arange(1, losses.shape[1] + 1, dtype=np.float64)
            band = (losses.min(axis=0), losses.max(axis=0))
            axes.fill_between(epochs, *band, color=series.mark.color, alpha=0.15, lw=0)
            _line(axes, series, epochs, losses.mean(axis=0))
            spans.append((losses.min(), losses.max()))
        beside = width >= WIDE
        style.label(axes, title=title, x="epoch" if beside or axes is grid[1] else None)
        style.label(axes, y="loss" if axes is grid[0] or not beside else None)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if spans:
        style.log_or_linear(grid[0].yaxis, min(low for low, _ in spans), max(high for _, high in spans))
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def _line(axes: Axes, series: _Series, x: Array, y: Array) -> None:
    label = wording.scheme(f"{series.label} (winner)" if series.role == "winner" else series.label)
    axes.plot(
        x,
        y,
        color=series.mark.color,
        linestyle=series.mark.dash,
        linewidth=2.6 if series.role == "winner" else 1.6,
        marker=series.mark.marker,
        markersize=5,
        markevery=max(1, x.size // 8),
        zorder=4 - _ORDER[series.role] / 10,
        label=style.plain(label),
    )


def _series(trainings: Sequence[NamedTraining], marks: Marks | None) -> list[_Series]:
    """Group trainings into series: schemes in colour, baselines in grey, further series of a scheme dashed."""
    groups: dict[tuple[str, Role], list[NamedTraining]] = {}
    for training in sorted(trainings, key=lambda t: _ORDER[t.role]):
        if training.role != "trial":
            groups.setdefault((training.series, training.role), []).append(training)
    marks = marks or style.marks(t.scheme for members in groups.values() for t in members if t.role != "baseline")
    seen: Counter[str] = Counter()
    drawn: list[_Series] = []
    for (name, role), members in groups.items():
        kind = "baseline" if role == "baseline" else members[0].scheme
        drawn.append(_Series(name, role, _mark(kind, role, seen[kind], marks), tuple(members)))
        seen[kind] += 1
    return drawn


def _mark(kind: str, role: Role, earlier: int, marks: Marks) -> Mark:
    if role == "baseline":
        return Mark((MUTED, INK)[earlier % 2], ("x", "+")[earlier % 2], DASHES[1 + earlier % 3])
    return replace(marks[kind], dash=DASHES[earlier % len(DASHES)])


def _per_epoch(series: _Series, key: str) -> Array:
    """Return losses of shape (seeds, epochs), up to the last epoch that every seed reached with finite losses."""
    rows = [np.asarray(t.training.history.get(key, ()), dtype=np.float64) for t in series.trainings]
    reached = min(int(np.argmin(np.append(np.isfinite(row), False))) for row in rows)
    return np.stack([row[:reached] for row in rows])


def _visible(curves: Sequence[Array]) -> tuple[float, float]:
    """Return the bounds of a rate axis: they include every peak, but not rates far below the lowest peak."""
    peaks = [float(curve.max()) for curve in curves if curve.max(initial=0.0) > 0]
    if not peaks:
        return 0.0, 1.0
    lowest = min(float(curve[curve > 0].min()) for curve in curves if (curve > 0).any())
    return max(lowest / 1.3, min(min(peaks) / 3, max(peaks) * 1e-3)), max(peaks)
