"""Damaged files of every format, and any text for every option: the outcome is a result or a refusal in a line."""

import gzip
import io
import struct
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import cli, datasets
from pipeline.config import Layered, PrepareOptions
from pipeline.errors import InputError
from tests.bad_input.harness import own_signals

N = 10
ARRAYS: dict[str, Any] = {"x_train": np.arange(2.0 * N).reshape(N, 2), "y_train": np.arange(N) % 2}
FRAME = pd.DataFrame(
    {"a": np.arange(N) / 2, "b": [*"ab"] * (N // 2), "day": ["2024-01-31", ""] * (N // 2), "target": ARRAYS["y_train"]}
)


def idx(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    """Write the four files of an IDX folder."""
    for stem in ("train", "t10k"):
        for kind, values in (("images-idx3", np.zeros((N, 3, 2), np.uint8)), ("labels-idx1", np.arange(N) % 2)):
            header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            suffix = ".gz" if pack is gzip.compress else ""
            (folder / f"{stem}-{kind}-ubyte{suffix}").write_bytes(pack(header + values.astype(np.uint8).tobytes()))


def images(folder: Path, suffix: str) -> None:
    """Write five images of each of two classes."""
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(5):
            Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / name / f"{number}.{suffix}")


def arrays(folder: Path) -> None:
    """Write a folder of `.npy` files."""
    for name, values in ARRAYS.items():
        np.save(folder / f"{name}.npy", values)


FORMATS: dict[str, Callable[[Path], object]] = {
    "d.csv": lambda folder: FRAME.to_csv(folder / "d.csv", index=False),
    "d.parquet": lambda folder: FRAME.to_parquet(folder / "d.parquet"),
    "d.npz": lambda folder: np.savez(folder / "d.npz", allow_pickle=False, **ARRAYS),
    "compressed/d.npz": lambda folder: np.savez_compressed(folder / "d.npz", allow_pickle=False, **ARRAYS),
    "npy": arrays,
    "idx": lambda folder: idx(folder, bytes),
    "idx.gz": lambda folder: idx(folder, gzip.compress),
    "png": lambda folder: images(folder, "png"),
    "jpg": lambda folder: images(folder, "jpg"),
    "gif": lambda folder: images(folder, "gif"),
}
"""What is read, a file or a folder, and how a whole one is made."""

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([0, 1, 4, 10_000]),  # bytes taken out
        st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff\xff\xff\x7f", b"nan", b"1e400", b'"', b",", b"\n"])),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("limit", [0, 2**20])
def test_damaged_file_gives_data_or_a_refusal(name: str, limit: int, tmp_path: Path) -> None:
    """Wherever it is cut, or bytes are changed, put in or left out; held in memory or left on disk."""
    FORMATS[name](tmp_path)
    whole = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    source = tmp_path / Path(name).name if "." in name and name != "idx.gz" else tmp_path

    @settings(derandomize=True, max_examples=25)
    @given(path=st.sampled_from(list(whole)), edits=EDITS)
    def load(path: Path, edits: list[tuple[float, int, bytes]]) -> None:
        content = bytearray(whole[path])
        for position, length, put in edits:
            at = int(position * len(content))
            content[at : at + length] = put
        path.write_bytes(content)
        with suppress(InputError):
            splits = datasets.split(datasets.load(str(source), limit=limit), seed=0)
            assert np.isfinite(datasets.head(splits.x_train, N)).all()
        path.write_bytes(whole[path])

    load()


OPTIONS = [(name, option) for name, (model, _) in cli.COMMANDS.items() for option in cli.command_fields(model)]
VALUES = st.one_of(
    st.text(st.characters()),  # those that are no text included
    st.text("0123456789.,:=+-_e \n", max_size=12),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(["", "true", "all", "auto", "none", "nan", "digits", "sgd,adam", "32,64", "a:b", "max:val_x"]),
)


@pytest.fixture
def unstarted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command end once its options have been accepted."""

    def dispatch(command: str, given: Layered[PrepareOptions]) -> int:
        return cli.DONE

    monkeypatch.setattr(cli, "_dispatch", dispatch)


@settings(derandomize=True, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES), min_size=1, max_size=4))
def test_any_text_is_an_option_or_is_refused_in_a_line(
    given: list[tuple[tuple[str, str], str]], unstarted: None
) -> None:
    """Any values for any options of any command: it is accepted, or the line says what would be."""
    (command, _), _ = given[0]
    said = io.StringIO()
    with redirect_stderr(said), own_signals():
        code = cli.main([command, *(f"--{option}={value}" for (_, option), value in given)])
    lines = said.getvalue().split("\n")
    assert (code, len(lines)) in ((0, 1), (2, 2)), said.getvalue()


@settings(derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.one_of(VALUES, st.sampled_from(["main", "train", "--data", "--fresh", "--", "-"])), max_size=4)
)
def test_any_words_are_a_command_or_are_refused_in_a_line(words: list[str], unstarted: None) -> None:
    """Any words in any order, but for a request for help."""
    said = io.StringIO()
    with redirect_stderr(said), own_signals():
        code = cli.main(words)
    assert (code, said.getvalue().count("\n")) in ((0, 0), (2, 1)), said.getvalue()
