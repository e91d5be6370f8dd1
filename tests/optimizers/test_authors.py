"""Optimizers written from papers do, value for value, what their authors' code does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.optimizers import prodigy, schedule_free

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
UPDATES, BATCH, EVERY = 200, RECORDED["batch_size"], RECORDED["measured_every"]


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


class Rates(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The recorded rates."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = rates

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update."""
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates, "float64"), step)


def loss_of(weights: list[Any], x: Any, y: Any) -> Any:
    """Return the mean squared error of a network with one hidden layer."""
    kernel, bias, last = weights
    return tf.reduce_mean((tf.tanh(x @ kernel + bias) @ last - y) ** 2)


def trained(recorded: dict[str, Any]) -> dict[str, Any]:
    """Train as `scripts/record_optimizers.py` does."""
    module = prodigy if recorded["optimizer"] == "Prodigy" else schedule_free
    optimizer = getattr(module, recorded["optimizer"])(Rates(recorded["rates"]), **recorded["settings"])
    x, y = (tf.constant(RECORDED["problem"][name], tf.float64) for name in "xy")
    weights = [keras.Variable(np.array(value)) for value in RECORDED["problem"]["weights"].values()]
    optimizer.build(weights)
    losses, measured, free = [], [], schedule_free.averaging(optimizer)

    def update(rows: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(weights, tf.gather(x, rows), tf.gather(y, rows))
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]), weights)
        return loss

    compiled = tf.function(update, autograph=False)
    for number in range(UPDATES):
        losses.append(float(compiled(tf.constant([(number * BATCH + i) % len(x) for i in range(BATCH)]))))
        if (number + 1) % EVERY == 0:
            if free:
                free.hold_average(weights)
            measured.append(float(loss_of(weights, x, y)))
            final = [weight.numpy() for weight in weights]
            if free:
                free.hold_training_weights(weights)
    return {"losses": losses, "measured": measured, "weights": final, "d": getattr(optimizer, "d", None)}


@pytest.mark.parametrize("name", RECORDED["trainings"])
def test_every_value_of_a_training_is_the_authors(name: str) -> None:
    """The loss of every update, the loss with evaluation weights, the weights at the end, and Prodigy's estimate."""
    recorded = RECORDED["trainings"][name]
    ours = trained(recorded)
    assert len(recorded["losses"]) == UPDATES
    assert recorded["measured"][-1] < recorded["measured"][0] / 1.5  # it learns, so that the values say something
    for part in ("losses", "measured"):
        np.testing.assert_allclose(ours[part], recorded[part], rtol=1e-7)
    for mine, theirs in zip(ours["weights"], recorded["weights"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)
    if "d" in recorded:
        assert float(ours["d"]) == pytest.approx(recorded["d"], rel=1e-8)
