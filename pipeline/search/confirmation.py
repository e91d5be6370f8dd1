"""The confirmation: finalists and baselines at the full budget on fresh seeds, compared pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.results import Baseline, Basin, LeaderboardRow, Winner
from pipeline.schedules import SCHEMES
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial

BASELINES = {"Adam at 0.001": ("adam", 0.001), "SGD at 0.01": ("sgd", 0.01)}
"""What people use without a search: a constant rate, Keras' default of each optimizer."""

BASIN_STEPS = (0.25, 0.5, 2.0, 4.0)
"""Multiples of the winner's rate that are tried to see how much its choice matters."""

Outcomes = Mapping[str, Sequence[Outcome]]
"""The outcomes of each candidate, one a seed, in the same order of seeds."""


def choose_finalists(trials: Sequence[Trial], top_k: int) -> list[Evaluation]:
    """The best trial of each of the `top_k` best schemes; at least one even if all diverged."""
    best: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda t: (t.outcome.val_loss, SCHEMES[t.evaluation.scheme].complexity, t.number)):
        best.setdefault(trial.evaluation.scheme, trial)
    finalists = [trial.evaluation for trial in best.values() if trial.outcome.val_loss < inf]
    return finalists[:top_k] or [next(iter(best.values())).evaluation]


def baselines(plan: Plan) -> dict[str, Evaluation]:
    """The constant-rate baselines by name, at the full budget."""
    return {
        name: Evaluation(optimizer, "constant", rate, {}, plan.epochs, plan.seed)
        for name, (optimizer, rate) in BASELINES.items()
    }


def confirm(plan: Plan, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> dict[str, list[Outcome]]:
    """Train every candidate at the full budget on the same fresh seeds."""
    return {
        name: [evaluate(replace(candidate, epochs=plan.epochs, seed=seed)) for seed in plan.fresh_seeds]
        for name, candidate in candidates.items()
    }


def measure_basin(plan: Plan, winner: Evaluation, trials: Sequence[Trial], evaluate: Evaluate, noise: float) -> Basin:
    """How far the winner's initial rate may be off: trainings at multiples of it, at the compressed budget.

    The basin lies round the winner's rate: one that did better by chance counts as just as good.
    """
    centre = plan.trial(winner.scheme, winner.initial_lr, winner.params)
    losses = {t.evaluation.initial_lr: t.outcome.val_loss for t in trials if t.evaluation == centre}
    for step in BASIN_STEPS:
        rate = winner.initial_lr * step
        losses[rate] = evaluate(replace(centre, initial_lr=rate)).val_loss
    own = losses[winner.initial_lr]
    if not np.isfinite(own):
        return Basin(lr_low=winner.initial_lr, lr_high=winner.initial_lr)
    worse_by = {rate: max(loss - own, 0.0) for rate, loss in losses.items()}
    least = float(np.finfo(float).tiny)
    worse_by[winner.initial_lr] = -least  # of equals it is the centre
    low, high = statistics.basin(list(worse_by), list(worse_by.values()), max(noise, least))
    return Basin(lr_low=low, lr_high=high)


def settings(evaluation: Evaluation) -> Winner:
    """What a user needs to train with an evaluation's scheme."""
    return Winner(
        scheme=evaluation.scheme,
        initial_lr=evaluation.initial_lr,
        optimizer=evaluation.optimizer,
        params=dict(evaluation.params),
    )


def mean_loss(outcomes: Sequence[Outcome]) -> float:
    """Mean validation loss; infinite where one diverged."""
    return float(np.mean(_losses(outcomes)))


def noise(outcomes: Outcomes) -> float:
    """Standard deviation of the validation loss between seeds, over all that were confirmed without diverging."""
    finite = [_losses(group) for group in outcomes.values() if mean_loss(group) < inf]
    return statistics.seed_noise(finite) if finite else 0.0


def leaderboard(plan: Plan, candidates: Mapping[str, Evaluation], outcomes: Outcomes) -> dict[str, LeaderboardRow]:
    """One row a candidate, with its paired difference to the best and the verdict on it."""
    verdicts = statistics.verdicts({name: _losses(group) for name, group in outcomes.items()})
    return {
        name: LeaderboardRow(
            **settings(candidates[name]).model_dump(),
            val_loss=statistics.mean_interval(_losses(group)),
            val_accuracy=_mean_accuracy(group),
            difference=verdicts.rows[name].difference,
            seeds=plan.fresh_seeds,
            verdict=verdicts.rows[name].verdict,
        )
        for name, group in outcomes.items()
    }


def against_baseline(
    name: str, row: LeaderboardRow, baseline: Sequence[Outcome], winner: Sequence[Outcome]
) -> Baseline:
    """What the winner is worth against a baseline: in loss and in accuracy, both positive where it is better."""
    ours, theirs = ([o.val_accuracy for o in side if o.val_accuracy is not None] for side in (winner, baseline))
    known = len(ours) == len(theirs) == len(winner)
    return Baseline(
        name=name,
        row=row,
        gain=statistics.paired_difference(_losses(baseline), _losses(winner)),
        accuracy_gain=statistics.paired_difference(ours, theirs) if known else None,
    )


def explain(best: str, candidates: Mapping[str, Evaluation], rows: Mapping[str, LeaderboardRow]) -> str:
    """Say in one sentence why this is the answer."""
    better = [
        name for name, row in rows.items() if name not in candidates and row.val_loss.mean < rows[best].val_loss.mean
    ]
    if rows[best].verdict == "diverged":
        return "every finalist diverged on some seed"
    if better:
        return f"{best} is the best scheme found, but {' and '.join(better)} (constant) did no worse on the same seeds"
    if rows[best].verdict == "winner":
        return f"{best} beat every other finalist and both baselines on the same seeds, at 95% over all comparisons"
    return f"{best} has the lowest mean validation loss, but the seeds do not tell it from every other"


def _losses(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.val_loss for outcome in outcomes]


def _mean_accuracy(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.val_accuracy for outcome in outcomes if outcome.val_accuracy is not None]
    return float(np.mean(values)) if len(values) == len(outcomes) else None
