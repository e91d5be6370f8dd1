"""Splits in one file, written whole or not at all, with equal bytes for equal splits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pipeline.datasets.array_files import open_npz
from pipeline.datasets.arrays import (
    Array,
    Index,
    Inputs,
    PrepareResult,
    Raw,
    Scalings,
    Splits,
    input_shape,
    plain_labels,
)
from pipeline.datasets.large import Rows, as_inputs, blocks, with_channels
from pipeline.datasets.sources import read
from pipeline.datasets.splits import assemble
from pipeline.datasets.streams import Reader, Stream
from pipeline.errors import reading, refusal
from pipeline.files import whole_file

_ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
_SCALINGS: TypeAdapter[Scalings] = TypeAdapter(Scalings)
_WEIGHTS = ("w_train", "w_val", "w_test")


def save(splits: Splits, path: str | Path, data: str = "", target: str = "") -> None:
    """Write `splits` to `path` as one uncompressed `.npz` without pickles, atomically; parent folders are made.

    Besides the arrays it holds `meta`, a JSON text with task, classes, num_outputs and scaling. Equal splits give
    equal bytes: NumPy dates every entry of the archive 1980. Inputs that are not held in memory are not written:
    the file holds row numbers and all labels instead, with which `load_splits` opens `data` again.
    """
    if splits.index is None:
        arrays, meta = _held(splits), _meta(splits)
    else:
        arrays = {name: values for name, values in vars(splits.index).items() if values is not None}
        x = splits.x_train
        meta = {**_meta(splits), "data": data, "target": target, "shape": x.shape[1:], "dtype": x.dtype.str}
    with whole_file(Path(path)) as file:
        np.savez(file, allow_pickle=False, meta=np.array(json.dumps(meta, sort_keys=True)), **arrays)


def load_splits(path: str | Path) -> Splits:
    """Read what `save` wrote; if that holds row numbers, open the source again.

    Raises:
        InputError: if the file is missing, damaged, or was not written by `save`, or the source has changed.

    """
    path, accepted = Path(path), "an .npz written by the prepare stage"
    with reading(path, accepted), open_npz(path, accepted) as archive:
        meta: dict[str, Any] = json.loads(archive["meta"].item())
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files if name != "meta"}
        scaling = _SCALINGS.validate_python(meta["scaling"])
        if "data" not in meta:
            return Splits(
                **arrays,
                task=meta["task"],
                classes=tuple(meta["classes"]),
                num_outputs=meta["num_outputs"],
                scaling=scaling,
            )
        index = Index(test=arrays.pop("test", None), **arrays)
    return assemble(_reopened(meta, index), index.train, index.val, index.test, scaling)


def _reopened(meta: dict[str, Any], index: Index) -> Raw:
    """Open the source again. Its inputs are not read through: their shape and type are in `meta`."""
    raw = read(meta["data"], meta["target"], 0)

    def verified(x: Inputs, y: Array, labels: Array, name: str) -> Inputs:
        shape, dtype = tuple(meta["shape"]), meta["dtype"]
        if isinstance(x, Reader):
            return Stream(x, labels, shape, dtype)  # compares the labels as it reads them
        same = len(x) == len(labels) and with_channels(x.shape[1:]) == shape
        if not same or not np.array_equal(plain_labels(y, name), labels):
            raise refusal(f"{meta['data']} has changed since it was prepared", f"other {name}", "the same data")
        return Rows(x, dtype) if isinstance(x, np.memmap) else as_inputs(x, shape, dtype)

    x_train = verified(raw.x_train, raw.y_train, index.labels, "labels")
    if index.labels_test is None or raw.y_test is None:
        return Raw(x_train, index.labels, w_train=index.weights)
    x_test = verified(raw.x_test, raw.y_test, index.labels_test, "labels of the test set")
    return Raw(x_train, index.labels, x_test, index.labels_test, None, index.weights, index.weights_test)


def _held(splits: Splits) -> dict[str, Array]:
    present = (name for name in (*_ARRAYS, *_WEIGHTS) if getattr(splits, name) is not None)
    return {name: np.ascontiguousarray(getattr(splits, name)) for name in present}


def digests(splits: Splits) -> dict[str, str]:
    """Return the SHA-256, in hexadecimal, of each array, also on disk: of its dtype, shape and bytes in C order."""
    present = (name for name in (*_ARRAYS, *_WEIGHTS) if getattr(splits, name) is not None)
    return {name: _array_digest(getattr(splits, name)) for name in present}


def _array_digest(array: Inputs) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    for block in blocks(array):
        digest.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _meta(splits: Splits) -> dict[str, Any]:
    return {
        "task": splits.task,
        "classes": splits.classes,
        "num_outputs": splits.num_outputs,
        "scaling": _SCALINGS.dump_python(splits.scaling),
    }


def prepared(data: str, splits: Splits, digests: Mapping[str, str], columns: Mapping[str, str]) -> PrepareResult:
    """Return what is known of a source's data after splitting."""
    return PrepareResult(
        data=data,
        task=splits.task,
        input_shape=input_shape(splits.x_train),
        num_outputs=splits.num_outputs,
        classes=splits.classes,
        train_examples=len(splits.x_train),
        validation_examples=len(splits.x_val),
        test_examples=len(splits.x_test),
        scaling=splits.scaling,
        digests=dict(digests),
        columns=dict(columns),
    )
