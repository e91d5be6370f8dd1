"""The chain on data that are not held in memory."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import datasets
from tests.e2e.project import Project

pytestmark = pytest.mark.slow

FUNCTION = """
import numpy as np
import tensorflow as tf

def load():
    with np.load("digits.npz") as data:
        whole = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
    return whole.take(1400).batch(32), whole.skip(1400).batch(32)
"""
SCHEME: dict[str, Any] = {"scheme": "cosine", "initial_lr": 0.05, "seeds": 1, "epochs": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a folder with the digits as a file and as a function's data sets."""
    project = Project(tmp_path_factory.mktemp("on_disk"))
    raw = datasets.load("digits")
    np.savez(project.folder / "digits.npz", x_train=raw.x_train, y_train=raw.y_train)
    (project.folder / "digits_data.py").write_text(FUNCTION)
    return project


@pytest.fixture(scope="module")
def opened() -> list[str]:
    """Return a list that grows by each opening of the source of the data in this process."""
    names: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith("digits.npz"):
            names.append(str(arguments[0]))

    sys.addaudithook(note)  # which stays
    return names


def trained(project: Project, data: str, in_memory_mb: int) -> tuple[dict[str, Any], Path]:
    """Prepare and train; return the result and the file that prepare wrote."""
    project.here("train", data=data, in_memory_mb=in_memory_mb, **SCHEME)
    train = [run for run in project.runs("train") if "mlflow.parentRunId" not in run.data.tags][-1]
    result = json.loads((project.artifacts(train) / "result.json").read_text(encoding="utf-8"))
    return result, project.artifacts(project.runs("prepare")[-1]) / "data.npz"


def test_a_mapped_file_trains_as_in_memory_where_it_is_loaded_once(folder: Project, opened: list[str]) -> None:
    """Losses are equal to the last digit; the file that prepare writes holds no inputs.

    `prepare` loads the file; later commands only digest it, and training reads the prepared data.
    """
    folder.here("prepare", data="digits.npz")
    loading = len(opened)
    held, whole = trained(folder, "digits.npz", 1024)
    assert len(opened) == loading + 1
    folder.here("prepare", data="digits.npz")
    assert len(opened) == loading + 2
    mapped, rows = trained(folder, "digits.npz", 0)
    for name in ("val_loss", "test_loss", "test_accuracy"):
        assert mapped[name] == held[name]
    assert held["test_accuracy"] > 0.8
    with np.load(whole) as first, np.load(rows) as second:
        assert "x_train" in first.files
        assert set(second.files) == {"meta", "labels", "train", "val", "test"}


def test_a_function_s_data_sets_are_read_in_passes(folder: Project) -> None:
    """One command prepares, and another trains, which calls the function again."""
    result, rows = trained(folder, "digits_data:load", 0)
    assert result["test_accuracy"] > 0.7
    with np.load(rows) as left:
        assert set(left.files) == {"meta", "labels", "train", "val", "labels_test"}
