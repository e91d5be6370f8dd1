"""What to search, how thoroughly, and what the search needs to know about each training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Self

import numpy as np

from pipeline.config import SamplerName, SearchOptions
from pipeline.evaluation import Candidate, Evaluation, Setting, Training, setting_prefix
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import RangeTestResult, Space
from pipeline.rivals import USUAL, Rival
from pipeline.search.budget import WITH_CONSTANT, Sizes, with_given
from pipeline.search.candidates import couplings
from pipeline.usages import usage

TRIAL_SEED, CONFIRM_SEED, BATCH_SEED = 10_000, 20_000, 30_000
"""Added to `seed`, so that trials, confirmation, further batch sizes and final trainings share no seed."""

BRACKET = 6
"""The most rates that bracketing the best one may take."""

WIDEN = 2.0
"""Samplers may exceed the range test's interval by this factor, since a sweep gives it only roughly."""


def planned(
    options: SearchOptions,
    tests: Sequence[RangeTestResult],
    steps_per_epoch: Callable[[int], int],
    validation_examples: int,
    at_once: int = 1,
    correction: float = 1.0,
) -> "Plan":
    """Return the plan for these options, within what the range tests have left of the budget.

    Args:
        options: sizes left open follow from the budget.
        tests: one for each optimizer and batch size.
        steps_per_epoch: returns the number of updates per epoch for a batch size.
        validation_examples: how many there are, which gives the step in which accuracies move.
        at_once: how many trainings can run at the same time.
        correction: what the suggested rates are multiplied by where trials begin, by an earlier search.

    """
    spent = sum(test.updates / (steps_per_epoch(test.batch_size) * options.epochs) for test in tests)
    left = max(options.budget - spent, 1.0)
    own = with_given(options, left, sum(len(usage(test.optimizer).among(options.scheme_names())) for test in tests))
    decayed = options.batch_sizes if options.weight_decay == "search" else ()
    return Plan(
        spaces=tuple(_space(test, correction) for test in tests),
        schemes=options.scheme_names(),
        trials=own.trials,
        epochs=options.epochs,
        top_k=own.top_k,
        confirm_seeds=own.confirm_seeds,
        seed=options.seed,
        baselines=own.baselines,
        rivals=options.rival_candidates,
        trainings=left,
        seconds=inf if options.minutes is None else 60 * options.minutes - sum(test.seconds for test in tests),
        tolerance=options.tolerance,
        resolution=1 / validation_examples,
        sampler=options.sampler,
        wide=options.space == "wide",
        couplings={size: couplings(options.epochs * steps_per_epoch(size)) for size in decayed},
        transfer=options.transfer,
        batch_transfer=options.batch_transfer,
        training_examples=steps_per_epoch(1),
        splits=options.splits,
        objective=options.judged_by,
        at_once=at_once,
    )


def _space(found: RangeTestResult, correction: float) -> Space:
    suggested, low, high, start = found.suggested_lr, found.lr_low, found.lr_high, None
    if suggested is None or low is None or high is None:
        # The range test refused, so nothing is known: search the whole sweep, and there is nothing to correct.
        low, high = found.lr_min, found.lr_max
        suggested = float((low * high) ** 0.5)
    elif correction != 1:
        start = min(max(suggested * correction, low), high)
    return Space(
        optimizer=found.optimizer,
        batch_size=found.batch_size,
        suggested_lr=suggested,
        lr_low=low,
        lr_high=high,
        start_lr=start,
    )


def bounds(space: Space, known: Sequence["Trial"]) -> tuple[float, float]:
    """Return the samplers' bounds of initial rates: the range test's interval, widened, and all rates tried."""
    if space.lr_low == space.lr_high:
        return space.lr_low, space.lr_high
    tried = [trial.evaluation.candidate.initial_lr for trial in known]
    return min([space.lr_low / WIDEN, *tried]), max([space.lr_high * WIDEN, *tried])


@dataclass(frozen=True)
class Plan:
    """What to search, and how thoroughly.

    Attributes:
        spaces: optimizers and batch sizes, each with the rates that its range test found.
        schemes: names from the table of schemes; an optimizer may have its own (`schemes_for`).
        trials: the maximum number of trials, each a full-length training.
        epochs: the length of each training, in passes over the training set.
        top_k: the number of finalists.
        confirm_seeds: the maximum number of seeds in the confirmation; 0 for no confirmation.
        seed: all other seeds are derived from it.
        baselines: whether what people use without a search is confirmed too.
        rivals: what the user wants confirmed beside them.
        trainings: the most full trainings that the search may cost, besides those of rivals.
        seconds: the most seconds that it may take.
        tolerance: the share of the loss below which a difference does not matter.
        resolution: the step in which accuracies move, 1 / n on n validation examples.
        sampler: which sampler varies the parameters of the schemes.
        wide: whether it varies more of them, and further.
        couplings: by batch size, the products of rate and weight decay that are tried beside the optimizer's own decay.
        transfer: whether to test the winner at other budgets too.
        batch_transfer: whether to measure the winner's best rate at other batch sizes too.
        training_examples: the size of the training set.
        splits: the splits of the data that the confirmation's seeds are spread over.
        objective: what to optimise.
        at_once: how many trainings can run at the same time.

    """

    spaces: Sequence[Space]
    schemes: Sequence[str]
    trials: int
    epochs: float
    top_k: int
    confirm_seeds: int
    seed: int
    baselines: bool = True
    rivals: Sequence[Rival] = ()
    trainings: float = inf
    seconds: float = inf
    tolerance: float = 0.0
    resolution: float = 0.0
    sampler: SamplerName = "tpe"
    wide: bool = False
    couplings: Mapping[int, Sequence[float]] = field(default_factory=dict)
    transfer: bool = False
    batch_transfer: bool = False
    training_examples: float = inf
    splits: int = 1
    objective: Objective = VAL_LOSS
    at_once: int = 1

    @property
    def combinations(self) -> int:
        """The number of combinations of scheme, optimizer and batch size."""
        return sum(len(self.schemes_for(space)) for space in self.spaces)

    def schemes_for(self, setting: Setting) -> tuple[str, ...]:
        """Return the names of the schemes that are tried with a setting's optimizer."""
        return usage(setting.optimizer).among(tuple(self.schemes))

    def couplings_for(self, setting: Setting) -> tuple[float | None, ...]:
        """Return the products of rate and weight decay that are tried with a setting; None is the optimizer's own."""
        return None, *self.couplings.get(setting.batch_size, ())

    @property
    def all_schemes(self) -> tuple[str, ...]:
        """The names of all schemes that are tried."""
        return tuple(dict.fromkeys(scheme for space in self.spaces for scheme in self.schemes_for(space)))

    @property
    def sizes(self) -> Sizes:
        """How the trainings are spent."""
        return Sizes(self.trials, self.top_k, self.confirm_seeds, self.baselines)

    @property
    def opponents(self) -> tuple[Rival, ...]:
        """What the finalists are compared with, by name."""
        usual = USUAL if self.baselines else ()
        return (*usual, *self.rivals) if self.confirm_seeds else ()

    @property
    def beyond(self) -> int:
        """The most trainings that rivals cost, beyond the budget."""
        return len(self.rivals) * self.confirm_seeds

    @property
    def compares_decay(self) -> bool:
        """Whether one of the finalists is to be the best constant rate, to show what a decay is worth."""
        return self.baselines and self.top_k >= WITH_CONSTANT

    @property
    def transferred(self) -> int:
        """The most trainings at each other budget: of the finalists, or of a single one and the baselines."""
        candidates = self.top_k if self.top_k > 1 else 1 + len(self.opponents)
        return self.transfer * candidates * self.confirm_seeds

    @property
    def step(self) -> float:
        """The step in which the objective moves; 0 if it is continuous."""
        return self.resolution if self.objective.is_accuracy else 0.0

    @property
    def noun(self) -> str:
        """What to call the combinations, in the plural."""
        return "schemes" if len(self.spaces) == 1 else "combinations of scheme, optimizer and batch size"

    def name(self, setting: Setting, scheme: str) -> str:
        """Return the name of a scheme, with optimizer and batch size if there are several."""
        return f"{setting_prefix(setting, self.spaces)}{scheme}"

    def name_of(self, one: Candidate) -> str:
        """Return the name of a candidate's scheme, with its decay if that is searched: `linear decay=0.05`."""
        return f"{self.name(one, one.scheme)}{one.decay_suffix}"

    @property
    def trial_seed(self) -> int:
        """The seed of the first trial. Each trial has a seed of its own."""
        return self.seed + TRIAL_SEED

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The seeds of the confirmation, which no trial has used."""
        return tuple(self.seed + CONFIRM_SEED + i for i in range(self.confirm_seeds))


@dataclass(frozen=True)
class Outcome:
    """What the search needs to know about one training.

    `loss`, which decides everything, is the objective, negated if higher is better. It and `val_loss` are infinite if
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
"""Return the outcomes of independent evaluations, in their order, once all are known."""

Affords = Callable[[Sequence[Evaluation]], bool]
"""Return whether the budget allows these further full trainings."""


@dataclass(frozen=True)
class Trial:
    """A numbered training of full length from which the search learns."""

    number: int
    evaluation: Evaluation
    outcome: Outcome


_MOST = 200
"""The most trials that a surface is fitted to: the time that it takes grows with the third power of their number."""


def telling(trials: Sequence[Trial]) -> Sequence[Trial]:
    """Return the trials that say most, in their order: all, unless they are more than a surface can take.

    Of more, half are those with the lowest losses, which the answer is among, and half are spread evenly over the
    others, so that it stays known where losses are high.
    """
    if len(trials) <= _MOST:
        return trials
    ranked = sorted(range(len(trials)), key=lambda at: trials[at].outcome.loss)
    lowest, others = ranked[: _MOST // 2], sorted(ranked[_MOST // 2 :])
    spread = np.linspace(0, len(others) - 1, _MOST - len(lowest)).round().astype(int)
    return [trials[at] for at in sorted([*lowest, *(others[at] for at in spread)])]
