"""Further splits of prepared data: the same examples, drawn into training and validation set anew."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw, Rows, Splits, Stream, load, load_splits, resplit, save, split

NUMBERS = (1, 2, 3)
LABELS = {"classes": np.repeat([0, 1, 2], [60, 30, 10]), "values": np.linspace(0, 1, 100, dtype=np.float32)}


def numbered(labels: str, *, official: bool = False) -> Splits:
    """Return 100 rows, split, that hold their number, which is their weight too."""
    x, y, w = np.arange(100, dtype=np.float32)[:, np.newaxis], LABELS[labels], np.arange(100, dtype=np.float32)
    if not official:
        return split(Raw(x, y, w_train=w), seed=4)
    return split(Raw(x, y, -x[:5], y[-20::4], w_train=w, w_test=w[:5]), seed=4)


def ids(x: Any) -> list[int]:
    """Return the numbers of rows."""
    return [int(number) for number in np.concatenate(list(x.blocks()) if not isinstance(x, np.ndarray) else [x])[:, 0]]


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("labels", list(LABELS))
def test_training_and_validation_set_are_drawn_anew(labels: str, official: bool) -> None:
    """Disjoint, of the same sizes, from the same examples, each with its label and weight; the test set stays."""
    given = numbered(labels, official=official)
    found = [resplit(given, number) for number in NUMBERS]
    assert len({tuple(sorted(ids(one.x_val))) for one in (given, *found)}) == len(NUMBERS) + 1
    for one in found:
        train, val = ids(one.x_train), ids(one.x_val)
        assert sorted(train + val) == sorted(ids(given.x_train) + ids(given.x_val))
        assert (len(train), len(val)) == (len(given.x_train), len(given.x_val))
        assert official or not {*train, *val} & set(ids(given.x_test))
        np.testing.assert_array_equal(one.y_train, LABELS[labels][train])
        np.testing.assert_array_equal(one.y_val, LABELS[labels][val])
        np.testing.assert_array_equal(one.w_train, train)
        np.testing.assert_array_equal(one.w_val, val)
        assert (one.x_test is given.x_test, one.y_test is given.y_test) == (True, True)
        assert one.scaling == given.scaling


def test_classes_keep_their_shares() -> None:
    """Of a fifth of 100 examples, a fifth of each class, whatever the number."""
    given = numbered("classes")
    for number in range(6):
        one = resplit(given, number)
        assert np.bincount(one.y_train).tolist() == [36, 18, 6]
        assert np.bincount(one.y_val).tolist() == [12, 6, 2]


def test_the_number_and_the_prepared_split_decide() -> None:
    """The same give the same split, number 0 the prepared one itself, and another seed others."""
    given, other = numbered("classes"), split(load("digits"), seed=1)
    assert resplit(given, 0) is given
    for number in NUMBERS:
        assert ids(resplit(given, number).x_train) == ids(resplit(numbered("classes"), number).x_train)
    first = split(load("digits"), seed=0)
    assert not np.array_equal(resplit(first, 1).x_val, resplit(other, 1).x_val)


@pytest.mark.parametrize("kind", ["rows", "stream"])
def test_inputs_stay_on_disk(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the examples that those in memory are split into; saved, they are found again."""
    monkeypatch.chdir(tmp_path)
    Path("streamed.py").write_text(STREAMED, encoding="utf-8")
    x, y = np.arange(200, dtype=np.float32).reshape(100, 2), np.arange(100) % 2
    np.savez("data.npz", x_train=x, y_train=y)
    source = "data.npz" if kind == "rows" else "streamed:data"
    given = split(load(source, limit=0), seed=0)
    assert isinstance(given.x_train, Rows if kind == "rows" else Stream)
    save(given, "splits.npz", source, "target")
    for prepared in (given, load_splits("splits.npz")):
        one = resplit(prepared, 2)
        assert type(one.x_val) is type(given.x_val)
        train, val = (np.array(ids(part)) // 2 for part in (one.x_train, one.x_val))
        assert sorted([*train, *val]) == sorted(np.array(ids(given.x_train) + ids(given.x_val)) // 2)
        np.testing.assert_array_equal(one.y_train, train % 2)
        np.testing.assert_array_equal(one.y_val, val % 2)
        if kind == "stream":
            assert (np.diff(train) > 0).all()
        else:
            held = replace(
                given, index=None, **{f"x_{part}": next(getattr(given, f"x_{part}").blocks()) for part in PARTS}
            )
            np.testing.assert_array_equal(next(one.x_train.blocks()), resplit(held, 2).x_train)


PARTS = ("train", "val")

STREAMED = """
import numpy as np
import tensorflow as tf

def data():
    x, y = np.arange(200, dtype=np.float32).reshape(100, 2), np.arange(100) % 2
    train = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    return train, train.take(1)
"""
