"""Files, folders and names that hold no usable data, given to the real `prepare`."""

import gzip
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import cli
from tests.bad_input.harness import refusal

Write = Callable[[Path], object]

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 2
LABELS: dict[str, Any] = {"target": [0, 1] * 200}
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPZ, PARQUET, IMAGES = "an .npz without pickles", "a Parquet table", "PNG, JPEG, BMP, GIF or WebP"
TABLE = "a table in UTF-8, separated by commas"
NUMBERS = "numbers up to 64 bits, booleans, dates, or text"
KINDS = "integers, text or booleans (classification) or floats (regression)"
SOURCES = "mnist-5k, digits, mnist, fashion_mnist, cifar10, a path to .npz"


def text(content: str | bytes) -> Write:
    """Write a file with this content."""
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def csv(**columns: Any) -> Write:
    """Write a table as CSV."""
    return lambda path: pd.DataFrame(columns).to_csv(path, index=False)


def parquet(**columns: Any) -> Write:
    """Write a table as Parquet."""
    return lambda path: pd.DataFrame(columns).to_parquet(path)


def npz(**arrays: Any) -> Write:
    """Write arrays, pickled if they hold objects."""
    return lambda path: np.savez(path, **arrays)


def npy(**arrays: Any) -> Write:
    """Write a folder of arrays, pickled if they hold objects."""

    def write(folder: Path) -> None:
        folder.mkdir()
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)

    return write


def header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a `.npy` with this shape, without its data."""
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def members(**content: bytes) -> Write:
    """Write a zip archive whose members are these."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in content.items():
                archive.writestr(f"{name}.npy", value)

    return write


def cut(write: Write) -> Write:
    """Write a file, and leave only its first half."""

    def halved(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return halved


def idx(name: str, content: bytes | None) -> Write:
    """Write a folder of four IDX files, one of which holds something else, or is missing."""

    def write(folder: Path) -> None:
        folder.mkdir()
        for file in IDX:
            values = np.zeros((40, 5, 4), np.uint8) if "images" in file else (np.arange(40) % 2).astype(np.uint8)
            whole = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
            (folder / file).write_bytes(whole)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)

    return write


def images(*classes: str, then: Write = lambda folder: None) -> Write:
    """Write a folder with five images of each class, and then change it."""

    def write(folder: Path) -> None:
        for name in classes:
            (folder / name).mkdir(parents=True)
            for number in range(5):
                Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / name / f"{number}.png")
        then(folder)

    return write


BAD: dict[str, tuple[str, Write | None, str, str]] = {
    # tables
    "empty csv": ("d.csv", text(""), "EmptyDataError", TABLE),
    "blank csv": ("d.csv", text("\n\n\n"), "EmptyDataError", TABLE),
    "header only": ("d.csv", text("a,target\n"), "0 rows", "at least one"),
    "wide rows": ("d.csv", text("a,target\n1,2,3\n"), "more fields than the header", "names each column"),
    "ragged csv": ("d.csv", text("a,target\n1,2\n1,2,3,4\n"), "ParserError", TABLE),
    "open quotes": ("d.csv", text('a,target\n"1,0\n2,1\n'), "ParserError", TABLE),
    "latin-1 csv": ("d.csv", text(b"a,target\n\xe9,1\n"), "UnicodeDecodeError", "UTF-8"),
    "utf-16 csv": ("d.csv", text("a,target\n1,2\n".encode("utf-16")), "UnicodeDecodeError", "UTF-8"),
    "colons": ("d.csv", text("a:target\n1:0\n2:1\n"), "target='target'", "one of 'a:target'"),
    "no label column": ("d.csv", csv(a=[1], b=[2]), "target='target'", "one of 'a', 'b'"),
    "only labels": ("d.csv", csv(**LABELS), "only the label column 'target'", "at least one more column"),
    "repeated column": ("d.csv", text("a,a,target\n1,1,0\n"), "'a'", "each name once"),
    "repeated labels": ("d.csv", text("a,target,target\n1,0,0\n"), "'target'", "each name once"),
    "one row": ("d.csv", text("a,target\n1,0\n"), "'0' throughout", "two or more classes"),
    "one class": ("d.csv", csv(a=range(9), target=[1] * 9), "'1' throughout", "two or more classes"),
    "one value": ("d.csv", csv(a=range(9), target=[0.5] * 9), "0.5 throughout", "two or more values"),
    "rare class": ("d.csv", csv(a=range(9), target=["a"] * 8 + ["b"]), "1 of class 'b'", "at least 5 of each class"),
    "empty column": (
        "d.csv",
        csv(a=[None] * 400, **LABELS),
        "'a' left out (empty)",
        "a column of numbers, dates or categories",
    ),
    "missing label": ("d.csv", csv(a=[1, 2], target=[0, None]), "1 in column 'target', first in row 2", "every row"),
    "marked label": (
        "d.csv",
        csv(a=[1, 2, 3], target=["1", "NA", "2"]),
        "1 in column 'target', first in row 2",
        "a label in every row",
    ),
    "stray words": (
        "d.csv",
        csv(a=[*range(398), "unknown", "?"], **LABELS),
        "'unknown' among numbers in column 'a', in row 399",
        "numbers only; missing values empty or one of",
    ),
    "stray dates": (
        "d.csv",
        csv(day=[*["2024-01-01", "2024-02-01", "soon", "later"] * 100, "2024-03-01"], target=[0] * 401),
        "'soon', 'later' among dates in column 'day', in row 3 and 199 more",
        "dates only",
    ),
    "ambiguous dates": (
        "d.csv",
        csv(day=["01/02/2024", "03/04/2024"] * 200, **LABELS),
        "'01/02/2024' in column 'day', day or month first",
        "dates as YYYY-MM-DD",
    ),
    "decimals or thousands": (
        "d.csv",
        text("a\ttarget\n" + "1,234\t0\n5,678\t1\n" * 200),
        "'1,234' in column 'a', decimals or thousands",
        "a decimal point",
    ),
    "infinite": ("d.csv", csv(age=[1, np.inf] * 200, **LABELS), "example 1, feature 'age'", "finite float32"),
    "beyond float32": ("d.csv", csv(age=[1, 1e39] * 200, **LABELS), "example 1, feature 'age'", "finite float32"),
    "infinite label": ("d.csv", csv(age=[1, 2], target=[0.5, np.inf]), "first in example 1", "finite float32"),
    "huge integers": ("d.csv", csv(a=[10**30, 10**30], target=[0, 1]), "'a' of type object", NUMBERS),
    "identifiers": (
        "d.csv",
        csv(name=[f"person {i}" for i in range(400)], **LABELS),
        "'name' left out (an identifier)",
        "a column of numbers",
    ),
    "empty parquet": ("d.parquet", text(""), "ArrowInvalid", PARQUET),
    "no parquet": ("d.parquet", text("PAR1"), "ArrowInvalid", PARQUET),
    "parquet cut short": ("d.parquet", cut(parquet(a=range(400), **LABELS)), "ArrowInvalid", PARQUET),
    "csv as parquet": ("d.parquet", csv(a=[1], target=[0]), "ArrowInvalid", PARQUET),
    "parquet as csv": ("d.csv", parquet(a=range(400), **LABELS), "UnicodeDecodeError", TABLE),
    "no columns": ("d.parquet", parquet(), "target='target'", "at least two columns"),
    "no rows": ("d.parquet", parquet(a=[], target=[]), "0 rows", "at least one"),
    "spans of time": ("d.parquet", parquet(a=pd.to_timedelta([1] * 400), **LABELS), "type timedelta64", NUMBERS),
    "lists": ("d.parquet", parquet(a=[[1], [2]], target=[0, 1]), "'a' of type object (mixed)", NUMBERS),
    "decimals": ("d.parquet", parquet(a=[Decimal(1), Decimal(2)], target=[0, 1]), "(decimal)", NUMBERS),
    "date labels": (
        "d.parquet",
        parquet(a=[1, 2], target=pd.to_datetime(["2020-01-01"] * 2)),
        "dtype datetime64",
        KINDS,
    ),
    "bytes as labels": (
        "d.parquet",
        parquet(a=[1, 2], target=[b"a", b"\xff"]),
        "UnicodeDecodeError",
        "labels as numbers, booleans or text in UTF-8",
    ),
    # arrays
    "empty npz": ("d.npz", text(""), "not a zip archive", NPZ),
    "no zip": ("d.npz", text("nothing"), "not a zip archive", NPZ),
    "npz cut short": ("d.npz", cut(npz(x_train=X, y_train=Y)), "not a zip archive", NPZ),
    "npy as npz": ("d.npz", text(header((3,)) + bytes(24)), "not a zip archive", NPZ),
    "pickle as npz": ("d.npz", text(pickle.dumps({"x_train": [1]})), "not a zip archive", NPZ),
    "pickled arrays": (
        "d.npz",
        npz(x_train=np.array([{}], dtype=object), y_train=[0]),
        "Object arrays cannot be loaded",
        "without pickles",
    ),
    "other names": ("d.npz", npz(x=[0], labels=[0]), "x, labels", "x_train, y_train"),
    "no arrays": ("d.npz", npz(), "no arrays", "x_train, y_train"),
    "no .npy in npz": ("d.npz", members(x_train=b"hello", y_train=b"you"), "dtype |S5", "numbers or booleans"),
    "false header": ("d.npz", members(x_train=header((10**14,)), y_train=header((3,))), "MemoryError", NPZ),
    "half a test set": ("d.npz", npz(x_train=[[0]], y_train=[0], x_test=[[0]]), "no y_test", "or neither"),
    "weights of no test set": ("d.npz", npz(x_train=X, y_train=Y, w_test=Y), "only weights", "no w_test"),
    "negative weights": ("d.npz", npz(x_train=X, y_train=Y, w_train=-Y), "-1 to 0", "none below 0"),
    "lengths": ("d.npz", npz(x_train=X, y_train=Y[1:]), "40 and 39", "one label per example"),
    "vector": ("d.npz", npz(x_train=X[:, 0], y_train=Y), "(40,)", "[n, features]"),
    "no features": ("d.npz", npz(x_train=X[:, :0], y_train=Y), "shape (40, 0)", "one value in each"),
    "no examples": ("d.npz", npz(x_train=X[:0], y_train=Y[:0]), "shape (0, 3)", "at least one example"),
    "NaN": ("d.npz", npz(x_train=np.where(X > 2, np.nan, X), y_train=Y), "NaN or infinite, first in", "finite"),
    "NaN labels": ("d.npz", npz(x_train=X, y_train=np.full(40, np.nan)), "40 NaN or infinite", "finite"),
    "complex": ("d.npz", npz(x_train=X * 1j, y_train=Y), "dtype complex128", "numbers or booleans"),
    "text inputs": ("d.npz", npz(x_train=X.astype(str), y_train=Y), "dtype <U", "numbers or booleans"),
    "text in a structure": (
        "d.npz",
        npz(x_train=np.zeros(40, [("a", "U3", (2,)), ("b", "f4", (2,))]), y_train=Y),
        "dtype <U3",
        "numbers or booleans",
    ),
    "NaN in a structure": (
        "d.npz",
        npz(x_train=np.full((40,), np.nan, [("a", "f4", (2,))]), y_train=Y),
        "80 NaN or infinite",
        "finite float32",
    ),
    "labels that are no text": (
        "d.npz",
        npz(x_train=X, y_train=np.array(["\udcff", "a"] * 20)),
        "bytes that are not UTF-8",
        KINDS,
    ),
    "folder without labels": ("folder", npy(x_train=X), "folder", "a folder with x_train.npy, y_train.npy"),
    "pickled npy": (
        "folder",
        npy(x_train=np.array([{}], object), y_train=[0]),
        "dtype object",
        "without pickles",
    ),
    "npy cut short": (
        "folder",
        lambda path: (npy(y_train=Y)(path), (path / "x_train.npy").write_bytes(header((40, 3)) + bytes(9))),
        "mmap length is greater than file size",
        "a .npy file without pickles",
    ),
    # IDX
    "empty IDX": ("folder", idx(IDX[1], b""), "0 bytes", "an IDX file of unsigned bytes with 1 dimension,"),
    "IDX of images": ("folder", idx(IDX[1], b"\0\0\x08\x03" + bytes(12)), "starting '00000803'", "'00000801'"),
    "IDX of floats": ("folder", idx(IDX[1], b"\0\0\x0d\x01" + bytes(4)), "starting '00000d01'", "of unsigned bytes"),
    "IDX header cut short": ("folder", idx(IDX[1], b"\0\0\x08\x01\0"), "5 bytes", "an IDX file"),
    "IDX cut short": (
        "folder",
        idx(IDX[1], b"\0\0\x08\x01\0\0\0\x05" + bytes(4)),
        "4 bytes after",
        "for the shape (5,)",
    ),
    "IDX too long": (
        "folder",
        idx(IDX[1], b"\0\0\x08\x01\0\0\0\x05" + bytes(6)),
        "6 bytes after",
        "for the shape (5,)",
    ),
    "gzip cut short": ("folder", idx(IDX[1], gzip.compress(bytes(99))[:20]), "EOFError", "gzipped or not"),
    "IDX of other length": ("folder", idx(IDX[1], b"\0\0\x08\x01\0\0\0\x05" + bytes(5)), "40 and 5", "one label per"),
    "IDX of no images": ("folder", idx(IDX[0], b"\0\0\x08\x03" + bytes(12)), "shape (0, 0, 0)", "at least one"),
    "IDX of false shape": ("folder", idx(IDX[0], b"\0\0\x08\x03" + b"\xff" * 12), "0 bytes after", "for the shape"),
    "no IDX labels": ("folder", idx(IDX[3], None), "folder", "t10k-labels-idx1-ubyte"),
    # images
    "broken image": (
        "pets",
        images("cat", "dog", then=lambda path: (path / "cat" / "2.png").write_bytes(b"\x89PNG, cut short")),
        "UnidentifiedImageError",
        IMAGES,
    ),
    "empty image": (
        "pets",
        images("cat", "dog", then=lambda path: (path / "cat" / "2.png").write_bytes(b"")),
        "UnidentifiedImageError",
        IMAGES,
    ),
    "image of 16 bits": (
        "pets",
        images("cat", "dog", then=lambda path: Image.new("I;16", (8, 6)).save(path / "cat" / "5.png")),
        "an image of mode I;16",
        IMAGES,
    ),
    "text named as an image": (
        "pets",
        images("cat", "dog", then=lambda path: (path / "dog" / "\udcff.png").write_text("text")),
        "UnidentifiedImageError",
        IMAGES,
    ),
    "one class of images": ("pets", images("cat"), "'cat' throughout", "two or more classes"),
    "class that is no text": ("pets", images("cat", "\udcff"), "bytes that are not UTF-8", KINDS),
    "test class unseen": ("pets", images("train/cat", "train/dog", "test/horse"), "'horse'", "'cat', 'dog'"),
    # names and places
    "misspelt": ("mnist5k", None, "'mnist5k'", SOURCES),
    "lost file": ("lost.npz", None, "'lost.npz'", SOURCES),
    "lost folder": ("lost/folder", None, "'lost/folder'", SOURCES),
    "nobody's home": ("~nobody-here/d.csv", None, "'~nobody-here/d.csv'", SOURCES),
    "longer than a path may be": ("x" * 4_000, None, "'xxx", SOURCES),
    "no module name": ("my-module:function", None, "'my-module:function'", SOURCES),
    "no such module": ("no_such_module:load", None, "no_such_module:load", "a module on PYTHONPATH"),
    "other format": ("d.txt", text("1 2"), "d.txt", ".npz, .csv, .parquet"),
    "no extension": ("data", text("1 2"), "data", ".npz, .csv, .parquet"),
    "empty folder": ("folder", Path.mkdir, "folder", "train-images.idx3-ubyte.gz"),
    "folder named as a file": ("d.csv", Path.mkdir, "d.csv", "train-images.idx3-ubyte.gz"),
    "pipe": ("d.csv", os.mkfifo, "d.csv", "a regular file"),
    "device": ("d.csv", lambda path: path.symlink_to("/dev/zero"), "d.csv", "a regular file"),
    "loop of links": ("d.csv", lambda path: path.symlink_to("d.csv"), "d.csv'", SOURCES),
    "odd name": ("a #'$(x)`y`\"{z}%20[red].csv", text(""), "EmptyDataError", TABLE),
}
"""What is given: its name, how it is made, and what the line says was received and would be accepted."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a folder with a report and a store in which `digits` have been prepared."""
    with pytest.MonkeyPatch.context() as patch:
        there: Path = tmp_path_factory.mktemp("project")
        patch.chdir(there)
        (there / "reports").mkdir()
        (there / "reports" / "report.html").write_text("an earlier report")
        assert cli.main(["prepare", "--data=digits"]) == 0
        yield there


@pytest.mark.parametrize("case", BAD)
def test_data_that_cannot_be_used_are_refused_in_a_line(
    case: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what was received and what would be accepted; every file is left as it is."""
    name, write, received, accepted = BAD[case]
    if write is not None:
        name = f"case {list(BAD).index(case)}/{name}"  # a process reads a file's digest only once
        (folder / name).parent.mkdir()
        write(folder / name)
    line = refusal(["prepare", f"--data={name}"], capsys)
    if write is not None:
        shutil.rmtree((folder / name).parent)
    assert received in line.partition("received ")[2].partition("; accepted: ")[0]
    assert accepted in line.partition("; accepted: ")[2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_that_may_not_be_read_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its permissions are the user's to change."""
    path = folder / "mine.csv"
    path.write_text("a,target\n1,0\n")
    path.chmod(0)
    before = (path.stat().st_mode, path.stat().st_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.bad_input.harness._contents", lambda folder: before)
        assert "PermissionError" in refusal(["prepare", "--data=mine.csv"], capsys)
    path.unlink()


def test_what_was_there_before_is_still_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Failures leave an earlier result as it was: it is reused."""
    assert cli.main(["prepare", "--data=digits"]) == 0
    assert "reused" in capsys.readouterr().out
