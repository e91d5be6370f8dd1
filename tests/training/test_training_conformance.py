"""What users of Keras rely on, trained by the engine and by a plain `fit` with the same seed, batches and rates."""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from pipeline import optimizers
from pipeline.datasets import Splits, digests, input_shape, load, load_splits, named, save, split
from pipeline.training import Trainer, engine
from pipeline.training.feed import BatchOrder
from pipeline.training.network import Network
from tests.training.networks import BATCH, STEPS, digits, plain, rich, small

SEED, EPOCHS = 5, 3
CURVE = np.geomspace(0.05, 0.005, EPOCHS * STEPS)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, 200).astype(np.float32)
CLASS_WEIGHT = {0: 5.0, 3: 0.2, 9: 3.0}
SPARSE = "sparse_categorical_crossentropy"


class Given(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The curve as a plain schedule."""

    def __call__(self, step: Any) -> Any:
        return tf.gather(tf.constant(CURVE, tf.float32), tf.cast(step, tf.int32))


class HalfSteps(keras.Model):  # type: ignore[misc]
    """A model with a training step of its own, which halves every gradient and counts its batches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches = self.add_weight(shape=(), initializer="zeros", trainable=False, name="batches")

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs)
        gradients = [gradient / 2 for gradient in tape.gradient(loss, self.trainable_variables)]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.batches.assign_add(1)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, outputs)
        return {metric.name: metric.result() for metric in self.metrics}


class SignSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """A user's own optimizer."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(ops.sign(gradient) * 0.01, variable, learning_rate)


def own_loss(y: Any, outputs: Any) -> Any:
    """Return the squared distance to the one-hot label: a user's loss function."""
    return ops.sum(ops.square(outputs - ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), 10)), axis=-1)


def confidence(y: Any, outputs: Any) -> Any:
    """Return how sure the network is: a user's metric function."""
    return ops.max(outputs, axis=-1)


def half_steps() -> keras.Model:
    """Return the layers of `plain` in a model with a training step of its own."""
    network = plain()
    return HalfSteps(network.inputs, network.outputs)


def logits() -> keras.Model:
    """Return a network without a softmax at its end."""
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])


def adamw(kind: Any = keras.optimizers.AdamW) -> keras.optimizers.Optimizer:
    """Return an optimizer whose weight decay leaves biases and scales alone."""
    optimizer = kind(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def schedule_free(**settings: Any) -> keras.optimizers.Optimizer:
    """Return an optimizer that averages weights, whose weight decay leaves biases alone."""
    optimizer = optimizers.create("schedule_free_adamw", 0.1, 0.9).from_config(
        {"learning_rate": 0.1, "warmup_steps": 9, "weight_decay": 0.1, **settings}
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def non_negative() -> keras.Model:
    """Return a network whose last weights are kept non-negative."""
    last = layers.Dense(10, "softmax", kernel_constraint=keras.constraints.NonNeg())
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(16, "relu"), last])


def compiled(build: Callable[[], keras.Model], optimizer: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    """Return a user's function that returns a compiled model; a function without arguments may make an option anew."""

    def made() -> keras.Model:
        model = build()
        own = {name: value() if name == "metrics" else value for name, value in options.items()}
        model.compile(optimizer(), **{"loss": SPARSE, **own})
        return model

    return made


def sgd(**settings: Any) -> Callable[[], keras.optimizers.Optimizer]:
    """Return an optimizer of the class that the engine is asked for."""
    return lambda: keras.optimizers.SGD(0.1, momentum=0.9, **settings)


CASES: dict[str, tuple[str, Callable[[], keras.Model]]] = {
    "regulariser, add_loss, own layer, normalisation, dropout": ("sgd", compiled(rich, sgd())),
    "own loss function and its weight": ("sgd", compiled(plain, sgd(), loss=own_loss, loss_weights=[0.3])),
    "loss with settings": ("sgd", compiled(logits, sgd(), loss=keras.losses.SparseCategoricalCrossentropy(True))),
    "metrics": (
        "sgd",
        compiled(
            plain,
            sgd(),
            metrics=lambda: ["accuracy", confidence, keras.metrics.SparseTopKCategoricalAccuracy(3, name="top3")],
        ),
    ),
    "own training step": ("sgd", compiled(half_steps, sgd(), metrics=lambda: ["accuracy"])),
    "clipnorm and nesterov": ("sgd", compiled(plain, sgd(clipnorm=0.05, nesterov=True))),
    "clipvalue": ("sgd", compiled(plain, sgd(clipvalue=0.01))),
    "global clipnorm and weight decay": ("sgd", compiled(plain, sgd(global_clipnorm=0.1, weight_decay=0.1))),
    "weight decay with exceptions": ("adamw", compiled(plain, adamw)),
    "moving average of weights": ("sgd", compiled(plain, sgd(use_ema=True, ema_momentum=0.8))),
    "moving average written back": ("sgd", compiled(plain, sgd(use_ema=True, ema_overwrite_frequency=5))),
    "gradient accumulation": ("sgd", compiled(plain, sgd(gradient_accumulation_steps=4))),
    "Schedule-Free, weight decay with exceptions, constraint": (
        "schedule_free_adamw",
        compiled(non_negative, schedule_free),
    ),
    "Schedule-Free, gradient accumulation, clipnorm": (
        "schedule_free_adamw",
        compiled(plain, lambda: schedule_free(gradient_accumulation_steps=4, clipnorm=0.05)),
    ),
    "own optimizer": ("sgd", compiled(plain, lambda: SignSGD(0.1))),
}


def engine_for(build: Callable[[], keras.Model], splits: Splits, optimizer: str = "sgd", **options: Any) -> Trainer:
    """Return the engine for a user's model."""
    settings: dict[str, Any] = {"momentum": 0.5, "batch_size": BATCH, "precision": "float32", "recompute": False}
    return engine(build, splits, optimizer=optimizer, **settings, **options)


def scaled(x: Any, splits: Splits) -> Any:
    """Return inputs as the network gets them."""
    names = x.dtype.names
    return {name: one(x[name], splits.scaling[name]) for name in names} if names else one(x, splits.scaling)


def one(x: Any, scaling: Any) -> Any:
    """Return one input as the network gets it."""
    return ((x - np.float32(scaling.offset)) / np.float32(scaling.scale)).astype(np.float32)


def batches(splits: Splits) -> tf.data.Dataset:
    """Return the batches of three epochs in the engine's order."""
    indices, ends = BatchOrder(200, BATCH).indices(SEED, 0, len(CURVE))
    parts = [splits.x_train, splits.y_train, *([] if splits.w_train is None else [splits.w_train])]

    def listed() -> Any:
        for start, stop in pairwise(ends):
            x, *rest = (part[indices[start:stop]] for part in parts)
            yield scaled(x, splits), *map(named, rest)

    first = next(listed())
    signature = keras.tree.map_structure(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), first)
    return tf.data.Dataset.from_generator(listed, output_signature=signature)


def plain_fit(
    build: Callable[[], keras.Model],
    splits: Splits,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    class_weight: dict[int, float] | None = None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Return the model that Keras' own `fit` trains, and its history."""
    keras.utils.set_random_seed(SEED)
    model = build()
    model.optimizer.learning_rate = Given()
    model.jit_compile = False
    validation = [scaled(splits.x_val, splits), named(splits.y_val), *([] if splits.w_val is None else [splits.w_val])]
    history = model.fit(
        batches(splits),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=tuple(validation),
        validation_batch_size=1000,
        class_weight=class_weight,
        callbacks=[optimizers.AveragedWeights(), *callbacks],
        verbose=0,
    )
    return model, history.history


def assert_same(ours: Trainer, history: Any, model: keras.Model, expected: dict[str, list[float]]) -> None:
    """Check weights, states and everything measured against plain Keras, and that one program was traced."""
    for our, their in zip(ours.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5, atol=3e-6)
    assert set(history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert ours.traces() == 1


@pytest.mark.parametrize("case", CASES)
def test_compiled_models_train_as_in_fit(case: str) -> None:
    """After another training by the same program, weights, losses and metrics are those of `fit`."""
    optimizer, build = CASES[case]
    ours = engine_for(build, digits(), optimizer)
    ours.train(CURVE[:9], 1, validations=1)
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    model, expected = plain_fit(build, digits())
    assert_same(ours, training.history, model, expected)
    assert len(training.losses) == len(CURVE)
    means = [np.average(part, weights=[*[BATCH] * 6, 8]) for part in training.losses.reshape(EPOCHS, STEPS)]
    if case != "own training step":  # whose mean of losses is of batches
        np.testing.assert_allclose(means, training.history["loss"], rtol=1e-5)


def test_sample_weights() -> None:
    """They weigh losses and weighted metrics, in training and validation."""
    splits = dataclasses.replace(digits(), w_train=WEIGHTS, w_val=WEIGHTS[:100], w_test=WEIGHTS[100:])
    build = compiled(plain, sgd(), weighted_metrics=["accuracy"])
    ours = engine_for(build, splits)
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    assert_same(ours, training.history, *plain_fit(build, splits))
    other = engine_for(build, digits()).train(CURVE, SEED, validations=EPOCHS)
    assert abs(other.history["val_loss"][0] - training.history["val_loss"][0]) > 0.01


def several() -> Splits:
    """Return the digits in two halves, and how bright they are, as three named inputs."""
    raw = load("digits")
    means = raw.x_train.reshape(-1, 64).mean(1, keepdims=True).astype(np.float32)
    inputs = {"top": raw.x_train[:, :4], "bottom": raw.x_train[:, 4:], "ink": means}
    return small(split(dataclasses.replace(raw, x_train=inputs), seed=0))


def test_several_inputs(tmp_path: Path) -> None:
    """A functional model gets each by its name, scaled by itself; it is served with raw ones."""
    splits = several()

    def build() -> keras.Model:
        shapes: Any = input_shape(splits.x_train)
        assert shapes == {"top": (4, 8, 1), "bottom": (4, 8, 1), "ink": (1,)}
        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        hidden = [layers.Dense(8, activation="relu")(layers.Flatten()(part)) for part in inputs.values()]
        model = keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.concatenate(hidden)))
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), SPARSE, metrics=["accuracy"])
        return model

    ours = engine_for(build, splits)
    training = ours.train(CURVE, SEED, validations=EPOCHS, weights=True)
    assert_same(ours, training.history, *plain_fit(build, splits))
    assert training.weights is not None
    Network(build, "float32").served(training.weights, splits).save(tmp_path / "served.keras")
    served = keras.saving.load_model(tmp_path / "served.keras")
    outputs = ours.model.predict(scaled(splits.x_test, splits), verbose=0)
    np.testing.assert_allclose(served.predict(named(splits.x_test), verbose=0), outputs, rtol=1e-4, atol=1e-6)
    save(splits, tmp_path / "splits.npz")
    again = load_splits(tmp_path / "splits.npz")
    assert digests(again) == digests(splits)
    assert again.scaling == splits.scaling


@pytest.mark.parametrize("form", ["dictionary", "list"])
def test_several_outputs(form: str) -> None:
    """Each has labels, a loss, its weight and metrics by name; examples may have weights as well."""
    raw = load("digits")
    labels: Any = {"digit": raw.y_train, "ink": raw.x_train.mean(axis=(1, 2, 3)).astype(np.float32)}
    splits = small(split(dataclasses.replace(raw, y_train=labels), seed=0))
    if form == "dictionary":  # Keras' own fit fails on weights with a list
        splits = dataclasses.replace(splits, w_train=WEIGHTS, w_val=WEIGHTS[:100], w_test=WEIGHTS[100:])

    def build() -> keras.Model:
        x = keras.Input((8, 8, 1))
        hidden = layers.Dense(8, activation="relu")(layers.Flatten()(x))
        outputs = {
            "ink": layers.Dense(1, name="ink")(hidden),
            "digit": layers.Dense(10, "softmax", name="digit")(hidden),
        }
        model = keras.Model(x, outputs if form == "dictionary" else list(outputs.values()))
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            loss={"digit": SPARSE, "ink": "mse"},
            loss_weights={"digit": 1.0, "ink": 0.1},
            metrics={"digit": ["accuracy"], "ink": ["mae"]},
        )
        return model

    ours = engine_for(build, splits)
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    assert_same(ours, training.history, *plain_fit(build, splits))
    assert {"val_loss", "val_digit_accuracy", "val_ink_mae", "ink_loss"} <= training.history.keys()


def test_class_weights() -> None:
    """They weigh the training examples only."""
    build = compiled(plain, sgd(), metrics=lambda: ["accuracy"])
    ours = engine_for(build, digits(), class_weight=CLASS_WEIGHT)
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    weights = {code: CLASS_WEIGHT.get(code, 1.0) for code in range(10)}
    assert_same(ours, training.history, *plain_fit(build, digits(), class_weight=weights))


def test_another_optimizer_gets_the_shared_settings() -> None:
    """Asked for Adam, a model compiled with SGD and clipping trains as one compiled with Adam and that clipping."""
    ours = engine_for(compiled(plain, sgd(clipnorm=0.05, gradient_accumulation_steps=2)), digits(), "adam")
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    adam = compiled(plain, lambda: keras.optimizers.Adam(0.1, clipnorm=0.05, gradient_accumulation_steps=2))
    assert_same(ours, training.history, *plain_fit(adam, digits()))


def test_another_optimizer_decays_the_same_weights() -> None:
    """Asked for Adam, a model compiled with AdamW that leaves biases alone trains as with Adam that does so."""
    ours = engine_for(compiled(plain, adamw), digits(), "adam")
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    assert_same(ours, training.history, *plain_fit(compiled(plain, lambda: adamw(keras.optimizers.Adam)), digits()))


def test_epoch_level_callbacks(tmp_path: Path) -> None:
    """Early stopping, checkpoints, averaged weights and own functions see and do what they do in `fit`."""
    build = compiled(plain, sgd(use_ema=True, ema_momentum=0.9), metrics=lambda: ["accuracy"])
    seen: dict[str, list[Any]] = {"ours": [], "theirs": []}

    def callbacks(who: str) -> list[keras.callbacks.Callback]:
        return [
            keras.callbacks.SwapEMAWeights(),
            keras.callbacks.ModelCheckpoint(tmp_path / f"{who}.weights.h5", save_weights_only=True),
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: seen[who].append(epoch),
                on_epoch_end=lambda epoch, logs: seen[who].append(sorted(logs)),
                on_train_end=lambda logs: seen[who].append("end"),
            ),
            keras.callbacks.EarlyStopping("accuracy", mode="min", restore_best_weights=True),
        ]

    ours = engine_for(build, digits())
    training = ours.train(CURVE, SEED, validations=EPOCHS, callbacks=callbacks("ours"))
    model, expected = plain_fit(build, digits(), callbacks("theirs"))
    assert len(expected["loss"]) == 2
    assert_same(ours, training.history, model, expected)
    assert seen["ours"] == seen["theirs"]
    ours.model.load_weights(tmp_path / "ours.weights.h5")
    model.load_weights(tmp_path / "theirs.weights.h5")
    assert_same(ours, training.history, model, expected)
