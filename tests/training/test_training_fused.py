"""Calls that XLA compiles as one, against those that it does not."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.datasets import Splits
from pipeline.training import Trainer, engine, feed
from pipeline.training.compilation import fusible
from tests.training.networks import digits

BATCH = 4


def data(short: int) -> Splits:
    """Return 200 digits, repeated: 250 whole batches, and one of `short` examples."""
    rows = np.resize(np.arange(200), 250 * BATCH + short)
    small = digits()
    return dataclasses.replace(small, x_train=small.x_train[rows], y_train=small.y_train[rows])


def dense(*inner: layers.Layer) -> keras.Model:
    """Return two dense layers with more between them."""
    ends = layers.Dense(10, activation="softmax", kernel_regularizer="l2")
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(16, "relu"), *inner, ends])


def trained(short: int, optimizer: str, curve: Any) -> tuple[Trainer, Any]:
    """Return a training with four validations, which are not at the ends of epochs."""
    # By Adam the bias that normalisation takes out again would follow the signs of what is left by rounding.
    inner = layers.BatchNormalization if optimizer == "sgd" else lambda: layers.Dense(16, "tanh")
    options: dict[str, Any] = {"momentum": 0.9, "batch_size": BATCH, "precision": "float32"}
    made = engine(lambda: dense(inner()), data(short), optimizer=optimizer, **options)
    return made, made.train(curve, 3, validations=4)


@pytest.mark.parametrize(("short", "optimizer"), [(0, "adam"), (3, "sgd"), (0, "schedule_free_adamw"), (3, "prodigy")])
def test_it_is_the_same_training(short: int, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, rates, history, states and the number of traces, with and without a short batch at an epoch's end."""
    curve = np.geomspace(3e-3, 1e-4, 600)
    ours, fused = trained(short, optimizer, curve)
    assert ours.traces() == 1
    assert any(_compiled_by_xla(ours))
    monkeypatch.setattr(feed, "FUSED_FROM", 1_000)
    theirs, plain = trained(short, optimizer, curve)
    assert set(_compiled_by_xla(theirs)) == {False}
    np.testing.assert_array_equal(fused.rates, plain.rates)
    np.testing.assert_allclose(fused.losses, plain.losses, rtol=2e-3, atol=1e-4)
    for name, values in plain.history.items():
        np.testing.assert_allclose(fused.history[name], values, rtol=1e-3, err_msg=name)
    for our, their in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-4)


def test_it_repeats_and_stops_where_it_diverges() -> None:
    """Bit for bit, after a training that diverged and was stopped after a call."""
    fused, first = trained(3, "sgd", np.full(600, 0.01))
    broken = fused.train(np.append(np.full(70, 0.01), np.full(530, np.nan)), 3, validations=1)
    assert broken.diverged == "loss is nan at update 71"
    assert len(broken.losses) == 100
    again = fused.train(np.full(600, 0.01), 3, validations=4)
    np.testing.assert_array_equal(again.losses, first.losses)
    assert fused.traces() == 1


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (layers.Dense(4, "tanh"), True),
        (keras.Sequential([keras.Input((16,)), layers.Dense(4)]), True),
        (layers.Dense(4, lambda x: x), False),
        (layers.Lambda(lambda x: x), False),
        (layers.Dropout(0.1), False),
        (layers.Dense(4, dtype="mixed_bfloat16"), False),
    ],
    ids=["dense", "nested", "own activation", "own layer", "dropout", "bfloat16"],
)
def test_which_networks(inner: layers.Layer, expected: bool) -> None:
    """Only Keras' own layers, and only where it gains speed."""
    assert fusible(dense(inner)) is expected


def test_a_compiled_or_subclassed_model_is_left_alone() -> None:
    """Its losses and its step are the user's own."""

    class Own(keras.Model):  # type: ignore[misc]
        pass

    model = dense()
    assert not fusible(Own(model.inputs, model.outputs))
    model.compile("sgd", "mse")
    assert not fusible(model)


def _compiled_by_xla(trained: Trainer) -> list[bool]:
    """Return for each function of the traced program whether XLA compiles it."""
    program = trained.model.train_function.__closure__
    functions = [cell.cell_contents for cell in program if hasattr(cell.cell_contents, "_list_all_concrete_functions")]
    graphs = [concrete.graph for function in functions for concrete in function._list_all_concrete_functions()]
    return [f.cached_definition.attr["_XlaMustCompile"].b for graph in graphs for f in graph._functions.values()]
