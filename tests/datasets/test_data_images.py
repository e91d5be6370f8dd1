"""Folders of images, one folder per class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import Rows, digests, load, load_splits, save, source_digest, split
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


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_set_is_kept(tmp_path: Path, name: str) -> None:
    """In a folder beside train, with or without one called test."""
    pets(tmp_path / "train")
    pets(tmp_path / name)
    splits = split(load(str(tmp_path)), seed=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [16, 20, 4]
    pets(tmp_path / "test")
    splits = split(load(str(tmp_path)), seed=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [20, 20, 20]


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    """Where no folders are in them."""
    for name in ("train", "test"):
        write(tmp_path / name / "1.png")
    assert load(str(tmp_path)).y_train.tolist() == ["test", "train"]


@pytest.mark.parametrize(
    ("color_mode", "channels", "said"), [("auto", 3, "RGB"), ("grayscale", 1, "grey"), ("rgba", 4, "RGBA")]
)
def test_size_and_colours_can_be_chosen(tmp_path: Path, color_mode: str, channels: int, said: str) -> None:
    """Whatever the images have."""
    raw = load(str(pets(tmp_path)), image_shape=(4, 5), color_mode=color_mode)
    assert raw.x_train.shape == (20, 4, 5, channels)
    assert raw.x_train[0, 0, 0].tolist() == [50, 50, 50, 255][:channels]
    assert raw.columns == {"images": f"resized to 4x5 from 1 size, {said}"}


@pytest.mark.parametrize("options", [{"image_shape": (8, 8)}, {"color_mode": "rgb"}])
def test_choices_without_effect_are_refused(options: dict[str, Any]) -> None:
    """The digits are no folder."""
    with pytest.raises(InputError, match="image_size or color_mode: received them for digits"):
        load("digits", **options)


@pytest.mark.parametrize("full", [False, True])
def test_images_too_large_for_memory_are_decoded_as_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """They give what they give in memory, from their files once and then from a temporary one, if the disk has room."""
    for part in ("train", "val", "test"):
        pets(tmp_path / part)
    rng = np.random.default_rng(0)
    for path in tmp_path.rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(path)
    options: dict[str, Any] = {"image_shape": (5, 8), "color_mode": "rgb"}
    raw = load(str(tmp_path), limit=1000, **options)
    assert isinstance(raw.x_train, Rows)
    assert raw.columns == {"images": "resized to 5x8 from 1 size, RGB, decoded as they are used"}
    if full:
        device = Path("/dev/full")
        monkeypatch.setattr("pipeline.datasets.images.TemporaryFile", lambda **how: device.open("r+b", **how))
    whole = load(str(tmp_path), **options)
    held, splits = split(whole, seed=0), split(raw, seed=0)
    assert digests(splits) == digests(held)
    assert splits.scaling == held.scaling
    assert split(raw, seed=0, scale="standard").scaling == split(whole, seed=0, scale="standard").scaling
    save(splits, tmp_path / "splits.npz", str(tmp_path), "target", **options)
    again = load_splits(tmp_path / "splits.npz")
    assert digests(again) == digests(held)
    if not full:
        for path in (tmp_path / "train").rglob("*.png"):
            path.unlink()
    np.testing.assert_array_equal(again.x_train[np.array([3, 0, 3])], held.x_train[[3, 0, 3]])


def test_a_folder_that_changed_is_refused(tmp_path: Path) -> None:
    """If its images are read again."""
    splits = split(load(str(pets(tmp_path / "pets")), limit=0), seed=0)
    save(splits, tmp_path / "splits.npz", str(tmp_path / "pets"))
    (tmp_path / "pets" / "cat" / "3.png").unlink()
    with pytest.raises(InputError, match="has changed since it was prepared"):
        load_splits(tmp_path / "splits.npz")
