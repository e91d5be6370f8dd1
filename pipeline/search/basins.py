"""The basins: how far the initial rate of a finalist may be off, by a few more trainings at a trial's budget."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Basin
from pipeline.search.plan import Evaluate, Trial

EDGE_RUNS = 3
"""The most trainings for each of the two edges of a basin."""

NOISE_RUNS = 2
"""Trainings of each finalist on further seeds, to measure the noise at a trial's budget."""

BASIN_RUNS = EDGE_RUNS + NOISE_RUNS // 2
"""The most trainings for each side of a basin, including half of those for the noise."""

_DEVIATIONS = 2.0
"""Standard deviations above the best that count as noise; the best of a few is itself low by chance."""


def measure_noise(finalists: Iterable[Evaluation], evaluate: Evaluate) -> float:
    """Return how far above the best a loss at a trial's budget may be by chance: two standard deviations over seeds.

    Short trainings are noisier than full ones, so the seeds of the confirmation do not show this.
    """
    groups = [[replace(finalist, seed=finalist.seed + at) for at in range(NOISE_RUNS + 1)] for finalist in finalists]
    outcomes = iter(evaluate([asked for group in groups for asked in group]))
    losses = [[next(outcomes).loss for _ in group] for group in groups]
    return _DEVIATIONS * statistics.seed_noise(losses)


def measure_basins(
    centres: Mapping[str, Evaluation],
    trials: Sequence[Trial],
    evaluate: Evaluate,
    noise: float,
    objective: Objective = VAL_LOSS,
) -> dict[str, Basin]:
    """Find the rates around each centre whose loss is within `noise` of the best, all else being equal.

    Trials that differ from a centre only in their rate are used. Up to `EDGE_RUNS` trainings are added for each edge,
    where they are most informative. Both edges of all basins are trained at once.
    """
    losses = {name: _known(centre, trials) for name, centre in centres.items()}
    unknown = [name for name, centre in centres.items() if centre.candidate.initial_lr not in losses[name]]
    for name, outcome in zip(unknown, evaluate([centres[name] for name in unknown]), strict=True):
        losses[name][centres[name].candidate.initial_lr] = outcome.loss
    for _ in range(EDGE_RUNS):
        asked = [
            (name, rate)
            for name, centre in centres.items()
            for side in (-1, 1)
            if (rate := _next_rate(losses[name], centre, noise, side)) is not None
        ]
        outcomes = evaluate([centres[name].trying(initial_lr=rate) for name, rate in asked])
        for (name, rate), outcome in zip(asked, outcomes, strict=True):
            losses[name][rate] = outcome.loss
    return {
        name: _basin(centre.candidate.initial_lr, losses[name], noise, objective) for name, centre in centres.items()
    }


def _known(centre: Evaluation, trials: Sequence[Trial]) -> dict[float, float]:
    """Return the losses of trials that differ from the centre only in the rate, by rate."""
    own = centre.candidate.initial_lr
    alike = [trial for trial in trials if trial.evaluation.trying(initial_lr=own) == centre]
    return {trial.evaluation.candidate.initial_lr: trial.outcome.loss for trial in alike}


def _next_rate(losses: Mapping[float, float], centre: Evaluation, noise: float, side: int) -> float | None:
    own = centre.candidate.initial_lr
    return statistics.next_rate(losses, own, noise, side) if np.isfinite(losses[own]) else None


def _basin(centre: float, losses: Mapping[float, float], noise: float, objective: Objective) -> Basin:
    sound = np.isfinite(losses[centre])
    low, high = statistics.basin(losses, centre, noise) if sound else (centre, centre)
    rates = sorted(losses)
    return Basin(
        lr_low=low,
        lr_high=high,
        decades=statistics.decades(low, high),
        noise=noise,
        rates=tuple(rates),
        values=tuple(objective.oriented(losses[rate]) for rate in rates),
    )
