"""A network that its user left uncompiled gets the loss that its outputs need, or is refused."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from pipeline.datasets import Raw, Splits, split
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import Builder, builder
from pipeline.training import InProcess, Problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4)).astype(np.float32)
SCORE = X @ np.array([2.0, -1.0, 1.0, 0.5])


def data(classes: int) -> Splits:
    """Return examples of two or three classes, or with a value to predict."""
    labels = {1: SCORE.astype(np.float32), 2: SCORE > 0, 3: np.digitize(SCORE, [-1, 1])}[classes]
    return split(Raw(X, labels), seed=0)


def network(last: Callable[[Any], Any]) -> Builder:
    """Return what builds a network that ends with `last`, a layer or what makes one of the hidden layer's outputs."""

    def build() -> keras.Model:
        inputs = keras.Input((4,))
        hidden = layers.Dense(16, activation="relu")(inputs)
        own = type(last).from_config(last.get_config()) if isinstance(last, layers.Layer) else last
        return keras.Model(inputs, own(hidden))

    return build


class Subclassed(keras.Model):  # type: ignore[misc]
    """A network whose last layer nobody can read off."""

    def __init__(self, units: int, activation: str | None) -> None:
        super().__init__()
        self.hidden, self.out = layers.Dense(16, activation="relu"), layers.Dense(units, activation=activation)
        self(keras.Input((4,)))

    def call(self, inputs: Any) -> Any:
        return self.out(self.hidden(inputs))


def trained(build: Builder, splits: Splits) -> tuple[InProcess, Training]:
    """Return the executor and what it answers, with test scores and weights."""
    made = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    candidate = Candidate(scheme="constant", initial_lr=0.05, optimizer="adam", batch_size=20, params={})
    (training,) = answers(made.ask, [Evaluation(candidate, 5, seed=0, test=True, weights=True)])
    return made, training


FITTING: dict[str, tuple[int, Builder]] = {
    "softmax": (3, network(layers.Dense(3, activation="softmax"))),
    "logits": (3, network(layers.Dense(3))),
    "softmax as a layer": (3, network(lambda h: layers.Softmax()(layers.Dense(3)(h)))),
    "softmax as an operation": (3, network(lambda h: ops.softmax(layers.Dense(3)(h)))),
    "log softmax": (3, network(layers.Dense(3, activation="log_softmax"))),
    "logits, reshaped": (3, network(lambda h: layers.Reshape((3,))(layers.Dense(3)(h)))),
    "logits, zero at first": (3, network(layers.Dense(3, kernel_initializer="zeros"))),
    "softmax, own function": (3, network(lambda h: layers.Dense(3, activation=lambda x: ops.softmax(2 * x))(h))),
    "nested": (3, lambda: keras.Sequential([keras.Input((4,)), network(layers.Dense(3))()])),
    "subclassed softmax": (3, lambda: Subclassed(3, "softmax")),
    "subclassed logits": (3, lambda: Subclassed(3, None)),
    "two units": (2, network(layers.Dense(2))),
    "sigmoid unit": (2, network(layers.Dense(1, activation="sigmoid"))),
    "one logit": (2, network(layers.Dense(1))),
    "subclassed sigmoid": (2, lambda: Subclassed(1, "sigmoid")),
    "subclassed logit": (2, lambda: Subclassed(1, None)),
}


def probabilities(outputs: Any, name: str) -> Any:
    """Return the probability of each class by the outputs of a served model."""
    values = outputs
    if "logit" in name or name in ("nested", "two units"):
        values = ops.softmax(outputs) if outputs.shape[1] > 1 else ops.sigmoid(outputs)
    if name == "log softmax":
        values = np.exp(outputs)
    values = np.asarray(values)
    values = np.hstack([1 - values, values]) if values.shape[1] == 1 else values
    return values / values.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", FITTING)
def test_outputs_get_the_loss_that_fits(name: str) -> None:
    """Loss and accuracy on the test set are those of the probabilities that the served model gives."""
    classes, build = FITTING[name]
    splits = data(classes)
    made, training = trained(build, splits)
    assert training.test is not None
    found = probabilities(made.served(training).predict(splits.x_test, verbose=0), name)
    accuracy = np.mean(found.argmax(axis=1) == splits.y_test)
    loss = -np.log(found[np.arange(len(found)), splits.y_test]).mean()
    assert training.test["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert training.test["loss"] == pytest.approx(loss, rel=1e-3, abs=1e-5)
    assert accuracy > 0.8


UNFIT: dict[str, tuple[int, Callable[[Any], Any], str]] = {
    "relu": (3, layers.Dense(3, activation="relu"), "outputs by relu, expected softmax"),
    "relu as a layer": (3, lambda h: layers.ReLU()(layers.Dense(3)(h)), "outputs by relu, expected softmax"),
    "sigmoids": (3, layers.Dense(3, activation="sigmoid"), "outputs by sigmoid, expected softmax"),
    "sigmoids, reshaped": (
        3,
        lambda h: layers.Reshape((3,))(layers.Dense(3, activation="sigmoid")(h)),
        "outputs by sigmoid, expected softmax",
    ),
    "tanh": (2, layers.Dense(2, activation="tanh"), "outputs by tanh, expected softmax"),
    "softmax of one": (2, layers.Dense(1, activation="softmax"), "outputs by softmax, expected sigmoid"),
    "relu of one": (2, layers.Dense(1, activation="relu"), "outputs by relu, expected sigmoid"),
    "softmax for a value": (1, layers.Dense(1, activation="softmax"), "by softmax, which are always 1, for labels"),
    "sigmoid for a value": (1, layers.Dense(1, activation="sigmoid"), "by sigmoid, which are from 0 to 1, for labels"),
    "relu for a value": (1, layers.Dense(1, activation="relu"), "by relu, which are from 0 to inf, for labels from -"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_outputs_without_a_fitting_loss_are_refused(name: str) -> None:
    """They would train, and not well."""
    classes, last, message = UNFIT[name]
    with pytest.raises(InputError, match=message):
        trained(network(last), data(classes))


def test_bounded_outputs_may_predict_bounded_values() -> None:
    """Shares, say."""
    splits = split(Raw(X, (1 / (1 + np.exp(-SCORE))).astype(np.float32)), seed=0)
    _, training = trained(network(layers.Dense(1, activation="sigmoid")), splits)
    assert training.test is not None
    assert training.test["mae"] < 0.1


def binary(loss: Any) -> Builder:
    """Return what builds a network of one unit, compiled with a loss."""

    def build() -> keras.Model:
        model = network(layers.Dense(1, activation="sigmoid"))()
        model.compile("adam", loss, metrics=["accuracy", "auc"])
        return model

    return build


def test_a_compiled_sigmoid_unit_is_trained_as_in_keras() -> None:
    """With integers as labels, and metrics by their names."""
    splits = data(2)
    made, training = trained(binary("binary_crossentropy"), splits)
    assert training.test is not None
    found = made.served(training).predict(splits.x_test, verbose=0)[:, 0] > 0.5
    assert training.test["accuracy"] == pytest.approx(np.mean(found == splits.y_test))
    assert training.test["accuracy"] > 0.8
    assert training.test["auc"] > 0.9


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", keras.losses.CategoricalCrossentropy()], ids=["sparse", "one-hot"]
)
def test_one_unit_compiled_to_compare_classes_is_refused(loss: Any) -> None:
    """Its loss is nan, or zero for ever."""
    with pytest.raises(InputError, match="for one output, expected binary_crossentropy"):
        trained(binary(loss), data(2))


def one_unit(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network as a user's function that is given as `module:function`."""
    return keras.Sequential([keras.Input(input_shape), layers.Dense(1, activation="sigmoid")])


def test_one_unit_is_for_two_classes() -> None:
    """Three need as many outputs."""
    name = f"{__name__}:one_unit"
    assert builder(name, (4,), 2, "classification")().count_params() == 5
    with pytest.raises(InputError, match=r"outputs of shape \(None, 1\), expected \(None, 3\)"):
        builder(name, (4,), 3, "classification")()


def test_looking_at_outputs_changes_no_weight() -> None:
    """Two networks alike are trained alike, though the outputs of one could be read off."""
    plain = network(layers.Dense(3))
    reshaped = network(lambda h: layers.Reshape((3,))(layers.Dense(3)(h)))
    first, second = (trained(build, data(3))[1] for build in (plain, reshaped))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-5)
    assert first.test == pytest.approx(second.test)
