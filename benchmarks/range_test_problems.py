"""The problems of the range-test benchmark: what is trained, and whole trainings that are remembered in a file."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes

from pipeline import datasets, schedules
from pipeline.datasets import Scaling, Splits
from pipeline.models import Builder, builder
from pipeline.training import Trainer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A network, its data and its optimizer, and what is unusual about them."""

    name: str
    data: str
    optimizer: str
    model: str = "mlp"
    batch_size: int = 32
    epochs: int = 10
    examples: int | None = None  # train on so many only
    label_noise: float = 0.0  # share of training labels drawn anew
    unscaled: bool = False  # inputs as they came, 0 to 16 or 0 to 255
    loss_scale: float = 1.0
    judges: int = 6  # seeds of each rate of the dense grid


def _pair(name: str, data: str, **options: Any) -> tuple[Problem, Problem]:
    return Problem(f"{name}, SGD", data, "sgd", **options), Problem(f"{name}, Adam", data, "adam", **options)


PROBLEMS = (
    *_pair("digits mlp", "digits"),
    *_pair("mnist-5k mlp", "mnist-5k", batch_size=50, epochs=8),
    *_pair("overfits: 300 digits, 20% wrong labels", "digits", examples=300, label_noise=0.2, epochs=40),
    *_pair("noisy: digits mlp, batches of 4", "digits", batch_size=4, epochs=4),
    *_pair("unscaled: mnist-5k mlp, inputs to 255", "mnist-5k", batch_size=50, epochs=8, unscaled=True),
    *_pair("scaled: digits mlp, loss x 100", "digits", loss_scale=100.0),
    *_pair("regression: diabetes mlp", "benchmarks.range_test_problems:diabetes", epochs=40),
    *_pair("mnist-5k cnn", "mnist-5k", model="cnn", batch_size=50, epochs=2, judges=3),
)


def diabetes() -> tuple[Floats, NDArray[np.float32]]:
    """scikit-learn's diabetes data, inputs float64[442, 10], for a regression whose targets lie between 25 and 346."""
    x, y = load_diabetes(return_X_y=True)
    return x, y.astype(np.float32)


@keras.saving.register_keras_serializable(package="benchmarks")
class ScaledLoss(keras.Sequential):  # type: ignore[misc]
    """A network whose loss is in another unit."""

    factor = 1.0

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Keras' loss, times the factor."""
        return self.factor * super().compute_loss(x, y, y_pred, sample_weight, training=training)


def splits_of(problem: Problem) -> Splits:
    """The problem's data; validation and test sets are never spoilt."""
    splits = datasets.split(datasets.load(problem.data), seed=0)
    x, y = splits.x_train[: problem.examples], splits.y_train[: problem.examples].copy()
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < problem.label_noise
    y[wrong] = rng.integers(0, splits.num_outputs, int(wrong.sum()))
    scaling = Scaling(offset=(0.0,), scale=(1.0,)) if problem.unscaled else splits.scaling
    return dataclasses.replace(splits, x_train=x, y_train=y, scaling=scaling)


def build_of(problem: Problem, splits: Splits) -> Builder:
    """The problem's network."""
    build = builder(problem.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    if problem.loss_scale == 1.0:
        return build

    def scaled() -> keras.Model:
        model = ScaledLoss([keras.Input(splits.x_train.shape[1:]), *build().layers])
        model.factor = problem.loss_scale
        return model

    return scaled


class Trainings:
    """Whole trainings and sweeps of one problem, each made once and then read from the file."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.problem = problem
        self._path = folder / (problem.name.translate(str.maketrans(" :,%", "____")) + ".json")
        self._known: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._trainer: Trainer | None = None

    @property
    def trainer(self) -> Trainer:
        """The engine, set up when first needed."""
        if self._trainer is None:
            problem, splits = self.problem, splits_of(self.problem)
            self._trainer = Trainer(
                build_of(problem, splits),
                splits,
                optimizer=problem.optimizer,
                momentum=0.9,
                batch_size=problem.batch_size,
                precision="float32",
            )
        return self._trainer

    @property
    def steps_per_epoch(self) -> int:
        """Updates in a pass over the training set."""
        return int(self.remember("steps_per_epoch", lambda: self.trainer.steps_per_epoch))

    def updates(self, share: float = 1.0) -> int:
        """Updates of a training on a share of the full budget."""
        return max(1, round(share * self.problem.epochs * self.steps_per_epoch))

    def val_loss(self, scheme: str, rate: float, seed: int, share: float = 1.0) -> float:
        """Validation loss at the end of a training; inf where it diverged."""

        def train() -> float | None:
            curve = schedules.curve(
                scheme, steps=self.updates(share), steps_per_epoch=self.steps_per_epoch, initial_lr=rate
            )
            return self.trainer.train(curve, seed, validations=1).final("val_loss")

        found = self.remember(f"{scheme} {rate:.6g} {seed} {share:.4g}", train)
        return np.inf if found is None else float(found)

    def sweep(self, rates: Floats, seed: int) -> Floats:
        """The batch losses of a sweep, up to where it stopped."""

        def train() -> list[float | None]:
            losses = self.trainer.train(rates, seed, validations=0).losses
            return [float(loss) if np.isfinite(loss) else None for loss in losses]

        found = self.remember(f"sweep {rates[0]:.6g} {rates[-1]:.6g} {len(rates)} {seed}", train)
        return np.array([np.nan if loss is None else loss for loss in found])

    def save(self) -> None:
        """Write what is known to the file, whole or not at all."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._known))
        new.replace(self._path)

    def remember(self, key: str, make: Callable[[], Any]) -> Any:
        """What is known under this key, made now if it is not."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]
