"""What labels are taken for: by their type and shape, or by the option `task`."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets import Raw, few_values, split
from pipeline.datasets.conform import conform
from pipeline.errors import InputError

N = 60
X = np.arange(N * 2.0).reshape(N, 2)
CODES = np.arange(N) % 3
ONE_HOT = np.eye(3)[CODES]
SEVERAL = (np.arange(N)[:, None] // [1, 2, 3]) % 2
VALUES = np.stack([np.linspace(0, 1, N), np.linspace(5, 9, N)], axis=1)


@pytest.mark.parametrize(
    ("labels", "task", "expected", "outputs"),
    [
        (CODES + 1, "auto", "classification", 3),
        (ONE_HOT, "auto", "classification", 3),
        (ONE_HOT.astype(bool), "classification", "classification", 3),
        (ONE_HOT, "regression", "regression", 3),
        (ONE_HOT, "multi_label", "multi_label", 3),
        (SEVERAL, "auto", "multi_label", 3),
        (SEVERAL.astype(float), "auto", "multi_label", 3),
        (SEVERAL.astype(float), "regression", "regression", 3),
        (VALUES, "auto", "regression", 2),
        (VALUES[:, :1], "auto", "regression", 1),
        (CODES.astype(float), "auto", "regression", 1),
        (CODES.astype(float), "classification", "classification", 3),
        (CODES, "regression", "regression", 1),
        (SEVERAL * 7, "regression", "regression", 3),
    ],
)
def test_what_labels_are_taken_for(labels: Any, task: str, expected: str, outputs: int) -> None:
    """The splits hold them as their task needs; checking them twice changes nothing."""
    raw = conform(Raw(X, labels), task)
    splits = split(raw, 0, task=task)
    assert (splits.task, splits.num_outputs) == (expected, outputs)
    assert splits.y_train.dtype == (np.int32 if expected == "classification" else np.float32)
    order = np.argsort(splits.x_train[:, 0])
    rows = (splits.x_train[order, 0] / 2).astype(int)
    known = (
        np.unique(CODES, return_inverse=True)[1]
        if expected == "classification"
        else np.squeeze(np.asarray(labels, np.float64))
    )
    np.testing.assert_allclose(splits.y_train[order], known[rows], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "task", "message"),
    [
        (VALUES, "classification", "task: received classification for y_train of shape (60, 2), dtype float64"),
        (CODES + 0.5, "classification", "task: received classification for y_train with 0.5; accepted: whole numbers"),
        (CODES.astype(str), "regression", "task: received regression for y_train of text; accepted: numbers"),
        (CODES, "multi_label", "task: received multi_label for y_train of shape (60,)"),
        (SEVERAL * 7, "auto", "several whole numbers an example: received shape (60, 3)"),
        ({"a": CODES, "b": CODES}, "classification", "classification for y_train with labels for several outputs"),
    ],
)
def test_labels_that_a_task_does_not_fit_are_refused(labels: Any, task: str, message: str) -> None:
    """In one line that says what would do."""
    with pytest.raises(InputError, match=re.escape(message)):
        split(Raw(X, labels), 0, task=task)


def test_a_test_set_whose_examples_have_one_label_each_by_chance() -> None:
    """Is of several labels, if the training set is."""
    splits = split(Raw(X, SEVERAL, X[:4], np.eye(3)[[0, 1, 2, 0]]), 0)
    assert (splits.task, splits.y_test.shape) == ("multi_label", (4, 3))


def test_numbers_that_look_like_classes_are_pointed_out() -> None:
    """Not measurements, nor what is none."""
    said = "labels 0.0, 1.0, 2.0: regression; for classes write whole numbers, or pass task=classification"
    assert few_values(split(Raw(X, CODES.astype(float)), 0)) == said
    for other in (CODES, np.linspace(0, 1, N), np.arange(N) * 1.0, VALUES, SEVERAL):
        assert few_values(split(Raw(X, other), 0)) == ""


def test_several_label_columns_of_a_table(tmp_path: Path) -> None:
    """Numbers are values to predict, columns of 0 and 1 labels with names; neither is a feature."""
    path = tmp_path / "table.csv"
    rows = [f"{i},{i % 2},{i // 2 % 2},{i * 0.5},{'uv'[i % 2]}" for i in range(N)]
    path.write_text("\n".join(["x,a,b,c,d", *rows]) + "\n")
    raw = datasets.load(str(path), "a,c")
    splits = split(raw, 0)
    assert splits.task == "regression"
    assert sorted(splits.columns) == ["b", "d", "x"]
    np.testing.assert_allclose(raw.y_train[:3], [[0.0, 0.0], [1.0, 0.5], [0.0, 1.0]])
    assert split(datasets.load(str(path), "a,b"), 0).classes == ("a", "b")
    for target, message in (
        ("a,e", "has no label column: received target='e'"),
        ("a,a", "target names a column twice"),
        ("x,a,b,c,d", "has no features"),
        ("a,d", "has several label columns: received text in 'd'; accepted: numbers, or one column of text"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            datasets.load(str(path), target)


@pytest.mark.parametrize("labels", ["several", "one_hot"])
def test_labels_read_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str) -> None:
    """A block whose examples have one label each by chance does not make them classes."""
    monkeypatch.chdir(tmp_path)
    Path("passes.py").write_text(f"""
import numpy as np
import tensorflow as tf

x = np.arange(400.0, dtype=np.float32).reshape(200, 2)
one_hot = np.eye(3, dtype=np.float32)[np.arange(200) % 3]
several = one_hot.copy()
several[150::2] = 1

def load():
    data = tf.data.Dataset.from_tensor_slices((x, {labels})).batch(10)
    return data, data
""")
    try:
        raw = datasets.load("passes:load", limit=0)
        splits = split(raw, 0)
        assert splits.task == ("multi_label" if labels == "several" else "classification")
        assert isinstance(raw.x_train, datasets.Stream)
        assert sum(len(block) for block in datasets.blocks(raw.x_train)) == 200
    finally:
        del sys.modules["passes"]


def test_one_hot_rows_are_said_to_be_class_numbers() -> None:
    """Beside what became of a table's columns."""
    columns = conform(Raw(X, ONE_HOT, columns={"a": "number"})).columns
    assert columns == {"labels": "one-hot rows, as class numbers", "a": "number"}
    assert conform(Raw(X, CODES[:, None])).columns is None
