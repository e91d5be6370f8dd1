"""Folders of images, one folder per class, as Keras' `image_dataset_from_directory` reads them."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw, RowNumbers
from pipeline.datasets.large import Rows
from pipeline.errors import reading, refusal

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
"""Keras' names of colour modes, and those of Pillow, which have a letter a channel."""

_TRAIN = "train"
SETS = {_TRAIN: _TRAIN, "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""How sets are called: folders stand for these, not for classes, if there are no others and one is called train."""

_ACCEPTED = "PNG, JPEG, BMP, GIF or WebP images of 8 bits per channel"
_GREY = frozenset({"1", "L", "LA"})
_DEEP = ("I", "F")  # the modes of 16 and 32 bits begin so
_ORIENTATION, _TURNED = 0x0112, range(5, 9)
"""The EXIF tag of the camera's orientation, and its values in which width and height are exchanged."""


def image_files(folder: Path) -> dict[str, Path]:
    """Find the images in the folders of a folder: relative name -> path, in the order of the names."""
    found = (path for path in folder.glob("*/**/*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in found))


def read_image_folder(folder: Path, limit: int, image_shape: Sequence[int] | None, color_mode: str) -> Raw:
    """Read images whose folder is their class; folders `train`, `val` and `test` have the classes below them.

    Args:
        folder: where they are.
        limit: bytes; images that would take more are decoded as they are used.
        image_shape: height and width that they are resized to; by default the medians.
        color_mode: a key of `MODES`, or `auto`: grey if all are, else RGB.

    Raises:
        InputError: if an image cannot be read.

    """
    files = image_files(folder)
    looked = [_looked_at(path) for path in files.values()]
    sizes = [size for size, _ in looked]
    height, width = image_shape or (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
    mode = MODES.get(color_mode) or ("L" if all(grey for _, grey in looked) else "RGB")
    large = len(files) * height * width * len(mode) > limit
    arrays: dict[str, Any] = {}
    for part, classes in _sets(files).items():
        images = Images(list(classes), height, width, mode)
        arrays[f"x_{part}"] = Rows(images, images.dtype) if large else images.decoded()
        arrays[f"y_{part}"] = np.array(list(classes.values()))
    done = [f"{height}x{width}", "grey" if mode == "L" else mode]
    if set(sizes) != {(height, width)}:
        done[0] = f"resized to {done[0]} from {len(set(sizes))} size{'s' if len(set(sizes)) > 1 else ''}"
    return Raw(**arrays, columns={"images": ", ".join([*done, *(["decoded as they are used"] if large else [])])})


class Images:
    """Images in files as an array of bytes [n, height, width, channels], of which chosen rows are decoded.

    They are kept decoded in a temporary file, from which they are read the next time. Where the disk is full, they are
    decoded each time.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], height: int, width: int, mode: str) -> None:
        self._paths, self._mode = paths, mode
        self.shape = (len(paths), height, width, len(mode))
        self._kept, self._lock = np.zeros(len(paths), np.bool_), Lock()

    @cached_property
    def _file(self) -> Any:
        return TemporaryFile(buffering=0)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, rows: RowNumbers) -> Array:
        """Read the chosen rows."""
        return np.stack([self._read(row) for row in rows.tolist()])

    def decoded(self) -> Array:
        """Decode all, to be held in memory."""
        return np.stack([self._decoded(row) for row in range(len(self))])

    def _read(self, row: int) -> Array:
        shape = self.shape[1:]
        size = math.prod(shape)
        with self._lock:  # the position in the file is shared
            if self._kept[row]:
                self._file.seek(row * size)
                return np.frombuffer(self._file.read(size), np.uint8).reshape(shape)
        pixels = self._decoded(row)
        with self._lock, suppress(OSError):
            self._file.seek(row * size)
            self._kept[row] = self._file.write(pixels.tobytes()) == size
        return pixels

    def _decoded(self, row: int) -> Array:
        from PIL import Image, ImageOps

        path, (height, width) = self._paths[row], self.shape[1:3]
        with reading(path, _ACCEPTED), Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert(self._mode)
            if upright.size != (width, height):
                upright = upright.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(upright, np.uint8).reshape(self.shape[1:])


def _sets(files: Mapping[str, Path]) -> dict[str, dict[Path, str]]:
    """Return the class of each image, for each set: those that folders at the top name, if they do, or one."""
    tops = {name.partition("/")[0] for name in files}
    named = _TRAIN in tops and len(tops) > 1 and tops <= SETS.keys() and all(name.count("/") > 1 for name in files)
    sets: dict[str, dict[Path, str]] = defaultdict(dict)
    for name, path in files.items():
        top, below = name.split("/")[:2]
        part, label = (SETS[top], below) if named else (_TRAIN, top)
        sets[part][path] = label
    return sets


def _looked_at(path: Path) -> tuple[tuple[int, int], bool]:
    """Return height and width of an image, and whether it is grey, without decoding it."""
    from PIL import Image

    with reading(path, _ACCEPTED), Image.open(path) as image:
        if image.mode.startswith(_DEEP):
            raise refusal(f"cannot use {path}", f"an image of mode {image.mode}", _ACCEPTED)
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
        return ((width, height) if turned else (height, width)), image.mode in _GREY
