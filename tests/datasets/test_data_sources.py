"""What each source loads, from real data sets and from files that the tests write."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import datasets
from pipeline.datasets.encoding import encode
from pipeline.datasets.sources import NAMED

ROOT = Path(__file__).parents[2]
FULL_MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"
Array = np.ndarray[Any, np.dtype[Any]]


def test_importing_the_package_loads_nothing_heavy() -> None:
    """A command that only prints its help must not wait for pandas or TensorFlow."""
    code = (
        "import sys, pipeline.datasets; "
        "print({'pandas', 'sklearn', 'mlxtend', 'keras', 'tensorflow'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_reading_arrays_and_tables_loads_no_tensorflow(tmp_path: Path) -> None:
    """Only the download sources may pay for TensorFlow."""
    pd.DataFrame({"a": [1.0, 2.0], "target": [0, 1]}).to_csv(tmp_path / "t.csv", index=False)
    code = (
        "import sys; from pipeline import datasets; datasets.split(datasets.load('digits'), 0); "
        f"datasets.load({str(tmp_path / 't.csv')!r}); print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_mnist_5k_is_five_hundred_real_images_a_class(mnist_5k: datasets.Raw) -> None:
    """The default data are grey images as bytes, with an empty border."""
    raw = mnist_5k
    assert raw.x_train.shape == (5000, 28, 28, 1)
    assert raw.x_train.dtype == np.uint8
    assert raw.x_train.max() == 255
    assert not raw.x_train[:, 0].any()
    assert np.bincount(raw.y_train).tolist() == [500] * 10
    assert raw.x_test is None


def test_digits_keep_their_seventeen_grey_levels() -> None:
    """scikit-learn stores 8x8 digits as 0..16."""
    raw = datasets.load("digits")
    assert raw.x_train.shape == (1797, 8, 8, 1)
    assert raw.x_train.dtype == np.uint8
    assert np.unique(raw.x_train).tolist() == list(range(17))
    assert len(raw.y_train) == 1797


@pytest.mark.skipif(not FULL_MNIST.exists(), reason=f"the full MNIST set is not at {FULL_MNIST}")
def test_full_mnist_keeps_its_official_test_set() -> None:
    """There are 48,000 training, 12,000 validation and 10,000 test images, the latter in their own order."""
    raw = datasets.load(str(FULL_MNIST))
    splits = datasets.split(raw, seed=0)
    assert [len(x) for x in (splits.x_train, splits.x_val, splits.x_test)] == [48_000, 12_000, 10_000]
    assert raw.y_test is not None
    np.testing.assert_array_equal(splits.x_test, raw.x_test)
    np.testing.assert_array_equal(splits.y_test, raw.y_test)
    assert splits.x_train.shape[1:] == (28, 28, 1)


def test_npz_gives_its_arrays_with_a_channel_axis(tmp_path: Path, image_sets: dict[str, Array]) -> None:
    """Arrays are read by name, and the official test set is kept apart."""
    np.savez_compressed(tmp_path / "d.npz", **image_sets)  # type: ignore[arg-type]
    raw = datasets.load(str(tmp_path / "d.npz"))
    np.testing.assert_array_equal(raw.x_train, image_sets["x_train"][..., np.newaxis])
    np.testing.assert_array_equal(raw.y_train, image_sets["y_train"])
    np.testing.assert_array_equal(raw.x_test, image_sets["x_test"][..., np.newaxis])
    np.testing.assert_array_equal(raw.y_test, image_sets["y_test"])


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_idx_folder_is_read_in_every_spelling(
    mark: str, gzipped: bool, write_idx: Callable[..., Path], image_sets: dict[str, Array]
) -> None:
    """Both common spellings are accepted, gzipped as distributed or unpacked."""
    raw = datasets.load(str(write_idx(mark, gzipped=gzipped)))
    np.testing.assert_array_equal(raw.x_train[..., 0], image_sets["x_train"])
    np.testing.assert_array_equal(raw.y_test, image_sets["y_test"])


FRAME = pd.DataFrame(
    {
        "age": [20, 30, 40, 50],
        "height": [1.5, 1.6, 1.7, 1.8],
        "member": [True, False, True, False],
        "colour": ["red", "blue", "red", "green"],
        "target": ["no", "yes", "no", "yes"],
    }
)
FEATURES = ("age", "height", "member", "colour=blue", "colour=green", "colour=red")
ROWS = np.array(
    [[20, 1.5, 1, 0, 0, 1], [30, 1.6, 0, 1, 0, 0], [40, 1.7, 1, 0, 0, 1], [50, 1.8, 0, 0, 1, 0]], dtype=np.float32
)


@pytest.mark.parametrize("index", [False, True])
def test_csv_one_hot_encodes_text_and_ignores_a_saved_row_number(index: bool, tmp_path: Path) -> None:
    """Text becomes one 0/1 column per category; the unnamed index of `DataFrame.to_csv` is not a feature."""
    FRAME.to_csv(tmp_path / "d.csv", index=index)
    raw = datasets.load(str(tmp_path / "d.csv"))
    x, columns, _ = encode(raw.x_train, np.arange(4))
    assert columns.feature_names == FEATURES
    np.testing.assert_array_equal(x, ROWS)
    assert x.dtype == np.float32
    assert raw.y_train.tolist() == ["no", "yes", "no", "yes"]


def test_parquet_gives_the_same_as_csv(tmp_path: Path) -> None:
    """Categorical and nullable types, which CSV lacks, are read too."""
    typed = FRAME.astype({"colour": "category", "age": "Int64", "member": "boolean"})
    typed.to_parquet(tmp_path / "d.parquet")
    x, columns, _ = encode(datasets.load(str(tmp_path / "d.parquet")).x_train, np.arange(4))
    assert columns.feature_names == FEATURES
    np.testing.assert_array_equal(x, ROWS)


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        ([0, 1] * 10, "classification", ("0", "1")),
        ([10, 9] * 10, "classification", ("9", "10")),
        (["b", "a"] * 10, "classification", ("a", "b")),
        ([b"b", b"a"] * 10, "classification", ("a", "b")),
        ([True, False] * 10, "classification", ("False", "True")),
        ([0.0, 1.0] * 10, "regression", ()),
        (pd.array([3, 5] * 10, dtype="Int64"), "classification", ("3", "5")),
        (pd.array([True, False] * 10, dtype="boolean"), "classification", ("False", "True")),
        (pd.array([0.5, 1.5] * 10, dtype="Float64"), "regression", ()),
        (pd.Categorical(["b", "a"] * 10), "classification", ("a", "b")),
    ],
)
def test_type_of_the_label_column_decides_the_task(labels: Any, task: str, classes: Any, tmp_path: Path) -> None:
    """A float column means regression, any other means classification."""
    pd.DataFrame({"x": np.arange(20.0), "price": labels}).to_parquet(tmp_path / "d.parquet")
    splits = datasets.split(datasets.load(str(tmp_path / "d.parquet"), target="price"), seed=0)
    assert (splits.task, splits.classes) == (task, classes)


def test_source_digest_of_files_is_of_their_content(tmp_path: Path, write_idx: Callable[..., Path]) -> None:
    """A file's digest is its SHA-256, in any folder; a folder's digest changes with any of its four files."""
    content = b"not even an npz"
    (tmp_path / "d.npz").write_bytes(content)
    assert datasets.source_digest(str(tmp_path / "d.npz")) == hashlib.sha256(content).hexdigest()
    folder = write_idx()
    before = datasets.source_digest(str(folder))
    assert before == datasets.source_digest(os.path.relpath(folder))
    with (folder / "t10k-labels-idx1-ubyte").open("ab") as file:
        file.write(b"\x00")
    assert datasets.source_digest(str(folder)) != before


def test_source_digest_of_names_and_functions() -> None:
    """A named set has its name as digest; a function has none, since its data are unknown until it is called."""
    assert [datasets.source_digest(name) for name in NAMED] == list(NAMED)
    assert datasets.source_digest("no_such_module:load") is None
