"""Splits in one file, written whole or not at all, with equal bytes for equal splits."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pipeline.datasets.array_files import open_npz
from pipeline.datasets.arrays import (
    Array,
    Index,
    Inputs,
    Output,
    PrepareResult,
    Raw,
    Scalings,
    Splits,
    input_shape,
)
from pipeline.datasets.labels import same_labels
from pipeline.datasets.large import Rows, as_inputs, blocks, with_channels
from pipeline.datasets.sources import read
from pipeline.datasets.splits import assemble
from pipeline.datasets.streams import Reader, Stream
from pipeline.errors import reading, refusal
from pipeline.files import whole_file

_ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
_SCALINGS: TypeAdapter[Scalings] = TypeAdapter(Scalings)
_OUTPUTS: TypeAdapter[dict[str, Output]] = TypeAdapter(dict[str, Output])
_WEIGHTS = ("w_train", "w_val", "w_test")


def save(splits: Splits, path: str | Path, data: str = "", target: str = "", **options: Any) -> None:
    """Write `splits` to `path` as one uncompressed `.npz` without pickles, atomically; parent folders are made.

    Besides the arrays it holds `meta`, a JSON text with what the labels are, and scaling. Equal splits give
    equal bytes: NumPy dates every entry of the archive 1980. Inputs that are not held in memory are not written:
    the file holds row numbers and all labels instead, with which `load_splits` opens `data` again, as `read` takes it
    with `target` and further options.
    """
    if splits.index is None:
        arrays, meta = _held(splits), _meta(splits)
    else:
        arrays = {name: values for name, values in vars(splits.index).items() if values is not None}
        x = splits.x_train
        source = {"data": data, "target": target, **options}
        meta = {**_meta(splits), "source": source, "shape": x.shape[1:], "dtype": x.dtype.str}
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
        if "source" not in meta:
            return Splits(
                **arrays,
                task=meta["task"],
                classes=tuple(meta["classes"]),
                num_outputs=meta["num_outputs"],
                scaling=scaling,
                outputs=_OUTPUTS.validate_python(meta["outputs"]),
            )
        index = Index(val=arrays.pop("val", None), test=arrays.pop("test", None), **arrays)
    return assemble(_reopened(meta, index), index.train, index.val, index.test, scaling)


def _reopened(meta: dict[str, Any], index: Index) -> Raw:
    """Open the source again. Its inputs are not read through: their shape and type are in `meta`."""
    source = meta["source"]
    raw = read(**source, limit=0)

    def verified(x: Inputs, y: Any, labels: Array, name: str) -> Inputs:
        shape, dtype = tuple(meta["shape"]), meta["dtype"]
        if isinstance(x, Reader):
            return Stream(x, labels, shape, dtype)  # compares the labels as it reads them
        known = x is not None and y is not None and len(x) == len(labels) and with_channels(x.shape[1:]) == shape
        if not known or not same_labels(y, labels):
            raise refusal(f"{source['data']} has changed since it was prepared", f"other {name}", "the same data")
        if isinstance(x, Rows):
            return x
        return Rows(x, dtype) if isinstance(x, np.memmap) else as_inputs(x, shape, dtype)

    x_train = verified(raw.x_train, raw.y_train, index.labels, "labels")
    known = Raw(x_train, index.labels, w_train=index.weights)
    if index.labels_val is not None:
        x_val = verified(raw.x_val, raw.y_val, index.labels_val, "labels of the validation set")
        known = replace(known, x_val=x_val, y_val=index.labels_val, w_val=index.weights_val)
    if index.labels_test is not None:
        x_test = verified(raw.x_test, raw.y_test, index.labels_test, "labels of the test set")
        known = replace(known, x_test=x_test, y_test=index.labels_test, w_test=index.weights_test)
    return known


def _held(splits: Splits) -> dict[str, Array]:
    present = (name for name in (*_ARRAYS, *_WEIGHTS) if getattr(splits, name) is not None)
    return {name: np.ascontiguousarray(getattr(splits, name)) for name in present}


def digests(splits: Splits) -> dict[str, str]:
    """Return the SHA-256, in hexadecimal, of each array, also on disk: of its dtype, shape and bytes in C order."""
    present = (name for name in (*_ARRAYS, *_WEIGHTS) if getattr(splits, name) is not None)
    return {name: _array_digest(getattr(splits, name)) for name in present}


def _array_digest(array: Inputs) -> str:
    # Of several inputs or outputs, the names count too.
    dtype = array.dtype.descr if array.dtype.names else array.dtype.str
    digest = hashlib.sha256(f"{dtype}{array.shape}".encode())
    for block in blocks(array):
        digest.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _meta(splits: Splits) -> dict[str, Any]:
    return {
        "task": splits.task,
        "classes": splits.classes,
        "num_outputs": splits.num_outputs,
        "scaling": _SCALINGS.dump_python(splits.scaling),
        "outputs": _OUTPUTS.dump_python(dict(splits.outputs)),
    }


def prepared(
    data: str,
    splits: Splits,
    digests: Mapping[str, str],
    columns: Mapping[str, str],
    *,
    validation_given: bool = False,
) -> PrepareResult:
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
        validation_given=validation_given,
        outputs=dict(splits.outputs),
    )
