"""Data that are read from start to end: a `tf.data.Dataset`, TFRecord files as one, and Keras' `PyDataset`."""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays import Array, Raw, RowNumbers
from pipeline.datasets.images import SETS
from pipeline.datasets.labels import is_one_hot, same_labels
from pipeline.datasets.large import as_inputs, block_length
from pipeline.errors import describe, listed, reading, refusal

Batch = tuple[Any, ...]
"""`(x, y)` or `(x, y, weights)`; x or y is a dictionary of arrays if there are several inputs or outputs."""

_ENDLESS = -1  # tf.data.INFINITE_CARDINALITY, without importing TensorFlow
_MOST_AT_ONCE = 1_000  # single examples that are read as one batch
_EXAMINED = 8  # elements examined to find out whether they are batches
_ELEMENTS = "elements (x, y) or (x, y, weight)"


class Reader:
    """Passes over a data set that keep nothing in memory. `guard` reports errors of user code."""

    def __init__(self, dataset: Any, data: str, guard: Callable[[], Any], *, batched: bool) -> None:
        self.data, self.batched = data, batched
        self._dataset, self._guard = dataset, guard

    def __iter__(self) -> Iterator[Batch]:
        with self._guard():
            dataset = self._dataset
            if not self.batched:
                first = next(_elements(dataset))
                length = block_length(np.shape(first[0]), np.asarray(first[0]).dtype)
                dataset = dataset.batch(min(length, _MOST_AT_ONCE))
            for element in _elements(dataset):
                yield tuple(map(np.asarray, element))


class Stream:
    """Some examples of a `Reader`, always in its order, in the shape and type of the inputs they represent.

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

    @property
    def whole(self) -> "Stream":
        """All examples of the reader."""
        return Stream(self.reader, self._labels, self.shape[1:], self.dtype)

    def take(self, rows: RowNumbers) -> "Stream":
        """Return some of these examples; `rows` must ascend."""
        return Stream(self.reader, self._labels, self.shape[1:], self.dtype, self._rows[rows])

    def blocks(self) -> Iterator[Array]:
        """Yield the inputs of one pass, block by block.

        Raises:
            InputError: if the data set is not the same as before.

        """
        position = 0
        for x, y, *_ in self.reader:
            start, position = position, position + len(y)
            known = self._labels[start:position]
            if not same_labels(y, known):
                raise self._changed(f"other labels from example {start} on")
            chosen = self._chosen[start:position]
            if chosen.any():
                yield as_inputs(x[chosen], self.shape[1:], self.dtype)
        if position != len(self._labels):
            raise self._changed(f"{position} examples after {len(self._labels)}")

    def _changed(self, received: str) -> Exception:
        accepted = "the same examples in the same order: no shuffle(), or one with reshuffle_each_iteration=False"
        return refusal(f"data set of {self.reader.data} differs between passes", received, accepted)


def is_dataset(value: Any) -> bool:
    """Return whether a value is a `tf.data.Dataset` or a `PyDataset`."""
    tensorflow = sys.modules.get("tensorflow")  # whoever made one has imported its library, so this module need not
    return (tensorflow is not None and isinstance(value, tensorflow.data.Dataset)) or _is_indexed(value)


def _is_indexed(dataset: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(dataset, keras.utils.PyDataset)


def _elements(dataset: Any) -> Iterator[Any]:
    """Yield all elements, which are batches of a `PyDataset`. Its `on_epoch_end` is not called: it may shuffle."""
    if _is_indexed(dataset):
        return (dataset[batch] for batch in range(dataset.num_batches))
    return iter(dataset.as_numpy_iterator())


def read_datasets(
    datasets: Mapping[str, Any], data: str, limit: int, guard: Callable[[], Any]
) -> dict[str, Batch | Reader]:
    """Read sets, named as `raw_of` takes them: all into arrays, or none if one exceeds `limit` bytes."""
    read = {name: read_dataset(dataset, data, limit, guard) for name, dataset in datasets.items()}
    if any(isinstance(part, Reader) for part in read.values()):
        read = {name: read_dataset(dataset, data, 0, guard) for name, dataset in datasets.items()}
    return read


def raw_of(sets: Mapping[str, Batch | Reader]) -> Raw:
    """Combine sets named `train`, and `val` and `test` if given: `(x, y)` or `(x, y, weights)`, or readers of them."""
    arrays: dict[str, Any] = {}
    for name, part in sets.items():
        given = (part, part) if isinstance(part, Reader) else part
        arrays.update(zip((f"x_{name}", f"y_{name}", f"w_{name}"), given, strict=False))
    return Raw(**arrays)


def read_dataset(dataset: Any, data: str, limit: int, guard: Callable[[], Any]) -> Batch | Reader:
    """Read a data set into arrays, or only open it if its examples take more than `limit` bytes.

    Args:
        dataset: a `tf.data.Dataset`, batched or not, or a `PyDataset`.
        data: how the user named it.
        limit: bytes.
        guard: returns the context in which user code runs.

    Raises:
        InputError: for an empty or endless one, or elements other than `(x, y)` or `(x, y, weight)`.

    """
    unusable = f"unusable data set of {data}"
    elements: list[Any] = []
    inputs: list[str] = []
    outputs: list[str] = []
    held = 0

    def batched() -> bool:
        x, y = slice(len(inputs) or 1), slice(len(inputs) or 1, (len(inputs) or 1) + (len(outputs) or 1))
        return _is_indexed(dataset) or _is_batched(
            [(max(element[x], key=np.ndim), min(element[y], key=np.ndim)) for element in elements]
        )

    with guard():
        if (dataset.num_batches is None) if _is_indexed(dataset) else (int(dataset.cardinality()) == _ENDLESS):
            raise refusal(unusable, "an endless one", "a data set that ends, without repeat()")
        for element in _elements(dataset):
            if not isinstance(element, tuple | list) or len(element) not in (2, 3):
                kind = getattr(dataset, "element_spec", type(element).__name__)
                raise refusal(unusable, f"elements {kind}", _ELEMENTS)
            x, y, *w = element
            inputs = inputs or (list(x) if isinstance(x, Mapping) else [])
            outputs = outputs or (list(y) if isinstance(y, Mapping) else [])
            parts = (*([x[name] for name in inputs] or [x]), *([y[name] for name in outputs] or [y]), *w)
            elements.append(tuple(_as_array(part, unusable) for part in parts))
            held += sum(part.nbytes for part in elements[-1])
            if held > limit and len(elements) >= _EXAMINED:
                if inputs or outputs:
                    received = f"{listed(inputs + outputs)} of more than {limit:,} bytes"
                    raise refusal(unusable, received, "several inputs or outputs that fit into in_memory_mb")
                return Reader(dataset, data, guard, batched=batched())
    if not elements:
        raise refusal(unusable, "an empty one", "at least one (x, y)")
    join = np.concatenate if batched() else np.stack
    try:
        joined = [join(parts) for parts in zip(*elements, strict=True)]
    except ValueError as error:
        raise refusal(unusable, describe(error), "examples of one shape") from error
    given = iter(joined)

    def taken(names: list[str]) -> Any:
        return {name: next(given) for name in names} if names else next(given)

    return taken(inputs), taken(outputs), *given


def _as_array(values: Any, unusable: str) -> Array:
    try:
        return np.asarray(values)
    except Exception as error:  # foreign array types raise what they like
        raise refusal(unusable, describe(error), _ELEMENTS) from error


def _is_batched(elements: list[tuple[Array, Array]]) -> bool:
    """Return whether elements `(x, y)` are batches, judging by their shapes: TensorFlow does not say."""
    if any(x.ndim < (1 if x.dtype.kind in "OSU" else 2) or y.ndim < 1 or len(x) != len(y) for x, y in elements):
        return False
    # What remains are batches, and images with as many rows as their one-hot labels have classes.
    labels = [y for _, y in elements]
    equally_long = len({y.shape for y in labels}) == 1
    return not (equally_long and is_one_hot(np.stack(labels)))


_ACCEPTED = (
    "tf.train.Example records with a feature `image` (one encoded PNG, JPEG, BMP or GIF image, all of one size) or `x`"
    " (numbers, equally many in each), a feature `label` (one integer, text or float) and, optionally, `weight`"
)
_PATTERN = "*.tfrecord*"
_COMPRESSION = {".gz": "GZIP"}


def record_files(path: Path) -> list[Path]:
    """Return the files of a data set in TFRecord format: the file itself, or those of a folder sorted by name."""
    return sorted(file for file in path.glob(_PATTERN) if file.is_file()) if path.is_dir() else [path]


def read_records(path: Path, limit: int) -> Raw:
    """Read TFRecord files, or only open them if they hold more than `limit` bytes of data.

    In a folder, files with the word `val`, `valid` or `validation` in their name are the validation set, those with
    `test` the test set, and all others, or the only ones, the training set.

    Raises:
        InputError: if there is none, one is damaged, or its records are not as accepted.

    """
    sets: dict[str, list[Path]] = defaultdict(list)
    for file in record_files(path):
        sets[_set_of(file)].append(file)
    if "train" not in sets:
        sets = {"train": record_files(path)}

    guard = partial(reading, path, _ACCEPTED)
    with guard():
        datasets = {name: _dataset(files) for name, files in sets.items()}
    return raw_of(read_datasets(datasets, str(path), limit, guard))


def _set_of(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.name.lower())
    return "val" if "val" in map(SETS.get, words) else "test" if "test" in file.name else "train"


def _dataset(files: Sequence[Path]) -> Any:
    import tensorflow as tf  # no other file format needs it

    records = tf.data.TFRecordDataset([str(file) for file in files], _COMPRESSION.get(files[0].suffix, ""))
    first = next(records.as_numpy_iterator(), None)
    if first is None:
        raise refusal(f"{files[0]} is empty", "no record", _ACCEPTED)
    known = dict(tf.train.Example.FromString(first).features.feature)
    inputs = next((name for name in ("image", "x") if name in known), None)
    if inputs is None or "label" not in known:
        raise refusal(f"{files[0]} has unusable records", f"features {listed(sorted(known)) or 'none'}", _ACCEPTED)
    wanted = [name for name in (inputs, "label", "weight") if name in known]
    spec = {name: _spec(known[name], scalar=name != "x") for name in wanted}

    def decode(record: Any) -> Any:
        features = tf.io.parse_single_example(record, spec)
        x = features[inputs]
        if inputs == "image":
            x = tf.io.decode_image(x, expand_animations=False)
        return (x, *(features[name] for name in wanted[1:]))

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _spec(feature: Any, *, scalar: bool) -> Any:
    """Return how to parse a feature like this one."""
    import tensorflow as tf

    kind = feature.WhichOneof("kind") or "bytes_list"
    dtype = {"bytes_list": tf.string, "int64_list": tf.int64, "float_list": tf.float32}[kind]
    return tf.io.FixedLenFeature([] if scalar else [len(getattr(feature, kind).value)], dtype)
