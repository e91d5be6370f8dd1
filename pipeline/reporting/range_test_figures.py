"""Figures of a learning-rate range test: its sweep, and the trainings that refined its rate."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting import style, wording
from pipeline.reporting.style import INK, MUTED, PALETTE, TEXT, WIDE
from pipeline.results import RangeTestResult, Refinement, Tried, Valley
from pipeline.schedules import Array

_LETTER, _MARGIN = 0.078, 0.8
"""Widths in inches of an average letter of a label, and of the margins beside the axes."""

_REACH = 0.6
"""Decades to either side of its minimum over which the fit is drawn."""

_BEYOND = 1.3
"""The factor by which the axes extend beyond the trainings."""


def range_test(
    rates: Array,
    losses: Array,
    result: RangeTestResult,
    *,
    median: Array,
    band_low: Array,
    band_high: Array,
    width: float = WIDE,
) -> Figure:
    """Draw loss against learning rate: raw losses per seed, their smoothed median with its band, and the suggestions.

    `rates`, `median`, `band_low` and `band_high` have shape (updates,), `losses` (seeds, updates). The loss axis ends a
    little above the first losses, so that the explosion at large rates does not flatten the descent.
    """
    figure, (axes,) = style.canvas(width, 4.8 if width >= WIDE else 4.4)
    raw, smoothed = ("each seed, raw", "median of seeds, smoothed") if len(losses) > 1 else ("raw", "smoothed")
    for seed in losses:
        axes.plot(*style.thin(rates, seed, 500), color=MUTED, alpha=0.28, linewidth=0.7, label=raw)
    seen = np.isfinite(band_low) & np.isfinite(band_high)
    axes.fill_between(rates[seen], band_low[seen], band_high[seen], color=PALETTE["blue"], alpha=0.18, lw=0)
    axes.plot(*style.thin(rates, median), color=PALETTE["blue"], linewidth=2.4, label=smoothed)
    style.log_or_linear(axes.xaxis, float(rates.min()), float(rates.max()))
    axes.set_xlim(float(rates.min()), float(rates.max()))
    low, high = _loss_limits(rates, median, band_low, result.divergence_lr)
    style.log_or_linear(axes.yaxis, low, high)
    axes.set_ylim(low, high)
    _regions(axes, result)
    _suggestions(axes, rates, median, result, width)
    style.label(axes, x="learning rate", y="training loss")
    style.legend(figure, 2 if width >= WIDE else 1)
    return figure


def _loss_limits(rates: Array, median: Array, band_low: Array, divergence_lr: float | None) -> tuple[float, float]:
    before = rates <= divergence_lr if divergence_lr is not None else np.ones(rates.size, dtype=bool)
    seen = median[before & np.isfinite(median)]
    if seen.size == 0:
        return 0.0, 1.0
    lows = band_low[before & np.isfinite(band_low)]
    low = float(min(seen.min(), lows.min())) if lows.size else float(seen.min())
    high = 1.5 * float(seen[: max(1, seen.size // 10)].max())
    return (low / 1.15 if low > 0 else low), high


def _regions(axes: Axes, result: RangeTestResult) -> None:
    """Shade the interval to search in, and the rates at which training diverges."""
    if result.verdict == "ok" and result.lr_low is not None and result.lr_high is not None:
        bounds = (result.lr_low, result.lr_high)
        axes.axvspan(*bounds, color=PALETTE["green"], alpha=0.14, lw=0, label="interval to search")
    if result.divergence_lr is None:
        return
    axes.axvspan(result.divergence_lr, axes.get_xlim()[1], color=PALETTE["vermillion"], alpha=0.12, lw=0)
    axes.axvline(result.divergence_lr, color=PALETTE["vermillion"], linewidth=1.4, linestyle=":", label="diverges")


def _suggestions(axes: Axes, rates: Array, median: Array, result: RangeTestResult, width: float) -> None:
    """Mark each suggestion on the median and label it above the axes, in as many rows as the labels need."""
    if result.verdict == "refused" or result.suggested_lr is None:
        style.label(axes, title="No rate suggested")
        return
    named = {name: rate for name, rate in result.suggestions.items() if rate != result.suggested_lr}
    named["suggested"] = result.suggested_lr
    finite = np.isfinite(median)
    rows: list[tuple[float, int]] = []
    for name, rate in sorted(named.items(), key=lambda item: item[1]):
        text = f"{wording.scheme(name)} {wording.number(rate)}"
        loss = float(np.interp(np.log(rate), np.log(rates[finite]), median[finite]))
        row = _row(rows, _share(rate, rates), len(text) * _LETTER / (width - _MARGIN))
        _suggestion(axes, rate, loss, text, row, chosen=rate == result.suggested_lr)


def _suggestion(axes: Axes, rate: float, loss: float, text: str, row: int, *, chosen: bool) -> None:
    color = PALETTE["vermillion"] if chosen else INK
    axes.plot([rate], [loss], marker="D" if chosen else "o", color=color, markersize=8 if chosen else 5.5, zorder=5)
    axes.plot([rate, rate], [loss, axes.get_ylim()[1]], color=color, linewidth=1.4 if chosen else 0.8)
    axes.annotate(
        style.plain(text),
        (rate, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 8 + 13 * row),
        textcoords="offset points",
        ha="right",
        va="center",
        color=color,
        fontsize=TEXT,
        fontweight="bold" if chosen else "normal",
        annotation_clip=False,
        arrowprops={
            "arrowstyle": "-",
            "color": color,
            "lw": 1.4 if chosen else 0.8,
            "shrinkA": 0,
            "shrinkB": 0,
            "relpos": (1, 0),
        },
    )


def _share(rate: float, rates: Array) -> float:
    """Return the position of `rate` on the rate axis, from 0 to 1."""
    return float(np.log(rate / rates.min()) / np.log(rates.max() / rates.min()))


def _row(rows: list[tuple[float, int]], end: float, extent: float) -> int:
    """Return the row of a label above the axes, and add it to `rows`, the (end, row) of earlier labels.

    Labels come in ascending order and end at their line, so only the lines of earlier labels can cross a later label:
    it goes above all lines within its `extent`, a fraction of the width of the axes.
    """
    row = max((earlier + 1 for position, earlier in rows if position > end - extent), default=0)
    rows.append((end, row))
    return row


def refinement(result: RangeTestResult, *, width: float = WIDE) -> Figure:
    """Draw the loss that decided against initial rate: short and whole trainings, the fit, and the resulting interval.

    `result` must have a refinement. Diverged trainings are marked at the top edge.
    """
    found = result.refinement
    assert found is not None
    figure, (axes,) = style.canvas(width, 3.6)
    _refinement_scale(axes, result, found)
    if result.lr_low is not None and result.lr_high is not None:
        bounds = (result.lr_low, result.lr_high)
        axes.axvspan(*bounds, color=PALETTE["green"], alpha=0.14, lw=0, label="interval to search")
    axes.axvline(found.start_lr, color=MUTED, linewidth=1.2, linestyle="--", label="start, from the sweep")
    short, whole = ([tried for tried in found.tried if (tried.share == 1) == is_whole] for is_whole in (False, True))
    _trainings(axes, short, "^", "none", "short training")
    _trainings(axes, whole, "o", PALETTE["blue"], "whole training")
    if found.fit is not None:
        _fit(axes, found.fit)
    if result.suggested_lr is not None:
        _suggested(axes, result.suggested_lr, found)
    kinds = {"training loss" if tried.judged_by == "train_loss" else "validation loss" for tried in found.tried}
    style.label(axes, x="initial learning rate", y=" or ".join(sorted(kinds)))
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def _refinement_scale(axes: Axes, result: RangeTestResult, found: Refinement) -> None:
    bounds = [rate for rate in (result.lr_low, result.lr_high) if rate is not None]
    rates = [*bounds, *(tried.lr for tried in found.tried)]
    style.log_or_linear(axes.xaxis, min(rates) / _BEYOND, max(rates) * _BEYOND)
    axes.set_xlim(min(rates) / _BEYOND, max(rates) * _BEYOND)
    losses = [tried.loss for tried in found.tried if np.isfinite(tried.loss)]
    if not losses:
        return
    span = max(losses) - min(losses) or 1.0
    low = min(losses) / 1.3 if min(losses) > 0 else min(losses) - 0.1 * span
    high = max(losses) * 1.1 if min(losses) > 0 else max(losses) + 0.1 * span
    style.log_or_linear(axes.yaxis, low, high)
    axes.set_ylim(low, high)


def _trainings(axes: Axes, trainings: list[Tried], marker: str, face: str, name: str) -> None:
    drawn = [tried for tried in trainings if np.isfinite(tried.loss)]
    rates, losses = [tried.lr for tried in drawn], [tried.loss for tried in drawn]
    axes.plot(
        rates, losses, marker=marker, color=PALETTE["blue"], markerfacecolor=face, markersize=7, linestyle="none",
        label=name,
    )  # fmt: skip
    broken = [tried.lr for tried in trainings if not np.isfinite(tried.loss)]
    if broken:
        top = axes.get_xaxis_transform()
        axes.plot(
            broken, np.ones(len(broken)), marker="x", color=PALETTE["vermillion"], linestyle="none", markersize=8,
            transform=top, clip_on=False, label="diverged",
        )  # fmt: skip


def _fit(axes: Axes, fit: Valley) -> None:
    decades = np.linspace(-_REACH, _REACH, 100)
    losses = fit.val_loss * np.exp(fit.curvature * decades**2)
    axes.plot(fit.lr * 10**decades, losses, color=PALETTE["blue"], linewidth=1.6, label="fit to whole trainings")


def _suggested(axes: Axes, rate: float, found: Refinement) -> None:
    low = axes.get_ylim()[0]
    if found.fit is not None:
        low = found.fit.val_loss * float(np.exp(found.fit.curvature * np.log10(rate / found.fit.lr) ** 2))
    else:
        low = min([t.loss for t in found.tried if t.lr == rate and t.share == 1], default=low)
    axes.plot([rate], [low], marker="D", color=PALETTE["vermillion"], markersize=9, linestyle="none", zorder=5)
    axes.annotate(
        style.plain(f"suggested {wording.number(rate)}"),
        (rate, low),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=PALETTE["vermillion"],
        fontsize=TEXT,
        fontweight="bold",
    )
