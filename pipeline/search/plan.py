"""What a search is asked, and what it needs to know of each training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.config import SamplerName
from pipeline.evaluation import Candidate, Evaluation, Setting, Training, setting_prefix
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Space
from pipeline.schedules import Value

TRIAL_SEED, CONFIRM_SEED = 10_000, 20_000
"""Added to `seed`, so that trials, confirmation and final training never share a seed."""

WIDEN = 2.0
"""The range test's interval is read off a sweep, not off trainings: the search may look this factor beyond it."""

ETA = 3
"""Each budget is this many times the one below it, and about one trial in so many climbs to it."""

RUNGS = 3
"""Most budgets below the full one."""

BRACKET = 5
"""Most rates at which the first scheme looks for the best one."""

SMALLEST = 100
"""No budget but the highest has fewer updates: after 33 of them the ranks of 18 trials on mnist-5k, three times as many
updates later, were hardly known (Spearman's correlation 0.25)."""


def budgets(epochs: float, steps_per_epoch: int) -> tuple[float, ...]:
    """The budgets of trials in passes over the training set, lowest first: a third of the full one, a ninth, ...

    The confirmation is the rung above. So the highest here is a third and not the whole: every scheme reaches it, and
    the full budget is spent on few candidates with many seeds rather than on every scheme with one.
    """
    below = [epochs / ETA**rung for rung in range(RUNGS, 1, -1)]
    return (*(budget for budget in below if budget * steps_per_epoch >= SMALLEST), epochs / ETA)


def first_bounds(space: Space) -> tuple[float, float]:
    """Return where the initial rate is looked for at first."""
    return space.lr_low / WIDEN, space.lr_high * WIDEN


@dataclass(frozen=True)
class Plan:
    """What to search, and at what budgets.

    `budgets` are those of a trial, lowest first, and `epochs` is the full one, in passes over the training set.
    `trials` counts configurations: however many budgets one of them is trained at, it is one trial. With `transfer` the
    winner is tried at other budgets too. `objective` is what the losses of outcomes stand for, for results to name.
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
        """The highest budget of a trial."""
        return self.budgets[-1]

    @property
    def races(self) -> int:
        """How many schemes with an optimizer and batch size there are to try."""
        return len(self.schemes) * len(self.spaces)

    @property
    def enough(self) -> int:
        """So many trials try each of them once, however many the first scheme takes."""
        return self.races + (BRACKET - 1) * len(self.spaces)

    @property
    def noun(self) -> str:
        """What is tried, in the plural."""
        return "schemes" if len(self.spaces) == 1 else "combinations of scheme, optimizer and batch size"

    def name(self, setting: Setting, scheme: str) -> str:
        """Return the name of a scheme, with optimizer and batch size where there are several."""
        return f"{setting_prefix(setting, self.spaces)}{scheme}"

    @property
    def trial_seed(self) -> int:
        """The seed of all trials, so that luck is the same for all."""
        return self.seed + TRIAL_SEED

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """Seeds for the confirmation, which no trial has seen."""
        return tuple(self.seed + CONFIRM_SEED + i for i in range(self.confirm_seeds))

    def trial(self, space: Space, scheme: str, initial_lr: float, params: Mapping[str, Value]) -> Evaluation:
        """Return a training at the highest budget of trials."""
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
    """What the search needs to know of one training.

    `loss` is the objective, so signed that less is better: all is decided by it. It and `val_loss` are infinite where
    the training diverged.
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
        """Read it off a training.

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
"""Answers questions that do not depend on each other, in their order, when all are known."""


@dataclass(frozen=True)
class Trial:
    """One training at one of the lower budgets. Those of the same configuration have the same number."""

    number: int
    evaluation: Evaluation
    outcome: Outcome
