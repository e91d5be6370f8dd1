"""Folders of images, one folder per class, as Keras' `image_dataset_from_directory` reads them."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.errors import reading, refusal

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})

_TRAIN, _TEST = "train", "test"
_ACCEPTED = "PNG, JPEG, BMP, GIF or WebP images of 8 bits per channel"
_GREY = frozenset({"1", "L", "LA"})
_DEEP = ("I", "F")  # the modes of 16 and 32 bits begin so
_ORIENTATION, _TURNED = 0x0112, range(5, 9)
"""The EXIF tag of the camera's orientation, and its values in which width and height are exchanged."""


def image_files(folder: Path) -> dict[str, Path]:
    """Find the images in the folders of a folder: relative name -> path, in the order of the names."""
    found = (path for path in folder.glob("*/**/*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in found))


def read_image_folder(folder: Path, limit: int) -> Raw:
    """Read images whose folder is their class; a folder with `train` and `test` has the classes below these.

    Images of several sizes are resized to their median height and width, and of several colour modes to RGB.

    Raises:
        InputError: if an image cannot be read, or all would take more than `limit` bytes.

    """
    files = image_files(folder)
    given = {name.partition("/")[0] for name in files} == {_TRAIN, _TEST}
    sets = {part: [path for name, path in files.items() if name.startswith(f"{part}/")] for part in (_TRAIN, _TEST)}
    if not given:
        sets = {_TRAIN: list(files.values())}
    looked = [_looked_at(path) for path in files.values()]
    sizes = [size for size, _ in looked]
    height, width = (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
    mode = "L" if all(grey for _, grey in looked) else "RGB"
    needed = len(files) * height * width * len(mode)
    if needed > limit:
        accepted = "a larger in_memory_mb, smaller images, or TFRecord files"
        raise refusal(f"images of {folder} are too large for memory", f"{needed:,} bytes", accepted)
    arrays: dict[str, Any] = {}
    for part, paths in sets.items():
        root = folder / part if given else folder
        arrays[f"x_{part}"] = np.stack([_pixels(path, height, width, mode) for path in paths])
        arrays[f"y_{part}"] = np.array([path.relative_to(root).parts[0] for path in paths])
    changed = (
        f"resized to {height}x{width} from {len(set(sizes))} sizes" if len(set(sizes)) > 1 else f"{height}x{width}"
    )
    return Raw(**arrays, columns={"images": f"{changed}, {'grey' if mode == 'L' else 'RGB'}"})


def _looked_at(path: Path) -> tuple[tuple[int, int], bool]:
    """Return height and width of an image, and whether it is grey, without decoding it."""
    from PIL import Image

    with reading(path, _ACCEPTED), Image.open(path) as image:
        if image.mode.startswith(_DEEP):
            raise refusal(f"cannot use {path}", f"an image of mode {image.mode}", _ACCEPTED)
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
        return ((width, height) if turned else (height, width)), image.mode in _GREY


def _pixels(path: Path, height: int, width: int, mode: str) -> Array:
    from PIL import Image, ImageOps

    with reading(path, _ACCEPTED), Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert(mode)
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(upright, np.uint8)
