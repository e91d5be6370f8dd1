"""The basins: how far the initial rate of a finalist may be off, from a few more trainings at a trial's budget."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Basin
from pipeline.search.plan import Evaluate, Trial

EDGE_RUNS = 3
"""Most trainings for each of the two edges of a basin."""

NOISE_RUNS = 2
"""Trainings of each finalist on further seeds, which tell how noisy a training at a trial's budget is."""

BASIN_RUNS = EDGE_RUNS + NOISE_RUNS // 2
"""Most trainings for each side of a basin, all in all."""

_DEVIATIONS = 2.0
"""How many standard deviations above the best are still within noise: the best of a few is low by chance itself."""


def measure_noise(finalists: Iterable[Evaluation], evaluate: Evaluate) -> float:
    """Give how far above the best a loss at a trial's budget may lie by chance: two standard deviations between seeds.

    Brief trainings are noisier than whole ones, so those of the confirmation say nothing of it.
    """
    groups = []
    for finalist in finalists:
        seeds = range(finalist.seed, finalist.seed + NOISE_RUNS + 1)
        groups.append([evaluate(replace(finalist, seed=seed)).loss for seed in seeds])
    return _DEVIATIONS * statistics.seed_noise(groups)


def measure_basin(
    centre: Evaluation, trials: Sequence[Trial], evaluate: Evaluate, noise: float, objective: Objective = VAL_LOSS
) -> Basin:
    """Find the rates round that of `centre`, all else equal, whose loss is within `noise` of the best.

    Trials that differ from `centre` only in their rate are made use of; up to `EDGE_RUNS` trainings for each edge are
    added where they tell most.
    """
    losses = {
        trial.evaluation.initial_lr: trial.outcome.loss
        for trial in trials
        if replace(trial.evaluation, initial_lr=centre.initial_lr) == centre
    }
    own = centre.initial_lr
    if own not in losses:
        losses[own] = evaluate(centre).loss
    if not np.isfinite(losses[own]):
        return _basin(own, own, losses, noise, objective)
    for side in (-1, 1):
        for _ in range(EDGE_RUNS):
            rate = statistics.next_rate(losses, own, noise, side)
            if rate is None:
                break
            losses[rate] = evaluate(replace(centre, initial_lr=rate)).loss
    return _basin(*statistics.basin(losses, own, noise), losses, noise, objective)


def _basin(low: float, high: float, losses: Mapping[float, float], noise: float, objective: Objective) -> Basin:
    rates = sorted(losses)
    return Basin(
        lr_low=low,
        lr_high=high,
        decades=statistics.decades(low, high),
        noise=noise,
        rates=tuple(rates),
        values=tuple(objective.oriented(losses[rate]) for rate in rates),
    )
