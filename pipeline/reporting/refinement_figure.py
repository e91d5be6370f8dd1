"""The figure of the trainings that refined a range test."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting import style, wording
from pipeline.reporting.style import MUTED, PALETTE, TEXT, WIDE
from pipeline.results import RangeTestResult, Refinement, Tried, Valley

_REACH = 0.6  # decades to either side of its bottom over which the fit is drawn
_MARGIN = 1.3  # what the axes extend beyond the trainings, as a factor


def refinement(result: RangeTestResult, *, width: float = WIDE) -> Figure:
    """Draw validation loss against initial rate: short and whole trainings, the fit, and the interval read from it.

    `result` has a refinement. Trainings that diverged stand at the top edge.
    """
    found = result.refinement
    assert found is not None
    figure, (axes,) = style.canvas(width, 3.6)
    _scale(axes, result, found)
    if result.lr_low is not None and result.lr_high is not None:
        bounds = (result.lr_low, result.lr_high)
        axes.axvspan(*bounds, color=PALETTE["green"], alpha=0.14, lw=0, label="interval to search")
    axes.axvline(found.start_lr, color=MUTED, linewidth=1.2, linestyle="--", label="start, from the sweep")
    short, whole = ([tried for tried in found.tried if (tried.share == 1) == is_whole] for is_whole in (False, True))
    _points(axes, short, "^", "none", "short training")
    _points(axes, whole, "o", PALETTE["blue"], "whole training")
    if found.fit is not None:
        _fit(axes, found.fit)
    if result.suggested_lr is not None:
        _suggested(axes, result.suggested_lr, found)
    style.label(axes, x="initial learning rate", y="validation loss")
    style.legend(figure, 3 if width >= WIDE else 1)
    return figure


def _scale(axes: Axes, result: RangeTestResult, found: Refinement) -> None:
    bounds = [rate for rate in (result.lr_low, result.lr_high) if rate is not None]
    rates = [*bounds, *(tried.lr for tried in found.tried)]
    style.log_or_linear(axes.xaxis, min(rates) / _MARGIN, max(rates) * _MARGIN)
    axes.set_xlim(min(rates) / _MARGIN, max(rates) * _MARGIN)
    losses = [tried.val_loss for tried in found.tried if np.isfinite(tried.val_loss)]
    if not losses:
        return
    span = max(losses) - min(losses) or 1.0
    low = min(losses) / 1.3 if min(losses) > 0 else min(losses) - 0.1 * span
    high = max(losses) * 1.1 if min(losses) > 0 else max(losses) + 0.1 * span
    style.log_or_linear(axes.yaxis, low, high)
    axes.set_ylim(low, high)


def _points(axes: Axes, trainings: list[Tried], marker: str, face: str, name: str) -> None:
    drawn = [tried for tried in trainings if np.isfinite(tried.val_loss)]
    rates, losses = [tried.lr for tried in drawn], [tried.val_loss for tried in drawn]
    axes.plot(
        rates, losses, marker=marker, color=PALETTE["blue"], markerfacecolor=face, markersize=7, linestyle="none",
        label=name,
    )  # fmt: skip
    broken = [tried.lr for tried in trainings if not np.isfinite(tried.val_loss)]
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
        low = min([t.val_loss for t in found.tried if t.lr == rate and t.share == 1], default=low)
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
