"""How the best initial rate depends on the batch size: measured where a search has several, else by a rule of thumb."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from pipeline.config import LARGEST_BATCH
from pipeline.evaluation import Candidate
from pipeline.results import BatchScaling, RateSuggestion, ScaledRate
from pipeline.schedules import Array
from pipeline.search.candidates import rounded
from pipeline.search.plan import Plan, Trial
from pipeline.search.surface import Surface
from pipeline.usages import usage

_FACTORS = (0.5, 2.0, 4.0)
"""The batch sizes for which a rate is given, as multiples of the winner's."""

_EXPONENTS = np.arange(-1.0, 2.501, 0.05)
"""The exponents that are compared."""

_LIKELY, _SPREAD = 0.75, 0.5
"""Mean and standard deviation of the exponent's prior: rules of thumb say 0.5 or 1, so 0 and 1.5 are possible."""

_PRIOR = -0.5 * ((_EXPONENTS - _LIKELY) / _SPREAD) ** 2
"""The logarithm of the prior of each exponent, up to a constant."""

_NARROWED = 0.75
"""An interval wider than this share of the prior's says little that was not known before, so none is given."""

_TAIL = 0.025
"""The probability beyond each bound of an interval."""


def measure_scaling(plan: Plan, winner: Candidate, trials: Sequence[Trial]) -> BatchScaling | None:
    """Return the power law of the best rate over the batch size, from the trainings of a search.

    The losses at all batch sizes are taken to follow one curve over the rate divided by `size ** exponent`, with a
    level and a small deviation for each size. The probability of an exponent is that of the surface which has it, times
    a wide prior.

    Args:
        plan: the plan of the search.
        winner: its optimizer counts, and its rate is the one that is scaled.
        trials: all trainings.

    Returns:
        The power law; None with fewer than two batch sizes, or if the trainings hardly narrow the prior.

    """
    own = [trial for trial in trials if trial.evaluation.candidate.optimizer == winner.optimizer]
    searched = sizes_searched(plan, winner)
    sizes = sorted({*searched, *map(_size, own)})
    if len(sizes) == 1 or all(trial.outcome.loss == inf for trial in own):
        return None
    low, middle, high = _exponent(own)
    before, _, after = _interval(_PRIOR)
    if high - low > _NARROWED * (after - before):
        return None
    return BatchScaling(
        optimizer=winner.optimizer,
        batch_sizes=tuple(sizes),
        exponent=middle,
        exponent_low=low,
        exponent_high=high,
        rates=tuple(_scaled(winner, size, low, middle, high) for size in _unsearched(winner, searched, sizes)),
    )


def likely_exponent(trials: Sequence[Trial]) -> float:
    """Return the median of the exponent, given trials with one optimizer, of which one or more are sound."""
    return _exponent(trials)[1]


def _exponent(trials: Sequence[Trial]) -> tuple[float, float, float]:
    levelled = _levelled(trials)
    return _interval(_PRIOR + [Surface(levelled, exponent).evidence for exponent in _EXPONENTS])


def _levelled(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with losses relative to the lowest of their batch size: their noise grows from there.

    Losses are divided by it, or if they are not positive, it is subtracted.
    """
    losses, sizes = (np.array(of) for of in zip(*((t.outcome.loss, _size(t)) for t in trials), strict=True))
    lowest = {int(size): losses[sizes == size].min() for size in np.unique(sizes)}
    positive = losses.min() > 0

    def level(trial: Trial) -> float:
        loss, base = trial.outcome.loss, lowest[_size(trial)]
        return inf if loss == inf else float(loss / base if positive else loss - base)

    return [replace(one, outcome=replace(one.outcome, loss=level(one))) for one in trials]


def _size(trial: Trial) -> int:
    return trial.evaluation.candidate.batch_size


def _interval(evidence: Array) -> tuple[float, float, float]:
    """Return lower bound, median and upper bound of the exponent, given the logarithms of its probabilities."""
    weights = np.exp(evidence - evidence.max())
    below = np.cumsum(weights) - weights / 2
    low, middle, high = np.interp([_TAIL, 0.5, 1 - _TAIL], below / weights.sum(), _EXPONENTS)
    return float(low), float(middle), float(high)


def _scaled(winner: Candidate, size: int, *exponents: float) -> ScaledRate:
    middle = winner.initial_lr * (size / winner.batch_size) ** exponents[1]
    low, high = sorted(winner.initial_lr * (size / winner.batch_size) ** exponents[at] for at in (0, 2))
    return ScaledRate(batch_size=size, initial_lr=rounded(middle), lr_low=rounded(low), lr_high=rounded(high))


def _others(winner: Candidate, sizes: Sequence[int]) -> list[int]:
    """Return the batch sizes for which a rate is given beside those searched."""
    scaled = [int(factor * winner.batch_size) for factor in _FACTORS]
    return [size for size in scaled if 1 <= size <= LARGEST_BATCH and size not in sizes]


def _unsearched(winner: Candidate, searched: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Return the batch sizes for which a rate is given, the smallest first; `sizes` are those of the trainings."""
    return sorted({*_others(winner, searched), *sizes} - set(searched))


def suggest_rates(plan: Plan, winner: Candidate) -> tuple[RateSuggestion, ...]:
    """Return the winner's rate scaled to batch sizes that were not searched, for the same number of epochs.

    The rate is proportional to the batch size for SGD (Goyal et al. 2017, arXiv:1706.02677), and to its square root for
    the other optimizers, which all normalise the gradients (Malladi et al. 2022, arXiv:2205.10287, for Adam and
    RMSprop). There is none for an optimizer that estimates its own step size.
    """
    if usage(winner.optimizer).has_one_rate:
        return ()
    linear = winner.optimizer in ("sgd", "schedule_free_sgd")
    rule, power = ("linear", 1.0) if linear else ("square root", 0.5)
    return tuple(
        RateSuggestion(batch_size=size, initial_lr=winner.initial_lr * (size / winner.batch_size) ** power, rule=rule)
        for size in _others(winner, sizes_searched(plan, winner))
    )


def sizes_searched(plan: Plan, winner: Candidate) -> list[int]:
    """Return the batch sizes that were searched with the winner's optimizer, the smallest first."""
    return sorted({space.batch_size for space in plan.spaces if space.optimizer == winner.optimizer})
