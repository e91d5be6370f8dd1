"""Classes that count the same however rare: in the training loss only, on every split."""

from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest

from pipeline.config import SearchOptions, validated
from pipeline.datasets import Raw, Splits, resplit, split
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.training import InProcess, executor_for

CANDIDATE = Candidate(scheme="cosine", initial_lr=0.01, optimizer="adam", batch_size=32, params={})
ASKED = Evaluation(CANDIDATE, 4, 0, test=True, weights=True)


@cache
def rare() -> Splits:
    """Return 400 examples of which a twentieth is of the third class."""
    random = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [240, 140, 20])
    x = random.normal(size=(400, 6)) + np.repeat(np.eye(3, 6), [240, 140, 20], axis=0)
    return split(Raw(x, y), 0)


def trained(splits: Splits, asked: Evaluation = ASKED, **options: object) -> tuple[InProcess, Training]:
    """Train `mlp` on these data."""
    executor = executor_for(validated(SearchOptions, {"model": "mlp", "precision": "float32", **options}), splits)
    return executor, answers(executor.ask, [asked])[0]


def loss(executor: InProcess, training: Training, x: object, y: object) -> float:
    """Return the loss with all examples counting the same."""
    predicted = executor.served(training).predict(x, verbose=0)
    return float(keras.losses.SparseCategoricalCrossentropy()(y, predicted))


@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 2, 400)])
def test_training_examples_count_by_their_class(weights: np.ndarray | None) -> None:
    """Times their own weights, as if both were given together; what is measured does not."""
    splits = rare() if weights is None else replace(rare(), w_train=weights[: len(rare().y_train)].astype(np.float32))
    executor, training = trained(splits, class_weight="balanced")
    counts = np.bincount(splits.y_train)
    by_class = (len(splits.y_train) / (3 * counts))[splits.y_train].astype(np.float32)
    own = by_class if splits.w_train is None else by_class * splits.w_train
    _, expected = trained(replace(splits, w_train=own))
    np.testing.assert_array_equal(training.losses, expected.losses)
    assert (training.test, training.history["val_loss"]) == (expected.test, expected.history["val_loss"])
    assert training.test is not None
    assert training.test["loss"] == pytest.approx(loss(executor, training, splits.x_test, splits.y_test), rel=1e-4)
    assert not np.array_equal(training.losses, trained(rare())[1].losses)
    assert executor.class_weights == (
        "training examples count by their class (a 0.556, b 0.952, c 6.67); validation and test examples count the same"
    )


def test_on_another_split_too() -> None:
    """There validation examples are those that split 0 may train on."""
    executor, training = trained(rare(), Evaluation(CANDIDATE, 4, 0, split=1, weights=True), class_weight="balanced")
    other = resplit(rare(), 1)
    assert training.final("val_loss") == pytest.approx(loss(executor, training, other.x_val, other.y_val), rel=1e-4)


def test_it_is_another_training() -> None:
    """Under a key of its own; by default none is weighted."""
    balanced = executor_for(validated(SearchOptions, {"model": "mlp", "class_weight": "balanced"}), rare())
    plain = executor_for(validated(SearchOptions, {"model": "mlp"}), rare())
    assert balanced.conditions() != plain.conditions()
    assert plain.class_weights == ""


def test_labels_without_classes_are_refused() -> None:
    """There is nothing to balance."""
    splits = split(Raw(np.arange(80.0).reshape(40, 2), np.linspace(0, 1, 40)), 0)
    with pytest.raises(InputError, match="class_weight: received balanced for labels that are no classes"):
        trained(splits, class_weight="balanced")
