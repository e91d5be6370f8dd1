"""Stage `search`: joins the search to the training engine and the tracking store."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline import search
from pipeline.config import SearchOptions
from pipeline.evaluation import Evaluation, Training, told_apart
from pipeline.objective import VAL_LOSS, Objective
from pipeline.range_analysis.exploration import BOUNDS
from pipeline.reporting import search_figures
from pipeline.reporting.training_figures import lr_curve
from pipeline.results import Cost, LeaderboardRow, RangeTestResult, SearchResult
from pipeline.schedules import format_params, rewriter
from pipeline.search import Outcome, Plan, Space, Trial
from pipeline.stages.context import Context
from pipeline.stages.network import require_metric, trainer
from pipeline.tracking import TrainingLog
from pipeline.tracking.trainings import read_training
from pipeline.training import Trainer


def summary(result: SearchResult) -> str:
    """What came out, in one line."""
    winner = result.winner
    tie = f", tied with {', '.join(result.ties)}" if result.ties else ""
    by = "" if result.objective == VAL_LOSS else f" by {result.objective.metric}"
    name = f"{told_apart(winner, result.spaces)}{winner.scheme}"
    return f"{name} lr={winner.initial_lr:.3g}{by}{tie} ({result.trials} trials, {result.diverged} diverged)"


def run(context: Context[SearchOptions]) -> SearchResult:
    """Search, then write the leaderboard and the trials."""
    evaluator = _Evaluator(context)
    plan = _plan(context)
    if plan.trials < plan.enough:
        context.status.note(_warning(plan))
    confirmations = (plan.top_k + len(search.BASELINES)) * plan.confirm_seeds
    further = plan.top_k * (2 * search.BASIN_RUNS + plan.transfer * len(search.FACTORS) * plan.confirm_seeds)
    context.status.expect(plan.trials * 2 + confirmations + further)
    result, done = search.run(plan, evaluator)
    result = _with_range_test(result, context)
    _write(context, result, done)
    return result


def _warning(plan: Plan) -> str:
    """Say what the trials do not suffice for."""
    untried = f"up to {min(plan.enough - plan.trials, plan.races - 1)} of {plan.races} {plan.what_races}"
    return f"warning: {untried} get no trial; trials={plan.enough} are sure to try each once"


def _with_range_test(result: SearchResult, context: Context[SearchOptions]) -> SearchResult:
    """Put what the range tests cost at the head of the ledger."""
    tests, audits = tuple(context.upstream.range_tests.values()), result.audits
    if audits is None:
        return result
    spent = Cost(
        seconds=sum(found.seconds for found in tests),
        epochs=sum(found.updates / _steps_per_epoch(context, found.batch_size) for found in tests),
        examples=sum(found.updates * found.batch_size for found in tests),
    )
    ledger = {"range test": spent, **audits.ledger}
    return result.model_copy(update={"audits": audits.model_copy(update={"ledger": ledger})})


def _steps_per_epoch(context: Context[SearchOptions], batch_size: int) -> int:
    """Updates per pass over the training set."""
    return -(-context.upstream.prepare.train_examples // batch_size)


class _Evaluator:
    """Trains and logs one evaluation, unless it has been done before: by this search, or by any other."""

    def __init__(self, context: Context[SearchOptions]) -> None:
        self._context = context
        self._splits = context.upstream.splits
        self._trainers: dict[tuple[str, int], Trainer] = {}
        self._compared = tuple(context.upstream.range_tests.values())
        self._log = TrainingLog(context.store, context.run, context.trainings, lr_curve)
        if not context.options.fresh:
            self._log.keep()

    def __call__(self, evaluation: Evaluation) -> Outcome:
        setting = told_apart(evaluation, self._compared)
        self._context.status.begin(f"{setting}{evaluation.name_with_budget}")
        kept = self._log.recall(evaluation)
        training = read_training(kept) if kept else self._train(evaluation)
        if kept is None:
            role = self._role(evaluation)
            name = evaluation.name if role == "confirmation" else evaluation.name_with_budget
            self._log.log("trial", evaluation, training, name=f"{setting}{name}", tags={"pipeline.role": role})
        self._context.status.advance()
        return _outcome(training, self._context.options.judged_by)

    def _train(self, evaluation: Evaluation) -> Training:
        setting = evaluation.optimizer, evaluation.batch_size
        if setting not in self._trainers:
            self._trainers[setting] = trainer(self._context.options, self._splits, *setting)
            require_metric(self._trainers[setting], self._context.options.judged_by)
        engine = self._trainers[setting]
        return engine.train(
            evaluation.curve(engine.steps_per_epoch),
            evaluation.seed,
            validations=evaluation.validations(engine.steps_per_epoch),
            rewrite=rewriter(evaluation.scheme, evaluation.params),
        )

    def _role(self, evaluation: Evaluation) -> str:
        options = self._context.options
        if evaluation.seed < options.seed + search.CONFIRM_SEED:
            return "trial"
        return "confirmation" if evaluation.epochs == options.epochs else "transfer"


def _plan(context: Context[SearchOptions]) -> Plan:
    options = context.options
    steps_per_epoch = _steps_per_epoch(context, max(options.batch_sizes))  # the fewest: budgets are the same for all
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
    if found.suggested_lr is not None and found.lr_low and found.lr_high:
        return Space(found.optimizer, found.batch_size, found.suggested_lr, found.lr_low, found.lr_high)
    low, high = BOUNDS[found.optimizer]  # it refused: nothing is known, so the whole sweep is searched
    return Space(found.optimizer, found.batch_size, float((low * high) ** 0.5), low, high)


def _outcome(training: Training, objective: Objective) -> Outcome:
    val_loss = training.final("val_loss")
    return Outcome(
        loss=training.loss_by(objective),
        val_loss=float("inf") if val_loss is None else val_loss,
        val_accuracy=training.final("val_accuracy"),
        seconds=training.seconds,
        epochs=len(training.rates) / training.steps_per_epoch,
        examples=training.examples,
        diverged=training.diverged,
    )


def _write(context: Context[SearchOptions], result: SearchResult, trials: list[Trial]) -> None:
    folder = context.run.folder
    frame = trials_frame(trials, result.objective)
    frame.to_csv(folder / "trials.csv", index=False)
    rows = [
        {
            "scheme": row.scheme,
            "initial_lr": row.initial_lr,
            "optimizer": row.optimizer,
            "batch_size": row.batch_size,
            "params": format_params(row.params),
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


def _objective_columns(row: LeaderboardRow, metric: str) -> dict[str, float]:
    found = row.objective
    return {metric: found.mean, f"{metric}_low": found.low, f"{metric}_high": found.high}


def trials_frame(trials: list[Trial], objective: Objective) -> pd.DataFrame:
    """One row a training; the objective and the loss of one that diverged are empty, and `diverged` says why."""
    rows = [
        {
            "number": trial.number,
            "optimizer": trial.evaluation.optimizer,
            "batch_size": trial.evaluation.batch_size,
            "scheme": trial.evaluation.scheme,
            "initial_lr": trial.evaluation.initial_lr,
            "params": format_params(trial.evaluation.params),
            "budget": trial.evaluation.epochs,
            "seed": trial.evaluation.seed,
            "state": "diverged" if trial.outcome.diverged else "complete",
            **asdict(trial.outcome),
            objective.metric: objective.oriented(trial.outcome.loss),
        }
        for trial in trials
    ]
    return pd.DataFrame(rows).drop(columns="loss").replace([np.inf, -np.inf], np.nan)
