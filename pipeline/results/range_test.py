"""The results of a range test."""

from typing import Literal

from pipeline.results.common import Result


class Tried(Result):
    """A rate, and the mean validation loss at the end and training loss near it, inf if a training diverged.

    `share` is the length as a share of a full training, and `judged_by` the loss that decided.
    """

    lr: float
    share: float
    val_loss: float
    train_loss: float
    judged_by: Literal["val_loss", "train_loss"] = "val_loss"

    @property
    def loss(self) -> float:
        """The loss that decided."""
        return self.train_loss if self.judged_by == "train_loss" else self.val_loss


class Valley(Result):
    """A parabola fitted to the losses that decided: log loss is `log(val_loss) + curvature * log10(rate / lr) ** 2`."""

    lr: float
    val_loss: float
    curvature: float


class Refinement(Result):
    """The rate that trainings with `scheme` found, starting from the rate of a sweep, `start_lr`.

    `tried` holds the trainings in order, `cost` their length in full trainings. `fit` is None if they show no valley;
    `suggested_lr` and its bounds, if all full trainings diverged. A range test's `updates` and `seconds` include these.
    """

    scheme: str
    start_lr: float
    seeds: tuple[int, ...]
    tried: tuple[Tried, ...]
    fit: Valley | None = None
    suggested_lr: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    cost: float
    updates: int = 0
    seconds: float = 0.0


class RangeTestResult(Result):
    """A learning-rate range test: a rate and an interval, or a refusal with its reason.

    `suggestions` maps each method to its rate. `divergence_lr` is None if no sweep diverged. `lr_min` and `lr_max`
    are the bounds of the last sweep, after every widening. `updates` counts all seeds, sweeps and refinements.
    """

    verdict: Literal["ok", "refused"]
    reason: str
    suggested_lr: float | None
    lr_low: float | None
    lr_high: float | None
    suggestions: dict[str, float]
    divergence_lr: float | None = None
    seeds: tuple[int, ...]
    optimizer: str
    batch_size: int
    lr_min: float
    lr_max: float
    updates: int
    seconds: float
    refinement: Refinement | None = None
