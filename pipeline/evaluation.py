"""An evaluation is a pure question; a training is what happened when it was asked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.results import Params
from pipeline.schedules import curve, format_params


@dataclass(frozen=True)
class Evaluation:
    """Train with this optimizer, scheme and rate for this long, from this seed.

    `epochs` is the budget in passes over the training set: the whole curve is compressed into it. A budget
    is never a longer one cut short, since short horizons favour small rates and early decay
    (Wu et al. 2018, arXiv:1803.02021).
    """

    optimizer: str
    scheme: str
    initial_lr: float
    params: Params
    epochs: int
    seed: int

    @property
    def name(self) -> str:
        """What tells this training apart: `cosine lr=0.03 seed=0`."""
        extra = f" {format_params(self.params)}" if self.params else ""
        return f"{self.scheme} lr={self.initial_lr:.3g}{extra} seed={self.seed}"

    @property
    def digest(self) -> str:
        """SHA-256 of the question."""
        fields = [self.optimizer, self.scheme, self.initial_lr, sorted(self.params.items()), self.epochs, self.seed]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def curve(self, steps_per_epoch: int) -> NDArray[np.float64]:
        """The rate of every update, float64 (epochs * steps_per_epoch,)."""
        return curve(
            self.scheme,
            steps=self.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            initial_lr=self.initial_lr,
            params=self.params,
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
        """The best value of a validation metric over the training; None where there is no finite one."""
        values = [value for value in self.history.get(metric, ()) if np.isfinite(value)]
        if not values:
            return None
        return max(values) if metric.endswith("accuracy") else min(values)

    def final(self, metric: str) -> float | None:
        """The value of a validation metric at the end; None where the training diverged."""
        values = self.history.get(metric, ())
        return values[-1] if values and not self.diverged and np.isfinite(values[-1]) else None
