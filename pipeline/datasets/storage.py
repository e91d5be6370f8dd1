"""Splits in one file: written whole or not at all, and byte for byte the same for the same splits."""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Splits
from pipeline.datasets.files import open_npz
from pipeline.datasets.refusals import reading
from pipeline.results import Scaling

_ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


def save(splits: Splits, path: str | Path) -> None:
    """Write `splits` to `path` as one uncompressed `.npz` without pickles, atomically; parent folders are made.

    Beside the six arrays it holds `meta`, a JSON text with task, classes, num_outputs and scaling. Equal splits give
    equal bytes: NumPy dates every entry of the archive 1980.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    arrays = {name: np.ascontiguousarray(getattr(splits, name)) for name in _ARRAYS}
    try:
        with temporary.open("xb") as file:
            np.savez(file, allow_pickle=False, meta=np.array(_meta(splits)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_splits(path: str | Path) -> Splits:
    """Read what `save` wrote.

    Raises:
        InputError: if the file is missing, damaged, or was not written by `save`.

    """
    path, accepted = Path(path), "an .npz written by the prepare stage"
    with reading(path, accepted), open_npz(path, accepted) as archive:
        meta: dict[str, Any] = json.loads(archive["meta"].item())
        arrays: dict[str, Array] = {name: archive[name] for name in _ARRAYS}
        return Splits(
            **arrays,
            task=meta["task"],
            classes=tuple(meta["classes"]),
            num_outputs=meta["num_outputs"],
            scaling=Scaling.model_validate(meta["scaling"]),
        )


def digests(splits: Splits) -> dict[str, str]:
    """Give the SHA-256, in hexadecimal, of each of the six arrays: over its dtype, shape and bytes in C order."""
    return {name: _array_digest(getattr(splits, name)) for name in _ARRAYS}


def _array_digest(array: Array) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _meta(splits: Splits) -> str:
    meta = {
        "task": splits.task,
        "classes": splits.classes,
        "num_outputs": splits.num_outputs,
        "scaling": splits.scaling.model_dump(),
    }
    return json.dumps(meta, sort_keys=True)
