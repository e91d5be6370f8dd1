"""Trainings of the winner at batch sizes that were not searched, to measure how its best rate depends on them."""

from collections.abc import Mapping, Sequence
from math import sqrt

from pipeline.config import LARGEST_BATCH
from pipeline.evaluation import Candidate, Evaluation
from pipeline.search.allocation import STEP, next_in_bracket
from pipeline.search.candidates import at_batch_size, rounded
from pipeline.search.plan import BATCH_SEED, Evaluate, Plan, Trial
from pipeline.search.scaling import likely_exponent, sizes_searched
from pipeline.search.surface import Surface
from pipeline.usages import usage

EACH = 6
"""Trainings at each further batch size: they bracket its best rate, and then close in on it."""

MOST_TRAININGS = 2 * EACH
"""How many trainings two further batch sizes take."""

_FEWEST = 50
"""The updates of the shortest training that counts: the end of a shorter one says little."""


def further_sizes(plan: Plan, winner: Candidate) -> tuple[int, ...]:
    """Return a quarter of the winner's batch size and four times as much, or half and double if these are not possible.

    There are none for an optimizer that estimates its own step size. Those that were searched are left out.
    """
    if usage(winner.optimizer).has_one_rate:
        return ()
    most = min(LARGEST_BATCH, plan.training_examples * plan.epochs / _FEWEST)
    found = [next((size for by in pair if 1 <= (size := int(by * winner.batch_size)) <= most), 0) for pair in _TIMES]
    return tuple(size for size in found if size and size not in sizes_searched(plan, winner))


_TIMES = ((0.25, 0.5), (4.0, 2.0))


def train_at_further_sizes(plan: Plan, winner: Candidate, trials: Sequence[Trial], evaluate: Evaluate) -> list[Trial]:
    """Train the winner at further batch sizes, and return these trainings as trials.

    Each size starts from the winner's rate, scaled by the exponent that is most likely so far, and all sizes are asked
    for at once.
    """
    own = [trial for trial in trials if trial.evaluation.candidate.optimizer == winner.optimizer]
    sizes = further_sizes(plan, winner)
    if not sizes or Surface.of(own) is None:
        return []
    exponent = likely_exponent(own)
    losses: dict[int, dict[float, float]] = {size: {} for size in sizes}
    found: list[Trial] = []
    for at in range(EACH):
        rates = {
            size: _next(losses[size], winner.initial_lr * (size / winner.batch_size) ** exponent) for size in sizes
        }
        asked = [
            Evaluation(at_batch_size(winner, size, rate), plan.epochs, plan.seed + BATCH_SEED + at)
            for size, rate in rates.items()
        ]
        for one, outcome in zip(asked, evaluate(asked), strict=True):
            losses[one.candidate.batch_size][one.candidate.initial_lr] = outcome.loss
            found.append(Trial(-1, one, outcome))
    return found


def _next(losses: Mapping[float, float], start: float) -> float:
    """Return the next rate of the bracket; once that is complete, half-way from the best to its farther neighbour."""
    rate = next_in_bracket(losses, start)
    if rate is not None:
        return rounded(rate)
    best = min(sorted(losses), key=losses.__getitem__)
    below = max((rate for rate in losses if rate < best), default=best / 10**STEP)
    above = min((rate for rate in losses if rate > best), default=best * 10**STEP)
    return rounded(sqrt(best * (above if above * below >= best**2 else below)))
