"""Batches from disk, for data that are not held in memory: rows of mapped arrays, or passes over a data set."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Inputs, Rows, Splits, blocks
from pipeline.errors import InputError
from pipeline.training.feed import (
    UPDATES_PER_CALL,
    BatchOrder,
    Feed,
    MemoryFeed,
    Step,
    Updates,
    evaluation_batches,
    evaluation_length,
    made_ready,
    parts,
)

WINDOW_BYTES = 64 * 2**20
"""A data set that is read in passes is shuffled within windows of this size: about as much is in memory at a time."""

Batch = tuple[NDArray[Any], ...]


def training_feed(splits: Splits, order: BatchOrder) -> Feed:
    """The training set in the order given, wherever its inputs are."""
    if isinstance(splits.x_train, np.ndarray):
        return MemoryFeed(splits, order)
    if isinstance(splits.x_train, Rows):
        return DiskFeed(splits, lambda seed, start, stop: _gathered(splits, order, seed, start, stop))
    return DiskFeed(splits, _Windows(splits, order.batch_size))


def evaluation_feed(x: Inputs, y: NDArray[Any], scaling: Any, weights: NDArray[Any] | None) -> tf.data.Dataset:
    """Examples in their own order, wherever their inputs are."""
    if isinstance(x, np.ndarray):
        return evaluation_batches(x, y, scaling, weights)
    given = parts(x, y, weights)
    length = evaluation_length(x.shape[1:])
    return _generated(lambda: (batch for batch, _ in _grouped(given, length)), given, scaling, -(-len(y) // length))


@contextmanager
def users_errors() -> Iterator[None]:
    """Raise the InputError of whoever reads the data, which TensorFlow wraps into an error of its own."""
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(rf"{InputError.__name__}: (.*)", str(error.message))
        if wrapped is None:
            raise
        raise InputError(wrapped[1]) from error


class DiskFeed:
    """Batches that Python reads as they are needed: `batches(seed, start, stop)` are those of updates start to stop."""

    steps_per_execution = UPDATES_PER_CALL

    def __init__(self, splits: Splits, batches: Callable[[int, int, int], Iterator[Batch]]) -> None:
        self._splits, self._batches = splits, batches
        self._arranged = (0, 0, 0)

    def arrange(self, seed: int, start: int, stop: int) -> None:
        """Lay out the batches of updates `start` to `stop`; takes effect when the data set is next iterated."""
        self._arranged = (seed, start, stop)

    def dataset(self, updates: int) -> tf.data.Dataset:
        """The next `updates` batches."""
        splits = self._splits
        given = parts(splits.x_train, splits.y_train, splits.w_train)
        return _generated(lambda: self._batches(*self._arranged), given, splits.scaling, updates)

    def repeating(self, updates: Updates) -> Step:
        """An update, since Keras passes on one batch after the other."""
        return updates.recorded_update


def _gathered(splits: Splits, order: BatchOrder, seed: int, start: int, stop: int) -> Iterator[Batch]:
    """The batches that would be gathered from memory, to the last bit."""
    indices, ends = order.indices(seed, start, stop)
    given = parts(splits.x_train, splits.y_train, splits.w_train)
    for first, last in pairwise(ends):
        yield tuple(part[indices[first:last]] for part in given)


class _Windows:
    """Batches of a stream, shuffled within windows, without a gap or a new pass between the parts of a training.

    Every epoch is a pass in which every example comes once. Each window is put in an order that seed and epoch fix; its
    last examples, too few for a batch, begin the next window.
    """

    def __init__(self, splits: Splits, batch_size: int) -> None:
        self._parts, self._batch_size = parts(splits.x_train, splits.y_train, splits.w_train), batch_size
        example = int(np.prod(splits.x_train.shape[1:])) * splits.x_train.dtype.itemsize
        self._window = max(WINDOW_BYTES // example, batch_size)
        self._at: tuple[int, int] | None = None
        self._running: Iterator[Batch] = iter(())

    def __call__(self, seed: int, start: int, stop: int) -> Iterator[Batch]:
        if (seed, start) != self._at:
            self._running = islice(self._training(seed), start, None)
        self._at = (seed, stop)
        return islice(self._running, stop - start)

    def _training(self, seed: int) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from self._epoch(np.random.default_rng((seed, epoch)))
            epoch += 1

    def _epoch(self, random: np.random.Generator) -> Iterator[Batch]:
        kept: Batch = ()
        for window, last in _grouped(self._parts, self._window):
            order = random.permutation(len(window[0]))
            shuffled = [part[order] for part in window]
            joined = [np.concatenate(both) for both in zip(kept, shuffled, strict=True)] if kept else shuffled
            length = len(joined[0])
            whole = length if last else length - length % self._batch_size
            for first in range(0, whole, self._batch_size):
                yield tuple(part[first : min(first + self._batch_size, whole)] for part in joined)
            kept = tuple(part[whole:] for part in joined)


def _generated(
    batches: Callable[[], Iterator[Batch]], given: tuple[Any, ...], scaling: Any, count: int
) -> tf.data.Dataset:
    """A data set of the `count` batches that Python yields, read ahead while the network trains, then scaled."""
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in given)
    raw = tf.data.Dataset.from_generator(batches, output_signature=signature)
    known = raw.apply(tf.data.experimental.assert_cardinality(count))  # without it Keras warns that data ran out
    return made_ready(known, scaling)


def _grouped(given: tuple[Any, ...], count: int) -> Iterator[tuple[Batch, bool]]:
    """Regroup a pass into groups of `count` examples, each with whether it is the last one, which may be smaller."""
    x, *rest = given
    position = 0
    for inputs, last in _regrouped(blocks(x), count):
        yield (inputs, *(part[position : position + len(inputs)] for part in rest)), last
        position += len(inputs)


def _regrouped(pieces: Iterator[NDArray[Any]], count: int) -> Iterator[tuple[NDArray[Any], bool]]:
    held: list[NDArray[Any]] = []
    for piece in pieces:
        held.append(piece)
        length = sum(len(part) for part in held)
        if length > count:  # so that something remains, and the last group is known to be the last
            joined, whole = np.concatenate(held), (length - 1) // count * count
            for first in range(0, whole, count):
                yield joined[first : first + count], False
            held = [joined[whole:]]
    if held:
        yield np.concatenate(held), True
