"""What to search, and what the search needs to know about each training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.config import SamplerName
from pipeline.evaluation import Candidate, Evaluation, Setting, Training, setting_prefix
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Space
from pipeline.schedules import Value

TRIAL_SEED, CONFIRM_SEED = 10_000, 20_000
"""Added to `seed`, so that trials, confirmation and final trainings share no seed."""

WIDEN = 2.0
"""The search may go beyond the range test's interval by this factor, since a sweep shows it only roughly."""

ETA = 3
"""Each budget is this many times the next lower one, and about one trial in this many reaches it."""

RUNGS = 3
"""The most budgets below the full one."""

BRACKET = 5
"""The most rates at which the first scheme looks for the best one."""

SMALLEST = 100
"""Fewest updates of a budget, except for the highest. With 33 updates, 18 trials on mnist-5k were ranked almost at
random compared with their ranks after three times as many (Spearman's correlation 0.25)."""


def budgets(epochs: float, steps_per_epoch: int) -> tuple[float, ...]:
    """Return the budgets of trials below the full one, lowest first: a third of it, a ninth and so on.

    Every scheme reaches the highest of them. It is only a third, so that the full budget is spent on few candidates
    with many seeds rather than on every scheme with one.
    """
    below = [epochs / ETA**rung for rung in range(RUNGS, 1, -1)]
    return (*(budget for budget in below if budget * steps_per_epoch >= SMALLEST), epochs / ETA)


def first_bounds(space: Space) -> tuple[float, float]:
    """Return the bounds of the initial rate before any widening."""
    return space.lr_low / WIDEN, space.lr_high * WIDEN


@dataclass(frozen=True)
class Plan:
    """What to search, and at what budgets.

    Attributes:
        spaces: optimizers and batch sizes, each with the rates that its range test found.
        schemes: names from the table of schemes.
        trials: the number of configurations; one that is trained at several budgets is still one trial.
        budgets: the budgets of trials below the full one, in passes over the training set, lowest first.
        epochs: the full budget.
        top_k: the number of finalists.
        confirm_seeds: the most seeds of the confirmation.
        seed: all other seeds are derived from it.
        sampler: what proposes configurations.
        transfer: whether to try the winner at other budgets too.
        objective: what to optimise.

    """

    spaces: Sequence[Space]
    schemes: Sequence[str]
    trials: int
    budgets: Sequence[float]
    epochs: float
    top_k: int
    confirm_seeds: int
    seed: int
    sampler: SamplerName = "tpe"
    transfer: bool = False
    objective: Objective = VAL_LOSS

    @property
    def trial_epochs(self) -> float:
        """The highest budget below the full one, which every scheme reaches."""
        return self.budgets[-1]

    @property
    def races(self) -> int:
        """The number of combinations of scheme, optimizer and batch size."""
        return len(self.schemes) * len(self.spaces)

    @property
    def enough(self) -> int:
        """The number of trials with which each combination is certainly tried once."""
        return self.races + (BRACKET - 1) * len(self.spaces)

    @property
    def noun(self) -> str:
        """What the combinations are called, in the plural."""
        return "schemes" if len(self.spaces) == 1 else "combinations of scheme, optimizer and batch size"

    def name(self, setting: Setting, scheme: str) -> str:
        """Return the name of a scheme, with optimizer and batch size where there are several."""
        return f"{setting_prefix(setting, self.spaces)}{scheme}"

    @property
    def trial_seed(self) -> int:
        """The seed of all trials, the same for all so that they are comparable."""
        return self.seed + TRIAL_SEED

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The seeds of the confirmation, which no trial has used."""
        return tuple(self.seed + CONFIRM_SEED + i for i in range(self.confirm_seeds))

    def trial(self, space: Space, scheme: str, initial_lr: float, params: Mapping[str, Value]) -> Evaluation:
        """Return the evaluation of a configuration at the budget `trial_epochs`."""
        candidate = Candidate(
            scheme=scheme,
            initial_lr=initial_lr,
            optimizer=space.optimizer,
            batch_size=space.batch_size,
            params=dict(params),
        )
        return Evaluation(candidate, self.trial_epochs, self.trial_seed)


@dataclass(frozen=True)
class Outcome:
    """What the search needs to know about one training.

    `loss`, which decides everything, is the objective, negated where more is better. It and `val_loss` are infinite
    where the training diverged.
    """

    loss: float
    val_loss: float
    val_accuracy: float | None
    seconds: float
    epochs: float
    examples: int
    diverged: str = ""

    @classmethod
    def of(cls, training: Training, objective: Objective) -> Self:
        """Return the outcome of a training.

        Raises:
            InputError: if the model has no such metric.

        """
        return cls(
            loss=training.loss_by(objective),
            val_loss=training.val_loss,
            val_accuracy=training.final("val_accuracy"),
            seconds=training.seconds,
            epochs=training.epochs,
            examples=training.examples,
            diverged=training.diverged,
        )


Evaluate = Callable[[Sequence[Evaluation]], list[Outcome]]
"""Return the outcomes of evaluations that do not depend on each other, in their order, once all are known."""


@dataclass(frozen=True)
class Trial:
    """One training of a trial; those of one configuration at several budgets share its number."""

    number: int
    evaluation: Evaluation
    outcome: Outcome
