"""Reading IDX files, the format of MNIST's distribution."""

import gzip
import math
from pathlib import Path

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.errors import reading, refusal

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
