"""From a sweep's suggestion to the rate that whole trainings confirm.

A sweep sees the training loss of a few hundred updates. What only shows later, overfitting above all, moves the best
rate by up to a decade, and no reading of the sweep can know. A handful of whole trainings can.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.errors import InputError
from pipeline.range_analysis.analysis import Analysis

Train = Callable[[float, int], float]
"""`(rate, seed) -> validation loss` of a whole training with that initial rate; inf or NaN where it diverged."""

_STEP: Final = 0.5  # decades between the first trainings
_EXTENSIONS: Final = 5  # how many steps the valley is followed beyond them
_REACH: Final = 0.5  # decades around the best rate that the parabola is fitted to
_EITHER_SIDE: Final = 0.5  # decades around the answer that a search should look at: where neighbours were worse


@dataclass(frozen=True)
class Refinement:
    """The rate that whole trainings found best, and the interval to search around it.

    `val_losses` maps each rate that was tried to its mean validation loss over seeds, inf where one diverged.
    `trainings` counts what it cost.
    """

    suggested_lr: float
    lr_low: float
    lr_high: float
    val_losses: dict[float, float]
    trainings: int


def starting_rate(analysis: Analysis) -> float | None:
    """Where to start from: the suggestion, or where the seeds disagree the middle one of theirs; None without either.

    Seeds that disagree are no answer, yet whole trainings near the middle one can be. More than half must have one.
    """
    own = [rate for rate in analysis.seed_suggestions if rate is not None]
    if analysis.suggested_lr is not None or analysis.edge is not None:
        return analysis.suggested_lr
    return float(np.exp(np.median(np.log(own)))) if 2 * len(own) > len(analysis.seed_suggestions) else None


def refine(train: Train, start: float, seeds: Sequence[int] = (0,)) -> Refinement | None:
    """Find the best rate near `start` by whole trainings on the same seeds; None where all of them diverged.

    Tries `start` and half a decade to both sides, follows the valley downhill until both neighbours of the best are
    worse (five steps at most), then tries a quarter of a decade to both sides of the best. The answer is the vertex of
    the parabola, log loss over log rate, through the points within half a decade of the best. Five trainings a seed
    where `start` was right, ten at most. The interval is half a decade to both sides, and ends half-way to a rate that
    diverged.

    Trainings are at the full length of the one to come: where a network overfits, a shorter one has its best rate
    higher, by some 0.4 decades for every halving in our measurements (`reports/range_test.md`).
    """
    if not (np.isfinite(start) and start > 0) or not seeds:
        raise InputError(f"refine: received start {start} and {len(seeds)} seeds, expected start > 0 and a seed")
    tried: dict[float, float] = {}  # by decades from the start

    def attempt(offset: float) -> None:
        if offset not in tried:
            losses = [train(start * 10**offset, seed) for seed in seeds]
            tried[offset] = float(np.mean(losses)) if np.isfinite(losses).all() else np.inf

    for offset in (0.0, -_STEP, _STEP):
        attempt(offset)
    for _ in range(_EXTENSIONS):
        best = _lowest(tried)
        if min(tried) < best < max(tried):
            break
        attempt(best - _STEP if best == min(tried) else best + _STEP)
    best = _lowest(tried)
    attempt(best - _STEP / 2)
    attempt(best + _STEP / 2)
    if not np.isfinite(min(tried.values())):
        return None
    vertex = _vertex(tried)
    broken = [offset for offset, loss in tried.items() if not np.isfinite(loss) and offset > vertex]
    high = min([vertex + _EITHER_SIDE, *((vertex + offset) / 2 for offset in broken)])
    low, rate, high = (float(start * 10**offset) for offset in (vertex - _EITHER_SIDE, vertex, high))
    losses = {start * 10**offset: loss for offset, loss in sorted(tried.items())}
    return Refinement(rate, low, high, losses, len(tried) * len(seeds))


def _lowest(tried: dict[float, float]) -> float:
    """The offset of the lowest loss; of several the smallest, so that where all diverge smaller rates are tried."""
    return min(sorted(tried), key=tried.__getitem__)


def _vertex(tried: dict[float, float]) -> float:
    """Where the parabola through the points around the best is lowest: between its neighbours that did not diverge."""
    best = _lowest(tried)
    near = [offset for offset, loss in tried.items() if abs(offset - best) <= _REACH and 0 < loss < np.inf]
    if len(near) < 3:
        return best
    curvature, slope, _ = np.polyfit(np.array(near) - best, np.log([tried[offset] for offset in near]), 2)
    if curvature <= 0:
        return best
    below, above = (
        _STEP / 2 if np.isfinite(tried.get(best + side, np.inf)) else 0.0 for side in (-_STEP / 2, _STEP / 2)
    )
    return best + float(np.clip(-slope / (2 * curvature), -below, above))
