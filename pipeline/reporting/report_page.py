"""The report as one self-contained HTML page, with all its figures."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.datasets.scaling import described
from pipeline.evaluation import setting_prefix
from pipeline.predictions import Predictions
from pipeline.reporting import (
    descriptions,
    prediction_figures,
    range_test_figures,
    report_inputs,
    search_figures,
    style,
    training_figures,
    wording,
)
from pipeline.reporting.answer import compose, scaled, transferred
from pipeline.reporting.report_inputs import Report
from pipeline.reporting.style import Drawing, Marks
from pipeline.reporting.templates import template
from pipeline.reporting.tiles import wide_enough

_Planned = Iterator[tuple[str, str, Callable[[float], Figure]]]
"""Figures as the name, the description and the function that draws one at a width."""

_FILTERS: Mapping[str, Callable[..., Any]] = {
    "basin": wording.basin,
    "behind": wording.behind,
    "count": wording.count,
    "level": wording.level,
    "described": described,
    "loss": wording.loss,
    "number": wording.number,
    "optimizer": wording.optimizer,
    "params": wording.params,
    "percent": wording.percent,
    "scheme": wording.scheme,
    "seconds": wording.seconds,
    "sentence": wording.sentence,
    "span": wording.span,
    "spread": wording.spread,
    "setting": setting_prefix,
}

_BEST_TRIALS = 30


def render(report: Report) -> str:
    """Return the page, which loads nothing from outside. The same report always gives the same text."""
    return template("report.html.j2", _FILTERS).render(
        **_first_screen(report),
        drawings=_draw(report),
        transferred=transferred(report.search) if report.search else [],
        scaled=scaled(report.search) if report.search else [],
        sections=_sections(report),
        compared=_compared(report),
        best_trials=_best_trials(report),
        longest=max([seconds for _, seconds, _ in report.costs] + [1e-9]),
    )


def fragment(report: Report) -> str:
    """Return what a notebook shows: the page's first screen and its leaderboard, in a style that stays there."""
    return template("fragment.html.j2", _FILTERS).render(**_first_screen(report))


def _first_screen(report: Report) -> dict[str, Any]:
    board = report_inputs.entries(report.search) if report.search else ()
    return {"report": report, "answer": compose(report), "board": board}


def _sections(report: Report) -> list[tuple[str, str]]:
    """Return the anchors and titles of the sections that follow the answer."""
    search, curves = report.search, any(training.role != "trial" for training in report.trainings)
    sections = [
        ("range-test", "Range test", report.range_test is not None),
        ("rates", "Learning-rate curves", curves),
        ("losses", "Loss curves", curves),
        ("leaderboard", "Leaderboard", search is not None),
        ("transfer", "Other budgets and batch sizes", _other_settings(report)),
        ("basins", "How much the initial rate matters", search is not None and wide_enough(search.basin)),
        ("trials", "Trials", search is not None),
        ("audits", "Trust", search is not None and search.audits is not None and _compared(report)),
        ("test", "Test results", report.train is not None),
        ("data", "Data", True),
        ("costs", "Costs", True),
        ("reproduce", "How to reproduce", True),
        ("glossary", "How to read this", True),
    ]
    return [(name, title) for name, title, shown in sections if shown]


def _compared(report: Report) -> bool:
    """Return whether candidates were compared on the same seeds: small budgets allow trials only."""
    return report.search is not None and any(row.seeds for row in report.search.leaderboard)


def _other_settings(report: Report) -> bool:
    return report.search is not None and bool(
        report.search.transfer or report.search.suggestions or scaled(report.search)
    )


def _best_trials(report: Report) -> list[dict[str, Any]]:
    """Return the trials that are best in the objective, as rows of a table."""
    if report.search is None or report.trials is None:
        return []
    metric, ascending = report.search.objective.metric, report.search.objective.direction == "min"
    finite = report.trials[np.isfinite(report.trials[metric].astype(float))]
    best = finite.sort_values(metric, kind="stable", ascending=ascending).head(_BEST_TRIALS)
    rows = [{str(name): value for name, value in row.items()} for row in best.to_dict("records")]
    return [row | {"setting": _setting(row, report), "params": _parameters(row)} for row in rows]


def _parameters(trial: Mapping[str, Any]) -> str:
    """Return what tells a trial apart beside scheme and rate: its weight decay, and the parameters of the scheme."""
    decay, params = trial.get("weight_decay"), trial["params"]
    own = [] if decay is None or pd.isna(decay) else [f"decay={wording.number(decay)}"]
    return " ".join(own if pd.isna(params) else [*own, params])


def _setting(trial: Mapping[str, Any], report: Report) -> str:
    """Return the optimizer and batch size of a trial, naming only what the search compared."""
    spaces = report.search.spaces if report.search else ()
    own = (trial["optimizer"], trial["batch_size"])
    return next((setting_prefix(space, spaces) for space in spaces if (space.optimizer, space.batch_size) == own), "")


def _draw(report: Report) -> dict[str, Drawing]:
    return {name: style.drawing(name, description, make) for name, description, make in _planned(report)}


def figures(report: Report) -> dict[str, Figure]:
    """Return the page's figures by name, as matplotlib's."""
    return {name: make(style.WIDE) for name, _, make in _planned(report)}


def _planned(report: Report) -> _Planned:
    """Yield every figure that `report` has data for; the names are those that the template uses."""
    marks = style.marks(_schemes(report))
    yield from (
        *_range_test(report),
        *_refinement(report),
        *_curves(report, marks),
        *_search(report, marks),
        *_predicted(report),
    )


def _range_test(report: Report) -> _Planned:
    sweep, result = report.sweep, report.range_test
    if sweep is None or result is None:
        return
    curves = {"median": sweep.median, "band_low": sweep.band_low, "band_high": sweep.band_high}

    def make(width: float) -> Figure:
        return range_test_figures.range_test(sweep.rates, sweep.losses, result, **curves, width=width)

    yield "range_test", descriptions.range_test(sweep, result), make


def _refinement(report: Report) -> _Planned:
    result = report.range_test
    if result is None or result.refinement is None:
        return
    what = descriptions.refinement(result.refinement)
    yield "refinement", what, lambda width: range_test_figures.refinement(result, width=width)


def _curves(report: Report, marks: Marks) -> _Planned:
    compared = [training for training in report.trainings if training.role != "trial"]
    if not compared:
        return
    yield (
        "lr_curves",
        descriptions.lr_curves(compared),
        lambda width: training_figures.lr_curves(compared, marks=marks, width=width),
    )
    yield (
        "loss_curves",
        descriptions.loss_curves(compared),
        lambda width: training_figures.loss_curves(compared, marks=marks, width=width),
    )


def _search(report: Report, marks: Marks) -> _Planned:
    search, trials = report.search, report.trials
    if search is None:
        return
    if _compared(report):
        yield (
            "leaderboard",
            descriptions.leaderboard(report_inputs.entries(search), search.objective),
            lambda width: search_figures.leaderboard(search, marks=marks, width=width),
        )
    if wide_enough(search.basin):
        yield (
            "basins",
            descriptions.basins(search.basin, search.objective),
            lambda width: search_figures.basins(search, marks=marks, width=width),
        )
    if trials is not None and len(trials) > 1:
        yield (
            "trials",
            f"The {search.objective.label} against initial learning rate of every trial, as in the table that follows",
            lambda width: search_figures.trials(trials, search.objective, marks=marks, width=width),
        )


def _predicted(report: Report) -> _Planned:
    for at, found in enumerate(report.predictions):
        if found.values:
            yield f"predictions_{at}", descriptions.predictions(found), partial(_against_true, found)


def _against_true(found: Predictions, width: float) -> Figure:
    return prediction_figures.against_true(found, width=width)


def _schemes(report: Report) -> list[str]:
    """Return every scheme of the report, the best first, so that all figures use the same colours for each."""
    ranked = [row.scheme for row in report.search.leaderboard] if report.search else []
    trained = [training.scheme for training in report.trainings]
    tried = sorted(set(report.trials["scheme"].astype(str))) if report.trials is not None else []
    return [report.winner.scheme, *ranked, *trained, *tried]
