"""The forms of training that are compared, and the speed of the machine at best.

The forms are Keras' `fit` as in its guides, the engine, and a loop written by hand.
"""

import dataclasses
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline import datasets, optimizers
from pipeline.datasets import Splits
from pipeline.models import Builder, builder
from pipeline.training import engine

Run = Callable[[], Any]

RATE = 0.01
_MATRIX, _PRODUCTS = 2_048, 8


def network(model: str, splits: Splits) -> Builder:
    """Return the function that builds one of the articles' networks for these data."""
    return builder(model, splits.x_train.shape[1:], splits.num_outputs, splits.task)


def mnist(source: str, examples: int | None = None) -> Splits:
    """Return splits that train on all official training images of MNIST, or on the first ones."""
    raw = datasets.load(source)
    splits = datasets.split(raw, seed=0)
    x, y = raw.x_train[:examples], np.searchsorted(np.unique(raw.y_train), raw.y_train[:examples])
    return dataclasses.replace(splits, x_train=x, y_train=y.astype(np.int32))


def plain_epoch(build: Builder, splits: Splits, optimizer: str, batch_size: int) -> Run:
    """Return an epoch of `model.fit` on arrays that were scaled beforehand."""
    model = build()
    model.compile(optimizers.create(optimizer, RATE, 0.0), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x = scaled(splits.x_train, splits)
    return lambda: model.fit(x, splits.y_train, batch_size=batch_size, epochs=1, verbose=0)


def engine_epoch(build: Builder, splits: Splits, optimizer: str, batch_size: int, *, precision: str = "float32") -> Run:
    """Return an epoch of the engine: a whole training, which sets the network back to its start."""
    trainer = engine(build, splits, optimizer=optimizer, momentum=0.0, batch_size=batch_size, precision=precision)
    curve = np.full(trainer.steps_per_epoch, RATE)
    return lambda: trainer.train(curve, 0, validations=0)


def loop_epoch(build: Builder, splits: Splits, optimizer: str, batch_size: int, *, xla: bool = False) -> Run:
    """Return an epoch of whole batches as one `tf.function`, without metrics or callbacks."""
    model, x, y = build(), tf.constant(splits.x_train), tf.constant(splits.y_train)
    minimizer, loss_of = optimizers.create(optimizer, RATE, 0.0), keras.losses.SparseCategoricalCrossentropy()
    minimizer.build(model.trainable_variables)
    updates = len(splits.x_train) // batch_size
    losses, scale = tf.Variable(tf.zeros(updates)), splits.scaling.scale[0]

    def epoch(order: Any) -> None:
        for update in tf.range(updates):
            chosen = tf.slice(order, [update * batch_size], [batch_size])
            with tf.GradientTape() as tape:
                inputs = tf.cast(tf.gather(x, chosen), tf.float32) / scale
                loss = loss_of(tf.gather(y, chosen), model(inputs, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            minimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            losses.scatter_nd_update([[update]], [loss])

    compiled, random = tf.function(epoch, jit_compile=xla), np.random.default_rng(0)
    return lambda: compiled(tf.constant(random.permutation(len(splits.x_train)).astype(np.int32)))


def plain_trials(build: Builder, splits: Splits, rates: list[float], batch_size: int, epochs: int) -> None:
    """Train a fresh model by `fit` at every rate, as a search script does."""
    x, x_val = scaled(splits.x_train, splits), scaled(splits.x_val, splits)
    for rate in rates:
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        model = build()
        model.compile(optimizers.create("sgd", rate, 0.9), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        validation = (x_val, splits.y_val)
        model.fit(
            x, splits.y_train, batch_size=batch_size, epochs=epochs, verbose=0, validation_data=validation
        ).history["val_loss"][-1]


def engine_trials(build: Builder, splits: Splits, rates: list[float], batch_size: int, epochs: int) -> None:
    """Train at every rate on one engine, whose set-up and tracing are part of the measured time."""
    trainer = engine(build, splits, optimizer="sgd", momentum=0.9, batch_size=batch_size, precision="auto")
    for rate in rates:
        trainer.train(np.full(epochs * trainer.steps_per_epoch, rate), 0, validations=epochs).final("val_loss")


def scaled(x: Any, splits: Splits) -> Any:
    """Return inputs as the network takes them, float32."""
    return ((x - np.asarray(splits.scaling.offset)) / np.asarray(splits.scaling.scale)).astype(np.float32)


def description() -> str:
    """Return processor, cores and versions, in one line."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"


def matmul_flops() -> float:
    """Return the operations per second, at best, of multiplying large float32 matrices on all cores."""
    left, right = tf.random.normal((_MATRIX, _MATRIX)), tf.random.normal((_MATRIX, _MATRIX))
    seconds = []
    for _ in range(_PRODUCTS):
        started = time.perf_counter()
        tf.matmul(left, right).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * _MATRIX**3 / min(seconds)


def training_flops(model: keras.Model) -> int:
    """Return the operations of a training step for one example, in the kernels of dense and convolution layers.

    The backward pass takes twice as many as the forward pass, for the gradients of kernels and inputs, except in the
    first layer, whose inputs need none.
    """
    forwards = []
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            positions = 1
            for size in layer.output.shape[1:-1]:
                positions *= size
            forwards.append(2 * positions * int(tf.size(layer.kernel)))
    return 3 * sum(forwards) - forwards[0]
