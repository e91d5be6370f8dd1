"""An evaluation is a pure question, a training the whole answer to it, and `Ask` how questions are put."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.errors import InputError
from pipeline.objective import Objective, usual_direction
from pipeline.schedules import Value, curve, format_params, sweep

STRICT = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
"""How stored values are read: immutable, and unknown fields are refused.

JSON has no infinite numbers, so they are the strings "Infinity", "-Infinity" and "NaN", which `float` of most languages
reads.
"""

DIVERGED_AT = 4.0
"""A training has diverged once its loss is this many times what it was at the start."""

SWEEP = "sweep"
"""What stands in the place of a scheme for the growing rates of a range test; no scheme of the table."""


class Candidate(BaseModel):
    """What can be trained with: optimizer, batch size, learning-rate scheme, initial rate, parameters of the scheme."""

    model_config = STRICT

    scheme: str
    initial_lr: float
    optimizer: str
    batch_size: int
    params: dict[str, Value]

    @property
    def name(self) -> str:
        """Scheme, rate and parameters, as a person reads them: `step lr=0.03 drops=3`."""
        extra = f" {format_params(self.params)}" if self.params else ""
        return f"{self.scheme} lr={self.initial_lr:.3g}{extra}"

    @property
    def only(self) -> "Candidate":
        """The candidate alone, without what a row of a table adds to it."""
        return Candidate.model_validate({name: getattr(self, name) for name in Candidate.model_fields})


class Setting(Protocol):
    """What a search may compare beside schemes and rates."""

    @property
    def optimizer(self) -> str:
        """The optimizer's name."""

    @property
    def batch_size(self) -> int:
        """Examples in an update."""


def setting_prefix(one: Setting, among: Collection[Setting]) -> str:
    """Return what to write before a name where settings differ: `adam batch=64 `, or "" where all are the same."""
    several = len({other.optimizer for other in among}) > 1, len({other.batch_size for other in among}) > 1
    parts = (one.optimizer, f"batch={one.batch_size}")
    return "".join(f"{part} " for part, differs in zip(parts, several, strict=True) if differs)


@dataclass(frozen=True)
class Evaluation:
    """Train a candidate for this long, from this seed.

    Attributes:
        epochs: the budget in passes over the training set, whole or not. The whole curve is compressed into it: a
            shorter budget is never a longer one cut short, since short horizons favour small rates and early decay
            (Wu et al. 2018, arXiv:1803.02021).
        validations: in how many equal parts the training is validated; None for one a pass, or as near to that as
            divides the updates.
        patience: the share of the validations without a better one after which the training stops early, and keeps
            its best weights; 0 trains to the end.
        diverged_at: the training stops once its loss is this many times what it was at the start.
        test: whether the answer holds scores on the test set.
        weights: whether the answer holds the final weights.

    """

    candidate: Candidate
    epochs: float
    seed: int
    validations: int | None = None
    patience: float = 0.0
    diverged_at: float = DIVERGED_AT
    test: bool = False
    weights: bool = False

    @property
    def name(self) -> str:
        """A name among trainings with the same budget: `cosine lr=0.03 seed=0`."""
        return f"{self.candidate.name} seed={self.seed}"

    @property
    def name_with_budget(self) -> str:
        """A name among trainings with different budgets: `cosine lr=0.03 epochs=1.67 seed=0`."""
        return f"{self.candidate.name} epochs={self.epochs:.3g} seed={self.seed}"

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the numbers; what the answer is to hold besides them does not."""
        own = {name: value for name, value in vars(self).items() if name not in ("candidate", "test", "weights")}
        fields = {**self.candidate.model_dump(), **own, "epochs": float(self.epochs)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    @property
    def is_sweep(self) -> bool:
        """Whether it trains with the growing rates of a range test."""
        return self.candidate.scheme == SWEEP

    def trying(self, **changes: Any) -> Self:
        """Return the same question of a candidate with these fields changed."""
        return replace(self, candidate=self.candidate.model_copy(update=changes))

    def updates(self, steps_per_epoch: int) -> int:
        """Return the budget in optimizer updates."""
        return max(1, round(self.epochs * steps_per_epoch))

    def parts(self, steps_per_epoch: int) -> int:
        """Return in how many equal parts the training is validated."""
        if self.validations is not None:
            return self.validations
        updates = self.updates(steps_per_epoch)
        return next(parts for parts in range(max(1, int(self.epochs)), 0, -1) if updates % parts == 0)

    def curve(self, steps_per_epoch: int) -> NDArray[np.float64]:
        """Return the rate of every update, float64 (updates,)."""
        candidate, updates = self.candidate, self.updates(steps_per_epoch)
        if self.is_sweep:
            return sweep(candidate.initial_lr, updates=updates, **candidate.params)  # type: ignore[arg-type]
        return curve(
            candidate.scheme,
            steps=updates,
            steps_per_epoch=steps_per_epoch,
            initial_lr=candidate.initial_lr,
            params=candidate.params,
        )


@dataclass(frozen=True)
class Training:
    """What happened in one training.

    Attributes:
        rates: float32 (updates,), the rate that each update used.
        losses: float32 (updates,), the loss of each batch, with regularisation, before its update.
        history: one value per validation for `loss`, `val_loss`, `accuracy`, ... as Keras has them.
        steps_per_epoch: updates per pass over the training set.
        validation_steps: updates between validations.
        diverged: why the training stopped itself, or "" where it did not.
        seconds: wall time.
        examples: training examples processed.
        test: scores on the test set by Keras' names, `loss` and so on, where they were asked for.
        weights: the network's weights at the end, in Keras' order, where they were asked for.

    """

    rates: NDArray[np.float32]
    losses: NDArray[np.float32]
    history: Mapping[str, Sequence[float]]
    steps_per_epoch: int
    validation_steps: int
    diverged: str
    seconds: float
    examples: int
    test: Mapping[str, float] | None = None
    weights: Sequence[NDArray[Any]] | None = None

    def answers(self, evaluation: Evaluation) -> bool:
        """Return whether it holds all that the evaluation asks for."""
        tested, weighed = self.test is not None, self.weights is not None
        return tested >= evaluation.test and weighed >= evaluation.weights

    @property
    def epochs(self) -> float:
        """Passes over the training set that were made."""
        return len(self.rates) / self.steps_per_epoch

    def best(self, metric: str) -> float | None:
        """Return the best value of a validation metric over the training.

        None where there is no finite one, or where the metric's name does not say which is better.
        """
        values = [value for value in self.history.get(metric, ()) if np.isfinite(value)]
        direction = usual_direction(metric)
        if not values or direction is None:
            return None
        return max(values) if direction == "max" else min(values)

    def final(self, metric: str) -> float | None:
        """Return the value of a validation metric at the end; None where the training diverged."""
        values = self.history.get(metric, ())
        return values[-1] if values and not self.diverged and np.isfinite(values[-1]) else None

    @property
    def val_loss(self) -> float:
        """The validation loss at the end; inf where the training diverged."""
        value = self.final("val_loss")
        return np.inf if value is None else value

    def loss_by(self, objective: Objective) -> float:
        """Return the objective at the end, negated where more is better; inf where the training diverged.

        Raises:
            InputError: if the model has no such metric.

        """
        if objective.metric not in self.history and not self.diverged:
            known = ", ".join(name for name in self.history if name.startswith("val_"))
            raise InputError(f"objective: received {objective.metric!r}, expected a metric of the model: {known}")
        value = self.final(objective.metric)
        return np.inf if value is None else objective.oriented(value)


Ask = Callable[[Sequence[Evaluation]], Iterator[tuple[Evaluation, Training]]]
"""Put questions that do not depend on each other; gives each with its training as it finishes, in any order."""


def answers(ask: Ask, evaluations: Sequence[Evaluation]) -> list[Training]:
    """Ask, wait for all, and return the trainings in the order of the questions; equal questions are asked once."""
    wanted: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        same = wanted.get(evaluation.digest, evaluation)
        wanted[evaluation.digest] = replace(
            same, test=same.test or evaluation.test, weights=same.weights or evaluation.weights
        )
    found = {evaluation.digest: training for evaluation, training in ask(list(wanted.values()))}
    return [found[evaluation.digest] for evaluation in evaluations]
