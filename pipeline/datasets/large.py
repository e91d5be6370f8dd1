"""Inputs that stay on disk: rows of a memory-mapped array or of images in files, read on demand."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays import Array, Inputs, RowNumbers, named

BLOCK_BYTES = 16 * 2**20
"""Approximate bytes per read in a pass over inputs that are not held in memory."""

_PIECE = 32
"""Rows read between two releases: if the file is cached in large pages, each row read maps 2 MiB."""


class Rows:
    """Rows of an array on disk, in any order, in the shape and type of the inputs they represent."""

    def __init__(self, array: Any, dtype: npt.DTypeLike, rows: RowNumbers | None = None) -> None:
        """Choose rows of an array, or of what has a shape, a type and a length and gives an array for row numbers."""
        self._array = array
        self._rows = np.arange(len(array)) if rows is None else rows
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.shape = (len(self._rows), *with_channels(array.shape[1:]))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: slice | npt.NDArray[np.integer[Any]]) -> Array:
        """Read the chosen rows into memory."""
        rows = self._rows[chosen]
        values = np.empty((len(rows), *self._array.shape[1:]), self._array.dtype)
        for start in range(0, len(rows), _PIECE):
            piece = slice(start, start + _PIECE)
            values[piece] = self._array[rows[piece]]
            _release(self._array)
        return as_inputs(values, self.shape[1:], self.dtype)

    @property
    def whole(self) -> "Rows":
        """All rows of the array."""
        return Rows(self._array, self.dtype)

    def take(self, rows: RowNumbers) -> "Rows":
        """Return some of these rows, in the order given, without reading them."""
        return Rows(self._array, self.dtype, self._rows[rows])

    def blocks(self) -> Iterator[Array]:
        """Yield all rows in order, a few megabytes at a time."""
        return _pieces(self)


def blocks(x: Inputs) -> Iterator[Array]:
    """Yield all inputs in order, a few megabytes at a time."""
    return _pieces(x) if isinstance(x, np.ndarray) else x.blocks()


def _pieces(x: Inputs) -> Iterator[Array]:
    size = block_length(x.shape[1:], x.dtype)
    return (x[start : start + size] for start in range(0, len(x), size))


def take(x: Inputs, rows: RowNumbers) -> Inputs:
    """Return some rows of the inputs; inputs on disk stay there."""
    return x[rows] if isinstance(x, np.ndarray) else x.take(rows)


def head(x: Inputs, count: int) -> Array:
    """Return the first inputs, at most `count`, in memory."""
    first: Array = next(blocks(x))
    return first[:count]


def example(x: Inputs, count: int = 5) -> Any:
    """Return the first inputs as users have them: by name if there are several, and texts as text."""
    first = named(head(x, count))
    return {name: _text(values) for name, values in first.items()} if isinstance(first, dict) else _text(first)


def _text(x: Array) -> Array:
    return np.char.decode(x, "utf-8", "replace").astype(object) if x.dtype.kind == "S" else x


def block_length(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """Return the number of examples of this shape in a block."""
    return max(1, BLOCK_BYTES // (int(np.prod(shape)) * np.dtype(dtype).itemsize))


def with_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one example, with a channel axis for an image [height, width]."""
    return (*shape, 1) if len(shape) == 2 else shape


def as_inputs(values: Array, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Convert examples to the shape and type of the network's inputs."""
    return values.reshape(len(values), *shape).astype(dtype, copy=False)


def _release(array: Any) -> None:
    """Release the pages that were read; otherwise a pass would end with the whole file resident."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
