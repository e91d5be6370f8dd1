"""Splits, label codes, scaling, and the checks before them."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets import Raw, Splits, described, load, split
from pipeline.datasets.conform import conform
from pipeline.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


def table(n: int) -> Raw:
    """Return `n` distinct rows (row i holds i and -i), labelled 0 and 1 in turn."""
    return Raw(np.stack([np.arange(n), -np.arange(n)], axis=1), np.arange(n) % 2)


def inputs(splits: Splits) -> list[Array]:
    """Return the three sets of inputs."""
    return [splits.x_train, splits.x_val, splits.x_test]


def test_mnist_5k_is_shuffled_and_stratified(mnist_5k: Raw) -> None:
    """The source is sorted by class; in each split every class is a tenth, in random order."""
    splits = split(mnist_5k, seed=0)
    for y, size in ((splits.y_train, 3000), (splits.y_val, 1000), (splits.y_test, 1000)):
        assert np.bincount(y).tolist() == [size // 10] * 10
        assert np.count_nonzero(np.diff(y)) > size / 2
    assert splits.x_train.dtype == np.uint8
    assert splits.y_train.dtype == np.int32
    assert splits.classes == tuple("0123456789")
    assert (splits.task, splits.num_outputs) == ("classification", 10)
    assert (splits.scaling.offset, splits.scaling.scale) == ((0.0,), (255.0,))


def test_digits_are_scaled_by_sixteen() -> None:
    """Bytes that use only 0..16 are not divided by 255."""
    assert split(load("digits"), seed=3).scaling.scale == (16.0,)


@pytest.mark.parametrize(
    ("scale", "words"),
    [("auto", "divided by 16"), ("none", "not scaled"), ("standard", "standardised")],
)
def test_scaling_can_be_chosen(scale: str, words: str) -> None:
    """And is put in words."""
    assert described(split(load("digits"), seed=3, scale=scale).scaling) == [words]


def test_an_unknown_input_is_one_line() -> None:
    """A choice that does nothing would be taken for one that does."""
    with pytest.raises(InputError, match="scale names an unknown input: received 'a'; accepted: one way"):
        split(table(20), seed=0, scale="a=none")


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    validation=st.floats(0.05, 0.6),
    test=st.floats(0.05, 0.6),
    seed=st.integers(0, 2**32 - 1),
    official=st.booleans(),
)
def test_splits_partition_the_data(
    counts: list[int], validation: float, test: float, seed: int, official: bool
) -> None:
    """Every example lands in exactly one split, sizes are the fractions asked for, or the refusal is an InputError."""
    y = np.repeat(np.arange(len(counts)), counts)
    raw = Raw(np.arange(len(y), dtype=np.float32)[:, np.newaxis], y)
    if official:
        raw = Raw(raw.x_train, y, np.full((3, 1), -1.0, np.float32), np.zeros(3, int))
    try:
        splits = split(raw, seed, validation, test)
    except InputError as error:
        shares = [1 - validation - (0 if official else test), validation] + [test] * (not official)
        assert sum(shares) > 1 or min(shares) <= 0 or min(counts) < 1 / min(shares) + 1e-6, error  # noqa: PT017
        return
    parts = inputs(splits)[: 2 if official else 3]
    assert sorted(np.concatenate(parts)[:, 0]) == list(range(len(y)))
    assert len(splits.x_val) == round(validation * len(y))
    assert len(splits.x_test) == (3 if official else round(test * len(y)))
    for x, labels in zip(parts, (splits.y_train, splits.y_val, splits.y_test), strict=False):
        np.testing.assert_array_equal(labels, y[x[:, 0].astype(int)])


def test_seed_decides_the_split() -> None:
    """The same seed gives the same splits; another seed gives others."""
    raw = table(100)
    first, same, other = split(raw, 1), split(raw, 1), split(raw, 2)
    for a, b in zip(inputs(first), inputs(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(inputs(first), inputs(other), strict=True))


def test_official_test_set_is_kept_as_it_is() -> None:
    """Only the validation set is taken from the training data."""
    raw = replace(table(50), x_test=np.array([[7, 7], [8, 8]]), y_test=np.array([1, 0]))
    splits = split(raw, seed=0)
    assert [len(x) for x in inputs(splits)] == [40, 10, 2]
    assert splits.x_test.tolist() == [[7, 7], [8, 8]]
    assert splits.y_test.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["9", "10"], ("10", "9")),
        ([10, 9], ("9", "10")),
        ([3, -1], ("-1", "3")),
        ([True, False], ("False", "True")),
        (np.array([b"caf\xc3\xa9", b"bar"]), ("bar", "café")),
        (np.array(["x", "a"], dtype=object), ("a", "x")),
        (np.array([[4], [2]], dtype=np.uint8), ("2", "4")),
        ([[0.0, 1.0], [1.0, 0.0]], ("0", "1")),
        ([[0, 0, 1], [0, 1, 0]], ("1", "2")),
    ],
)
def test_labels_become_codes_in_sorted_order(labels: Any, classes: tuple[str, str]) -> None:
    """Text sorts as text and numbers as numbers; the first label of each pair is the greater."""
    y = np.concatenate([np.asarray(labels)] * 10)
    splits = split(Raw(np.arange(20.0)[:, np.newaxis], y), seed=0)
    assert splits.classes == classes
    np.testing.assert_array_equal(splits.y_train, splits.x_train[:, 0] % 2 == 0)


def test_float_labels_mean_regression() -> None:
    """They are kept as float32, unscaled and split without strata; the network has one output."""
    y = np.linspace(-5, 5, 30)
    splits = split(Raw(np.arange(30.0)[:, np.newaxis], y), seed=0)
    assert (splits.task, splits.classes, splits.num_outputs) == ("regression", (), 1)
    assert splits.y_train.dtype == np.float32
    np.testing.assert_array_equal(splits.y_train, y[splits.x_train[:, 0].astype(int)].astype(np.float32))


def test_tables_are_standardised_by_the_training_split() -> None:
    """Means and deviations match their definition in float64; a constant feature has scale 1."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(1e4, 3, 200), rng.exponential(1e-3, 200), np.full(200, 0.1)])
    splits = split(Raw(x, np.arange(200) % 2), seed=0)
    train = splits.x_train.astype(np.float64)
    np.testing.assert_allclose(splits.scaling.offset, train.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(splits.scaling.scale[:2], train.std(axis=0)[:2], rtol=1e-5)
    assert splits.scaling.scale[2] == 1.0
    assert splits.x_train.dtype == np.float32


@pytest.mark.parametrize(
    ("images", "dtype", "offset", "scale"),
    [
        (np.array([0, 255], np.uint8), np.uint8, 0, 255),
        (np.array([0, 200], np.int64), np.uint8, 0, 255),
        (np.array([0, 16], np.uint8), np.uint8, 0, 16),
        (np.array([False, True]), np.uint8, 0, 1),
        (np.array([0, 0], np.uint8), np.uint8, 0, 1),
        (np.array([0, 65535], np.uint16), np.float32, 0, 65535),
        (np.array([0, 0.5], np.float64), np.float32, 0, 0.5),
        (np.array([-1, 3], np.float64), np.float32, 1, 2),
        (np.array([-2, -2], np.float16), np.float32, -2, 1),
    ],
)
def test_images_are_scaled_by_one_number(images: Array, dtype: Any, offset: float, scale: float) -> None:
    """The scale is their type's range, their maximum, or mean and deviation; all splits hold the same values."""
    x = np.resize(images, (40, 2, 2, 1))
    splits = split(Raw(x, np.arange(40) % 2), seed=0)
    assert splits.x_train.dtype == dtype
    assert splits.scaling.offset == pytest.approx((offset,))
    assert splits.scaling.scale == pytest.approx((scale,))


OBJECTS = np.array([[1, None]] * 10, dtype=object)
NAN = np.where(np.arange(20).reshape(10, 2) == 7, np.nan, 1.0)
BAD_RAW: dict[str, tuple[Mapping[str, Any], str, str]] = {
    "lengths": ({"y_train": np.zeros(9, int)}, "10 and 9", "one label per example"),
    "empty": ({"x_train": np.zeros((0, 2)), "y_train": np.zeros(0, int)}, "shape (0, 2)", "at least one example"),
    "no labels": ({"y_train": np.zeros(0, int)}, "0 labels", "at least one"),
    "no features": ({"x_train": np.zeros((10, 0))}, "shape (10, 0)", "one value in each"),
    "vector": ({"x_train": np.zeros(10)}, "(10,)", "[n, features]"),
    "scalar": ({"x_train": np.array(3)}, "()", "[n, features]"),
    "video": ({"x_train": np.zeros((10, 2, 2, 2, 2))}, "(10, 2, 2, 2, 2)", "[n, height, width, channels]"),
    "object x": ({"x_train": OBJECTS}, "dtype object", "numbers or booleans"),
    "text x": ({"x_train": np.full((10, 2), "a")}, "dtype <U1", "numbers or booleans"),
    "complex x": ({"x_train": np.zeros((10, 2), complex)}, "dtype complex128", "numbers or booleans"),
    "object y": ({"y_train": OBJECTS[:, 0]}, "dtype object", "integers, text or booleans"),
    "dates y": ({"y_train": np.zeros(10, "datetime64[D]")}, "dtype datetime64[D]", "floats (regression)"),
    "bytes y": ({"y_train": np.array([b"\xff"] * 10)}, "bytes that are not UTF-8", "text"),
    "two targets": ({"y_train": np.full((10, 2), 7)}, "(10, 2)", "floats (or task=regression) for values to predict"),
    "scalar y": ({"y_train": np.array(1)}, "()", "[n]"),
    "NaN x": ({"x_train": NAN}, "1 NaN or infinite, first in example 3", "finite float32"),
    "beyond float32": ({"x_train": NAN[:1].repeat(10, 0) * 1e39}, "20 NaN or infinite", "finite float32"),
    "infinite y": ({"y_train": np.array([0.5] * 9 + [-np.inf])}, "1 NaN or infinite, first in example 9", "finite"),
    "half a test set": ({"x_test": np.zeros((2, 2))}, "no y_test", "both x_test and y_test, or neither"),
    "test shape": ({"x_test": np.zeros((2, 3)), "y_test": np.arange(2)}, "examples of shape (3,)", "(2,)"),
    "test type": (
        {
            "x_train": np.full((10, 2, 2), 255),
            "x_test": np.full((2, 2, 2), 0.5),
            "y_test": np.arange(2),
        },
        "values that need float32",
        "uint8, as x_train",
    ),
    "test lengths": ({"x_test": np.zeros((2, 2)), "y_test": np.arange(3)}, "2 and 3", "one label per example"),
    "test label kind": ({"x_test": np.zeros((2, 2)), "y_test": np.array(["0", "1"])}, "text", "integers, as y_train"),
    "unseen labels": ({"x_test": np.zeros((3, 2)), "y_test": np.array([0, 7, 8])}, "'7', '8'", "'0', '1'"),
    "one class": ({"y_train": np.full(10, 4)}, "'4' throughout", "two or more classes"),
    "rare class": ({"y_train": np.array([0] * 8 + [1] * 2)}, "2 of class '1', with 2 classes", "at least 5 of each"),
    "few examples": ({"x_train": np.zeros((4, 1)), "y_train": np.linspace(0, 1, 4)}, "4", "at least 5"),
}


@pytest.mark.parametrize("case", BAD_RAW)
def test_unusable_data_is_one_line(case: str) -> None:
    """The message names what was wrong, what was received and what would be accepted."""
    change, received, accepted = BAD_RAW[case]
    with pytest.raises(InputError) as caught:
        split(replace(table(10), **change), seed=0)
    message = str(caught.value)
    assert "\n" not in message
    assert received in message.partition("received ")[2].partition("; accepted: ")[0]
    assert accepted in message.partition("; accepted: ")[2]


@pytest.mark.parametrize(
    ("fractions", "received"),
    [
        ({"validation_fraction": 0.0}, "0.0"),
        ({"validation_fraction": 1.0}, "1.0"),
        ({"test_fraction": -0.1}, "-0.1"),
        ({"test_fraction": float("nan")}, "nan"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "validation_fraction=0.5 and test_fraction=0.5"),
    ],
)
def test_unusable_fractions_are_one_line(fractions: dict[str, Any], received: str) -> None:
    """Every split gets something."""
    with pytest.raises(InputError, match=f"received {received}; accepted: "):
        split(table(100), seed=0, **fractions)


def test_five_of_each_class_are_enough() -> None:
    """The minimum that the message about rare classes names is accepted, and each split gets one of each class."""
    splits = split(table(10), seed=0)
    assert [sorted(y) for y in (splits.y_train, splits.y_val, splits.y_test)] == [[0, 0, 0, 1, 1, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("shape", [(12, 3), (12, 4, 4), (12, 4, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_conforming_data_passes_unchanged(shape: tuple[int, ...], dtype: Any) -> None:
    """Checking again, as `split` does after `load`, changes and copies nothing."""
    once = conform(Raw(np.ones(shape, dtype), np.arange(12) % 2))
    twice = conform(once)
    assert twice.x_train is once.x_train or np.shares_memory(twice.x_train, once.x_train)
    assert twice.x_train.shape == once.x_train.shape
    assert twice.y_train is once.y_train


def test_rates_of_classes_survive_the_split() -> None:
    """Splits are stratified: a class that is a fifth of the data is a fifth of every split."""
    y = np.array([0] * 80 + [1] * 20)
    splits = split(Raw(np.arange(100.0)[:, np.newaxis], y), seed=0)
    shares = [part.mean() for part in (splits.y_train, splits.y_val, splits.y_test)]
    assert all(a == pytest.approx(b) for a, b in pairwise(shares))
    assert shares[0] == pytest.approx(0.2)
