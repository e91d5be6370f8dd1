"""How the best initial rate depends on the batch size: measured where a search has several, else by a rule of thumb."""

from collections.abc import Sequence
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

_NARROWED = 0.75
"""An interval wider than this share of the prior's says little that was not known before, so none is given."""

_TAIL = 0.025
"""The probability beyond each bound of an interval."""


def measure_scaling(plan: Plan, winner: Candidate, trials: Sequence[Trial]) -> BatchScaling | None:
    """Return the power law of the best rate over the batch size, from the trainings of a search.

    The losses at all batch sizes are taken to follow one curve over the rate divided by `size ** exponent`, with a
    level for each size. The probability of an exponent is that of the surface which has it, times a wide prior.

    Args:
        plan: the plan of the search.
        winner: its optimizer counts, and its rate is the one that is scaled.
        trials: all trainings.

    Returns:
        The power law; None with fewer than two batch sizes, or if the trainings hardly narrow the prior.

    """
    own = [trial for trial in trials if trial.evaluation.candidate.optimizer == winner.optimizer]
    sizes = _sizes(plan, winner)
    if len(sizes) == 1 or all(trial.outcome.loss == inf for trial in own):
        return None
    prior = -0.5 * ((_EXPONENTS - _LIKELY) / _SPREAD) ** 2
    low, middle, high = _interval(prior + [Surface(own, exponent).evidence for exponent in _EXPONENTS])
    before, _, after = _interval(prior)
    if high - low > _NARROWED * (after - before):
        return None
    return BatchScaling(
        optimizer=winner.optimizer,
        batch_sizes=tuple(sizes),
        exponent=middle,
        exponent_low=low,
        exponent_high=high,
        rates=tuple(_scaled(winner, size, low, middle, high) for size in _others(winner, sizes)),
    )


def _interval(evidence: Array) -> tuple[float, float, float]:
    """Return lower bound, median and upper bound of the exponent, given the logarithms of its probabilities."""
    below = np.cumsum(np.exp(evidence - evidence.max()))
    low, middle, high = np.interp([_TAIL, 0.5, 1 - _TAIL], below / below[-1], _EXPONENTS)
    return float(low), float(middle), float(high)


def _scaled(winner: Candidate, size: int, *exponents: float) -> ScaledRate:
    middle = winner.initial_lr * (size / winner.batch_size) ** exponents[1]
    low, high = sorted(winner.initial_lr * (size / winner.batch_size) ** exponents[at] for at in (0, 2))
    return ScaledRate(batch_size=size, initial_lr=rounded(middle), lr_low=rounded(low), lr_high=rounded(high))


def _others(winner: Candidate, sizes: Sequence[int]) -> list[int]:
    """Return the batch sizes for which a rate is given beside those searched."""
    scaled = [int(factor * winner.batch_size) for factor in _FACTORS]
    return [size for size in scaled if 1 <= size <= LARGEST_BATCH and size not in sizes]


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
        for size in _others(winner, _sizes(plan, winner))
    )


def _sizes(plan: Plan, winner: Candidate) -> list[int]:
    return sorted({space.batch_size for space in plan.spaces if space.optimizer == winner.optimizer})
