"""Files of arrays: `.npy`, `.npz` and IDX, the format of MNIST's distribution.

`.npy` and uncompressed `.npz` are memory-mapped if they are too large for memory.
"""

import gzip
import hashlib
import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.errors import reading, refusal

_LOCAL_HEADER = 30
"""Bytes of a zip member's local header. The last four are the lengths of the name and the extra field that follow."""

NAMES = tuple(f"{letter}_{part}" for part in ("train", "val", "test") for letter in "xyw")
"""The names of arrays in files; only x_train and y_train are required."""

_FOLDER = "a folder with x_train.npy, y_train.npy and, optionally, x_val.npy, y_val.npy, x_test.npy, y_test.npy"


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        InputError: if there is no such file or it cannot be read.

    """
    path = Path(path)
    with reading(path, "a readable file"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_npz(path: Path, limit: int) -> Raw:
    """Read an `.npz` with arrays x_train, y_train and, optionally, those of `NAMES`. Pickles are refused.

    These are a validation set, a test set, and weights of the examples. Beyond `limit` bytes in all, the inputs are
    mapped.

    Raises:
        InputError: if it is missing, damaged, not an `.npz`, holds pickles, or lacks x_train or y_train.

    """
    accepted = "an .npz without pickles, with arrays x_train, y_train and, optionally, x_val, y_val, x_test, y_test"
    with reading(path, accepted), open_npz(path, accepted) as archive:
        missing = [name for name in ("x_train", "y_train") if name not in archive.files]
        if missing:
            raise refusal(f"{path} lacks {' and '.join(missing)}", ", ".join(archive.files) or "no arrays", accepted)
        if uncompressed_size(path) > limit:
            return raw_of_arrays(map_npz(path), limit)
        return raw_of_arrays({name: np.asarray(archive[name]) for name in NAMES if name in archive.files}, limit)


def open_npz(path: Path, accepted: str) -> np.lib.npyio.NpzFile:
    """Open an `.npz` without allowing pickles, which would run code from the file.

    Raises:
        InputError: if it is not a zip archive; NumPy would take it for a pickle and advise allowing those.

    """
    if path.exists() and not zipfile.is_zipfile(path):
        raise refusal(f"{path} is not an .npz", "not a zip archive, or a truncated one", accepted)
    archive: np.lib.npyio.NpzFile = np.load(path, allow_pickle=False)
    return archive


def map_npz(path: Path) -> dict[str, Array]:
    """Map the arrays of an uncompressed `.npz`: each member is a `.npy` at an offset of the file.

    Raises:
        InputError: if a member is compressed or holds pickles.

    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name not in NAMES:
                continue
            if member.compress_type != zipfile.ZIP_STORED:
                accepted = "an uncompressed one (numpy.savez, not savez_compressed), or a larger in_memory_mb"
                raise refusal(
                    f"{path} is compressed and too large for memory", f"{uncompressed_size(path):,} bytes", accepted
                )
            file.seek(member.header_offset + _LOCAL_HEADER - 4)
            lengths = np.frombuffer(file.read(4), "<u2")
            file.seek(int(lengths.sum()), os.SEEK_CUR)
            arrays[name] = _map_npy(file, path)
    return arrays


def uncompressed_size(path: Path) -> int:
    """Return the bytes that all arrays of an `.npz` would take in memory."""
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def is_npy_folder(folder: Path) -> bool:
    """Return whether a folder holds its data as `.npy` files."""
    return (folder / "x_train.npy").is_file()


def npy_files(folder: Path) -> dict[str, Path]:
    """Find the arrays of a folder of `.npy` files: array name -> path."""
    found = {name: folder / f"{name}.npy" for name in NAMES if (folder / f"{name}.npy").is_file()}
    if "y_train" not in found:
        raise refusal("folder lacks y_train.npy", folder, _FOLDER)
    return found


def read_npy_folder(folder: Path, limit: int) -> Raw:
    """Read a folder of `.npy` files; beyond `limit` bytes in all, the inputs are mapped.

    Raises:
        InputError: if a file is missing, damaged or holds pickles.

    """
    arrays = {}
    for name, path in npy_files(folder).items():
        with reading(path, "a .npy file without pickles"), path.open("rb") as file:
            arrays[name] = _map_npy(file, path)
    return raw_of_arrays(arrays, limit)


def raw_of_arrays(arrays: dict[str, Array], limit: int) -> Raw:
    """Combine named arrays. Mapped inputs stay mapped only if all arrays together exceed `limit` bytes."""
    large = sum(values.nbytes for values in arrays.values()) > limit
    held: dict[str, Any] = {
        name: values if large and name.startswith("x_") else np.asarray(values) for name, values in arrays.items()
    }
    return Raw(**held)


def _map_npy(file: BinaryIO, path: Path) -> Array:
    """Map the `.npy` that begins at the current position of `file`."""
    version = np.lib.format.read_magic(file)
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise refusal(f"{path} holds Python objects", f"dtype {dtype}", "numbers, booleans or text, without pickles")
    if not np.prod(shape):
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


IDX_STEMS = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
_IDX_RANKS = {"x_train": 3, "y_train": 1, "x_test": 3, "y_test": 1}
_IDX_UINT8 = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def idx_files(folder: Path) -> dict[str, Path]:
    """Find the four IDX files of `folder`: array name -> path. An uncompressed file is preferred to its `.gz`.

    Raises:
        InputError: if one of the four is missing.

    """
    found = {}
    for name, stem in IDX_STEMS.items():
        spellings = [f"{stem}{mark}idx{_IDX_RANKS[name]}-ubyte{suffix}" for suffix in ("", ".gz") for mark in "-."]
        path = next((folder / spelling for spelling in spellings if (folder / spelling).is_file()), None)
        if path is None:
            raise refusal(f"folder lacks IDX {stem}", folder, f"a folder with one of {', '.join(spellings)}")
        found[name] = path
    return found


def read_idx_folder(folder: Path) -> Raw:
    """Read the four IDX files of MNIST's distribution, gzipped or not.

    Raises:
        InputError: if a file is missing or damaged.

    """
    files = idx_files(folder)
    x_train, y_train, x_test, y_test = (read_idx(path, _IDX_RANKS[name]) for name, path in files.items())
    return Raw(x_train, y_train, x_test, y_test)


def read_idx(path: Path, rank: int) -> Array:
    """Read one IDX file of unsigned bytes with `rank` dimensions, gzipped or not: uint8, shaped as its header says.

    The header is two zero bytes, the type's code, the number of dimensions, and each length as a big-endian uint32.

    Raises:
        InputError: if it is missing, damaged, of another type or rank, or not as long as its header says.

    """
    accepted = f"an IDX file of unsigned bytes with {rank} dimension{'s' if rank > 1 else ''}, gzipped or not"
    with reading(path, accepted):
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    magic, header = bytes((0, 0, _IDX_UINT8, rank)), 4 + 4 * rank
    if content[:4] != magic or len(content) < header:
        received = f"{len(content)} bytes starting {content[:4].hex()!r}"
        raise refusal(f"cannot read {path}", received, f"{accepted} (starting {magic.hex()!r})")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", count=rank, offset=4))
    if len(content) - header != math.prod(shape):
        received = f"{len(content) - header} bytes after the header"
        raise refusal(f"cannot read {path}", received, f"{math.prod(shape)}, for the shape {shape} in the header")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
