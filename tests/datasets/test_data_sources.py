"""What each source loads, from real data sets and from files that the tests write."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import datasets
from pipeline.datasets.sources import NAMED
from pipeline.errors import InputError

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


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_download_succeeds_or_names_the_offline_choices(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a network, one line lists what works without one; with a network or a cached copy, data are loaded."""
    before = socket.getdefaulttimeout()
    try:
        raw = datasets.load(name)
    except InputError as error:
        message = str(error)
        assert message.startswith(f"cannot download {name}: received ")
        assert "accepted: without a network, one of mnist-5k, digits, a path" in message
        assert "\n" not in message
    else:
        assert len(raw.x_train) in (50_000, 60_000)
        assert raw.x_test is not None
        assert len(raw.x_test) == 10_000
    assert socket.getdefaulttimeout() == before


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
    assert raw.feature_names == FEATURES
    np.testing.assert_array_equal(raw.x_train, ROWS)
    assert raw.x_train.dtype == np.float32
    assert raw.y_train.tolist() == ["no", "yes", "no", "yes"]


def test_parquet_gives_the_same_as_csv(tmp_path: Path) -> None:
    """Categorical and nullable types, which CSV lacks, are read too."""
    typed = FRAME.astype({"colour": "category", "age": "Int64", "member": "boolean"})
    typed.to_parquet(tmp_path / "d.parquet")
    raw = datasets.load(str(tmp_path / "d.parquet"))
    assert raw.feature_names == FEATURES
    np.testing.assert_array_equal(raw.x_train, ROWS)


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


def bad_files() -> dict[str, tuple[str, Callable[[Path], object], str, str]]:
    """Return by case: file name, its writer, and what the message must name as received and accepted."""
    column: dict[str, Any] = {"target": [0, 1] * 200}
    objects = np.array([{}], dtype=object)
    ids = [f"person {i}" for i in range(400)]

    def csv(**columns: Any) -> Callable[[Path], object]:
        return lambda path: pd.DataFrame(columns).to_csv(path, index=False)

    def text(content: str) -> Callable[[Path], object]:
        return lambda path: path.write_text(content)

    def npz(**arrays: Any) -> Callable[[Path], object]:
        return lambda path: np.savez(path, **arrays)

    def parquet(**columns: Any) -> Callable[[Path], object]:
        return lambda path: pd.DataFrame(columns).to_parquet(path)

    def npy(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))

    return {
        "no label column": ("d.csv", csv(a=[1], b=[2]), "target='target'", "one of 'a', 'b'"),
        "only labels": ("d.csv", csv(**column), "only the label column 'target'", "at least one more column"),
        "empty column": ("d.csv", csv(a=[None] * 400, **column), "'a'", "at least one value (or leave it out)"),
        "missing label": (
            "d.csv",
            csv(a=[1, 2], target=[0, None]),
            "1 in column 'target', first in row 2",
            "a label in every row",
        ),
        "marked label": (
            "d.csv",
            csv(a=[1, 2, 3], target=["1", "NA", "2"]),
            "1 in column 'target', first in row 2",
            "a label in every row",
        ),
        "stray words": (
            "d.csv",
            csv(a=[*range(398), "unknown", "?"], **column),
            "'unknown' among numbers in column 'a', in row 399",
            "numbers only; missing values empty or one of",
        ),
        "stray dates": (
            "d.csv",
            csv(
                day=["2024-01-01", "2024-02-01", "soon", "later"] * 100 + ["2024-03-01"], target=[*column["target"], 0]
            ),
            "'soon', 'later' among dates in column 'day', in row 3 and 199 more",
            "dates only",
        ),
        "ambiguous dates": (
            "d.csv",
            csv(day=["01/02/2024", "03/04/2024"] * 200, **column),
            "'01/02/2024' in column 'day', day or month first",
            "dates as YYYY-MM-DD",
        ),
        "infinite": ("d.csv", csv(age=[1, np.inf], target=[0, 1]), "example 1, feature 'age'", "finite float32"),
        "identifiers": ("d.csv", csv(name=ids, **column), "400 distinct values in 'name'", "at most 255"),
        "header only": ("d.csv", text("a,target\n"), "0 rows", "at least one"),
        "empty csv": ("d.csv", text(""), "EmptyDataError", "a comma-separated table"),
        "wide rows": ("d.csv", text("a,target\n1,2,3\n"), "more fields than the header", "names each column"),
        "ragged csv": ("d.csv", text("a,target\n1,2\n1,2,3,4\n"), "ParserError", "a comma-separated table"),
        "latin-1 csv": ("d.csv", lambda path: path.write_bytes(b"a,target\n\xe9,1\n"), "UnicodeDecodeError", "UTF-8"),
        "spans of time": (
            "d.parquet",
            parquet(took=pd.to_timedelta([1] * 400), **column),
            "'took' of type timedelta64",
            "numbers up to 64 bits, booleans, dates, or text",
        ),
        "lists": (
            "d.parquet",
            parquet(a=[[1], [2]], target=[0, 1]),
            "'a' of type object (mixed)",
            "numbers up to 64 bits, booleans, dates, or text",
        ),
        "date labels": (
            "d.parquet",
            parquet(a=[1, 2], target=pd.to_datetime(["2020-01-01"] * 2)),
            "dtype datetime64",
            "integers, text or booleans",
        ),
        "decimals": ("d.parquet", parquet(a=[Decimal(1), Decimal(2)], target=[0, 1]), "(decimal)", "numbers up to"),
        "no parquet": ("d.parquet", text("PAR1"), "ArrowInvalid", "a Parquet table"),
        "no zip": ("d.npz", text("nothing"), "not a zip archive", "an .npz without pickles"),
        "empty npz": ("d.npz", text(""), "not a zip archive", "an .npz without pickles"),
        "npy": ("d.npz", npy, "not a zip archive", "an .npz"),
        "pickle": ("d.npz", npz(x_train=objects, y_train=[0]), "Object arrays cannot be loaded", "without pickles"),
        "other names": ("d.npz", npz(x=[0], labels=[0]), "x, labels", "x_train, y_train"),
        "no arrays": ("d.npz", npz(), "no arrays", "x_train, y_train"),
        "half a test set": ("d.npz", npz(x_train=[[0]], y_train=[0], x_test=[[0]]), "no y_test", "or neither"),
        "other format": ("d.txt", text("1 2"), "d.txt", ".npz, .csv, .parquet"),
        "no extension": ("data", text("1 2"), "data", ".npz, .csv, .parquet"),
        "folder without IDX": ("folder", lambda path: path.mkdir(), "folder", "train-images.idx3-ubyte.gz"),
    }


@pytest.mark.parametrize("case", bad_files())
def test_unusable_file_is_one_line(case: str, tmp_path: Path) -> None:
    """The message names what was wrong, what was received and what would be accepted."""
    name, write, received, accepted = bad_files()[case]
    write(tmp_path / name)
    with pytest.raises(InputError) as caught:
        datasets.load(str(tmp_path / name))
    assert_one_line(str(caught.value), received, accepted)


def assert_one_line(message: str, received: str, accepted: str) -> None:
    """Check the message's three parts."""
    assert "\n" not in message
    assert received in message.partition("received ")[2].partition("; accepted: ")[0]
    assert accepted in message.partition("; accepted: ")[2]


@pytest.mark.parametrize(
    ("content", "received", "accepted"),
    [
        (b"", "0 bytes", "an IDX file of unsigned bytes with 1 dimension,"),
        (b"\x00\x00\x08\x03" + b"\x00" * 12, "16 bytes starting '00000803'", "starting '00000801'"),
        (b"\x00\x00\x0d\x01" + b"\x00" * 4, "8 bytes starting '00000d01'", "of unsigned bytes"),
        (b"\x00\x00\x08\x01" + b"\x00", "5 bytes", "an IDX file"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05" + b"\x00" * 4, "4 bytes after the header", "5, for the shape (5,)"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05" + b"\x00" * 6, "6 bytes after the header", "5, for the shape (5,)"),
        (b"\x1f\x8b\x08", "EOFError", "gzipped or not"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05" + b"\x00" * 5, "60 and 5", "one label per example"),
    ],
)
def test_damaged_idx_is_one_line(content: bytes, received: str, accepted: str, write_idx: Callable[..., Path]) -> None:
    """A wrong magic number, type or length, or a truncated download, gives one line."""
    folder = write_idx()
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(InputError) as caught:
        datasets.load(str(folder))
    assert_one_line(str(caught.value), received, accepted)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ("mnist5k", "unknown data source"),
        ("", "unknown data source"),
        ("lost.npz", "no such file or folder"),
        ("lost/folder", "no such file or folder"),
        ("~nobody-here/d.csv", "no such file or folder"),
        ("x" * 5000, "unknown data source"),
        ("my-module:function", "unknown data source"),
    ],
)
@pytest.mark.parametrize("ask", [datasets.load, datasets.source_digest])
def test_unknown_source_lists_what_there_is(ask: Callable[[str], object], data: str, wrong: str) -> None:
    """Loading and fingerprinting refuse it with the same table of names."""
    with pytest.raises(InputError, match=f"^{wrong}: received '{data}'; accepted: ") as caught:
        ask(data)
    assert all(name in str(caught.value) for name in NAMED)


@settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".npz", ".csv", ".parquet"]),
    position=st.floats(0, 1, exclude_max=True),
    replacement=st.one_of(st.none(), st.integers(0, 255)),
)
def test_damaged_file_gives_data_or_an_input_error(
    suffix: str, position: float, replacement: int | None, tmp_path: Path
) -> None:
    """Truncated anywhere (None) or with any byte replaced, a file never raises another exception."""
    path = tmp_path / f"d{suffix}"
    arrays = {"x_train": np.arange(12.0).reshape(6, 2), "y_train": np.arange(6)}
    frame = pd.DataFrame({"a": np.arange(6.0), "b": list("ababab"), "target": np.arange(6)})
    if suffix == ".npz":
        np.savez_compressed(path, allow_pickle=False, **arrays)
    else:
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    content[at:] = b"" if replacement is None else bytes([replacement]) + content[at + 1 :]
    path.write_bytes(content)
    try:
        raw = datasets.load(str(path))
    except InputError:
        return
    assert len(raw.x_train) == len(raw.y_train)


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
