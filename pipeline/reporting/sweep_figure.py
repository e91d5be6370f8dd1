"""The figure of a learning-rate range test."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting import style, wording
from pipeline.reporting.style import INK, MUTED, PALETTE, TEXT, WIDE
from pipeline.results import RangeTestResult

Floats = npt.NDArray[np.float64]

_LETTER, _MARGIN = 0.078, 0.8
"""Widths in inches of an average letter of a label, and of what stands beside the axes."""


def range_test(
    rates: Floats,
    losses: Floats,
    result: RangeTestResult,
    *,
    median: Floats,
    band_low: Floats,
    band_high: Floats,
    width: float = WIDE,
) -> Figure:
    """Draw loss against learning rate: raw seeds, their smoothed median with its band, and what was read off.

    `rates`, `median`, `band_low` and `band_high` have shape (updates,), `losses` (seeds, updates). The loss axis ends a
    little above the first losses, so that the descent is not flattened by the explosion that follows it.
    """
    figure, (axes,) = style.canvas(width, 4.8 if width >= WIDE else 4.4)
    for seed in losses:
        axes.plot(*style.thin(rates, seed, 500), color=MUTED, alpha=0.28, linewidth=0.7, label="each seed, raw")
    seen = np.isfinite(band_low) & np.isfinite(band_high)
    axes.fill_between(rates[seen], band_low[seen], band_high[seen], color=PALETTE["blue"], alpha=0.18, lw=0)
    axes.plot(*style.thin(rates, median), color=PALETTE["blue"], linewidth=2.4, label="median of seeds, smoothed")
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


def _loss_limits(rates: Floats, median: Floats, band_low: Floats, divergence_lr: float | None) -> tuple[float, float]:
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


def _suggestions(axes: Axes, rates: Floats, median: Floats, result: RangeTestResult, width: float) -> None:
    """Mark each suggestion on the median, and name it above the axes, in as many rows as the labels need."""
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


def _share(rate: float, rates: Floats) -> float:
    """Say how far along the rate axis `rate` stands, from 0 to 1."""
    return float(np.log(rate / rates.min()) / np.log(rates.max() / rates.min()))


def _row(rows: list[tuple[float, int]], end: float, extent: float) -> int:
    """Find a label's row above the axes, and add it to `rows`, the (end, row) of those before it.

    Labels come in ascending order and end where their line stands, so only lines of earlier labels can cross a later
    one: it goes above all that stand within its `extent`, a share of the axes.
    """
    row = max((earlier + 1 for stand, earlier in rows if stand > end - extent), default=0)
    rows.append((end, row))
    return row
