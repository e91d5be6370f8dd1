"""The networks on which searches are compared.

Article A's network is trained in NumPy, some fifty times as fast as in a framework, for so small a network. Initial
weights, batches and updates are those of the training engine, so the losses agree with the engine's up to rounding
(`benchmarks.trust_regret` prints the difference). The comparison is between searches, not engines, and needs thousands
of trainings. Other networks are trained by the engine.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline import datasets
from pipeline.datasets import Splits
from pipeline.evaluation import DIVERGED_AT, Evaluation, Training
from pipeline.models import Builder, builder
from pipeline.training import Trainer, engine

Floats = NDArray[np.float32]
Weights = list[Floats]

_CALL = 50  # updates between two checks for divergence, as in the engine
_START = 32  # examples whose losses make up the start, as in the engine


@dataclass
class Trained:
    """Batch losses, validation losses, the weights at the best validation, and the number of examples seen."""

    losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    best: Weights = field(default_factory=list)
    diverged: bool = False
    examples: int = 0

    @property
    def final(self) -> float:
        """The validation loss at the end; inf if the training diverged."""
        return np.inf if self.diverged or not np.isfinite(self.val_losses[-1]) else self.val_losses[-1]


@dataclass(frozen=True)
class How:
    """How to train.

    Attributes:
        validations: the number of validations, at equal distances; 0 for none.
        optimizer: "sgd", with momentum, "adam" or "adamw"; any of ours where the engine trains.
        weight_decay: AdamW's; None for Keras' default.
        start: weights to start from, in place of the seed's.
        stop: called after each validation with their number and the loss; the training ends if it returns True.

    """

    validations: int = 1
    optimizer: str = "sgd"
    weight_decay: float | None = None
    start: Weights | None = None
    stop: Callable[[int, float], bool] | None = None


class Trainable(ABC):
    """A network on one split of its data, trained any number of times.

    Attributes:
        training_examples: the size of the training set.
        steps_per_epoch: updates in a pass over it.
        examples: training examples seen in all trainings so far.

    """

    def __init__(self, splits: Splits, batch_size: int) -> None:
        """Count what a pass takes."""
        self._splits, self._others = splits, dict[int, Trainable]()
        self._batch_size = batch_size
        self.training_examples = len(splits.x_train)
        self.steps_per_epoch = -(-self.training_examples // batch_size)
        self.examples = 0

    @abstractmethod
    def on(self, splits: Splits) -> "Trainable":
        """Return the same network on another split of its data."""

    def _on(self, split: int) -> "Trainable":
        """Return the network on another split of the examples; 0 is its own."""
        if split and split not in self._others:
            self._others[split] = self.on(datasets.resplit(self._splits, split))
        return self._others[split] if split else self

    def ask(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training as it finishes.

        A training is validated once, at its end, since the searches look at the final loss only; a sweep never.
        """
        for evaluation in evaluations:
            started = time.perf_counter()
            rates = evaluation.curve(self.steps_per_epoch)
            network = self._on(evaluation.split)
            trained = network.train(
                rates,
                evaluation.seed,
                validations=0 if evaluation.is_sweep else 1,
                optimizer=evaluation.candidate.optimizer,
                weight_decay=evaluation.candidate.weight_decay,
            )
            self.examples += trained.examples if network is not self else 0
            yield (
                evaluation,
                Training(
                    rates=rates[: len(trained.losses)].astype(np.float32),
                    losses=np.array(trained.losses, np.float32),
                    history={"val_loss": trained.val_losses},
                    steps_per_epoch=self.steps_per_epoch,
                    validation_steps=len(rates),
                    diverged="diverged" if trained.diverged else "",
                    seconds=time.perf_counter() - started,
                    examples=trained.examples,
                ),
            )

    def train(self, rates: NDArray[np.float64], seed: int, **how: Any) -> Trained:
        """Train once at these rates, one per update; the seed fixes initial weights and order, `how` is as in `How`."""
        trained = self._train(rates, seed, How(**how))
        self.examples += trained.examples
        return trained

    @abstractmethod
    def _train(self, rates: NDArray[np.float64], seed: int, how: How) -> Trained:
        """Train once."""


class Network(Trainable):
    """Flatten, Dense 128 relu, Dense out: softmax with cross-entropy, or linear with the squared error."""

    def __init__(self, splits: Splits, batch_size: int, momentum: float = 0.9) -> None:
        super().__init__(splits, batch_size)
        offset, scale = (np.asarray(part, np.float32) for part in (splits.scaling.offset, splits.scaling.scale))
        self._x, self._x_val = (
            ((x - offset) / scale).reshape(len(x), -1).astype(np.float32) for x in (splits.x_train, splits.x_val)
        )
        self._classes = splits.task == "classification"
        self._y, self._y_val = (self._targets(y, splits.num_outputs) for y in (splits.y_train, splits.y_val))
        self._build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
        self._initial: dict[int, Weights] = {}
        self._momentum = momentum

    def on(self, splits: Splits) -> "Network":
        """Return the same network on another split of its data."""
        return Network(splits, self._batch_size, self._momentum)

    def _train(self, rates: NDArray[np.float64], seed: int, how: How) -> Trained:
        weights = [part.copy() for part in how.start or self._initialised(seed)]
        update = _UPDATES[how.optimizer](weights, self._momentum, how.weight_decay)
        trained, per_part = Trained(), len(rates) // max(how.validations, 1)
        for step, batch in enumerate(self._batches(seed, len(rates))):
            loss, gradients = self._gradients(weights, self._x[batch], self._y[batch])
            trained.losses.append(loss)
            trained.examples += len(batch)
            update(gradients, np.float32(rates[step]))
            ends_part = (step + 1) % per_part == 0
            if (ends_part or (step % per_part + 1) % _CALL == 0) and self._has_diverged(trained, step, per_part):
                trained.diverged = True
                break
            if ends_part and how.validations and self._validate(weights, trained, how.stop):
                break
        return trained

    def _validate(self, weights: Weights, trained: Trained, stop: Callable[[int, float], bool] | None) -> bool:
        val_loss = self._gradients(weights, self._x_val, self._y_val, only_loss=True)[0]
        if not trained.val_losses or val_loss < min(trained.val_losses):
            trained.best = [part.copy() for part in weights]
        trained.val_losses.append(val_loss)
        return stop is not None and stop(len(trained.val_losses), val_loss)

    def _has_diverged(self, trained: Trained, step: int, per_part: int) -> bool:
        first = step - step % per_part % _CALL
        recent = np.array(trained.losses[first:])
        if not np.isfinite(recent).all():
            return True
        start = np.median(trained.losses[:_CALL][: -(-_START // self._batch_size)])
        return bool(first and np.median(recent) > DIVERGED_AT * min(start, 1000.0 * trained.losses[0]))

    def _batches(self, seed: int, updates: int) -> list[NDArray[np.int64]]:
        batches: list[NDArray[np.int64]] = []
        epoch = 0
        while len(batches) < updates:
            order = np.random.default_rng((seed, epoch)).permutation(len(self._x))
            batches += [order[i : i + self._batch_size] for i in range(0, len(order), self._batch_size)]
            epoch += 1
        return batches[:updates]

    def _initialised(self, seed: int) -> Weights:
        if seed not in self._initial:
            keras.utils.set_random_seed(seed)
            self._initial[seed] = self._build().get_weights()
        return self._initial[seed]

    def _targets(self, y: NDArray[Any], outputs: int) -> Floats:
        return np.eye(outputs, dtype=np.float32)[y] if self._classes else y.reshape(-1, 1).astype(np.float32)

    def _gradients(self, weights: Weights, x: Floats, y: Floats, only_loss: bool = False) -> tuple[float, Weights]:
        first, first_bias, last, last_bias = weights
        hidden = np.maximum(x @ first + first_bias, 0)
        out = hidden @ last + last_bias
        if self._classes:
            out -= out.max(axis=1, keepdims=True)
            exponentials = np.exp(out)
            total = exponentials.sum(axis=1, keepdims=True)
            loss = float(np.mean(np.log(total[:, 0]) - (out * y).sum(axis=1)))
            error = (exponentials / total - y) / np.float32(len(x))
        else:
            error = out - y
            loss = float(np.mean(error**2))
            error *= np.float32(2 / len(x))
        if only_loss:
            return loss, []
        back = (error @ last.T) * (hidden > 0)
        return loss, [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


class OfEngine(Trainable):
    """Any network, trained by the engine."""

    def __init__(self, build: Callable[[Splits], Builder], splits: Splits, batch_size: int) -> None:
        """Store what an engine is made of for each optimizer."""
        super().__init__(splits, batch_size)
        self._build = build
        self._engines: dict[tuple[str, bool], Trainer] = {}

    def on(self, splits: Splits) -> "OfEngine":
        """Return the same network on another split of its data."""
        return OfEngine(self._build, splits, self._batch_size)

    def _train(self, rates: NDArray[np.float64], seed: int, how: How) -> Trained:
        if how.start is not None:
            raise ValueError("start: received weights, expected none")
        key = how.optimizer, how.weight_decay is not None
        if key not in self._engines:
            self._engines[key] = engine(
                self._build(self._splits),
                self._splits,
                optimizer=how.optimizer,
                momentum=0.9,
                batch_size=self._batch_size,
                precision="float32",
            )
        callbacks = () if how.stop is None else (_Stop(how.stop),)
        if how.weight_decay is not None:
            self._engines[key].decay_by(how.weight_decay)
        found = self._engines[key].train(rates, seed, validations=how.validations, callbacks=callbacks)
        return Trained(
            losses=found.losses.tolist(),
            val_losses=list(found.history.get("val_loss", ())),
            diverged=bool(found.diverged),
            examples=found.examples,
        )


class _Stop(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, stop: Callable[[int, float], bool]) -> None:
        super().__init__()
        self._stop = stop

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.stop_training = self._stop(epoch + 1, (logs or {})["val_loss"])


class _Momentum:
    def __init__(self, weights: Weights, momentum: float, weight_decay: float | None) -> None:
        self._weights, self._momentum = weights, np.float32(momentum)
        self._velocities = [np.zeros_like(part) for part in weights]

    def __call__(self, gradients: Weights, rate: np.float32) -> None:
        for part, velocity, gradient in zip(self._weights, self._velocities, gradients, strict=True):
            velocity *= self._momentum
            velocity -= rate * gradient
            part += velocity


class _Adam:
    decay = 0.0

    def __init__(self, weights: Weights, momentum: float, weight_decay: float | None) -> None:
        self._weights, self._step = weights, 0
        self._decay = np.float32(self.decay if weight_decay is None else weight_decay)
        self._means, self._squares = ([np.zeros_like(part) for part in weights] for _ in range(2))

    def __call__(self, gradients: Weights, rate: np.float32) -> None:
        self._step += 1
        scaled = rate * np.float32(np.sqrt(1 - 0.999**self._step) / (1 - 0.9**self._step))
        for part, mean, square, gradient in zip(self._weights, self._means, self._squares, gradients, strict=True):
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.001) * (gradient * gradient - square)
            part *= 1 - rate * self._decay
            part -= scaled * mean / (np.sqrt(square) + np.float32(1e-7))


class _AdamW(_Adam):
    decay = 0.004


_UPDATES: dict[str, Callable[[Weights, float, float | None], Callable[[Weights, np.float32], None]]] = {
    "sgd": _Momentum,
    "adam": _Adam,
    "adamw": _AdamW,
}
