"""How a budget of full trainings is divided into trials and the confirmation."""

from dataclasses import dataclass

from pipeline.config import SearchOptions
from pipeline.rivals import USUAL

_BASELINES = len(USUAL)


@dataclass(frozen=True)
class Sizes:
    """How full trainings are spent: on `trials`, then on `confirm_seeds` for each finalist and baseline.

    Without seeds there is no confirmation: the answer is what the trials suggest, compared with nothing.
    """

    trials: int
    top_k: int
    confirm_seeds: int
    baselines: bool

    @property
    def trainings(self) -> int:
        """The maximum number of full trainings that this takes."""
        return self.trials + (self.top_k + self.baselines * _BASELINES) * self.confirm_seeds


def sizes(trainings: float) -> Sizes:
    """Return how to spend a budget of full trainings, not counting the range test (reports/trust.md).

    A small budget is all needed to find the rate. From 14 on, the comparison includes the baselines and takes about two
    thirds, up to seven seeds: after some ten trials, what limits the answer is how well the best ones are
    distinguished. From 27 on there are still nine trials or more if the best constant rate is a finalist too.
    """
    left = int(trainings + 1e-9)
    if left < _COMPARED:
        return Sizes(left, 1, 0, baselines=False)
    if left < _WITH_BASELINES:
        return Sizes(left - 4, 2, 2, baselines=False)
    top_k = 2 if left < _WITH_DECAY else WITH_CONSTANT if left < _LARGE else 5
    seeds = min(max(round(_CONFIRMED * left / (top_k + _BASELINES)), 2), _MOST_SEEDS)
    return Sizes(left - (top_k + _BASELINES) * seeds, top_k, seeds, baselines=True)


_COMPARED, _WITH_BASELINES, _WITH_DECAY, _LARGE = 6, 14, 27, 80
"""The fewest full trainings for which finalists are compared, baselines and the best constant rate are too, and there
are five finalists."""

WITH_CONSTANT = 3
"""The fewest finalists of which one is the best constant rate: the others are compared with each other."""

_CONFIRMED = 0.65
"""The approximate share of the trainings that the comparison takes."""

_MOST_SEEDS = 7


def with_given(options: SearchOptions, left: float, combinations: int) -> Sizes:
    """Return the sizes given in the options, with the others chosen so that all fit into what is left.

    There are no more finalists than combinations of scheme, optimizer and batch size; the budget may then be left over.
    Baselines are left out if the given sizes have no room for them, and so is the comparison of a single finalist.
    """
    own = sizes(left)
    top_k, asked = options.top_k or min(own.top_k, combinations), options.confirm_seeds or 0
    fit = (options.trials or 1) + (top_k + _BASELINES) * asked <= left
    baselines = fit and (own.baselines or asked > 0)
    rows = top_k + baselines * _BASELINES
    seeds = options.confirm_seeds
    if seeds is None:
        afforded = int((left - (options.trials or own.trials)) / rows)
        seeds = min(own.confirm_seeds, afforded) if afforded > 1 else 0
    trials = options.trials or max(min(own.trials, int(left - rows * seeds)), 1)
    if options.trials is None and options.confirm_seeds is not None:
        trials = max(int(left - rows * seeds), 1)
    if rows == 1:  # nothing to compare it with
        seeds = 0
    return Sizes(trials, top_k, seeds, baselines and seeds > 0)
