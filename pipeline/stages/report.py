"""Stage `report`: the results of all stages on one page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd

from pipeline.config import ReportOptions
from pipeline.datasets.arrays import PrepareResult
from pipeline.evaluation import Candidate, Evaluation, Training, setting_prefix
from pipeline.predictions import PREDICTIONS, STORED, Predictions
from pipeline.reporting import report_page
from pipeline.reporting.answer import compose
from pipeline.reporting.report_inputs import Report, StageRun, answered, read_sweep
from pipeline.reporting.training_figures import NamedTraining, Role, loss_curves, lr_curves
from pipeline.results import RangeTestResult, ReportResult, SearchResult, TrainResult
from pipeline.stages.comparing import compared
from pipeline.stages.context import CODE, ORIGINS, PAGE, REPORTS, Context, Upstream, command, environment
from pipeline.tracking.trainings import read_evaluation, read_training
from pipeline.tracking.views import run_page, server_address

_AT_FULL_BUDGET = ("confirmation", "transfer")
"""Roles of trainings at the full budget: half or double the budget of one search may be the full one of another."""


def summary(result: ReportResult) -> str:
    """Return the result in one line."""
    return result.report


def run(context: Context[ReportOptions]) -> ReportResult:
    """Collect the results and curves of all stages, and render the page; or compare the runs that are given."""
    if context.options.runs is not None:
        return compared(context)
    context.status.begin("gathering")
    report = _gather(context)
    context.status.begin("rendering")
    (context.run.folder / PAGE).write_text(report_page.render(report), encoding="utf-8")
    lr_curves(report.trainings).savefig(context.run.folder / "lr_curves.png")
    loss_curves(report.trainings).savefig(context.run.folder / "loss_curves.png")
    return ReportResult(report=str(REPORTS / PAGE), answer=tuple(compose(report).lines()))


def so_far(context: Context[ReportOptions]) -> tuple[str, ...]:
    """Render the page of an interrupted chain, from what its stages have found, and return its answer.

    Unlike `run`, it shows no progress, which would end the command.
    """
    report = _gather(context, interrupted=True)
    (context.run.folder / PAGE).write_text(report_page.render(report), encoding="utf-8")
    return tuple(compose(report).lines())


def answer(context: Context[ReportOptions]) -> tuple[str, ...]:
    """Return the answer alone, for where the page cannot be written."""
    return tuple(compose(_gather(context)).lines())


def _gather(context: Context[ReportOptions], *, interrupted: bool = False) -> Report:
    upstream, options = context.upstream, context.options
    range_tests, search, train = upstream.range_tests, upstream.search, upstream.train
    winner = answered(search, train)
    own = next((key for key, found in range_tests.items() if _fits(found, winner)), None)
    return Report(
        prepare=upstream.prepare,
        range_test=range_tests[own] if own else None,
        range_tests=tuple(range_tests.values()),
        search=search,
        train=train,
        sweep=read_sweep(upstream.folder(own)) if own else None,
        trials=pd.read_csv(upstream.folder("search") / "trials.csv") if search else None,
        trainings=tuple(_trainings(context)),
        options=options.model_dump(exclude={"fresh", "checkpoint"}),
        environment=environment(),
        costs=costs(upstream.prepare, tuple(range_tests.values()), search, train, options.epochs),
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(options),
        origins=_origins(context),
        runs=tuple(_runs(context)),
        predictions=_predictions(upstream) if train else (),
        code=(upstream.folder("train") / CODE).read_text(encoding="utf-8") if train else "",
        interrupted=interrupted,
    )


def _origins(context: Context[ReportOptions]) -> Mapping[str, str]:
    """Return the layer of each option that is no default: of the command's run, which may be above this stage's."""
    client = context.store.client
    tags = client.get_run(context.run.run_id).data.tags
    if ORIGINS not in tags and (parent := tags.get("mlflow.parentRunId")):
        tags = client.get_run(parent).data.tags
    origins: dict[str, str] = json.loads(tags.get(ORIGINS, "{}"))
    return origins


def _runs(context: Context[ReportOptions]) -> Iterator[StageRun]:
    """Yield the runs of the earlier stages, each with its page where a server shows it."""
    server = server_address()
    for stage, run in context.upstream.runs.items():
        experiment = context.store.client.get_run(run.run_id).info.experiment_id
        yield StageRun(stage, run.run_id, f"{server}{run_page(experiment, run.run_id)}" if server else "")


def _predictions(upstream: Upstream) -> tuple[Predictions, ...]:
    """Return what each output of the model that is kept predicts for the test set; none if it could not be asked."""
    stored = upstream.folder("train") / PREDICTIONS
    return STORED.validate_json(stored.read_text(encoding="utf-8")) if stored.is_file() else ()


def _trainings(context: Context[ReportOptions]) -> Iterator[NamedTraining]:
    """Return the confirmation trainings, or the final ones if there was no confirmation."""
    runs, search = context.upstream.runs, context.upstream.search
    compared = search is not None and any(row.seeds for row in search.leaderboard)
    source, stage = ("search", "trial") if compared else ("train", "train")
    if source not in runs:
        return
    for child in context.store.children(runs[source].run_id, stage):
        if compared and child.data.tags.get("pipeline.role") not in _AT_FULL_BUDGET:
            continue
        folder = context.store.intact(child.info.run_id)
        if folder is None:
            context.status.note(f"training {child.info.run_name} is damaged: left out of the figures")
            continue
        evaluation = read_evaluation(folder)
        if evaluation.epochs == context.options.epochs:
            yield named(evaluation, read_training(folder), search)


def named(evaluation: Evaluation, training: Training, search: SearchResult | None) -> NamedTraining:
    """Return a training with its name and role in the search."""
    candidate, seed, name = evaluation.candidate, evaluation.seed, evaluation.name
    if search is None:
        return NamedTraining(name, candidate.scheme, seed, "winner", training)
    for baseline in search.baselines:
        if candidate == baseline.row.only:
            return NamedTraining(f"{baseline.name} seed={seed}", candidate.scheme, seed, "baseline", training)
    role: Role = "winner" if candidate == search.winner else "finalist"
    return NamedTraining(f"{setting_prefix(candidate, search.spaces)}{name}", candidate.scheme, seed, role, training)


def _fits(found: RangeTestResult, winner: Candidate) -> bool:
    return (found.optimizer, found.batch_size) == (winner.optimizer, winner.batch_size)


def costs(
    prepared: PrepareResult,
    tests: Sequence[RangeTestResult],
    search: SearchResult | None,
    train: TrainResult | None,
    epochs: float,
) -> Sequence[tuple[str, float, float]]:
    """Return the name, wall seconds and passes over the training set of each stage that ran."""
    rows = []
    if tests:
        passes = sum(found.updates / prepared.steps_per_epoch(found.batch_size) for found in tests)
        rows.append(("range_test", sum(found.seconds for found in tests), passes))
    if search:
        rows.append(("search", search.cost.seconds, search.cost.epochs))
    if train:
        rows.append(("train", sum(score.train_seconds for score in train.seeds), float(epochs * len(train.seeds))))
    return rows
