"""Networks as people write them: transfer learning, augmentation, subclasses, one sigmoid unit."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.datasets import Raw, Splits, split
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.training import InProcess, Problem

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (80, 32, 32, 3)).astype(np.uint8)
ROWS = RNG.normal(size=(69, 4)).astype(np.float32)
"""41 of which are for training."""

SIGNS = ROWS.sum(axis=1) > 0


def frozen() -> keras.Model:
    """Return a new last layer on a network of `keras.applications` that is not to be trained."""
    base = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None, pooling="avg")
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, layers.Dense(2, "softmax")(base(inputs, training=False)))


def augmented() -> keras.Model:
    """Return a network that sees other images in each epoch."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomContrast(0.2),
            layers.Conv2D(4, 3, strides=4, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def normalised() -> keras.Model:
    """Return a network whose BatchNormalization gets a last batch of one example."""
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(momentum=0.5), layers.Dense(1, "sigmoid")]
    )


def sigmoid() -> keras.Model:
    """Return one unit as it is compiled in most tutorials."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def trained(build: Callable[[], keras.Model], splits: Splits, epochs: int = 2) -> tuple[InProcess, Training]:
    """Return the executor and what it answers, with test scores and weights."""
    made = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    candidate = Candidate(scheme="constant", initial_lr=0.02, optimizer="adam", batch_size=20, params={})
    (training,) = answers(made.ask, [Evaluation(candidate, epochs, seed=0, test=True, weights=True)])
    return made, training


def test_frozen_layers_stay_as_they_are() -> None:
    """Only the new layer is trained, and the frozen network's statistics are left alone."""
    made, training = trained(frozen, split(Raw(IMAGES, np.arange(80) % 2), seed=0))
    keras.utils.set_random_seed(0)
    start, end = frozen(), made.served(training).layers[-1]
    kept = [np.array_equal(a, b) for a, b in zip(start.get_weights(), end.get_weights(), strict=True)]
    assert all(kept[:-2])  # all but those of the last layer
    assert not all(kept)


def test_augmentation_is_for_training_only_and_repeatable() -> None:
    """A training repeats to the last digit; validation and the served model see images as they are."""
    splits = split(Raw(IMAGES, np.arange(80) % 2), seed=0)
    made, first = trained(augmented, splits)
    _, second = trained(augmented, splits)
    np.testing.assert_array_equal(first.losses, second.losses)
    served = made.served(first)
    once, again = (served.predict(splits.x_test, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_last_batch_of_one_example_is_normalised() -> None:
    """Its variance is zero, and nothing becomes infinite."""
    made, training = trained(normalised, split(Raw(ROWS, SIGNS), seed=0))
    assert len(training.losses) == 6
    assert np.isfinite([*training.losses, *training.history["val_loss"]]).all()
    assert all(np.isfinite(part).all() for part in made.served(training).get_weights())


@pytest.mark.parametrize("labels", [1 + SIGNS, np.where(SIGNS, "yes", "no")], ids=["integers", "text"])
def test_one_sigmoid_unit_takes_any_two_classes(labels: Any) -> None:
    """Compiled with binary cross-entropy, and labels that are integers or text."""
    made, training = trained(sigmoid, split(Raw(ROWS, labels), seed=0), epochs=40)
    assert training.test is not None
    assert training.test["accuracy"] > 0.75
    assert made.remarks == []


def confused() -> keras.Model:
    """Return a network with logits, compiled for probabilities."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (normalised, "is not compiled: it is trained with the loss binary_crossentropy and the metric accuracy"),
        (augmented, "is not compiled: .* the loss sparse_categorical_crossentropy \\(from logits\\) and the metric"),
        (confused, "outputs are logits, .* sparse_categorical_crossentropy takes for probabilities: give it from_log"),
    ],
)
def test_a_line_says_what_the_loss_is_or_what_is_odd_about_it(build: Callable[[], keras.Model], said: str) -> None:
    """Before anything is trained."""
    splits = split(Raw(IMAGES if build is augmented else ROWS, np.arange(80 if build is augmented else 69) % 2), seed=0)
    (line,) = InProcess(Problem(build, splits, momentum=0.9, precision="float32")).remarks
    assert re.search(said, line)
