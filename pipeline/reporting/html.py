"""The report as one self-contained HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.evaluation import setting_prefix
from pipeline.reporting import board, drawings, wording
from pipeline.reporting.answer import compose, transferred
from pipeline.reporting.contents import Report, Sweep

__all__ = ["Report", "Sweep", "answer", "render"]

_FILTERS = {
    "basin": wording.basin,
    "behind": wording.behind,
    "count": wording.count,
    "level": wording.level,
    "loss": wording.loss,
    "number": wording.number,
    "optimizer": wording.optimizer,
    "params": wording.params,
    "percent": wording.percent,
    "scheme": wording.scheme,
    "seconds": wording.seconds,
    "span": wording.span,
    "setting_prefix": setting_prefix,
}

_BEST_TRIALS = 30


def answer(report: Report) -> list[str]:
    """Return the short answer as lines of plain text, for the terminal."""
    return compose(report).lines()


def render(report: Report) -> str:
    """Return the page, which loads nothing from outside. The same report gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment.get_template("report.html.j2").render(
        report=report,
        answer=compose(report),
        board=board.entries(report.search) if report.search else (),
        drawings=drawings.draw(report),
        transferred=transferred(report.search) if report.search else [],
        sections=_sections(report),
        best_trials=_best_trials(report),
        longest=max([seconds for _, seconds, _ in report.costs] + [1e-9]),
    )


def _sections(report: Report) -> list[tuple[str, str]]:
    """List the anchors and titles of the sections that follow the answer."""
    curves = [("rates", "Learning-rate curves"), ("losses", "Loss curves")]
    return [
        *([("range-test", "Range test")] if report.range_test else []),
        *(curves if any(training.role != "trial" for training in report.trainings) else []),
        *([("leaderboard", "Leaderboard")] if report.search else []),
        *([("transfer", "Other budgets and batch sizes")] if report.search and report.search.transfer else []),
        *([("basins", "How much the initial rate matters")] if report.search and report.search.basin.rates else []),
        *([("trials", "Trials")] if report.search else []),
        *([("audits", "Trust")] if report.search and report.search.audits else []),
        ("test", "Test results"),
        ("costs", "Costs"),
        ("reproduce", "How to reproduce"),
        ("glossary", "How to read this"),
    ]


def _best_trials(report: Report) -> list[dict[str, Any]]:
    """Pick the trials that are best in the objective at their highest budget, as rows of a table."""
    if report.search is None or report.trials is None:
        return []
    metric, ascending = report.search.objective.metric, report.search.objective.direction == "min"
    highest = report.trials["budget"] == report.trials["budget"].max()
    finite = report.trials[highest & np.isfinite(report.trials[metric].astype(float))]
    best = finite.sort_values(metric, kind="stable", ascending=ascending).head(_BEST_TRIALS)
    rows = [{str(name): value for name, value in row.items()} for row in best.to_dict("records")]
    return [row | {"setting": _setting(row, report)} for row in rows]


def _setting(trial: Mapping[str, Any], report: Report) -> str:
    """Write what a trial was combined with, where there were several choices."""
    spaces = report.search.spaces if report.search else ()
    own = (trial["optimizer"], trial["batch_size"])
    return next((setting_prefix(space, spaces) for space in spaces if (space.optimizer, space.batch_size) == own), "")
