"""Validation sets that a source gives: kept as they are, from files, folders, functions and data sets."""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import SearchOptions
from pipeline.datasets import Raw, Rows, Stream
from pipeline.datasets.large import blocks
from pipeline.errors import InputError
from pipeline.stages.table import STAGES
from pipeline.tracking import Finished

Array = np.ndarray[Any, np.dtype[Any]]
FUNCTION = """
import keras
import numpy as np
import tensorflow as tf

x = np.arange(80.0, dtype=np.float32).reshape(40, 2)
y = np.arange(40) % 2
passes = []

class Batches(keras.utils.PyDataset):
    def __init__(self, first, last, size=1, weighted=False):
        super().__init__()
        self.x, self.y, self.size, self.weighted = x[first:last], y[first:last], size, weighted

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, batch):
        rows = slice(batch * self.size, (batch + 1) * self.size)
        given = self.x[rows], self.y[rows]
        return [*given, np.full(len(given[1]), 2.0)] if self.weighted else given

    def on_epoch_end(self):
        raise SystemExit("shuffles")

def tensors(first, last):
    return tf.data.Dataset.from_tensor_slices((x[first:last], y[first:last]))

def arrays(first, last):
    return x[first:last], y[first:last]

class NamedBatches(Batches):
    def __getitem__(self, batch):
        x, y = super().__getitem__(batch)
        return {"left": x, "right": x[:, :1]}, y

named = tensors(0, 40).map(lambda x, y: ({"left": x, "right": x[:1]}, y))
"""
INPUTS = np.arange(80, dtype=np.float32).reshape(40, 2)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Raw]]:
    """Return a loader of what an expression of `FUNCTION` gives."""
    monkeypatch.chdir(tmp_path)
    names = []

    def load(returned: str, limit: int = 2**30) -> Raw:
        names.append(name := f"given_{abs(hash(returned))}")
        Path(f"{name}.py").write_text(f"{FUNCTION}\ndef load():\n    return {returned}\n")
        return datasets.load(f"{name}:load", limit=limit)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def whole(x: Any) -> Array:
    """Return inputs in memory, wherever they are."""
    return np.concatenate(list(blocks(x)))


def test_a_given_validation_set_stays_whole() -> None:
    """The test set is drawn from the training data, unless it is given too or none is wanted."""
    raw = Raw(INPUTS, np.arange(40) % 2, x_val=np.array([[7, 7], [8, 8]]), y_val=np.array([1, 0]))
    splits = datasets.split(raw, seed=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [32, 2, 8]
    assert splits.x_val.tolist() == [[7, 7], [8, 8]]
    assert splits.y_val.tolist() == [1, 0]
    splits = datasets.split(replace(raw, x_test=INPUTS[:3], y_test=np.zeros(3, int)), seed=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [40, 2, 3]
    splits = datasets.split(raw, seed=0, test_fraction=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [40, 2, 0]
    assert splits.x_train.tolist() == INPUTS.tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x_val": INPUTS}, "val set is incomplete: received no y_val"),
        ({"w_val": np.ones(2)}, "val set is incomplete: received only weights"),
        ({"x_val": INPUTS[:, :1], "y_val": np.zeros(40, int)}, "x_val is not like x_train"),
        ({"x_val": INPUTS, "y_val": np.full(40, 5)}, "y_val has labels that y_train lacks: received '5'"),
    ],
)
def test_unusable_validation_sets_are_refused(given: dict[str, Any], message: str) -> None:
    """As test sets are."""
    with pytest.raises(InputError, match=message):
        datasets.split(Raw(INPUTS, np.arange(40) % 2, **given), seed=0)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_arrays_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """In memory or mapped, also when the prepared splits are opened again."""
    monkeypatch.chdir(tmp_path)
    y = np.array(["a", "b"] * 20)
    np.savez("d.npz", x_train=INPUTS, y_train=y, x_val=INPUTS[:6] + 1, y_val=y[:6], w_val=np.arange(6) + 1.0)
    splits = datasets.split(datasets.load("d.npz", limit=limit), seed=0)
    assert isinstance(splits.x_val, np.ndarray if limit else Rows)
    assert splits.w_train is None
    datasets.save(splits, "splits.npz", "d.npz", "target")
    again = datasets.load_splits("splits.npz")
    assert whole(again.x_val).tolist() == (INPUTS[:6] + 1).tolist()
    assert again.y_val.tolist() == [0, 1] * 3
    assert again.w_val is not None
    assert again.w_val.tolist() == [1, 2, 3, 4, 5, 6]
    assert datasets.digests(again) == datasets.digests(splits)
    if not limit:
        np.savez("d.npz", x_train=INPUTS, y_train=y, x_val=INPUTS[:6], y_val=y[1:7])
        with pytest.raises(InputError, match="has changed since it was prepared: received other labels of the val"):
            datasets.load_splits("splits.npz")


@pytest.mark.parametrize("kind", ["arrays({})", "tensors({})", "tensors({}).batch(3)", "Batches({})", "Batches({}, 3)"])
def test_three_sets_of_a_function(load: Callable[..., Raw], kind: str) -> None:
    """Training, validation and test set, however they are made."""
    raw = load(", ".join(kind.format(rows) for rows in ("0, 20", "20, 29", "29, 40")))
    assert raw.x_train.tolist() == INPUTS[:20].tolist()
    assert whole(raw.x_val).tolist() == INPUTS[20:29].tolist()
    assert whole(raw.x_test).tolist() == INPUTS[29:].tolist()
    assert raw.y_val is not None
    assert raw.y_val.tolist() == [number % 2 for number in range(20, 29)]


@pytest.mark.parametrize("kind", ["tensors(0, 40)", "Batches(0, 40, 7)"])
def test_a_single_data_set_is_split(load: Callable[..., Raw], kind: str) -> None:
    """As arrays without a test set are."""
    splits = datasets.split(load(kind), seed=0)
    assert [len(splits.x_train), len(splits.x_val), len(splits.x_test)] == [24, 8, 8]


def test_large_py_datasets_are_read_in_passes(load: Callable[..., Raw]) -> None:
    """In the order of their batches, without what they do between epochs; lists are batches too, with weights."""
    raw = load("Batches(0, 30, 3, weighted=True), Batches(30, 40, 1, weighted=True), Batches(0, 9, 1, True)", limit=100)
    assert isinstance(raw.x_train, Stream)
    splits = datasets.split(raw, seed=0)
    for _ in range(2):
        assert whole(splits.x_train).tolist() == INPUTS[:30].tolist()
        assert whole(splits.x_val).tolist() == INPUTS[30:].tolist()
    assert splits.w_val is not None
    assert set(splits.w_val.tolist()) == {2.0}


@pytest.mark.parametrize("kind", ["named", "named.batch(7)", "NamedBatches(0, 40, 7)"])
def test_several_inputs_by_name(load: Callable[..., Raw], kind: str) -> None:
    """Of data sets, as of dictionaries of arrays; they must fit into memory."""
    raw = load(kind)
    assert raw.x_train.dtype.names == ("left", "right")
    assert raw.x_train["left"].tolist() == INPUTS.tolist()
    assert raw.x_train["right"].tolist() == INPUTS[:, :1].tolist()
    assert raw.y_train.tolist() == [0, 1] * 20
    if kind != "named":
        return
    with pytest.raises(InputError, match="'left', 'right' of more than 100 bytes; accepted: several inputs or"):
        load("named, named", limit=100)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("tensors(0, 20), arrays(20, 40)", "unusable result of data function"),
        ("Batches(0, 0)", "received an empty one"),
        ("type('Endless', (Batches,), {'num_batches': None})(0, 9)", "received an endless one"),
        ("type('Bare', (Batches,), {'__getitem__': lambda self, batch: x})(0, 9)", "received elements ndarray"),
        ("type('Faulty', (Batches,), {'__getitem__': lambda self, batch: 1 / 0})(0, 9)", "ZeroDivisionError"),
    ],
)
def test_unusable_data_sets_are_one_line(load: Callable[..., Raw], returned: str, message: str) -> None:
    """Whatever their code raises."""
    with pytest.raises(InputError, match=message) as caught:
        load(returned)
    assert "\n" not in str(caught.value)


def test_several_splits_need_a_validation_set_that_was_drawn(tmp_path: Path) -> None:
    """Whichever stage asks for them."""
    raw = Raw(INPUTS, np.arange(40) % 2, x_val=INPUTS, y_val=np.arange(40) % 2)
    for given in (True, False):
        result = datasets.prepared("d.npz", datasets.split(raw, seed=0), {}, {}, validation_given=given)
        (tmp_path / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
        prepare = next(iter(STAGES["search"].needs(SearchOptions(splits=2))))
        with pytest.raises(InputError, match="splits: received 2 for data with a val") if given else nullcontext():
            prepare.check(Finished("", tmp_path, "", ""))
