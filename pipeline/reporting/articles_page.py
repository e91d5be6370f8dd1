"""The page on the articles' experiments, as HTML and as Markdown with separate pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from pipeline.articles.experiment import ARTICLES, ClaimResult, Group, ReproduceResult
from pipeline.articles.table import EXPERIMENTS, LAST_PRINTED
from pipeline.reporting import article_figures, range_test_figures, svg, wording
from pipeline.reporting.article_figures import Panel
from pipeline.reporting.report_inputs import Sweep
from pipeline.results import Interval, RangeTestResult
from pipeline.schedules import Array

_GROUPS: dict[Group, str] = {
    "fixed": "Fixed learning rates",
    "decay": "Decay schemes",
    "solution": "Solutions that article b points to",
    "answer": "What this project finds instead",
}

_OPTIMIZERS = ("B1", "B14", "B15", "S2")
"""Adam, Adadelta, AdaMax, and SGD with a tuned decay."""


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
            lambda width, curves=curves: article_figures.scheme_curves(curves, width=width),  # type: ignore[misc]
        )
    for group, title in _GROUPS.items():
        beside = _OPTIMIZERS if group == "solution" else ()
        shown = [name for name in page.panels if EXPERIMENTS[name].group == group or name in beside]
        panels = [page.panels[name] for name in shown]
        if panels:
            yield Picture(
                f"losses_{group}",
                f"{title}: training and validation loss per epoch, thin lines single seeds",
                lambda width, panels=panels: article_figures.losses(panels, width=width),  # type: ignore[misc]
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
    drawn = [(one, svg.drawing(one.name, one.title, one.draw)) for one in pictures(page)]
    return _environment(escaped=True).get_template("articles.html.j2").render(**_shared(page), drawn=drawn)


def markdown(page: Articles) -> str:
    """Return the page as Markdown, which refers to `NAME.png` for each picture."""
    return (
        _environment(escaped=False).get_template("articles.md.j2").render(**_shared(page), drawn=list(pictures(page)))
    )


def _shared(page: Articles) -> dict[str, object]:
    return {
        "page": page,
        "articles": ARTICLES,
        "groups": [(title, rows) for group, title in _GROUPS.items() if (rows := _rows(page, group))],
        "optimizers": _optimizers(page),
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


def _environment(*, escaped: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        loss=wording.loss,
        number=wording.number,
        optimizer=wording.optimizer,
        scheme=wording.scheme,
        params=wording.params,
        accuracies=lambda row: _spread(
            row.test_accuracy, [s.test_accuracy for s in row.trained.scores], wording.percent
        ),
        losses=lambda row: _spread(row.test_loss, [s.test_loss for s in row.trained.scores], wording.loss),
        momentum=lambda row: EXPERIMENTS[row.id].momentum,
        interval=lambda row: _interval(row.test_accuracy),
    )
    return environment


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
