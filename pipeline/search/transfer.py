"""The transfer: whether the winner still wins at other budgets, and which rates to try at other batch sizes."""

from collections.abc import Mapping

from pipeline import statistics
from pipeline.config import LARGEST_BATCH
from pipeline.evaluation import Candidate, Evaluation
from pipeline.results import RateSuggestion, Transfer
from pipeline.search.confirmation import in_its_sign, losses_of, train_on_seeds
from pipeline.search.plan import Evaluate, Plan

FACTORS = (0.5, 2.0)
"""The budgets at which the winner is tried again, as multiples of the full one."""

_LEVEL = 1 - 0.05 / len(FACTORS)
"""The confidence level at one budget, so that all budgets together hold at 95%."""

_BATCHES = (0.5, 2.0, 4.0)
"""The batch sizes for which a rate is suggested, as multiples of the winner's."""


def transfer(plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> tuple[Transfer, ...]:
    """Compare the candidates, by name, at other budgets, on the seeds of the confirmation and with its statistics.

    It does not matter that `winner` was chosen on these seeds, since the bounds hold for all candidates at once.
    """
    return tuple(_at(factor, plan, winner, candidates, evaluate) for factor in FACTORS)


def _at(factor: float, plan: Plan, winner: str, candidates: Mapping[str, Evaluation], evaluate: Evaluate) -> Transfer:
    epochs, seeds = factor * plan.epochs, plan.fresh_seeds
    losses = losses_of(train_on_seeds(candidates, evaluate, seeds, epochs, _LEVEL))
    found = statistics.verdicts(losses, statistics.looks(len(seeds)), _LEVEL)
    own = found.rows[winner]
    return Transfer(
        factor=factor,
        epochs=epochs,
        verdict=own.verdict,
        rivals=tuple(name for name in found.still_in if name != winner),
        objective=in_its_sign(statistics.mean_interval(losses[winner]), plan.objective),
        difference=own.behind,
        candidates=tuple(candidates),
        seeds=seeds[: len(losses[winner])],
    )


def suggest_rates(plan: Plan, winner: Candidate) -> tuple[RateSuggestion, ...]:
    """Scale the winner's rate to batch sizes that were not searched, at the same number of epochs.

    The rate is proportional to the batch size for SGD (Goyal et al. 2017, arXiv:1706.02677), and to its square root for
    the other optimizers, which all normalise the gradients (Malladi et al. 2022, arXiv:2205.10287, for Adam and
    RMSprop).
    """
    rule, power = ("linear", 1.0) if winner.optimizer == "sgd" else ("square root", 0.5)
    searched = {space.batch_size for space in plan.spaces if space.optimizer == winner.optimizer}
    sizes = [int(factor * winner.batch_size) for factor in _BATCHES]
    return tuple(
        RateSuggestion(batch_size=size, initial_lr=winner.initial_lr * (size / winner.batch_size) ** power, rule=rule)
        for size in sizes
        if 1 <= size <= LARGEST_BATCH and size not in searched
    )
