"""What a search is asked, and what it needs to know of each training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.evaluation import Evaluation
from pipeline.results import Params

TRIAL_SEED, CONFIRM_SEED = 10_000, 20_000
"""Added to `seed`, so that trials, confirmation and final training never share one."""

WIDEN = 2.0
"""The range test's interval is read off a sweep, not off trainings: the search may look this factor beyond it."""


@dataclass(frozen=True)
class Plan:
    """What to search, and at what budgets.

    `lr_low`, `lr_high` bound the initial rate; `suggested_lr` is where every scheme starts. `trial_epochs` is the
    compressed budget of a trial and `epochs` the full one, in passes over the training set.
    """

    optimizer: str
    schemes: Sequence[str]
    suggested_lr: float
    lr_low: float
    lr_high: float
    trials: int
    trial_epochs: int
    epochs: int
    top_k: int
    confirm_seeds: int
    seed: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the initial rate."""
        return self.lr_low / WIDEN, self.lr_high * WIDEN

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """Seeds for the confirmation, which no trial has seen."""
        return tuple(self.seed + CONFIRM_SEED + i for i in range(self.confirm_seeds))

    def trial(self, scheme: str, initial_lr: float, params: Params) -> Evaluation:
        """A training at the compressed budget; all share a seed, so that luck is the same for all."""
        return Evaluation(self.optimizer, scheme, initial_lr, params, self.trial_epochs, self.seed + TRIAL_SEED)


@dataclass(frozen=True)
class Outcome:
    """What the search needs to know of one training; the loss of one that diverged is infinite."""

    val_loss: float
    val_accuracy: float | None
    seconds: float
    epochs: float
    examples: int
    diverged: str = ""


Evaluate = Callable[[Evaluation], Outcome]


@dataclass(frozen=True)
class Trial:
    """One training at the compressed budget."""

    number: int
    evaluation: Evaluation
    outcome: Outcome
