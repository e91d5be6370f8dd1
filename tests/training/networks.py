"""Tiny networks and data of the engine's tests; also imported by the fresh processes that some of them start."""

import dataclasses
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.datasets import Splits, load, split
from pipeline.evaluation import Training
from pipeline.models import Builder, builder
from pipeline.training import Trainer, engine

BATCH = 32
STEPS = 7
"""Updates per epoch: 6 batches of 32 and one of 8."""


@keras.saving.register_keras_serializable(package="tests")
class Penalised(layers.Layer):  # type: ignore[misc]
    """A user's own layer: trainable scale, and a penalty on what passes through."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        self.add_loss(0.01 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs * self.scale


class UnseededNoise(layers.Layer):  # type: ignore[misc]
    """A user's own layer that draws from Keras' global generator."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + keras.random.normal((1, inputs.shape[-1])) if training else inputs


class OwnLoss(keras.Model):  # type: ignore[misc]
    """A subclassed model whose `compute_loss` has no argument `training`."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.out = layers.Flatten(), layers.Dense(10, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.out(self.flatten(inputs))

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        return 3.0 * super().compute_loss(x, y, y_pred, sample_weight)


class NoLoss(OwnLoss):
    """A subclassed model that trains without showing its loss."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return {}


def rich() -> keras.Model:
    """Return a network with everything that has a state or a share in the loss."""
    return _images(
        layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
        Penalised(),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    )


def plain() -> keras.Model:
    """Return a network of Keras' own layers, which can be saved without anything else."""
    return _images(
        layers.Dense(16, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    )


def noisy() -> keras.Model:
    """Return a network with the layer that draws without a seed."""
    return _images(UnseededNoise(), layers.Dense(10, activation="softmax"))


def nested() -> keras.Model:
    """Return a model within a model."""
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1.0), plain()])


def constant() -> keras.Model:
    """Return a network whose initial weights depend on no seed."""
    return _images(layers.Dense(10, kernel_initializer=lambda shape, dtype: _ramp(shape), activation="softmax"))


def _ramp(shape: tuple[int, ...]) -> Any:
    return keras.ops.reshape(keras.ops.linspace(-1.0, 1.0, int(np.prod(shape))), shape)


def signed() -> keras.Model:
    """Return a network whose output, which is its loss, starts at -1."""

    class Linear(keras.Model):  # type: ignore[misc]
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return keras.ops.mean(y_pred)

    inputs = keras.Input((8, 8, 1))
    out = layers.Dense(10, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-1.0))
    return Linear(inputs, out(layers.Flatten()(inputs)))


def _images(*hidden: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), *hidden])


def small(splits: Splits) -> Splits:
    """Return 200 examples for training, 100 each for validation and test."""
    sizes = {"x_train": 200, "y_train": 200, "x_val": 100, "y_val": 100, "x_test": 100, "y_test": 100}
    return dataclasses.replace(splits, **{name: getattr(splits, name)[:size] for name, size in sizes.items()})


@cache
def digits() -> Splits:
    """Return images of 8x8 pixels, bytes up to 16, in ten classes."""
    return small(split(load("digits"), seed=0))


@cache
def digits_table() -> Splits:
    """Return the digits as 64 columns, scaled one by one, with a value to predict."""
    raw = load("digits")
    x = raw.x_train.reshape(-1, 64).astype(np.float32)
    raw = dataclasses.replace(raw, x_train=x, y_train=(raw.y_train / 3 - 1.5).astype(np.float32))
    return small(split(raw, seed=0))


def table_mlp() -> keras.Model:
    """Return article A's network for the table."""
    return builder("mlp", (64,), 1, "regression")()


def image_cnn() -> keras.Model:
    """Return article B's network for the images."""
    return builder("cnn", (8, 8, 1), 10, "classification")()


NETWORKS: dict[str, tuple[Builder, Callable[[], Splits]]] = {
    "rich": (rich, digits),
    "plain": (plain, digits),
    "noisy": (noisy, digits),
    "nested": (nested, digits),
    "constant": (constant, digits),
    "signed": (signed, digits),
    "cnn": (image_cnn, digits),
    "table": (table_mlp, digits_table),
    "own_loss": (lambda: builder(f"{__name__}:own_loss", (8, 8, 1), 10, "classification")(), digits),
    "no_loss": (lambda: builder(f"{__name__}:no_loss", (8, 8, 1), 10, "classification")(), digits),
}


def own_loss(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network, as a user's function that is given as `module:function`."""
    return OwnLoss()


def no_loss(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network, as a user's function that is given as `module:function`."""
    return NoLoss()


@cache
def trainer(
    network: str,
    optimizer: str = "sgd",
    *,
    batch_size: int = BATCH,
    precision: str = "float32",
    recompute: bool = True,
) -> Trainer:
    """Return an engine, one for all tests that use the same, since tracing takes the time."""
    build, data = NETWORKS[network]
    options: dict[str, Any] = {"batch_size": batch_size, "precision": precision, "recompute": recompute}
    return engine(build, data(), optimizer=optimizer, momentum=0.9, **options)


def digest(trained: Trainer, training: Training) -> str:
    """Return the SHA-256 of everything that a training leaves."""
    parts = [training.rates, training.losses, *(variable.numpy() for variable in trained.model.variables)]
    parts += [variable.numpy() for variable in trained.model.optimizer.variables]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts) + repr(training.history).encode()).hexdigest()
