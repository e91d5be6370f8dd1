"""Small data of every kind, and files written by hand, not by the code under test."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw, load

Array = np.ndarray[Any, np.dtype[Any]]


def idx_bytes(values: Array) -> bytes:
    """Write `values` as an IDX file of unsigned bytes."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def mnist_5k() -> Raw:
    """Return the default data, loaded once: their package takes seconds to parse them."""
    return load("mnist-5k")


@pytest.fixture
def image_sets() -> dict[str, Array]:
    """Return 60 training and 20 test images of 5x4 pixels in 3 classes, all bytes random."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (60, 5, 4), dtype=np.uint8),
        "y_train": np.arange(60, dtype=np.uint8) % 3,
        "x_test": rng.integers(0, 256, (20, 5, 4), dtype=np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 3,
    }


@pytest.fixture
def write_idx(tmp_path: Path, image_sets: dict[str, Array]) -> Callable[..., Path]:
    """Return a writer of an IDX folder: `mark` is "-" or "." before "idx", `gzipped` adds `.gz`."""

    def write(mark: str = "-", *, gzipped: bool = False) -> Path:
        stems = {"x_train": "train-images", "y_train": "train-labels", "x_test": "t10k-images", "y_test": "t10k-labels"}
        for name, values in image_sets.items():
            path = tmp_path / f"{stems[name]}{mark}idx{values.ndim}-ubyte{'.gz' if gzipped else ''}"
            content = idx_bytes(values)
            path.write_bytes(gzip.compress(content) if gzipped else content)
        return tmp_path

    return write
