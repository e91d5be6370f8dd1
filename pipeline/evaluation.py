"""An evaluation is a pure question; a training is what happened when it was asked."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.objective import Objective, usual_direction
from pipeline.results import Params
from pipeline.schedules import curve, format_params


@dataclass(frozen=True)
class Evaluation:
    """Train with this optimizer, scheme, rate and batch size for this long, from this seed.

    `epochs` is the budget in passes over the training set, whole or not: the whole curve is compressed into it. A
    budget is never a longer one cut short, since short horizons favour small rates and early decay
    (Wu et al. 2018, arXiv:1803.02021).
    """

    optimizer: str
    scheme: str
    initial_lr: float
    params: Params
    epochs: float
    seed: int
    batch_size: int

    @property
    def name(self) -> str:
        """What tells this training apart from others with the same budget: `cosine lr=0.03 seed=0`."""
        return f"{self._settings} seed={self.seed}"

    @property
    def name_with_budget(self) -> str:
        """What tells this training apart where budgets differ: `cosine lr=0.03 epochs=1.67 seed=0`."""
        return f"{self._settings} epochs={self.epochs:.3g} seed={self.seed}"

    @property
    def _settings(self) -> str:
        extra = f" {format_params(self.params)}" if self.params else ""
        return f"{self.scheme} lr={self.initial_lr:.3g}{extra}"

    @property
    def digest(self) -> str:
        """SHA-256 of the question."""
        params, epochs = sorted(self.params.items()), float(self.epochs)
        fields = [self.optimizer, self.scheme, self.initial_lr, params, epochs, self.seed, self.batch_size]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def updates(self, steps_per_epoch: int) -> int:
        """The budget in optimizer updates."""
        return max(1, round(self.epochs * steps_per_epoch))

    def validations(self, steps_per_epoch: int) -> int:
        """In how many equal parts it is validated: one a pass, or as near to that as divides the updates."""
        updates = self.updates(steps_per_epoch)
        return next(parts for parts in range(max(1, int(self.epochs)), 0, -1) if updates % parts == 0)

    def curve(self, steps_per_epoch: int) -> NDArray[np.float64]:
        """The rate of every update, float64 (updates,)."""
        return curve(
            self.scheme,
            steps=self.updates(steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            initial_lr=self.initial_lr,
            params=self.params,
        )


class Setting(Protocol):
    """What a search may compare beside schemes and rates."""

    @property
    def optimizer(self) -> str:
        """The optimizer's name."""

    @property
    def batch_size(self) -> int:
        """Examples an update."""


def told_apart(one: Setting, among: Collection[Setting]) -> str:
    """What to write before a name to tell a setting from the others: `adam batch=64 `, or nothing where all agree."""
    several = len({other.optimizer for other in among}) > 1, len({other.batch_size for other in among}) > 1
    parts = (one.optimizer, f"batch={one.batch_size}")
    return "".join(f"{part} " for part, differs in zip(parts, several, strict=True) if differs)


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

    """

    rates: NDArray[np.float32]
    losses: NDArray[np.float32]
    history: Mapping[str, Sequence[float]]
    steps_per_epoch: int
    validation_steps: int
    diverged: str
    seconds: float
    examples: int

    def best(self, metric: str) -> float | None:
        """The best value of a validation metric over the training.

        None where there is no finite one, or where the metric's name does not tell which is better.
        """
        values = [value for value in self.history.get(metric, ()) if np.isfinite(value)]
        direction = usual_direction(metric)
        if not values or direction is None:
            return None
        return max(values) if direction == "max" else min(values)

    def final(self, metric: str) -> float | None:
        """The value of a validation metric at the end; None where the training diverged."""
        values = self.history.get(metric, ())
        return values[-1] if values and not self.diverged and np.isfinite(values[-1]) else None

    def loss_by(self, objective: Objective) -> float:
        """The objective at the end, so signed that less is better; inf where the training diverged.

        Raises InputError where the model has no such metric.
        """
        if objective.metric not in self.history and not self.diverged:
            known = ", ".join(name for name in self.history if name.startswith("val_"))
            raise InputError(f"objective: received {objective.metric!r}, expected a metric of the model: {known}")
        value = self.final(objective.metric)
        return np.inf if value is None else objective.oriented(value)
