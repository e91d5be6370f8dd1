"""The question, its answer, and how to ask it: `Evaluation`, `Training` and `Ask`."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from pipeline.errors import InputError
from pipeline.objective import Objective, usual_direction
from pipeline.schedules import Value, curve, format_params, sweep

STRICT = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
"""How stored values are validated: they are immutable, and unknown fields are refused.

JSON has no infinite numbers. They are written as the strings "Infinity", "-Infinity" and "NaN", which most languages
can parse.
"""

DIVERGED_AT = 4.0
"""A training has diverged once its loss is this many times its loss at the start."""

SWEEP = "sweep"
"""The scheme name of a range test's growing rates; no scheme in the table has it."""


class Candidate(BaseModel):
    """What to train with: optimizer, batch size, learning-rate scheme, initial rate and parameters of the scheme.

    `weight_decay` is None for the optimizer's own, and then left out wherever candidates are stored or shown.
    """

    model_config = STRICT

    scheme: str
    initial_lr: float
    optimizer: str
    batch_size: int
    params: dict[str, Value]
    weight_decay: float | None = None

    @model_serializer(mode="wrap")
    def _without_own_decay(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if name != "weight_decay" or value is not None}

    @property
    def name(self) -> str:
        """Scheme, rate, decay and parameters for people to read: `step lr=0.03 decay=0.1 drops=3`."""
        extra = f" {format_params(self.params)}" if self.params else ""
        return f"{self.scheme} lr={self.initial_lr:.3g}{self.decay_suffix}{extra}"

    @property
    def decay_suffix(self) -> str:
        """What a name has of the weight decay: ` decay=0.1`, or "" if it is the optimizer's own."""
        return "" if self.weight_decay is None else f" decay={self.weight_decay:.3g}"

    @property
    def only(self) -> "Candidate":
        """The candidate without the columns that a row of a table adds to it."""
        return Candidate.model_validate({name: getattr(self, name) for name in Candidate.model_fields})


class Setting(Protocol):
    """Anything with an optimizer and a batch size, which a search may vary."""

    @property
    def optimizer(self) -> str:
        """The optimizer's name."""

    @property
    def batch_size(self) -> int:
        """The number of examples in an update."""


def setting_prefix(one: Setting, among: Collection[Setting]) -> str:
    """Return a prefix for names, such as `adam batch=64 `, with what differs among the settings, or ""."""
    several = len({other.optimizer for other in among}) > 1, len({other.batch_size for other in among}) > 1
    parts = (one.optimizer, f"batch={one.batch_size}")
    return "".join(f"{part} " for part, differs in zip(parts, several, strict=True) if differs)


@dataclass(frozen=True)
class Evaluation:
    """The question what happens when a candidate is trained for this long, from this seed.

    Attributes:
        candidate: what to train with.
        epochs: the budget in passes over the training set, not necessarily a whole number. The schedule is always
            compressed into the budget, never cut off, since short horizons favour small rates and early decay (Wu et
            al. 2018, arXiv:1803.02021).
        seed: fixes the initial weights, the order of the examples, and dropout.
        split: the number of the split into training and validation set; 0 is the prepared one (`datasets.resplit`).
        validations: the number of validations, evenly spaced; None for one per pass, or the next lower number that
            divides the updates; 0 for none.
        patience: stop early after this share of the validations without an improvement, and keep the best weights;
            0 trains to the end.
        diverged_at: stop once the loss is this many times the loss at the start.
        test: whether the answer must hold the scores on the test set.
        weights: whether the answer must hold the final weights.

    """

    candidate: Candidate
    epochs: float
    seed: int
    split: int = 0
    validations: int | None = None
    patience: float = 0.0
    diverged_at: float = DIVERGED_AT
    test: bool = False
    weights: bool = False

    @property
    def name(self) -> str:
        """A name that is unique among trainings of one budget: `cosine lr=0.03 seed=0`."""
        return f"{self.candidate.name} {self._chance}"

    @property
    def name_with_budget(self) -> str:
        """A name that includes the budget: `cosine lr=0.03 epochs=1.67 seed=0`."""
        return f"{self.candidate.name} epochs={self.epochs:.3g} {self._chance}"

    @property
    def _chance(self) -> str:
        return f"seed={self.seed}" + (f" split={self.split}" if self.split else "")

    @property
    def digest(self) -> str:
        """The SHA-256 of every field that affects the numbers: all but `test` and `weights`."""
        own = {name: value for name, value in vars(self).items() if name not in ("candidate", "test", "weights")}
        if not self.split:  # so that trainings on the prepared split are the same question as ever
            del own["split"]
        fields = {**self.candidate.model_dump(), **own, "epochs": float(self.epochs)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    @property
    def is_sweep(self) -> bool:
        """Whether this is a sweep of a range test, with growing rates."""
        return self.candidate.scheme == SWEEP

    def trying(self, **changes: Any) -> Self:
        """Return the same question with these fields of the candidate changed."""
        return replace(self, candidate=self.candidate.model_copy(update=changes))

    def spread(self, seeds: Sequence[int], splits: int) -> list[Self]:
        """Return the same question for each seed, on as many splits of the data in turn."""
        return [replace(self, seed=seed, split=at % splits) for at, seed in enumerate(seeds)]

    def updates(self, steps_per_epoch: int) -> int:
        """Return the budget in optimizer updates."""
        return max(1, round(self.epochs * steps_per_epoch))

    def parts(self, steps_per_epoch: int) -> int:
        """Return the number of validations, which divides the updates."""
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
    """The whole answer to an evaluation: what happened in one training.

    Attributes:
        rates: float32 (updates,), the rate used by each update.
        losses: float32 (updates,), the loss of each batch before its update, with regularisation.
        history: one value per validation for `loss`, `val_loss`, `accuracy` and so on, named as in Keras.
        steps_per_epoch: updates per pass over the training set.
        validation_steps: updates between validations.
        diverged: why the training stopped itself; "" if it did not.
        seconds: wall time.
        examples: training examples processed.
        test: scores on the test set by their names in Keras, if asked for.
        weights: the final weights in Keras' order, if asked for.
        recomputed: whether BatchNormalization's statistics were recomputed for the final validation.

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
    recomputed: bool = False

    def answers(self, evaluation: Evaluation) -> bool:
        """Return whether the training holds everything that the evaluation asks for."""
        tested, weighed = self.test is not None, self.weights is not None
        return tested >= evaluation.test and weighed >= evaluation.weights

    @property
    def given_up(self) -> bool:
        """Whether no worker survived the training: it made no update that is known of."""
        return not len(self.rates)

    @property
    def epochs(self) -> float:
        """The passes over the training set that were made."""
        return len(self.rates) / self.steps_per_epoch

    def best(self, metric: str) -> float | None:
        """Return the best value of a validation metric over the training.

        None if no value is finite, or if the metric's name does not show whether more or less is better.
        """
        values = [value for value in self.history.get(metric, ()) if np.isfinite(value)]
        direction = usual_direction(metric)
        if not values or direction is None:
            return None
        return max(values) if direction == "max" else min(values)

    def final(self, metric: str) -> float | None:
        """Return the final value of a validation metric; None if the training diverged."""
        values = self.history.get(metric, ())
        return values[-1] if values and not self.diverged and np.isfinite(values[-1]) else None

    @property
    def val_loss(self) -> float:
        """The final validation loss; inf if the training diverged."""
        value = self.final("val_loss")
        return np.inf if value is None else value

    def in_units_of_labels(self, scale: float) -> Self:
        """Return a training on labels that were divided by `scale` with squared and absolute errors of the labels."""
        by = {"loss": scale**2, "val_loss": scale**2, "mae": scale, "val_mae": scale}
        return replace(
            self,
            losses=(self.losses * np.float64(scale**2)).astype(np.float32),
            history={name: [value * by.get(name, 1.0) for value in values] for name, values in self.history.items()},
            test=self.test and {name: value * by.get(name, 1.0) for name, value in self.test.items()},
        )

    def loss_by(self, objective: Objective) -> float:
        """Return the final value of the objective, negated if more is better; inf if the training diverged.

        Raises:
            InputError: if the model has no such metric.

        """
        if objective.metric not in self.history and not self.diverged:
            known = ", ".join(name for name in self.history if name.startswith("val_"))
            raise InputError(f"objective: received {objective.metric!r}, expected a metric of the model: {known}")
        value = self.final(objective.metric)
        return np.inf if value is None else objective.oriented(value)


Ask = Callable[[Sequence[Evaluation]], Iterator[tuple[Evaluation, Training]]]
"""A function that takes independent evaluations and yields each with its training as it finishes, in any order."""


def answers(ask: Ask, evaluations: Sequence[Evaluation]) -> list[Training]:
    """Ask, wait for all, and return the trainings in the order of the evaluations; equal ones are asked only once."""
    wanted: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        same = wanted.get(evaluation.digest, evaluation)
        wanted[evaluation.digest] = replace(
            same, test=same.test or evaluation.test, weights=same.weights or evaluation.weights
        )
    found = {evaluation.digest: training for evaluation, training in ask(list(wanted.values()))}
    return [found[evaluation.digest] for evaluation in evaluations]
