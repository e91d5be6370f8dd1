"""Stage `search`: plan, ask, and write the leaderboard and the trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import search
from pipeline.config import SearchOptions
from pipeline.datasets import PrepareResult, Splits
from pipeline.evaluation import Candidate, Evaluation, setting_prefix
from pipeline.files import write_text
from pipeline.objective import VAL_LOSS, Objective
from pipeline.reporting import search_figures, wording
from pipeline.results import Cost, History, LeaderboardRow, RangeTestResult, SearchResult
from pipeline.schedules import format_params
from pipeline.search import Plan, Trial, candidate
from pipeline.stages import history
from pipeline.stages.asking import asking
from pipeline.stages.context import Context
from pipeline.stages.guessing import compared
from pipeline.tracking import Label
from pipeline.tracking.store import RESULT
from pipeline.training import InProcess


def summary(result: SearchResult) -> str:
    """Return the result in one line."""
    winner = result.winner
    tie = f", tied with {', '.join(result.ties)}" if result.ties else ""
    by = "" if result.objective == VAL_LOSS else f" by {result.objective.metric}"
    name = f"{setting_prefix(winner, result.spaces)}{winner.scheme}"
    rate = f"lr={winner.initial_lr:.3g}{winner.decay_suffix}"
    return f"{name} {rate}{by}{tie} ({result.trials} trials, {result.diverged} diverged)"


def run(context: Context[SearchOptions]) -> SearchResult:
    """Search, then write the leaderboard and the trials."""
    upstream = context.upstream
    prepared, tests = upstream.prepare, tuple(upstream.range_tests.values())
    asked = asking(context, lambda evaluation: label(plan, evaluation))
    at_once = asked.workers.at_once if asked.workers else 1
    earlier = _earlier(context)
    plan = search.planned(
        context.options,
        tests,
        prepared.steps_per_epoch,
        prepared.validation_examples,
        at_once,
        earlier.correction if earlier else 1.0,
    )
    context.status.note(announced(plan, context.options.budget, tests, prepared.steps_per_epoch))
    further = search.MOST_TRAININGS * plan.batch_transfer
    context.status.expect(plan.sizes.trainings + plan.beyond + len(search.FACTORS) * plan.transferred + further)
    first = candidate(plan.spaces[0], "constant", plan.spaces[0].suggested_lr)
    asked.executor.require_metric(plan.objective, Evaluation(first, plan.epochs, plan.trial_seed))
    try:
        watched = search.Watched(plan, asked.ask, context.status.stands)
        result, done = search.conduct(plan, watched, context.status.note)
    except search.Interrupted as interrupted:
        _keep(context, interrupted, {"lr_multipliers": asked.executor.lr_multipliers, "history": earlier})
        raise
    result = concluded(result, tests, prepared, asked.executor, upstream.splits, context.options, context.status.note)
    result = result.model_copy(update={"history": earlier})
    asked.finish(summary(result))
    write(result, done, context.run.folder)
    history.tag(context.store, context.run, history.searched(context.options), result, tests)
    return result


def _earlier(context: Context[SearchOptions]) -> History | None:
    """Return and say what this search starts from, if it is to start from an earlier answer and there is one."""
    if context.options.history == "off":
        return None
    run = context.upstream.runs.get(history.EARLIER)
    earlier = history.told(run.run_id, context.store.client.get_run(run.run_id).data.tags) if run else None
    context.status.note(history.line(earlier))
    return earlier


def _keep(context: Context[SearchOptions], interrupted: search.Interrupted, about: Mapping[str, object]) -> None:
    """Say and keep what an interrupted search has found, for a report on it, with more fields `about` it."""
    upstream, epochs = context.upstream, context.options.epochs
    result = with_range_tests(interrupted.result, tuple(upstream.range_tests.values()), upstream.prepare, epochs)
    result = result.model_copy(update=about)
    context.status.close(f"so far: {summary(result)}")
    _write_tables(result, interrupted.trials, context.run.folder)
    write_text(context.run.folder / RESULT, result.model_dump_json(indent=2))
    context.store.keep(context.run)


def concluded(
    result: SearchResult,
    tests: Sequence[RangeTestResult],
    prepared: PrepareResult,
    executor: InProcess,
    splits: Splits,
    options: SearchOptions,
    note: Callable[[str], object],
) -> SearchResult:
    """Add the cost of the range tests and a comparison with guessing, and note both; add the rates of layers too."""
    result = compared(with_range_tests(result, tests, prepared, options.epochs), executor, splits, options)
    result = result.model_copy(update={"lr_multipliers": executor.lr_multipliers})
    for line in [*wording.no_better(result), _spent(result)]:
        note(line)
    return result


def announced(
    plan: Plan, budget: float, tests: Sequence[RangeTestResult], steps_per_epoch: Callable[[int], int]
) -> str:
    """Say what the budget is spent on, and how long that would take at the speed of the range tests, start included."""
    each = [test.seconds / test.updates * steps_per_epoch(test.batch_size) for test in tests if test.updates]
    work = float(np.mean(each)) * plan.epochs * min(plan.sizes.trainings, plan.trainings) if each else inf
    others = f" and {len(plan.opponents)} baselines" if plan.opponents else ""
    rows = f"{plan.top_k} finalist{'s' if plan.top_k > 1 else ''}{others}"
    compared = f"{rows} on up to {plan.confirm_seeds} seeds" if plan.confirm_seeds else "nothing compared"
    tested = f"{budget - plan.trainings:.1f} went into the range test"
    least, beside = ("at least ", f" with {plan.at_once} at a time") if plan.at_once > 1 else ("", "")
    takes = min(work / plan.at_once, plan.seconds)
    lasts = f"{least}{wording.seconds(takes)} at the speed of the range test{beside}"
    about = lasts if takes < inf else "of unknown duration"
    more = {
        "rivals": plan.beyond,
        "transfer": sum(search.FACTORS) * plan.transferred,
        "batch transfer": search.MOST_TRAININGS * plan.batch_transfer,
    }
    costly = wording.listed([f"{what} up to {most:g}" for what, most in more.items() if most])
    beyond = f"; beyond the budget, {costly}" if costly else ""
    return f"budget {budget:g}: {tested}; up to {plan.trials} trials, then {compared}; {about}{beyond}"


def _spent(result: SearchResult) -> str:
    """Say what it has cost, in full trainings."""
    ledger = result.audits.ledger if result.audits else {}
    parts = [f"{name} {cost.trainings:.1f}" for name, cost in ledger.items() if name in _PARTS]
    return f"spent {sum(ledger[name].trainings for name in ledger if name in _PARTS):.1f}: {', '.join(parts)}"


_PARTS = ("range test", "trials", "confirmation", "transfer", "batch transfer")


def with_range_tests(
    result: SearchResult, tests: Sequence[RangeTestResult], prepared: PrepareResult, epochs: float
) -> SearchResult:
    """Add the cost of the range tests to the ledger, as its first entry; `epochs` are those of a full training."""
    audits = result.audits
    if audits is None:
        return result
    tested = Cost(
        seconds=sum(found.seconds for found in tests),
        epochs=sum(found.updates / prepared.steps_per_epoch(found.batch_size) for found in tests),
        examples=sum(found.updates * found.batch_size for found in tests),
    )
    tested = tested.model_copy(update={"trainings": tested.epochs / epochs})
    ledger = {"range test": tested, **audits.ledger}
    return result.model_copy(update={"audits": audits.model_copy(update={"ledger": ledger})})


def label(plan: Plan, evaluation: Evaluation) -> Label:
    """Return the name and tags for the run of a training of the search."""
    role = _role(plan, evaluation)
    own = (evaluation.candidate,) if role == "batch transfer" else ()
    setting = setting_prefix(evaluation.candidate, (*plan.spaces, *own))
    name = evaluation.name_with_budget if role == "transfer" else evaluation.name
    return Label("trial", f"{setting}{name}", role)


def _role(plan: Plan, evaluation: Evaluation) -> str:
    if evaluation.seed < plan.seed + search.CONFIRM_SEED:
        return "trial"
    if evaluation.seed >= plan.seed + search.BATCH_SEED:
        return "batch transfer"
    return "confirmation" if evaluation.epochs == plan.epochs else "transfer"


def write(result: SearchResult, trials: list[Trial], folder: Path) -> None:
    """Write leaderboard and trials as tables and figures."""
    _write_tables(result, trials, folder)
    search_figures.leaderboard(result).savefig(folder / "leaderboard.png")
    search_figures.basins(result).savefig(folder / "basins.png")
    search_figures.trials(trials_frame(trials, result.objective), result.objective).savefig(folder / "trials.png")


def _write_tables(result: SearchResult, trials: list[Trial], folder: Path) -> None:
    trials_frame(trials, result.objective).to_csv(folder / "trials.csv", index=False)
    leaderboard_frame(result).to_csv(folder / "leaderboard.csv", index=False)


def leaderboard_frame(result: SearchResult) -> pd.DataFrame:
    """Return one row for each finalist and baseline, the best first."""
    rows = [
        {
            **_candidate_columns(row.only),
            "val_loss": row.val_loss.mean,
            "val_loss_low": row.val_loss.low,
            "val_loss_high": row.val_loss.high,
            "val_accuracy": row.val_accuracy,
            **_objective_columns(row, result.objective.metric),
            "behind": row.difference.mean,
            "behind_at_most": row.difference.high,
            "basin_low": row.basin.lr_low if row.basin else None,
            "basin_high": row.basin.lr_high if row.basin else None,
            "seeds": len(row.seeds),
            "verdict": row.verdict,
        }
        for row in result.leaderboard
    ]
    return pd.DataFrame(rows)


def _candidate_columns(candidate: Candidate) -> dict[str, Any]:
    return {**candidate.model_dump(), "params": format_params(candidate.params)}


def _objective_columns(row: LeaderboardRow, metric: str) -> dict[str, float]:
    found = row.objective
    return {metric: found.mean, f"{metric}_low": found.low, f"{metric}_high": found.high}


def trials_frame(trials: list[Trial], objective: Objective) -> pd.DataFrame:
    """Return one row for each training; objective and `val_loss` are empty if it diverged, and `diverged` says why."""
    rows = [
        {
            "number": trial.number,
            **_candidate_columns(trial.evaluation.candidate),
            "budget": trial.evaluation.epochs,
            "seed": trial.evaluation.seed,
            "state": "diverged" if trial.outcome.diverged else "complete",
            **asdict(trial.outcome),
            objective.metric: objective.oriented(trial.outcome.loss),
        }
        for trial in trials
    ]
    return pd.DataFrame(rows).drop(columns="loss").replace([np.inf, -np.inf], np.nan)
