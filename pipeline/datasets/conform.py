"""Validation of users' data: afterwards shapes and types are as `Raw` promises."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.datasets.arrays import (
    Array,
    Inputs,
    Raw,
    are_bytes,
    check_inputs,
    check_names,
    finite_float32,
    named,
    pack,
    plain_texts,
    plain_weights,
)
from pipeline.datasets.encoding import Table
from pipeline.datasets.labels import TASK_AUTO, is_one_hot, label_array, label_kind, plain_labels, task_of
from pipeline.datasets.large import Rows, as_inputs, with_channels
from pipeline.datasets.streams import Reader, Stream
from pipeline.errors import refusal

_CLASSES = (TASK_AUTO, "classification")

_Examples = tuple[Inputs, Array, Array | None]
_TEXTS = frozenset("OSU")
"""Kinds of arrays that may hold texts."""

_Given = tuple[Inputs | None, Array | None, Array | None]


def conform(raw: Raw, task: str = TASK_AUTO) -> Raw:
    """Check `raw` and bring it to the shapes and types that `Raw` promises; conforming data passes unchanged.

    Images without a channel axis get one. Integer and boolean images within 0..255 become uint8, other images and all
    tables float32. Labels become what `plain_labels` says, by the option `task`. Memory-mapped arrays and data sets
    read in passes are read once, but not loaded.

    Raises:
        InputError: for empty sets, other shapes or types, values that are not finite, or sets that do not fit together.

    """
    x, y, w = _examples(raw.x_train, raw.y_train, raw.w_train, "train", task)
    if getattr(raw.y_train, "ndim", 1) > y.ndim and raw.y_train.shape[1] > 1:
        raw = replace(raw, columns={"labels": "one-hot rows, as class numbers", **(raw.columns or {})})
    # By chance, all examples of a smaller set may have a single label.
    like = "multi_label" if task_of(y) == "multi_label" else task
    x_val, y_val, w_val = _given((raw.x_val, raw.y_val, raw.w_val), "val", x, y, like)
    x_test, y_test, w_test = _given((raw.x_test, raw.y_test, raw.w_test), "test", x, y, like)
    sets = {"x_train": x, "y_train": y, "w_train": w, "x_val": x_val, "y_val": y_val, "w_val": w_val}
    return replace(raw, **sets, x_test=x_test, y_test=y_test, w_test=w_test)


def _given(given: _Given, part: str, x_train: Inputs, y_train: Array, task: str) -> _Given:
    """Check a validation or test set that the source gives, if it does, also against the training set."""
    x, y, w = given
    if x is None and y is None:
        if w is not None:
            accepted = f"x_{part} and y_{part} as well, or no w_{part}"
            raise refusal(f"{part} set is incomplete", "only weights", accepted)
        return given
    if x is None or y is None:
        lacking = f"x_{part}" if x is None else f"y_{part}"
        raise refusal(f"{part} set is incomplete", f"no {lacking}", f"both x_{part} and y_{part}, or neither")
    x, y, w = _examples(x, y, w, part, task)
    if not isinstance(x_train, Table):
        _check_alike(x_train, x, part)
    if label_kind(y_train) != label_kind(y):
        raise refusal(f"y_{part} is not like y_train", label_kind(y), f"{label_kind(y_train)}, as y_train")
    return x, y, w


def _check_alike(x_train: Inputs, x: Inputs, part: str) -> None:
    if x_train.shape[1:] != x.shape[1:]:
        raise refusal(f"x_{part} is not like x_train", f"examples of shape {x.shape[1:]}", str(x_train.shape[1:]))
    if not _alike(x_train.dtype, x.dtype):
        raise refusal(f"x_{part} is not like x_train", f"values that need {x.dtype}", f"{x_train.dtype}, as x_train")


def _alike(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Return whether two types hold the same, though their longest texts may differ."""
    if one.names and one.names == other.names:
        return all(_alike(one[name], other[name]) for name in one.names)
    return one == other or (one.base.kind == other.base.kind == "S" and one.shape == other.shape)


def _examples(x: Inputs, y: Array, w: Array | None, part: str, task: str) -> _Examples:
    if isinstance(x, Reader):
        return _surveyed(x, part, task)
    if isinstance(x, np.ndarray) and x.dtype.kind == "V":  # a file may hold any structure
        x = named(x)
    if isinstance(x, Mapping):
        x = _packed(x, f"x_{part}")
    elif not isinstance(x, Rows | Stream | Table):  # else already validated
        mapped = isinstance(x, np.memmap) and x.dtype.kind not in _TEXTS
        x = _mapped(x, f"x_{part}") if mapped else _inputs(x, f"x_{part}")
    y = plain_labels(y, f"y_{part}", task)
    if y.dtype.names and not isinstance(x, np.ndarray):
        accepted = "arrays, or a larger in_memory_mb"
        raise refusal(f"y_{part} has labels for several outputs", "inputs that stay on disk", accepted)
    if len(x) != len(y):
        raise refusal(f"x_{part} and y_{part} differ in length", f"{len(x)} and {len(y)}", "one label per example")
    if w is None:
        return x, y, None
    w = plain_weights(w, f"weights of {part}")
    if len(w) != len(y):
        raise refusal(f"weights of {part} are unusable", f"{len(w)} for {len(y)} examples", "one per example")
    return x, y, w


def _inputs(x: Array, name: str) -> Array:
    if x.dtype.kind in _TEXTS:
        return plain_texts(x, name)
    check_inputs(x, name)
    x = x.reshape(len(x), *with_channels(x.shape[1:]))
    return x.astype(np.uint8, copy=False) if are_bytes(x) else finite_float32(x, name)


def _packed(inputs: Mapping[str, Array], name: str) -> Array:
    check_names(inputs, name)
    return pack(
        {part: _inputs(values, f"{name}[{part!r}]") for part, values in inputs.items()}, f"the inputs of {name}"
    )


def _mapped(x: Array, name: str) -> Rows:
    check_inputs(x, name)
    return Rows(x, _survey(Rows(x, x.dtype).blocks(), name))


def _survey(blocks: Iterable[Array], name: str) -> np.dtype[np.generic]:
    """Read and check all blocks; return the type for their inputs."""
    as_bytes, count = True, 0
    for block in blocks:
        as_bytes = as_bytes and are_bytes(block)
        if block.dtype.kind == "f":
            finite_float32(block, name, first=count)
        count += len(block)
    return np.dtype(np.uint8 if as_bytes else np.float32)


def _surveyed(reader: Reader, part: str, task: str) -> _Examples:
    """Read a data set once: keep its labels and weights, and find the shape and type of its inputs."""
    shapes: set[tuple[int, ...]] = set()
    labels: list[Array] = []
    weights: list[Array] = []
    width = 1

    def inputs() -> Iterable[Array]:
        nonlocal width
        for x, y, *w in reader:
            if x.dtype.kind in _TEXTS:
                raise refusal(f"x_{part} may be too large for memory", "texts", "texts with a larger in_memory_mb")
            check_inputs(x, f"x_{part}")
            if len({len(values) for values in (x, y, *w)}) != 1:
                raise refusal(f"x_{part} and y_{part} differ in length", f"{len(x)} and {len(y)}", "one label each")
            shapes.add(with_channels(x.shape[1:]))
            labels.append(y.argmax(axis=1) if is_one_hot(y) and task in _CLASSES else label_array(y, f"y_{part}"))
            width = max(width, y[:1].size)
            weights.extend(np.asarray(values) for values in w)
            yield as_inputs(x, with_channels(x.shape[1:]), x.dtype)

    dtype = _survey(inputs(), f"x_{part}")
    if len(shapes) != 1:
        raise refusal(f"x_{part} has an unusable shape", f"examples of shapes {sorted(shapes)}", "one shape")
    y_all = plain_labels(_joined(labels, width), f"y_{part}", task)
    stream = Stream(reader, y_all, shapes.pop(), dtype)
    w_all = plain_weights(np.concatenate(weights), f"weights of {part}") if weights else None
    return stream, y_all, w_all


def _joined(labels: list[Array], width: int) -> Array:
    """Join the labels of blocks. One-hot blocks are class numbers already, unless others show that it was by chance."""
    if any(block.ndim > 1 for block in labels):
        labels = [block if block.ndim > 1 else np.eye(width, dtype=np.uint8)[block] for block in labels]
    return np.concatenate(labels)
