"""The refinement of a sweep's suggestion by trainings.

A sweep sees the training loss of a few hundred updates. Later effects, above all overfitting, move the best rate by up
to a decade, and no analysis of the sweep can show that. A few trainings can: short ones show where the valley of the
validation loss lies and where training becomes unstable, whole ones how far the bottom of the valley has moved.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.range_test.analysis import Analysis
from pipeline.results import Refinement, Tried, Valley


class Ending(NamedTuple):
    """The validation loss at the end of a training, its training loss near the end, and that near the start.

    The first two are inf or NaN if it diverged.
    """

    val_loss: float
    train_loss: float
    start_loss: float


Train = Callable[[Sequence[tuple[float, int, float]]], Sequence[Ending]]
"""`[(rate, seed, share), ...] -> endings` of trainings with these initial rates, each with its whole schedule
compressed into this share of the full length."""

SHORT: Final = 1 / 8
"""Length of a short training, as a share of a whole one."""

SHORT_TRAININGS, WHOLE_TRAININGS = 8, 4
"""Most trainings of either length for each seed: together they cost as much as five whole ones."""

_FEWEST: Final = 50  # updates; the end of a shorter training says little
_STEP: Final = 0.5  # decades between trainings
_RISE: Final = 0.25  # the interval ends where the fit is above its bottom by this share ...
_LEARNT: Final = 0.1  # fall of the training loss, as a share of its start, that validation must show some of ...
_SHOWN: Final = 0.1  # ... namely this share
_NEAREST, _FARTHEST = 0.4, 0.75  # ... but within these distances of the suggestion, in decades


def starting_rate(analysis: Analysis) -> float | None:
    """Return the rate to start from: the suggestion, or if the seeds disagree, the median of what each suggests.

    Return None at an edge of the sweep, or unless more than half of the seeds have a suggestion of their own.
    """
    own = [rate for rate in analysis.seed_suggestions if rate is not None]
    if analysis.suggested_lr is not None or analysis.edge is not None:
        return analysis.suggested_lr
    return float(np.exp(np.median(np.log(own)))) if 2 * len(own) > len(analysis.seed_suggestions) else None


def short_share(updates: int) -> float:
    """Return the length of short trainings as a share of `updates`: an eighth, but at least 50 updates."""
    return min(1.0, max(SHORT, _FEWEST / updates))


def misled(endings: Sequence[Ending]) -> bool:
    """Return whether the validation loss shows nothing of what trainings learn: at the best of their rates.

    It may be stuck at that of guessing, as with moving averages that have not arrived, or lie above it throughout, as
    with data of another kind. It then has no valley, or one that leads to rates at which nothing is learnt. Dropout and
    averaged weights, with which it is lower than the training loss, do not count.
    """
    whole = [ending for ending in endings if np.isfinite(ending[:2]).all()]
    if not whole:
        return False
    start = float(np.median([ending.start_loss for ending in whole]))
    learnt = start - min(ending.train_loss for ending in whole)
    shown = start - min(ending.val_loss for ending in whole)
    return learnt > _LEARNT * abs(start) and shown < _SHOWN * learnt


def refine(
    train: Train, start: float, *, scheme: str = "", seeds: Sequence[int] = (0,), short: float = SHORT
) -> Refinement:
    """Find the best rate near `start` by trainings on the same seeds.

    1. Short trainings at `start` and half a decade to both sides follow the valley downhill until both neighbours of
       the best are worse; a parabola through the best three, log loss over log rate, has its lowest point there.
    2. Whole trainings at that rate and half a decade lower, and lower still while that is better. A longer training
       never had a larger best rate in our measurements (`reports/range_test.md`): where it overfits, the best rate
       falls with the length, and where it does not, it is limited by stability, which does not depend on the length.
    3. The answer is the lowest point of the parabola through the whole trainings around the best. If the first was
       best, the missing point to its right is estimated from the rise of the short trainings' loss there. If there is
       no parabola, since everything above diverged, one more training is made a quarter of a decade below the best.

    Trainings of a length are judged by their validation loss, unless the first of them show that it misleads: then by
    their training loss.

    Raises:
        InputError: unless `start` is a positive number and there is a seed.

    """
    if not (np.isfinite(start) and start > 0) or not seeds:
        raise InputError(f"refine: received start {start} and {len(seeds)} seeds, expected start > 0 and a seed")
    trainings = _Trainings(train, start, seeds)
    shorts = bracket(lambda offsets: trainings.losses(offsets, short), _most(short))
    wholes = _descend(lambda offsets: trainings.losses(offsets, 1.0), bottom(shorts))
    if not np.isfinite(min(wholes.values())):
        return trainings.refinement(scheme)
    points = _with_upper_side(wholes, shorts)
    if _fit(points) is None and len(wholes) < WHOLE_TRAININGS:
        between = _lowest(wholes) - _STEP / 2
        points = _with_upper_side({**wholes, between: trainings.losses([between], 1.0)[0]}, shorts)
    fit, lowest = _fit(points), bottom(points)
    low, high = _interval(lowest, fit, trainings.diverged)
    return trainings.refinement(scheme).model_copy(
        update={
            "suggested_lr": float(start * 10**lowest),
            "lr_low": float(start * 10**low),
            "lr_high": float(start * 10**high),
            "fit": fit and fit.model_copy(update={"lr": float(start * 10**fit.lr)}),
        }
    )


class _Trainings:
    """Trainings at rates given in decades from the start, never repeated, and their cost."""

    def __init__(self, train: Train, start: float, seeds: Sequence[int]) -> None:
        self._train, self._start, self._seeds = train, start, seeds
        self._known: dict[tuple[float, float], float] = {}
        self._misled: dict[float, bool] = {}
        self.tried: list[Tried] = []
        self.diverged: list[float] = []
        self.cost = 0.0

    def losses(self, offsets: Sequence[float], share: float) -> list[float]:
        """Return the mean loss over seeds for each rate, inf where one diverged."""
        unknown = [offset for offset in offsets if (offset, share) not in self._known]
        asked = [(float(self._start * 10**offset), seed, share) for offset in unknown for seed in self._seeds]
        endings = self._train(asked) if asked else ()
        if asked and share not in self._misled:
            self._misled[share] = misled(endings)
        for offset, own in zip(unknown, np.reshape(endings, (len(unknown), len(self._seeds), 3)), strict=True):
            val_loss, train_loss, _ = own.mean(axis=0) if np.isfinite(own[:, :2]).all() else np.full(3, np.inf)
            tried = Tried(
                lr=float(self._start * 10**offset),
                share=share,
                val_loss=float(val_loss),
                train_loss=float(train_loss),
                judged_by="train_loss" if self._misled[share] else "val_loss",
            )
            if not np.isfinite(tried.loss):
                self.diverged.append(offset)
            self.tried.append(tried)
            self.cost += share * len(self._seeds)
            self._known[offset, share] = tried.loss
        return [self._known[offset, share] for offset in offsets]

    def refinement(self, scheme: str) -> Refinement:
        """Return what was tried so far, without an answer."""
        return Refinement(
            scheme=scheme, start_lr=self._start, seeds=tuple(self._seeds), tried=tuple(self.tried), cost=self.cost
        )


def _most(short: float) -> int:
    """Return the number of short trainings: together as long as a whole one, but at least three, to show a valley."""
    return max(3, min(SHORT_TRAININGS, int(1 / short)))


def bracket(losses: Callable[[Sequence[float]], Sequence[float]], most: int) -> dict[float, float]:
    """Follow the valley downhill until both neighbours of the best are worse, or `most` trainings were made."""
    first = (0.0, -_STEP, _STEP)
    tried = dict(zip(first, losses(first), strict=True))
    while len(tried) < most:
        best = _lowest(tried)
        if min(tried) < best < max(tried):
            break
        beside = best - _STEP if best == min(tried) else best + _STEP
        tried[beside] = losses([beside])[0]
    return tried


def _descend(losses: Callable[[Sequence[float]], Sequence[float]], first: float) -> dict[float, float]:
    """Try smaller rates while the loss improves."""
    two = (first, first - _STEP)
    tried = dict(zip(two, losses(two), strict=True))
    while len(tried) < WHOLE_TRAININGS and _lowest(tried) == min(tried):
        beside = min(tried) - _STEP
        tried[beside] = losses([beside])[0]
    return tried


def _lowest(tried: dict[float, float]) -> float:
    """Return the offset of the lowest loss, the smallest in a tie: if all diverge, smaller rates are tried."""
    return min(sorted(tried), key=tried.__getitem__)


def _with_upper_side(wholes: dict[float, float], shorts: dict[float, float]) -> dict[float, float]:
    """Add a point above the best whole training if that has the highest rate, with the rise that short ones show.

    The point lies a step above, or at the highest short training. None is added if the short ones show no rise, or the
    best loss is not positive.
    """
    best = _lowest(wholes)
    known = {offset: np.log(loss) for offset, loss in sorted(shorts.items()) if 0 < loss < np.inf}
    beside = min(best + _STEP, max(known, default=best))
    if best < max(wholes) or beside < best + _STEP / 2 - 1e-9 or wholes[best] <= 0:
        return wholes
    here, there = np.interp([best, beside], list(known), list(known.values()))
    return {**wholes, beside: float(wholes[best] * np.exp(there - here))} if there > here else wholes


def _fit(tried: dict[float, float]) -> Valley | None:
    """Return the parabola through the points within a step of the best, in offsets; None if there is no valley."""
    best = _lowest(tried)
    near = {o: loss for o, loss in tried.items() if abs(o - best) < 1.01 * _STEP and 0 < loss < np.inf}
    if len(near) < 3:
        return None
    curvature, slope, floor = np.polyfit(np.array(list(near)) - best, np.log(list(near.values())), 2)
    if curvature <= 0:
        return None
    val_loss = float(np.exp(floor - slope**2 / (4 * curvature)))
    return Valley(lr=best - float(slope / (2 * curvature)), val_loss=val_loss, curvature=float(curvature))


def bottom(tried: dict[float, float]) -> float:
    """Return the lowest point of the fit, within the rates tried and half a step of the best; else the best rate."""
    best, fit = _lowest(tried), _fit(tried)
    low, high = max(best - _STEP / 2, min(tried)), min(best + _STEP / 2, max(tried))
    return best if fit is None else float(np.clip(fit.lr, low, high))


def _interval(lowest: float, fit: Valley | None, diverged: list[float]) -> tuple[float, float]:
    """Return the offsets at which the fit has risen by `_RISE`; the upper one at most half-way to a diverged rate."""
    rises = _FARTHEST if fit is None else float(np.sqrt(np.log1p(_RISE) / fit.curvature))
    reach = float(np.clip(rises, _NEAREST, _FARTHEST))
    ends = [(lowest + offset) / 2 for offset in diverged if offset > lowest]
    return lowest - reach, min([lowest + reach, *ends])
