"""Several values to predict, several labels an example, and what the labels are taken for."""

from functools import cache

import keras
import numpy as np
import pytest

from pipeline.config import SearchOptions, validated
from pipeline.datasets import Raw, Splits, far_labels, split
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import Builder, builder
from pipeline.stages.guessing import Answered, against_guessing
from pipeline.training import InProcess, executor_for, to_probabilities
from tests.training.networks import digits

CANDIDATE = Candidate(scheme="cosine", initial_lr=0.01, optimizer="adam", batch_size=32, params={})
ASKED = Evaluation(CANDIDATE, 8, 0, test=True, weights=True)


@cache
def table(kind: str) -> Splits:
    """Return 400 examples of 6 features with labels that a linear network can learn."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 6)).astype(np.float32)
    values = x @ random.normal(size=(6, 3))
    labels = {
        "values": values.astype(np.float32),
        "far": (values * [1, 1_000, 1] + [0, 50_000, 3]).astype(np.float32),
        "labels": values > 0.5,
    }
    return split(Raw(x, labels[kind]), 0)


def trained(splits: Splits, **options: object) -> tuple[InProcess, Training]:
    """Train `mlp` on these data."""
    executor = executor_for(validated(SearchOptions, {"model": "mlp", "precision": "float32", **options}), splits)
    return executor, answers(executor.ask, [ASKED])[0]


def test_losses_are_those_of_the_served_values() -> None:
    """As for one value; far better than predicting the mean of each."""
    splits = table("values")
    executor, training = trained(splits)
    assert (splits.task, splits.num_outputs, splits.classes) == ("regression", 3, ())
    assert training.test is not None
    predicted = executor.served(training).predict(splits.x_test, verbose=0)
    assert training.test["loss"] == pytest.approx(np.square(predicted - splits.y_test).mean(), rel=1e-3)
    assert training.test["mae"] == pytest.approx(np.abs(predicted - splits.y_test).mean(), rel=1e-3)
    guess = against_guessing(Answered(ASKED, "test", training.test["loss"], None), executor, splits)
    assert guess.loss == pytest.approx(np.square(splits.y_test - splits.y_train.mean(axis=0)).mean(), rel=1e-3)
    assert guess.beaten


def test_each_value_is_scaled_by_itself() -> None:
    """The served model gives them in their own units, and its losses are in standard deviations."""
    splits = table("far")
    assert far_labels(splits).startswith("the labels lie far from zero and one (value 1: mean 49,")
    executor, training = trained(splits, scale_labels=True)
    scaling = executor.label_scaling
    assert scaling is not None
    assert len(scaling.scale) == 3
    predicted = executor.served(training).predict(splits.x_test, verbose=0)
    assert training.test is not None
    scaled = (predicted - splits.y_test) / np.asarray(scaling.scale)
    assert training.test["loss"] == pytest.approx(np.square(scaled).mean(), rel=1e-2)
    guess = against_guessing(Answered(ASKED, "test", training.test["loss"], None), executor, splits)
    assert guess.loss == pytest.approx(1, rel=0.3)  # the variance of scaled labels
    assert guess.beaten
    assert executor.unsavable({}) == ""


def test_several_labels_an_example() -> None:
    """Sigmoid outputs, binary cross-entropy, and the accuracy of single labels; guessed by how frequent each is."""
    splits = table("labels")
    executor, training = trained(splits)
    assert (splits.task, splits.num_outputs, splits.classes) == ("multi_label", 3, ("0", "1", "2"))
    model = executor.compiled(CANDIDATE)
    assert (model.loss, model.layers[-1].activation.__name__) == ("binary_crossentropy", "sigmoid")
    predicted = executor.served(training).predict(splits.x_test, verbose=0)
    assert training.test is not None
    assert training.test["accuracy"] == pytest.approx(((predicted > 0.5) == splits.y_test).mean())
    assert training.test["accuracy"] > 0.8
    guess = against_guessing(
        Answered(ASKED, "test", training.test["loss"], training.test["accuracy"]), executor, splits
    )
    shares = np.broadcast_to(splits.y_train.mean(axis=0), splits.y_test.shape)
    expected = keras.losses.BinaryCrossentropy()(splits.y_test, shares)
    assert guess.loss == pytest.approx(float(expected), rel=1e-3)
    assert guess.accuracy == pytest.approx(((shares > 0.5) == splits.y_test).mean())
    assert guess.beaten


def test_logits_of_several_labels() -> None:
    """They get the loss from logits, and are served as a probability for each label by itself."""
    splits = table("labels")

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])

    executor = executor_for(SearchOptions(), splits, build)
    assert executor.compiled(CANDIDATE).loss.get_config()["from_logits"]
    assert to_probabilities(build(), splits.x_test[:5], splits.task) == "sigmoid"


def test_outputs_that_exclude_each_other_are_refused_for_several_labels() -> None:
    """Softmax gives them a sum of 1."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])

    with pytest.raises(InputError, match="received outputs by softmax, expected sigmoid"):
        executor_for(SearchOptions(), table("labels"), build).compiled(CANDIDATE)


def test_scaling_is_refused_for_several_labels() -> None:
    """They are no quantities."""
    with pytest.raises(InputError, match="scale_labels: received true for labels that are classes"):
        trained(table("labels"), scale_labels=True)


def test_built_in_networks_have_an_output_for_each_value() -> None:
    """Without an activation."""
    assert builder("mlp", (6,), 3, "regression")().output_shape == (None, 3)


def test_a_compiled_loss_of_one_hot_rows_gets_them() -> None:
    """Whatever form the labels came in: the training is that of the sparse loss, metrics included."""

    def compiled(loss: str) -> Builder:
        def build() -> keras.Model:
            model = keras.Sequential(
                [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
            )
            model.compile("adam", loss, metrics=["accuracy"])
            return model

        return build

    sparse, dense = (
        answers(executor_for(SearchOptions(), digits(), compiled(loss)).ask, [ASKED])[0]
        for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy")
    )
    np.testing.assert_allclose(dense.losses, sparse.losses, rtol=1e-3)
    assert dense.test is not None
    assert sparse.test is not None
    assert dense.test["accuracy"] == pytest.approx(sparse.test["accuracy"], abs=0.01)
