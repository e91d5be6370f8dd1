"""Figures of trainings: the rate and the loss of one, and the curves of several together."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reporting import style, wording
from pipeline.reporting.style import DASHES, INK, MUTED, WIDE, Mark, Marks

Role = Literal["winner", "finalist", "baseline", "trial"]

_SEED = re.compile(r"\s*seed=\d+$")
_ORDER: dict[Role, int] = {"winner": 0, "finalist": 1, "baseline": 2, "trial": 3}


@dataclass(frozen=True)
class Training:
    """One training as it went.

    `lr` and `batch_loss` hold one number an optimizer update, `batch_loss` fewer where the training diverged.
    `history` maps `loss`, `val_loss`, and `accuracy`, `val_accuracy` or `mae`, `val_mae` to one number an epoch.
    """

    name: str
    scheme: str
    seed: int
    role: Role
    lr: npt.NDArray[np.float64]
    batch_loss: npt.NDArray[np.float64]
    history: Mapping[str, Sequence[float]]
    steps_per_epoch: int

    @property
    def series(self) -> str:
        """The name without its seed: trainings that differ in nothing else are drawn as one."""
        return _SEED.sub("", self.name)


@dataclass(frozen=True)
class _Series:
    """Trainings that differ in their seed only, and how they are drawn."""

    label: str
    role: Role
    mark: Mark
    trainings: tuple[Training, ...]


def lr_curve(training: Training, *, width: float = WIDE) -> Figure:
    """Draw the learning rate of each update above the batch loss, raw and smoothed, against epochs.

    Every training logs this figure, so it is kept quick to draw.
    """
    figure, (rate, loss) = style.canvas(width, 4.6, 2, fitted=False, sharex=True)
    figure.subplots_adjust(left=0.85 / width, right=0.98, bottom=0.1, top=0.93, hspace=0.12)
    color = style.PALETTE["blue"]
    epochs = np.arange(training.lr.size) / training.steps_per_epoch
    rate.plot(*style.thin(epochs, training.lr), color=color, linewidth=2)
    rate.set_ylim(bottom=0)
    rate.yaxis.set_major_locator(MaxNLocator(4))  # half the time goes into ticks and their labels
    rate.xaxis.set_major_locator(MaxNLocator(5))
    style.label(rate, y="learning rate", title=training.name)

    finite = np.isfinite(training.batch_loss)
    seen, raw = np.flatnonzero(finite) / training.steps_per_epoch, training.batch_loss[finite]
    loss.plot(*style.thin(seen, raw), color=MUTED, alpha=0.35, linewidth=0.8, label="each batch")
    loss.plot(*style.thin(seen, style.smooth(raw, raw.size // 40)), color=color, linewidth=2, label="smoothed")
    if raw.size:
        style.log_or_linear(loss.yaxis, *np.quantile(raw, (0.01, 1.0)))
    style.label(loss, x="epoch", y="training loss")
    loss.legend(loc="upper right", frameon=False, fontsize=style.TEXT, labelcolor=INK)
    return figure


def lr_curves(trainings: Sequence[Training], *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw the learning rate against epochs of the winner, the finalists and the baselines, one line each."""
    figure, (axes,) = style.canvas(width, 4.2 if width >= WIDE else 4.0)
    drawn = _series(trainings, marks)
    for series in drawn:
        first = series.trainings[0]
        epochs = np.arange(first.lr.size) / first.steps_per_epoch
        # A cosine ends at zero, which a logarithmic axis cannot show: the line leaves through the bottom instead.
        rates = np.where(first.lr > 0, first.lr, np.nan)
        _line(axes, series, *style.thin(epochs, rates))
    low, high = _visible([series.trainings[0].lr for series in drawn])
    style.log_or_linear(axes.yaxis, low, high)
    axes.set_ylim(low, high * 1.3)
    axes.set_xlim(left=0)
    style.label(axes, x="epoch", y="learning rate")
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def loss_curves(trainings: Sequence[Training], *, marks: Marks | None = None, width: float = WIDE) -> Figure:
    """Draw training and validation loss per epoch: mean over seeds, band from the lowest to the highest."""
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
    if spans:
        style.log_or_linear(grid[0].yaxis, min(low for low, _ in spans), max(high for _, high in spans))
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def _line(axes: Axes, series: _Series, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
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


def _series(trainings: Sequence[Training], marks: Marks | None) -> list[_Series]:
    """Group trainings by name: schemes in colour, baselines in grey, a scheme's second series dashed."""
    groups: dict[tuple[str, Role], list[Training]] = {}
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


def _per_epoch(series: _Series, key: str) -> npt.NDArray[np.float64]:
    """Stack losses to shape (seeds, epochs), up to the last epoch that every seed reached with finite losses."""
    rows = [np.asarray(t.history.get(key, ()), dtype=np.float64) for t in series.trainings]
    reached = min(int(np.argmin(np.append(np.isfinite(row), False))) for row in rows)
    return np.stack([row[:reached] for row in rows])


def _visible(curves: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Choose the bounds of a rate axis: every peak is on it, and what falls far below the lowest peak leaves it."""
    peaks = [float(curve.max()) for curve in curves if curve.max(initial=0.0) > 0]
    if not peaks:
        return 0.0, 1.0
    lowest = min(float(curve[curve > 0].min()) for curve in curves if (curve > 0).any())
    return max(lowest / 1.3, min(min(peaks) / 3, max(peaks) * 1e-3)), max(peaks)
