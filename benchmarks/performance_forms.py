"""The forms of training that are compared: Keras as its guides show it, the engine, and a loop written by hand."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline import datasets, optimizers
from pipeline.datasets import Splits
from pipeline.models import Builder, builder
from pipeline.training import Trainer

Run = Callable[[], Any]

RATE = 0.01


def network(model: str, splits: Splits) -> Builder:
    """One of the articles' networks for these data."""
    return builder(model, splits.x_train.shape[1:], splits.num_outputs, splits.task)


def mnist(source: str, examples: int | None = None) -> Splits:
    """The official training images of MNIST, or the first of them, all for training."""
    raw = datasets.load(source)
    splits = datasets.split(raw, seed=0)
    x, y = raw.x_train[:examples], np.searchsorted(np.unique(raw.y_train), raw.y_train[:examples])
    return dataclasses.replace(splits, x_train=x, y_train=y.astype(np.int32))


def plain_epoch(build: Builder, splits: Splits, optimizer: str, batch_size: int) -> Run:
    """An epoch of `model.fit` on arrays that were scaled beforehand."""
    model = build()
    model.compile(optimizers.create(optimizer, RATE, 0.0), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x = scaled(splits.x_train, splits)
    return lambda: model.fit(x, splits.y_train, batch_size=batch_size, epochs=1, verbose=0)


def engine_epoch(
    build: Builder,
    splits: Splits,
    optimizer: str,
    batch_size: int,
    *,
    momentum: float = 0.0,
    precision: str = "float32",
    epochs: int = 1,
) -> Run:
    """An epoch of the engine, or several: a whole training, with setting the network back to its start."""
    engine = Trainer(build, splits, optimizer=optimizer, momentum=momentum, batch_size=batch_size, precision=precision)
    curve = np.full(epochs * engine.steps_per_epoch, RATE)
    return lambda: engine.train(curve, 0, validations=0)


def loop_epoch(build: Builder, splits: Splits, optimizer: str, batch_size: int, *, xla: bool = False) -> Run:
    """An epoch of whole batches as one `tf.function`, without metrics, callbacks or anything else."""
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
    """A fresh model and `fit` for every rate, as a search script has it."""
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
    """One engine, set up and traced within the time that is measured, for every rate."""
    engine = Trainer(build, splits, optimizer="sgd", momentum=0.9, batch_size=batch_size, precision="auto")
    for rate in rates:
        engine.train(np.full(epochs * engine.steps_per_epoch, rate), 0, validations=epochs).final("val_loss")


def scaled(x: Any, splits: Splits) -> Any:
    """Inputs as the network wants them, float32."""
    return ((x - np.asarray(splits.scaling.offset)) / np.asarray(splits.scaling.scale)).astype(np.float32)
