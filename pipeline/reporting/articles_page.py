"""The page on the articles' experiments, as HTML and as Markdown with separate pictures, and its figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.articles.experiment import ARTICLES, ClaimResult, Group, ReproduceResult
from pipeline.articles.recorded import recorded
from pipeline.articles.table import EXPERIMENTS, LAST_PRINTED
from pipeline.reporting import range_test_figures, style, wording
from pipeline.reporting.report_inputs import Sweep
from pipeline.reporting.style import INK, PALETTE, TEXT, WIDE
from pipeline.reporting.templates import template
from pipeline.results import Interval, RangeTestResult
from pipeline.schedules import Array

_FILTERS: Mapping[str, Callable[..., str | float]] = {
    "percent": wording.percent,
    "loss": wording.loss,
    "number": wording.number,
    "optimizer": wording.optimizer,
    "scheme": wording.scheme,
    "params": wording.params,
    "accuracies": lambda row: _spread(
        row.test_accuracy, [s.test_accuracy for s in row.trained.scores], wording.percent
    ),
    "losses": lambda row: _spread(row.test_loss, [s.test_loss for s in row.trained.scores], wording.loss),
    "momentum": lambda row: EXPERIMENTS[row.id].momentum,
    "interval": lambda row: _interval(row.test_accuracy),
    "each": lambda accuracies: ", ".join(map(wording.percent, accuracies)),
    "mean": lambda values: wording.percent(float(np.mean(values))),
}

_GROUPS: dict[Group, str] = {
    "fixed": "Fixed learning rates",
    "decay": "Decay schemes",
    "solution": "Solutions that article b points to",
    "answer": "What this project finds instead",
}

_OPTIMIZERS = ("B1", "B14", "B15", "S2")
"""Adam, Adadelta, AdaMax, and SGD with a tuned decay."""


_PANEL = 2.5
"""Height of a panel in inches."""

_TITLE = 34
"""Characters of a title that fit above a panel."""

_FAR = 20.0
"""The ratio of losses above which the axis is logarithmic: a linear one would show only the largest."""


@dataclass(frozen=True)
class Panel:
    """The losses of one experiment: a frame with the columns seed, epoch, loss and val_loss, one row per epoch."""

    title: str
    history: pd.DataFrame


@dataclass(frozen=True)
class Articles:
    """Everything that the page shows.

    Attributes:
        curves: the rate of each epoch of every decay scheme, by article and title.
        panels: the losses of each experiment by its id.
        sweep: the range test on article b's network, if there was one.

    """

    result: ReproduceResult
    curves: Mapping[str, Mapping[str, Array]]
    panels: Mapping[str, Panel]
    sweep: tuple[RangeTestResult, Sweep] | None
    environment: Mapping[str, str]
    generated: str
    command: str


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file name next to the Markdown page, its title, and a function that draws it."""

    name: str
    title: str
    draw: Callable[[float], Figure]


def pictures(page: Articles) -> Iterator[Picture]:
    """Return every figure of the page, in order."""
    for article, curves in page.curves.items():
        yield Picture(
            f"schemes_{article}",
            f"The decay schemes trained on article {article}'s network: learning rate of each epoch",
            lambda width, curves=curves: scheme_curves(curves, width=width),  # type: ignore[misc]
        )
    for group, title in _GROUPS.items():
        beside = _OPTIMIZERS if group == "solution" else ()
        shown = [name for name in page.panels if EXPERIMENTS[name].group == group or name in beside]
        panels = [page.panels[name] for name in shown]
        if panels:
            yield Picture(
                f"losses_{group}",
                f"{title}: training and validation loss per epoch, thin lines single seeds",
                lambda width, panels=panels: losses(panels, width=width),  # type: ignore[misc]
            )
    if page.sweep is not None:
        found, sweep = page.sweep
        yield Picture(
            "range_test",
            "The range test on article b's network with SGD: training loss while the rate rises, and interval found",
            lambda width: range_test_figures.range_test(
                sweep.rates,
                sweep.losses,
                found,
                median=sweep.median,
                band_low=sweep.band_low,
                band_high=sweep.band_high,
                width=width,
            ),
        )


def html(page: Articles) -> str:
    """Return the page as HTML that loads nothing from outside."""
    drawn = [(one, style.drawing(one.name, one.title, one.draw)) for one in pictures(page)]
    return template("articles.html.j2", _FILTERS).render(**_shared(page), drawn=drawn)


def markdown(page: Articles) -> str:
    """Return the page as Markdown, which refers to `NAME.png` for each picture."""
    return template("articles.md.j2", _FILTERS).render(**_shared(page), drawn=list(pictures(page)))


def _shared(page: Articles) -> dict[str, object]:
    return {
        "page": page,
        "articles": ARTICLES,
        "groups": [(title, rows) for group, title in _GROUPS.items() if (rows := _rows(page, group))],
        "optimizers": _optimizers(page),
        "recorded": recorded(),
        "last_printed": LAST_PRINTED,
        "claims": _verdict_counts([row for row in page.result.experiments if EXPERIMENTS[row.id].group != "answer"]),
        "goals": _verdict_counts(_rows(page, "answer")),
    }


def _optimizers(page: Articles) -> list[ClaimResult]:
    """Return the experiments with different optimizers that were run, or none if there is only one."""
    found = [row for row in page.result.experiments if row.id in _OPTIMIZERS and row.trained.candidate]
    return found if len(found) > 1 else []


def _rows(page: Articles, group: Group) -> list[ClaimResult]:
    return [row for row in page.result.experiments if EXPERIMENTS[row.id].group == group]


def _verdict_counts(rows: Sequence[ClaimResult]) -> dict[str, int]:
    return {verdict: sum(row.verdict == verdict for row in rows) for verdict in dict.fromkeys(r.verdict for r in rows)}


def _interval(mean: Interval | None) -> str:
    """Return the 95% interval of the mean accuracy; empty if there is one seed only."""
    if mean is None or not isfinite(mean.low):
        return ""
    return f"{wording.percent(mean.low)} to {wording.percent(mean.high)}"


def _spread(mean: Interval | None, values: Sequence[float | None], write: Callable[[float], str]) -> str:
    """Return the mean over seeds, and the lowest and highest seed."""
    known = [value for value in values if value is not None]
    if mean is None or not known:
        return "not run"
    if not all(isfinite(value) for value in known):
        return "diverged"
    return write(mean.mean) + (f" ({write(min(known))} to {write(max(known))})" if len(known) > 1 else "")


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
