"""Stage `report`: everything that was found, on one page."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pandas as pd

from pipeline.config import ReportOptions
from pipeline.evaluation import Candidate, Evaluation, setting_prefix
from pipeline.reporting import figures, html
from pipeline.results import RangeTestResult, ReportResult, SearchResult
from pipeline.stages.context import REPORTS, Context
from pipeline.stages.drawing import drawn, read_sweep
from pipeline.stages.provenance import command, environment
from pipeline.tracking.trainings import read_evaluation, read_training

REPORT = "report.html"

_AT_FULL_BUDGET = ("confirmation", "transfer")
"""Roles of trainings at a full budget: what was half or double for one search is the full one for another."""


def summary(result: ReportResult) -> str:
    """What came out, in one line."""
    return result.report


def run(context: Context[ReportOptions]) -> ReportResult:
    """Gather the results and curves of all stages and render them."""
    context.status.begin("gathering")
    report = _gather(context)
    context.status.begin("rendering")
    (context.run.folder / REPORT).write_text(html.render(report), encoding="utf-8")
    figures.lr_curves(report.trainings).savefig(context.run.folder / "lr_curves.png")
    figures.loss_curves(report.trainings).savefig(context.run.folder / "loss_curves.png")
    return ReportResult(report=str(REPORTS / REPORT), answer=tuple(html.answer(report)))


def _gather(context: Context[ReportOptions]) -> html.Report:
    upstream, options = context.upstream, context.options
    range_tests, winner = upstream.range_tests, upstream.train.winner
    own = next((key for key, found in range_tests.items() if _fits(found, winner)), None)
    return html.Report(
        prepare=upstream.prepare,
        range_test=range_tests[own] if own else None,
        range_tests=tuple(range_tests.values()),
        search=upstream.search,
        train=upstream.train,
        sweep=read_sweep(upstream.folder(own)) if own else None,
        trials=pd.read_csv(upstream.folder("search") / "trials.csv") if upstream.search else None,
        trainings=tuple(_trainings(context)),
        options=options.model_dump(exclude={"fresh"}),
        environment=environment(),
        costs=_costs(context),
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(options),
    )


def _fits(found: RangeTestResult, winner: Candidate) -> bool:
    return (found.optimizer, found.batch_size) == (winner.optimizer, winner.batch_size)


def _trainings(context: Context[ReportOptions]) -> Iterator[figures.Training]:
    """The confirmation trainings, or the final ones where there was no search."""
    runs, search = context.upstream.runs, context.upstream.search
    source, stage = ("search", "trial") if search else ("train", "train")
    for child in context.store.children(runs[source].run_id, stage):
        if search and child.data.tags.get("pipeline.role") not in _AT_FULL_BUDGET:
            continue
        folder = context.store.folder(child.info.run_id)
        evaluation = read_evaluation(folder)
        if evaluation.epochs != context.options.epochs:
            continue
        name, role = _role(evaluation, search) if search else (evaluation.name, "winner")
        yield drawn(evaluation, read_training(folder), role, name)


def _role(evaluation: Evaluation, search: SearchResult) -> tuple[str, figures.Role]:
    candidate = evaluation.candidate
    for baseline in search.baselines:
        if candidate == baseline.row.only:
            return f"{baseline.name} seed={evaluation.seed}", "baseline"
    name = f"{setting_prefix(candidate, search.spaces)}{evaluation.name}"
    return name, "winner" if candidate == search.winner else "finalist"


def _costs(context: Context[ReportOptions]) -> Sequence[tuple[str, float, float]]:
    """Wall seconds and passes over the training set of each stage, when it ran."""
    upstream, options = context.upstream, context.options
    examples, tests = upstream.prepare.train_examples, upstream.range_tests.values()
    costs = []
    if tests:
        epochs = sum(found.updates / -(-examples // found.batch_size) for found in tests)
        costs.append(("range_test", sum(found.seconds for found in tests), epochs))
    if upstream.search:
        costs.append(("search", upstream.search.cost.seconds, upstream.search.cost.epochs))
    seconds = sum(score.train_seconds for score in upstream.train.seeds)
    return [*costs, ("train", seconds, float(options.epochs * len(upstream.train.seeds)))]
