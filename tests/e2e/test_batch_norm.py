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


def test_it_is_recomputed_and_said(tmp_path: Path) -> None:
    """Once, and in the result."""
    project = Project(tmp_path)
    (project.folder / "norms.py").write_text(MODEL)
    said = project.here("train", **OPTIONS).stdout
    assert said.count("too short for BatchNormalization's moving averages") == 1
    train = project.runs("train", status="FINISHED")[0]
    assert json.loads((project.artifacts(train) / "result.json").read_text(encoding="utf-8"))["recomputed"]
