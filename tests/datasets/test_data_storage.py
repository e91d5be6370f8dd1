"""Splits in one file, and digests."""

import hashlib
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import Raw, Splits, digests, file_digest, load, load_splits, save, split
from pipeline.errors import InputError


@pytest.fixture(params=["images", "table", "regression"])
def splits(request: pytest.FixtureRequest) -> Splits:
    """Return splits of each kind of data."""
    if request.param == "images":
        return split(load("digits"), seed=0)
    x = np.random.default_rng(0).normal(0, [1, 1e-7, 1e7], (50, 3))
    y = np.array(["größer", "<kleiner>"] * 25) if request.param == "table" else np.linspace(0, 1, 50)
    return split(Raw(x, y), seed=0)


def test_what_was_saved_is_loaded(splits: Splits, tmp_path: Path) -> None:
    """Arrays keep their types, class names any script, and scaling its last bit."""
    save(splits, tmp_path / "new" / "splits.npz")
    loaded = load_splits(tmp_path / "new" / "splits.npz")
    for field in fields(Splits):
        before, after = getattr(splits, field.name), getattr(loaded, field.name)
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
        else:
            assert after == before
    assert digests(loaded) == digests(splits)


def test_equal_splits_give_equal_bytes(splits: Splits, tmp_path: Path) -> None:
    """Neither the time of writing nor the memory layout of the arrays matters."""
    save(splits, tmp_path / "a.npz")
    save(replace(splits, x_train=np.asfortranarray(splits.x_train)), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_failed_write_leaves_the_old_file_and_nothing_else(splits: Splits, tmp_path: Path) -> None:
    """The old file stays whole; an object array cannot be written without pickles."""
    path = tmp_path / "splits.npz"
    save(splits, path)
    before = file_digest(path)
    with pytest.raises(ValueError, match="allow_pickle"):
        save(replace(splits, y_test=np.array([{}], dtype=object)), path)
    assert file_digest(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["splits.npz"]


def test_digests_see_values_types_and_shapes() -> None:
    """Changing any of the three changes that array's digest and no other."""
    splits = split(load("digits"), seed=0)
    before = digests(splits)
    assert set(before) == {"x_train", "y_train", "x_val", "y_val", "x_test", "y_test"}
    changed = splits.y_val.copy()
    changed[0] += 1
    for other in (changed, splits.y_val.astype(np.int64), splits.y_val[:, np.newaxis]):
        after = digests(replace(splits, y_val=other))
        assert {name for name in before if before[name] != after[name]} == {"y_val"}


def test_file_digest_is_the_plain_sha256(tmp_path: Path) -> None:
    """It is what sha256sum prints."""
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(InputError, match=r"no such file: received .*lost; accepted: a readable file"):
        file_digest(tmp_path / "lost")


@pytest.mark.parametrize("damage", ["missing", "cut", "other npz", "other meta"])
def test_unusable_splits_file_is_one_line(damage: str, tmp_path: Path) -> None:
    """A damaged file of an earlier stage is refused, not half read."""
    path = tmp_path / "splits.npz"
    save(split(load("digits"), seed=0), path)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "other npz":
        np.savez(path, x_train=np.zeros(3))
    else:
        np.savez(path, meta=np.array('{"task": "classification"}'))
    with pytest.raises(InputError, match=r"received .*; accepted: an \.npz written by the prepare stage"):
        load_splits(path)
