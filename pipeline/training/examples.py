"""The data of trainings: one copy, however many engines use it, in memory or read from disk batch by batch."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Inputs, Rows, Splits, blocks, head, resplit, resplit_rows
from pipeline.errors import InputError, refusal
from pipeline.training.feed import (
    UPDATES_PER_CALL,
    BatchOrder,
    Feed,
    MemoryFeed,
    Step,
    Updates,
    evaluation_batches,
    evaluation_length,
    parts,
    prefetched,
    scaled,
)
from pipeline.user_code import describe_with_line


class Examples:
    """Training, validation and test set; those in memory are converted to tensors once.

    Attributes:
        splits: the prepared split.
        resplits: whether `use` can choose any other split. Data in memory need another layout for that, which takes
            more memory: training and validation set in the same tensors.

    """

    def __init__(self, splits: Splits, *, resplits: bool = False) -> None:
        self.splits, self._split = splits, 0
        self.resplits = resplits or not isinstance(splits.x_train, np.ndarray)

    def __len__(self) -> int:
        return len(self.splits.x_train)

    @property
    def weighted(self) -> bool:
        """Whether training examples have weights."""
        return self.splits.w_train is not None or self.splits.class_weights is not None

    def use(self, split: int) -> None:
        """Let all feeds, once arranged, and the validation set be those of this split; 0 is the prepared one."""
        if split != self._split:
            self._split = split
            for name in ("_rows", "_chosen", "validation"):
                vars(self).pop(name, None)

    def feed(self, order: BatchOrder) -> Feed:
        """Return the training set in this order, from memory or from disk."""
        splits = self.splits
        if isinstance(splits.x_train, np.ndarray):
            prepare = partial(scaled, scaling=splits.scaling)
            return MemoryFeed(self._tensors, prepare, order, place=lambda examples: self._rows[0][examples])
        given = self._training()
        if isinstance(splits.x_train, Rows):
            return DiskFeed(given, splits.scaling, lambda *updates: gathered(self._training(), order, *updates))
        return DiskFeed(given, splits.scaling, Windows(self._training, order.batch_size))

    @cached_property
    def validation(self) -> tf.data.Dataset:
        """The validation set, in its own order."""
        in_tensors = self.resplits and self.splits.class_weights is None  # whose weights are those of training
        if in_tensors and isinstance(self.splits.x_train, np.ndarray):
            given = tf.nest.map_structure(lambda part: tf.gather(part, self._rows[1]), self._tensors)
            return self._evaluated(self.splits.x_val, given)
        chosen = self._chosen
        return self._evaluated(chosen.x_val, parts(chosen.x_val, chosen.y_val, chosen.w_val))

    @cached_property
    def test(self) -> tf.data.Dataset:
        """The test set, in its own order."""
        splits = self.splits
        return self._evaluated(splits.x_test, parts(splits.x_test, splits.y_test, splits.w_test))

    def first(self, count: int) -> tuple[Any, ...]:
        """Return the first training examples as a network receives them: inputs, labels, and any weights."""
        splits = self.splits
        y, w = splits.y_train[:count], None if splits.w_train is None else splits.w_train[:count]
        x, *rest = parts(head(splits.x_train, count), y, self._trained(y, w))
        return scaled(tf.nest.map_structure(tf.constant, x), splits.scaling), *rest

    @cached_property
    def _tensors(self) -> Any:
        """The training set, followed by the validation set where a split is a choice of rows."""
        splits = self.splits
        x, y, w = splits.x_train, splits.y_train, splits.w_train
        if self.resplits:
            x, y = np.concatenate([x, splits.x_val]), np.concatenate([y, splits.y_val])
            w = None if w is None else np.concatenate([w, splits.w_val])
        return tf.nest.map_structure(tf.constant, parts(x, y, self._trained(y, w)))

    @cached_property
    def _rows(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows of the tensors that are trained and validated on."""
        train, val = resplit_rows(self.splits, self._split)
        return train.astype(np.int32), val.astype(np.int32)

    @cached_property
    def _chosen(self) -> Splits:
        return resplit(self.splits, self._split)

    def _training(self) -> tuple[Any, ...]:
        """Return the training set that is read from disk."""
        chosen = self._chosen
        return parts(chosen.x_train, chosen.y_train, self._trained(chosen.y_train, chosen.w_train))

    def _trained(self, y: NDArray[Any], w: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return the weights of training examples: their own, times those of their classes."""
        by_class = self.splits.class_weights
        if by_class is None:
            return w
        own: NDArray[Any] = np.array(by_class, np.float32)[y]
        return own if w is None else np.multiply(w, own)

    def _evaluated(self, x: Inputs, given: tuple[Any, ...]) -> tf.data.Dataset:
        if isinstance(x, np.ndarray):
            return evaluation_batches(given, evaluation_length(x.shape[1:]), self.splits.scaling)
        return evaluation_from_disk(given, self.splits.scaling)


def weighted(splits: Splits, class_weight: Mapping[int, float]) -> Splits:
    """Return the splits with training examples weighted by class, as in Keras' `fit`; classes not named weigh 1."""
    w = np.array([class_weight.get(int(code), 1.0) for code in range(splits.num_outputs)], np.float32)[splits.y_train]
    return dataclasses.replace(splits, w_train=w if splits.w_train is None else splits.w_train * w)


@contextmanager
def input_errors_unwrapped() -> Iterator[None]:
    """Re-raise an InputError that TensorFlow wrapped in its own error, as it does for code that reads data.

    What is no Exception, such as the SystemExit of a layer, would end the command without a word: it is refused.
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(rf"{InputError.__name__}: (.*)", str(error.message))
        if wrapped is None:
            raise
        raise InputError(wrapped[1]) from error
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise refusal("model", f"{describe_with_line(error)} in training", "layers that end no process") from error


WINDOW_BYTES = 64 * 2**20
"""Size of the windows in which a stream is shuffled; about this much of it is in memory at a time."""

Batch = tuple[NDArray[Any], ...]


def evaluation_from_disk(given: tuple[Any, ...], scaling: Any) -> tf.data.Dataset:
    """Return examples in their own order, read on demand."""
    length, count = evaluation_length(given[0].shape[1:]), len(given[1])
    return _generated(lambda: (batch for batch, _ in _grouped(given, length)), given, scaling, -(-count // length))


class DiskFeed:
    """Batches that Python reads on demand: `batches(seed, start, stop)` yields those of updates `start` to `stop`."""

    steps_per_execution = UPDATES_PER_CALL

    def __init__(
        self, given: tuple[Any, ...], scaling: Any, batches: Callable[[int, int, int], Iterator[Batch]]
    ) -> None:
        self._given, self._scaling, self._batches = given, scaling, batches
        self._arranged = (0, 0, 0)

    def arrange(self, seed: int, start: int, stop: int) -> None:
        """Lay out the batches of updates `start` to `stop`; takes effect when the data set is next iterated."""
        self._arranged = (seed, start, stop)

    def dataset(self, updates: int) -> tf.data.Dataset:
        """Return the next `updates` batches."""
        return _generated(lambda: self._batches(*self._arranged), self._given, self._scaling, updates)

    def each(self, step: Step) -> Step:
        """Return the step itself: Keras calls it with one batch after another."""
        return step

    def step_for(self, updates: Updates) -> Step:
        """Return the step of one update."""
        return updates.recorded_update


def gathered(given: tuple[Any, ...], order: BatchOrder, seed: int, start: int, stop: int) -> Iterator[Batch]:
    """Yield the same batches as `MemoryFeed` gathers."""
    indices, ends = order.indices(seed, start, stop)
    for first, last in pairwise(ends):
        yield tuple(part[indices[first:last]] for part in given)


class Windows:
    """Batches of a stream, shuffled within windows; each part of a training continues the pass of the one before.

    Every epoch is one pass, with every example once. Seed and epoch fix the order within each window. Examples left at
    the end of a window, too few for a batch, start the next window.
    """

    def __init__(self, given: Callable[[], tuple[Any, ...]], batch_size: int) -> None:
        self._given, self._batch_size = given, batch_size
        x = given()[0]
        example = int(np.prod(x.shape[1:])) * x.dtype.itemsize
        self._window = max(WINDOW_BYTES // example, batch_size)
        self._at: tuple[int, int] | None = None
        self._running: Iterator[Batch] = iter(())

    def __call__(self, seed: int, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of updates `start` to `stop`, continuing the pass where the last call ended."""
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
        for window, last in _grouped(self._given(), self._window):
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
    """Return the `count` batches that Python yields as a data set, scaled and prefetched."""
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in given)
    raw = tf.data.Dataset.from_generator(batches, output_signature=signature)
    known = raw.apply(tf.data.experimental.assert_cardinality(count))  # without it Keras warns that data ran out
    return prefetched(known, scaling)


def _grouped(given: tuple[Any, ...], count: int) -> Iterator[tuple[Batch, bool]]:
    """Yield a pass in groups of `count` examples, each with whether it is the last, which may be smaller."""
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
        if length > count:  # keep some examples back, so that the last group is known to be the last
            joined, whole = np.concatenate(held), (length - 1) // count * count
            for first in range(0, whole, count):
                yield joined[first : first + count], False
            held = [joined[whole:]]
    if held:
        yield np.concatenate(held), True
