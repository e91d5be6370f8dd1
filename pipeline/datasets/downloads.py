"""Data sets that Keras downloads into its cache. Each file is checked at every use: it is as published, or refused.

CIFAR-10 comes as its binary version: that for Python, which Keras reads, consists of pickles.
"""

import socket
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.array_files import read_idx, read_npz
from pipeline.datasets.arrays import Array, Raw
from pipeline.errors import describe, refusal

DOWNLOAD_TIMEOUT = 30.0
"""Seconds without an answer after which a download fails."""


@dataclass(frozen=True)
class Download:
    """A data set: where its files come from, in a folder of Keras' cache, and how they are read."""

    origin: str
    sha256: dict[str, str]
    read: Callable[[Sequence[Path]], Raw]
    folder: str = "datasets"


def _read_npz(paths: Sequence[Path]) -> Raw:
    return read_npz(paths[0], sys.maxsize)


def _read_idx(paths: Sequence[Path]) -> Raw:
    x_train, y_train, x_test, y_test = (read_idx(path, rank) for path, rank in zip(paths, (3, 1, 3, 1), strict=True))
    return Raw(x_train, y_train, x_test, y_test)


_SIDE, _COLOURS = 32, 3


def _read_cifar(paths: Sequence[Path]) -> Raw:
    with tarfile.open(paths[0]) as archive:
        training = [_cifar_batch(archive, f"data_batch_{number}") for number in range(1, 6)]
        test = _cifar_batch(archive, "test_batch")
    x_train, y_train = (np.concatenate(parts) for parts in zip(*training, strict=True))
    return Raw(x_train, y_train, *test)


def _cifar_batch(archive: tarfile.TarFile, name: str) -> tuple[Array, Array]:
    """Read one file of the archive: for each image one byte of its class, and one plane of bytes for each colour."""
    file = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
    rows = np.frombuffer(file.read() if file else b"", np.uint8).reshape(-1, 1 + _COLOURS * _SIDE**2)
    return rows[:, 1:].reshape(-1, _COLOURS, _SIDE, _SIDE).transpose(0, 2, 3, 1), rows[:, 0]


_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"

DOWNLOADS = {
    "mnist": Download(
        _KERAS,
        {"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
        _read_npz,
    ),
    "fashion_mnist": Download(
        _KERAS,
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        _read_idx,
        folder="datasets/fashion-mnist",
    ),
    "cifar10": Download(
        "https://www.cs.toronto.edu/~kriz",
        {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
        _read_cifar,
    ),
}


def download(name: str) -> Raw:
    """Load a data set of `DOWNLOADS` from Keras' cache, and download what is not there, or is not as published.

    Raises:
        InputError: if a file cannot be downloaded, or is not the published one.

    """
    import keras  # loads TensorFlow, which other sources do not need

    wanted = DOWNLOADS[name]
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        paths = [
            keras.utils.get_file(file, f"{wanted.origin}/{file}", file_hash=digest, cache_subdir=wanted.folder)
            for file, digest in wanted.sha256.items()
        ]
    except Exception as error:  # Keras raises a bare Exception when a download fails
        offline = "without a network, one of mnist-5k, digits, a path, or module:function"
        raise refusal(f"cannot download {name}", describe(error), offline) from error
    finally:
        socket.setdefaulttimeout(previous)
    return wanted.read([Path(path) for path in paths])
