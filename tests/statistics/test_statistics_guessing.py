"""What guessing gives, in closed form, and what counts as better."""

import json

import numpy as np
import pytest

from pipeline.results import Guess
from pipeline.statistics.guessing import beats, combined, compared_loss, guess_classes, guess_values

NONE = (None, None)


def test_classes_are_guessed_by_how_frequent_they_are() -> None:
    """Three of four training examples are of class 1: it is right for a half of those to predict."""
    trained, judged = np.array([1, 1, 0, 1]), np.array([1, 0])
    found = guess_classes(trained, judged, "crossentropy", NONE)
    assert found.loss == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert found.accuracy == 0.5
    assert (guess_classes(trained, judged, "", NONE).loss, found.what) == (None, "the most frequent class")


def test_a_class_that_no_training_example_has_is_not_impossible() -> None:
    """Its probability is the least that Keras knows."""
    found = guess_classes(np.array([0, 0]), np.array([2]), "crossentropy", NONE)
    assert found.loss == pytest.approx(-np.log(1e-7))


def test_weights_count_in_training_and_in_the_loss() -> None:
    """A weight of three is three examples; of those to predict, it multiplies the loss."""
    trained, judged = np.array([0, 1]), np.array([0, 1])
    found = guess_classes(trained, judged, "crossentropy", (np.array([3.0, 1.0]), np.array([0.0, 2.0])))
    assert found.loss == pytest.approx(-2 * np.log(0.25) / 2)
    assert found.accuracy == 0.5


@pytest.mark.parametrize(("loss", "expected"), [("squared", 20.0), ("absolute", 4.0), ("", None)])
def test_values_are_guessed_by_their_mean(loss: str, expected: float | None) -> None:
    """The training mean is 4, and the others are 2 and 6 away."""
    found = guess_values(np.array([3.0, 5.0]), np.array([6.0, 10.0]), loss, NONE)
    assert (found.loss, found.accuracy) == (expected, None)


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("sparse_categorical_crossentropy", "crossentropy"),
        ("binary_crossentropy", "crossentropy"),
        ({"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}, "crossentropy"),
        ({"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}}, ""),
        ("binary_focal_crossentropy", ""),
        ("mse", "squared"),
        ({"class_name": "MeanSquaredError", "config": {}}, "squared"),
        ("mean_absolute_error", "absolute"),
        ("huber", ""),
        (None, ""),
        (["mse"], ""),
        ({"class_name": "function", "config": "own_loss"}, ""),
    ],
)
def test_losses_that_have_a_guess_are_known(loss: object, kind: str) -> None:
    """By name or as an object of Keras; a loss of the user's has none."""
    assert compared_loss(json.dumps(loss)) == kind


@pytest.mark.parametrize(
    ("guess", "answer", "better"),
    [
        ((2.3, 0.1), (2.38, 0.117), False),
        ((2.3, 0.1), (2.2, 0.1), True),
        ((2.3, 0.1), (2.9, 0.56), True),
        ((2.3, 0.1), (np.inf, 0.125), False),
        ((None, 0.1), (0.0, 0.1), False),
        ((None, 0.1), (9.0, 0.2), True),
        ((20.0, None), (20.0, None), False),
        ((20.0, None), (19.9, None), True),
        ((None, None), (9.0, None), True),
    ],
)
def test_what_is_better_than_guessing(
    guess: tuple[float | None, float | None], answer: tuple[float, float | None], better: bool
) -> None:
    """A lower loss, or more right answers than chance gives on 500 examples; nothing is said where none compares."""
    assert beats(Guess(what="it", loss=guess[0], accuracy=guess[1]), *answer, examples=500) is better


@pytest.mark.parametrize(
    ("losses", "expected"), [({"a": 1.0, "b": 3.0}, 7.0), ({"a": 1.0, "b": None}, None), ({}, None)]
)
def test_losses_of_several_outputs_add_up(losses: dict[str, float | None], expected: float | None) -> None:
    """By their weights, as in Keras; unless one has no value, or there is none, as with a loss of the network's own."""
    guesses = {name: Guess(what="the mean", loss=loss, accuracy=None) for name, loss in losses.items()}
    assert combined(guesses, {"a": 1.0, "b": 2.0}).loss == expected
