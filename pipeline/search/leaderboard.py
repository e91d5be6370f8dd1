"""The rows of the leaderboard: what was measured of a candidate, its basin of good rates, and gains over baselines."""

from collections.abc import Mapping, Sequence
from math import log10

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Candidate, Evaluation
from pipeline.objective import Objective
from pipeline.results import Baseline, Basin, Interval, LeaderboardRow
from pipeline.schedules import Array
from pipeline.search.candidates import family, same_setting
from pipeline.search.plan import Outcome, Plan, Trial
from pipeline.search.surface import Surface

Outcomes = Mapping[str, Sequence[Outcome]]
"""The outcomes of each candidate, one per seed, in the order of the seeds."""


def row_of(
    candidate: Evaluation,
    outcomes: Sequence[Outcome],
    compared: statistics.Comparison,
    plan: Plan,
    basin: Basin | None,
) -> LeaderboardRow:
    """Return the row of a candidate from its outcomes, one per seed, and how it compares with the others."""
    return LeaderboardRow(
        **candidate.candidate.model_dump(),
        objective=in_its_sign(
            statistics.mean_interval([outcome.loss for outcome in outcomes], resolution=plan.step), plan.objective
        ),
        val_loss=statistics.mean_interval([outcome.val_loss for outcome in outcomes]),
        val_accuracy=_mean_accuracy(outcomes),
        difference=compared.behind,
        seeds=plan.fresh_seeds[: len(outcomes)],
        verdict=compared.verdict,
        basin=basin,
    )


def _mean_accuracy(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.val_accuracy for outcome in outcomes if outcome.val_accuracy is not None]
    return sum(values) / len(values) if len(values) == len(outcomes) else None


def against(
    name: str,
    chosen: str,
    row: LeaderboardRow,
    outcomes: Outcomes,
    found: statistics.Verdicts,
    sides: int,
    resolution: float,
) -> Baseline:
    """Compare the chosen finalist with a baseline in the objective and in accuracy; positive gains mean it is better.

    The error is divided among the `sides` of all intervals, and at least as finely as in the tests. So the interval
    includes zero unless one of the two beat the other. If that took a later round, with a larger share of the error,
    the bound is zero, since that round shows no more than the sign. If either diverged there was no test.
    """
    look = found.last_look(name, chosen)
    if look is None:
        seeds = min(len(outcomes[name]), len(outcomes[chosen]))
        theirs, ours = ([outcome.loss for outcome in outcomes[one][:seeds]] for one in (name, chosen))
        return Baseline(name=name, row=row, gain=statistics.paired_difference(theirs, ours), accuracy_gain=None)
    error = look.error / max(sides, statistics.share(len(outcomes)))
    gain = look.pairs.interval(name, chosen, error)
    if found.beats(chosen, name):
        gain = gain.model_copy(update={"low": max(gain.low, 0.0)})
    if found.beats(name, chosen):
        gain = gain.model_copy(update={"high": min(gain.high, 0.0)})
    accuracies = _accuracies(look, outcomes)
    accuracy = statistics.Pairs.of(accuracies, resolution).interval(chosen, name, error) if accuracies else None
    return Baseline(name=name, row=row, gain=gain, accuracy_gain=accuracy)


def _accuracies(look: statistics.Round, outcomes: Outcomes) -> dict[str, Array]:
    """Return the accuracies of all candidates that a look compared, on the same seeds; empty if any is unknown."""
    found = {name: [o.val_accuracy for o in outcomes[name][: look.pairs.seeds]] for name in look.names}
    if any(value is None for values in found.values() for value in values):
        return {}
    return {name: np.array(values, np.float64) for name, values in found.items()}


def basin_of(surface: Surface | None, one: Candidate, trials: Sequence[Trial], objective: Objective) -> Basin:
    """Return the range of rates whose expected loss exceeds the best one by less than the noise between seeds.

    It lies within the rates tried with any scheme, since all schemes share the curve; the values shown are its own, on
    the split of the trials.
    """
    known: dict[float, list[float]] = {}
    tried = [trial.evaluation.candidate for trial in trials]
    for other, trial in zip(tried, trials, strict=True):
        if family(other) == family(one) and not trial.evaluation.split:
            known.setdefault(other.initial_lr, []).append(trial.outcome.loss)
    rates = sorted(known)
    within = [other.initial_lr for other in tried if same_setting(other, one)]
    low, high, noise = (one.initial_lr, one.initial_lr, 0.0) if surface is None else surface.basin(one, within)
    return Basin(
        lr_low=low,
        lr_high=high,
        decades=log10(high / low),
        noise=noise,
        rates=tuple(rates),
        values=tuple(objective.oriented(float(np.mean(known[rate]))) for rate in rates),
    )


def in_its_sign(interval: Interval, objective: Objective) -> Interval:
    """Return an interval of losses as one of the objective itself, cut off at 0 and 1 for an accuracy."""
    low, high = sorted(objective.oriented(bound) for bound in (interval.low, interval.high))
    own = interval.model_copy(update={"mean": objective.oriented(interval.mean), "low": low, "high": high})
    return own.within(0.0, 1.0) if objective.is_accuracy else own
