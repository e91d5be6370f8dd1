"""A network with BatchNormalization, trained for too few updates for its moving averages."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.slow

MODEL = """
import keras
from keras import layers

def normalised(input_shape, num_outputs):
    inner = [layers.Flatten(), layers.Dense(32, "relu"), layers.BatchNormalization()]
    return keras.Sequential([keras.Input(input_shape), *inner, layers.Dense(num_outputs, activation="softmax")])
"""
OPTIONS: dict[str, Any] = {"model": "norms:normalised", "scheme": "constant", "initial_lr": 0.05, "seeds": 1}


def test_it_is_recomputed_and_said_unless_keras_is_asked_for(tmp_path: Path) -> None:
    """The option decides test scores, so it is part of what trainings are known by."""
    project = Project.copied_to(tmp_path)
    (project.folder / "norms.py").write_text(MODEL)
    said = project.pipeline("train", **OPTIONS).stdout
    assert said.count("too short for BatchNormalization's moving averages") == 1
    said = project.pipeline("train", batch_norm="keras", **OPTIONS).stdout
    assert "BatchNormalization" not in said
    results = [
        json.loads((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
        for run in project.runs("train", status="FINISHED")
        if "mlflow.parentRunId" not in run.data.tags
    ]
    losses = {result["recomputed"]: result["test_loss"] for result in results}
    assert losses[True] < losses[False] / 2
