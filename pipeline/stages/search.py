"""Stage `search`: plan, ask, and write the leaderboard and the trials."""

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import search
from pipeline.config import SearchOptions
from pipeline.evaluation import Candidate, Evaluation, setting_prefix
from pipeline.objective import VAL_LOSS, Objective
from pipeline.reporting import search_figures
from pipeline.results import Cost, LeaderboardRow, RangeTestResult, SearchResult, Space
from pipeline.schedules import format_params
from pipeline.search import Plan, Trial
from pipeline.stages.asking import asking
from pipeline.stages.context import Context
from pipeline.tracking import Label


def summary(result: SearchResult) -> str:
    """Return the result in one line."""
    winner = result.winner
    tie = f", tied with {', '.join(result.ties)}" if result.ties else ""
    by = "" if result.objective == VAL_LOSS else f" by {result.objective.metric}"
    name = f"{setting_prefix(winner, result.spaces)}{winner.scheme}"
    return f"{name} lr={winner.initial_lr:.3g}{by}{tie} ({result.trials} trials, {result.diverged} diverged)"


def run(context: Context[SearchOptions]) -> SearchResult:
    """Search, then write the leaderboard and the trials."""
    plan = _plan(context)
    if plan.trials < plan.enough:
        context.status.note(_warning(plan))
    confirmations = (plan.top_k + len(search.BASELINES)) * plan.confirm_seeds
    further = plan.top_k * (2 * search.BASIN_RUNS + plan.transfer * len(search.FACTORS) * plan.confirm_seeds)
    context.status.expect(plan.trials * 2 + confirmations + further)
    asked = asking(context, partial(_label, plan))
    asked.executor.require_metric(
        plan.objective, plan.trial(plan.spaces[0], "constant", plan.spaces[0].suggested_lr, {})
    )
    result, done = search.conduct(plan, asked.ask)
    result = _with_range_test(result, context)
    _write(context, result, done)
    return result


def _warning(plan: Plan) -> str:
    """Return a warning that some schemes get no trial."""
    untried = f"up to {min(plan.enough - plan.trials, plan.races - 1)} of {plan.races} {plan.noun}"
    return f"warning: {untried} get no trial; trials={plan.enough} is enough to try each once"


def _with_range_test(result: SearchResult, context: Context[SearchOptions]) -> SearchResult:
    """Add the cost of the range tests to the ledger, as its first entry."""
    tests, audits = tuple(context.upstream.range_tests.values()), result.audits
    if audits is None:
        return result
    prepared = context.upstream.prepare
    spent = Cost(
        seconds=sum(found.seconds for found in tests),
        epochs=sum(found.updates / prepared.steps_per_epoch(found.batch_size) for found in tests),
        examples=sum(found.updates * found.batch_size for found in tests),
    )
    ledger = {"range test": spent, **audits.ledger}
    return result.model_copy(update={"audits": audits.model_copy(update={"ledger": ledger})})


def _label(plan: Plan, evaluation: Evaluation) -> Label:
    setting, role = setting_prefix(evaluation.candidate, plan.spaces), _role(plan, evaluation)
    name = evaluation.name if role == "confirmation" else evaluation.name_with_budget
    return Label("trial", f"{setting}{name}", role)


def _role(plan: Plan, evaluation: Evaluation) -> str:
    if evaluation.seed < plan.seed + search.CONFIRM_SEED:
        return "trial"
    return "confirmation" if evaluation.epochs == plan.epochs else "transfer"


def _plan(context: Context[SearchOptions]) -> Plan:
    options = context.options
    # The fewest updates: budgets are the same for all batch sizes.
    steps_per_epoch = context.upstream.prepare.steps_per_epoch(max(options.batch_sizes))
    return Plan(
        spaces=tuple(_space(found) for found in context.upstream.range_tests.values()),
        schemes=options.scheme_names(),
        trials=options.trials,
        budgets=search.budgets(options.epochs, steps_per_epoch),
        epochs=options.epochs,
        top_k=options.top_k,
        confirm_seeds=options.confirm_seeds,
        seed=options.seed,
        sampler=options.sampler,
        transfer=options.transfer,
        objective=options.judged_by,
    )


def _space(found: RangeTestResult) -> Space:
    suggested, low, high = found.suggested_lr, found.lr_low, found.lr_high
    if suggested is None or low is None or high is None:
        # The range test refused, so nothing is known: search the whole of its last sweep.
        low, high = found.lr_min, found.lr_max
        suggested = float((low * high) ** 0.5)
    return Space(
        optimizer=found.optimizer, batch_size=found.batch_size, suggested_lr=suggested, lr_low=low, lr_high=high
    )


def _write(context: Context[SearchOptions], result: SearchResult, trials: list[Trial]) -> None:
    folder = context.run.folder
    frame = trials_frame(trials, result.objective)
    frame.to_csv(folder / "trials.csv", index=False)
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
    pd.DataFrame(rows).to_csv(folder / "leaderboard.csv", index=False)
    search_figures.leaderboard(result).savefig(folder / "leaderboard.png")
    search_figures.basins(result).savefig(folder / "basins.png")
    search_figures.trials(frame, result.objective).savefig(folder / "trials.png")


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
