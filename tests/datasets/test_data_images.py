"""Folders of images, one folder per class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import load, source_digest, split
from pipeline.errors import InputError


def write(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 6), value: int = 100, **options: Any) -> None:
    """Write an image (width, height) of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if len(mode) == 1 else (value,) * len(mode)).save(path, **options)


def pets(folder: Path, **options: Any) -> Path:
    """Return a folder with two classes of ten images, cats dark and dogs light."""
    for name, value in (("cat", 50), ("dog", 200)):
        for number in range(10):
            write(folder / name / f"{number}.png", value=value, **options)
    return folder


def test_folders_are_classes(tmp_path: Path) -> None:
    """Their names, in order, and the pixels as they are."""
    splits = split(load(str(pets(tmp_path))), seed=0)
    assert splits.classes == ("cat", "dog")
    assert (splits.x_train.shape, splits.x_train.dtype) == ((12, 6, 8, 3), np.uint8)
    np.testing.assert_array_equal(splits.x_train[:, 0, 0, 0], np.where(splits.y_train == 0, 50, 200))


def test_images_of_all_kinds_become_alike(tmp_path: Path) -> None:
    """Of the median size, in colour, without transparency; what was done is said."""
    pets(tmp_path)
    for number in range(10):
        write(tmp_path / "cat" / f"grey{number}.png", "L", (8, 4))
        write(tmp_path / "dog" / "deep" / f"alpha{number}.webp", "RGBA", (12, 6))
    raw = load(str(tmp_path))
    assert raw.x_train.shape == (40, 6, 8, 3)
    assert raw.columns == {"images": "resized to 6x8 from 3 sizes, RGB"}
    assert np.unique(raw.y_train, return_counts=True)[1].tolist() == [20, 20]


def test_grey_images_stay_grey(tmp_path: Path) -> None:
    """With one channel."""
    assert load(str(pets(tmp_path, mode="L"))).x_train.shape == (20, 6, 8, 1)


def test_a_camera_held_upright_is_seen(tmp_path: Path) -> None:
    """Its EXIF orientation exchanges width and height."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        write(tmp_path / name / "1.jpg", exif=exif)
    assert load(str(tmp_path)).x_train.shape == (2, 8, 6, 3)


def test_an_official_test_set_is_kept(tmp_path: Path) -> None:
    """In folders called train and test."""
    pets(tmp_path / "train")
    pets(tmp_path / "test", size=(8, 6))
    splits = split(load(str(tmp_path)), seed=0)
    assert (splits.classes, len(splits.x_test), len(splits.x_train)) == (("cat", "dog"), 20, 16)


def test_another_image_is_other_data(tmp_path: Path) -> None:
    """So that nothing is reused that came of the old ones."""
    pets(tmp_path)
    before = source_digest(str(tmp_path))
    write(tmp_path / "cat" / "0.png", value=51)
    assert source_digest(str(tmp_path)) != before
    (tmp_path / "cat" / "0.png").rename(tmp_path / "dog" / "10.png")
    assert len({before, source_digest(str(tmp_path))}) == 2


def test_images_too_large_for_memory_are_refused(tmp_path: Path) -> None:
    """With the ways out."""
    with pytest.raises(InputError, match="too large for memory: received 2,880 bytes; accepted: a larger in_memory_mb"):
        load(str(pets(tmp_path)), limit=1000)
