"""The basins: how far the initial rate of a finalist may be off, from a few more trainings at a trial's budget."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.results import Basin
from pipeline.search.plan import Evaluate, Trial

BASIN_RUNS = 3
"""Most trainings for each of the two edges of a basin."""


def measure_basin(centre: Evaluation, trials: Sequence[Trial], evaluate: Evaluate, noise: float) -> Basin:
    """Find the rates round that of `centre`, all else equal, whose loss is within `noise` of the best.

    Trials that differ from `centre` only in their rate are made use of; up to `BASIN_RUNS` trainings for each edge are
    added where they tell most.
    """
    losses = {
        trial.evaluation.initial_lr: trial.outcome.val_loss
        for trial in trials
        if replace(trial.evaluation, initial_lr=centre.initial_lr) == centre
    }
    own = centre.initial_lr
    if own not in losses:
        losses[own] = evaluate(centre).val_loss
    if not np.isfinite(losses[own]):
        return _basin(own, own, losses, noise)
    for side in (-1, 1):
        for _ in range(BASIN_RUNS):
            rate = statistics.next_rate(losses, own, noise, side)
            if rate is None:
                break
            losses[rate] = evaluate(replace(centre, initial_lr=rate)).val_loss
    return _basin(*statistics.basin(losses, own, noise), losses, noise)


def _basin(low: float, high: float, losses: dict[float, float], noise: float) -> Basin:
    rates = sorted(losses)
    return Basin(
        lr_low=low,
        lr_high=high,
        decades=statistics.decades(low, high),
        noise=noise,
        rates=tuple(rates),
        losses=tuple(losses[rate] for rate in rates),
    )
