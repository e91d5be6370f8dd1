"""A training that is killed and goes on, on one thread, is to the last bit one that is not, on two."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import PATIENCE, Project, command, kill_tree

MODEL = """
import keras
from keras import layers

def model(input_shape, num_outputs):
    hidden = layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.3)
    return keras.Sequential([keras.Input(input_shape), *hidden, layers.Dense(num_outputs, activation="softmax")])
"""
OPTIONS = {
    **{"model": "mymodels:model", "optimizer": "adam", "scheme": "reduce_on_plateau", "initial_lr": 0.01, "seeds": 1},
    **{"epochs": 20, "deterministic": "true", "checkpoint": 1e-4},
}


@pytest.mark.slow
def test_a_killed_training_goes_on_and_threads_change_nothing(tmp_path: Path) -> None:
    """Curve and weights have the same bytes, results the same numbers; most epochs are not trained a second time."""
    disturbed, whole = (project_in(tmp_path / name) for name in ("disturbed", "whole"))
    checkpoints = disturbed.folder / ".lr-pipeline/checkpoints"
    process = disturbed.start(*command("train", **OPTIONS), variables=threads(1))
    deadline = time.monotonic() + PATIENCE
    while not [file for file in checkpoints.glob("*") if not file.suffix]:  # a suffix: still being written
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill_tree(process)
    assert disturbed.runs("train", status="FINISHED") == []
    said = disturbed.run(*command("train", **OPTIONS), variables=threads(1)).stdout
    assert "goes on from its checkpoint" in said
    assert list(checkpoints.glob("*")) == []
    said = whole.run(*command("train", **OPTIONS), variables=threads(2)).stdout
    assert "goes on from its checkpoint" not in said
    assert left(whole) == left(disturbed)


def project_in(folder: Path) -> Project:
    """Return a project with the network, and with prepared data."""
    folder.mkdir()
    (folder / "mymodels.py").write_text(MODEL, encoding="utf-8")
    project = Project.copied_to(folder)
    project.here("prepare", deterministic=OPTIONS["deterministic"])
    return project


def threads(count: int) -> dict[str, str]:
    """Return variables that ask for this many threads, which the option overrules."""
    return dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(count))


def left(project: Project) -> list[Any]:
    """Return the result, without the time taken, and the files of the newest training."""
    folder = project.artifacts(project.runs("train", status="FINISHED")[-1])
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del result["seconds"]
    return [result, *((folder / name).read_bytes() for name in ("lr_curve.csv", "weights.npz"))]
