"""The problems of the range-test benchmark, and their trainings, which are kept in a file."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes

from pipeline import datasets
from pipeline.datasets import Scaling, Splits
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import Builder, builder
from pipeline.range_test import Sweeps, bounds, updates_for
from pipeline.training import InProcess
from pipeline.training import Problem as Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A network, its data and its optimizer, and what is unusual about them.

    Attributes:
        name: its name in the tables.
        data, optimizer, model, batch_size, epochs: as in the options of the pipeline.
        examples: the number of training examples, if not all.
        label_noise: the share of training labels that are redrawn.
        unscaled: whether inputs stay as they are, 0 to 16 or 0 to 255.
        loss_scale: the factor of the loss.
        judges: seeds for each rate of the dense grid.

    """

    name: str
    data: str
    optimizer: str
    model: str = "mlp"
    batch_size: int = 32
    epochs: int = 10
    examples: int | None = None
    label_noise: float = 0.0
    unscaled: bool = False
    loss_scale: float = 1.0
    judges: int = 6


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
    """Return scikit-learn's diabetes data, inputs float64[442, 10]: a regression with targets between 25 and 346."""
    x, y = load_diabetes(return_X_y=True)
    return x, y.astype(np.float32)


@keras.saving.register_keras_serializable(package="benchmarks")
class ScaledLoss(keras.Sequential):  # type: ignore[misc]
    """A network whose loss is multiplied by a factor."""

    factor = 1.0

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return Keras' loss, times the factor."""
        return self.factor * super().compute_loss(x, y, y_pred, sample_weight, training=training)


def splits_of(problem: Problem) -> Splits:
    """Return the problem's data; wrong labels are in the training set only."""
    splits = datasets.split(datasets.load(problem.data), seed=0)
    x, y = splits.x_train[: problem.examples], splits.y_train[: problem.examples].copy()
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < problem.label_noise
    y[wrong] = rng.integers(0, splits.num_outputs, int(wrong.sum()))
    scaling = Scaling(offset=(0.0,), scale=(1.0,)) if problem.unscaled else splits.scaling
    return dataclasses.replace(splits, x_train=x, y_train=y, scaling=scaling)


def build_of(problem: Problem, splits: Splits) -> Builder:
    """Return the function that builds the problem's network."""
    build = builder(problem.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    if problem.loss_scale == 1.0:
        return build

    def scaled() -> keras.Model:
        model = ScaledLoss([keras.Input(splits.x_train.shape[1:]), *build().layers])
        model.factor = problem.loss_scale
        return model

    return scaled


class Trainings:
    """Trainings and sweeps of one problem, each made once and kept in a file."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.problem = problem
        self._path = folder / (problem.name.translate(str.maketrans(" :,%", "____")) + f"_{problem.epochs}.json")
        self._known: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    @cached_property
    def _splits(self) -> Splits:
        return splits_of(self.problem)

    @cached_property
    def _executor(self) -> InProcess:
        return InProcess(Task(build_of(self.problem, self._splits), self._splits, momentum=0.9, precision="float32"))

    @property
    def steps_per_epoch(self) -> int:
        """Updates in a pass over the training set."""
        return int(self.remember("steps_per_epoch", lambda: -(-len(self._splits.x_train) // self.problem.batch_size)))

    def ask(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training; sweeps keep only batch losses, others the last validation loss."""
        for evaluation in evaluations:
            kept = self.remember(evaluation.digest, partial(self._train, evaluation))
            losses = np.array([np.nan if loss is None else loss for loss in kept["losses"]], np.float32)
            training = Training(
                rates=evaluation.curve(self.steps_per_epoch)[: kept["updates"]].astype(np.float32),
                losses=losses,
                history={} if kept["val_loss"] is None else {"val_loss": [kept["val_loss"]]},
                steps_per_epoch=self.steps_per_epoch,
                validation_steps=evaluation.updates(self.steps_per_epoch),
                diverged=kept["diverged"],
                seconds=0.0,
                examples=0,
            )
            yield evaluation, training

    def plan(self, seeds: tuple[int, ...], refine: str | None = None) -> Sweeps:
        """Return the range test of the problem on these seeds."""
        problem = self.problem
        low, high = bounds(problem.optimizer)
        return Sweeps(
            optimizer=problem.optimizer,
            batch_size=problem.batch_size,
            seeds=seeds,
            lr_min=low,
            lr_max=high,
            updates=updates_for(problem.batch_size),
            steps_per_epoch=self.steps_per_epoch,
            refine=refine,
            epochs=problem.epochs,
        )

    def val_losses(self, scheme: str, rate: float, seeds: Sequence[int]) -> list[float]:
        """Return the validation losses at the ends of whole trainings; inf where one diverged."""
        candidate = Candidate(
            scheme=scheme,
            initial_lr=rate,
            optimizer=self.problem.optimizer,
            batch_size=self.problem.batch_size,
            params={},
        )
        asked = [Evaluation(candidate, self.problem.epochs, seed, validations=1) for seed in seeds]
        return [training.val_loss for training in answers(self.ask, asked)]

    def _train(self, evaluation: Evaluation) -> dict[str, Any]:
        """Train, and return the losses to keep in JSON, with null for those that are not finite."""
        (training,) = answers(self._executor.ask, [evaluation])
        losses = training.losses if evaluation.is_sweep else ()
        return {
            "losses": [float(loss) if np.isfinite(loss) else None for loss in losses],
            "updates": len(training.rates),
            "val_loss": training.final("val_loss"),
            "diverged": training.diverged,
        }

    def save(self) -> None:
        """Write everything to the file, whole or not at all."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._known))
        new.replace(self._path)

    def remember(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the value stored under this key, computing it first if there is none."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]
