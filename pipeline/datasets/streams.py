"""Data sets that can only be read from their start to their end: a `tf.data.Dataset` beyond the limit of memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays import Array, Raw, RowNumbers
from pipeline.datasets.checks import is_one_hot, plain_labels
from pipeline.datasets.large import as_inputs, block_length
from pipeline.errors import describe, listed, refusal

Batch = tuple[Array, ...]
"""`(x, y)` or `(x, y, weights)`."""

_ENDLESS = -1  # tf.data.INFINITE_CARDINALITY, without importing TensorFlow
_MOST_AT_ONCE = 1_000  # single examples that are read as one batch
_TELLING = 8  # elements from which to tell whether they are batches
_ELEMENTS = "elements (x, y) or (x, y, weight)"


class Reader:
    """Passes over a `tf.data.Dataset`, of which nothing is kept. `guard` reports what the user's code raises."""

    def __init__(self, dataset: Any, data: str, guard: Callable[[], Any], *, batched: bool) -> None:
        self.data, self.batched = data, batched
        self._dataset, self._guard = dataset, guard

    def __iter__(self) -> Iterator[Batch]:
        with self._guard():
            dataset = self._dataset
            if not self.batched:
                first = next(dataset.as_numpy_iterator())
                length = block_length(np.shape(first[0]), np.asarray(first[0]).dtype)
                dataset = dataset.batch(min(length, _MOST_AT_ONCE))
            yield from dataset.as_numpy_iterator()


class Stream:
    """Some examples of a `Reader`, always in its order, in the shape and type of the inputs they stand for.

    Every pass compares the labels with those of the first one. A data set that shuffles itself would otherwise move
    examples between training and validation.
    """

    def __init__(
        self,
        reader: Reader,
        labels: Array,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        rows: RowNumbers | None = None,
    ) -> None:
        self.reader, self._labels = reader, labels
        self._rows = np.arange(len(labels)) if rows is None else rows
        self._chosen = np.zeros(len(labels), np.bool_)
        self._chosen[self._rows] = True
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.shape = (len(self._rows), *shape)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: RowNumbers) -> "Stream":
        """Some of these examples; `rows` must ascend."""
        return Stream(self.reader, self._labels, self.shape[1:], self.dtype, self._rows[rows])

    def blocks(self) -> Iterator[Array]:
        """Give the inputs of one pass, piece by piece.

        Raises:
            InputError: if the data set is not the same as before.

        """
        position = 0
        for x, y, *_ in self.reader:
            start, position = position, position + len(y)
            known = self._labels[start:position]
            if not np.array_equal(plain_labels(y, "y"), known):
                raise self._changed(f"other labels from example {start} on")
            chosen = self._chosen[start:position]
            if chosen.any():
                yield as_inputs(x[chosen], self.shape[1:], self.dtype)
        if position != len(self._labels):
            raise self._changed(f"{position} examples after {len(self._labels)}")

    def _changed(self, received: str) -> Exception:
        accepted = "the same examples in the same order: no shuffle(), or one with reshuffle_each_iteration=False"
        return refusal(f"data set of {self.reader.data} differs between passes", received, accepted)


def read_datasets(datasets: Sequence[Any], data: str, limit: int, guard: Callable[[], Any]) -> Raw:
    """Read a training set, and a test set where given: both into arrays, or neither where one exceeds `limit` bytes."""
    read = [read_dataset(dataset, data, limit, guard) for dataset in datasets]
    if any(isinstance(part, Reader) for part in read):
        read = [read_dataset(dataset, data, 0, guard) for dataset in datasets]
    return raw_of(read)


def raw_of(sets: Sequence[Batch | Reader]) -> Raw:
    """Put together one or two sets: `(x, y)` or `(x, y, weights)`, or what reads them in passes."""
    parts = [(part, part) if isinstance(part, Reader) else part for part in sets]
    (x, y, w), (x_test, y_test, w_test) = ((*part, None)[:3] for part in (*parts, (None, None))[:2])
    return Raw(x, y, x_test, y_test, w_train=w, w_test=w_test)


def read_dataset(dataset: Any, data: str, limit: int, guard: Callable[[], Any]) -> Batch | Reader:
    """Read a data set into arrays, or only open it where its examples take more than `limit` bytes.

    Args:
        dataset: a `tf.data.Dataset`, batched or not.
        data: how the user named it.
        limit: bytes.
        guard: makes the context in which the user's code may run.

    Raises:
        InputError: for an empty or endless one, or other elements than `(x, y)` or `(x, y, weight)`.

    """
    unusable = f"unusable data set of {data}"
    if int(dataset.cardinality()) == _ENDLESS:
        raise refusal(unusable, "an endless one", "a data set without repeat()")
    elements: list[Any] = []
    held = 0
    with guard():
        for element in dataset.as_numpy_iterator():
            if not isinstance(element, tuple) or len(element) not in (2, 3):
                raise refusal(unusable, f"elements {dataset.element_spec}", _ELEMENTS)
            if isinstance(element[0], Mapping):
                raise refusal(unusable, f"inputs {listed(element[0])}", "one input, or arrays: ({name: array, ...}, y)")
            elements.append(tuple(_as_array(part, unusable) for part in element))
            held += sum(part.nbytes for part in elements[-1])
            if held > limit and len(elements) >= _TELLING:
                return Reader(dataset, data, guard, batched=_is_batched(elements))
    if not elements:
        raise refusal(unusable, "an empty one", "at least one (x, y)")
    join = np.concatenate if _is_batched(elements) else np.stack
    try:
        return tuple(join(parts) for parts in zip(*elements, strict=True))
    except ValueError as error:
        raise refusal(unusable, describe(error), "examples of one shape") from error


def _as_array(values: Any, unusable: str) -> Array:
    try:
        return np.asarray(values)
    except Exception as error:  # foreign array types raise what they like
        raise refusal(unusable, describe(error), _ELEMENTS) from error


def _is_batched(elements: list[Batch]) -> bool:
    """Tell batches from single examples by their shapes: TensorFlow does not say."""
    if any(x.ndim < 2 or y.ndim < 1 or len(x) != len(y) for x, y, *_ in elements):
        return False
    # Left are batches, and images with as many rows as there are classes in their one-hot labels.
    labels = [element[1] for element in elements]
    equally_long = len({y.shape for y in labels}) == 1
    return not (equally_long and is_one_hot(np.stack(labels)))
