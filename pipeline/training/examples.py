"""The data of trainings: one copy, however many engines use it."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Inputs, Rows, Splits, head
from pipeline.errors import InputError
from pipeline.training.disk import DiskFeed, Windows, evaluation_from_disk, gathered
from pipeline.training.feed import BatchOrder, Feed, MemoryFeed, evaluation_batches, parts, scaled


class Examples:
    """Training, validation and test set; those held in memory are made into tensors once."""

    def __init__(self, splits: Splits) -> None:
        self.splits = splits

    def __len__(self) -> int:
        return len(self.splits.x_train)

    def feed(self, order: BatchOrder) -> Feed:
        """Return the training set in this order, from memory or from disk."""
        splits = self.splits
        if isinstance(splits.x_train, np.ndarray):
            return MemoryFeed(self._tensors, partial(scaled, scaling=splits.scaling), order)
        given = parts(splits.x_train, splits.y_train, splits.w_train)
        if isinstance(splits.x_train, Rows):
            return DiskFeed(given, splits.scaling, partial(gathered, given, order))
        return DiskFeed(given, splits.scaling, Windows(given, order.batch_size))

    @cached_property
    def validation(self) -> tf.data.Dataset:
        """The validation set, in its own order."""
        return self._evaluated(self.splits.x_val, self.splits.y_val, self.splits.w_val)

    @cached_property
    def test(self) -> tf.data.Dataset:
        """The test set, in its own order."""
        return self._evaluated(self.splits.x_test, self.splits.y_test, self.splits.w_test)

    def first(self, count: int) -> tuple[Any, ...]:
        """Return the first training examples as a network gets them: inputs, labels, weights where there are any."""
        splits = self.splits
        weights = None if splits.w_train is None else splits.w_train[:count]
        x, *rest = parts(head(splits.x_train, count), splits.y_train[:count], weights)
        return scaled(tf.nest.map_structure(tf.constant, x), splits.scaling), *rest

    @cached_property
    def _tensors(self) -> Any:
        splits = self.splits
        return tf.nest.map_structure(tf.constant, parts(splits.x_train, splits.y_train, splits.w_train))

    def _evaluated(self, x: Inputs, y: NDArray[Any], weights: NDArray[Any] | None) -> tf.data.Dataset:
        if isinstance(x, np.ndarray):
            return evaluation_batches(x, y, self.splits.scaling, weights)
        return evaluation_from_disk(parts(x, y, weights), self.splits.scaling)


def weighted(splits: Splits, class_weight: Mapping[int, float]) -> Splits:
    """Return the splits with the training examples weighted by their class, as Keras' `fit` does; by 1 without one."""
    w = np.array([class_weight.get(int(code), 1.0) for code in range(splits.num_outputs)], np.float32)[splits.y_train]
    return dataclasses.replace(splits, w_train=w if splits.w_train is None else splits.w_train * w)


@contextmanager
def users_errors() -> Iterator[None]:
    """Raise the InputError of code that reads data, which TensorFlow wraps in an error of its own."""
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(rf"{InputError.__name__}: (.*)", str(error.message))
        if wrapped is None:
            raise
        raise InputError(wrapped[1]) from error
