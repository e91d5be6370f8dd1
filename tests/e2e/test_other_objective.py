"""A search judged by a user's own metric, on a model that the user compiled."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.slow

MODEL = """
import keras

class Margin(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        right = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
        others = keras.ops.max(y_pred - 2 * right, axis=-1)
        return super().update_state(keras.ops.sum(y_pred * right, axis=-1) - others, sample_weight)

def judged(input_shape, num_outputs):
    outputs = keras.layers.Dense(num_outputs, activation="softmax")
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), outputs])
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy", Margin(name="margin")])
    return model
"""
OPTIONS: dict[str, Any] = {"model": "margins:judged", "refine": "off", "seeds": 1, "trials": 2}


def test_a_search_for_the_highest_of_a_user_s_metric(tmp_path: Path) -> None:
    """Results name the metric, in its own sign, best first; a metric that the model lacks gives one line."""
    project = Project.copied_to(tmp_path)
    (project.folder / "margins.py").write_text(MODEL)
    refused = project.pipeline("search", code=2, objective="max:val_margni", **OPTIONS)
    line = refused.stderr.splitlines()[-1]
    assert line.startswith(
        "lr-pipeline: objective: received 'val_margni', expected a metric of the model: val_accuracy"
    )
    assert line.endswith("val_margin")
    assert {run.data.tags["pipeline.role"] for run in project.runs("trial")} == {"sweep"}  # of the range test

    project.pipeline("search", objective="max:val_margin", **OPTIONS)
    (search,) = project.runs("search", status="FINISHED")
    result = json.loads((project.artifacts(search) / "result.json").read_text(encoding="utf-8"))
    assert result["objective"] == {"metric": "val_margin", "direction": "max"}
    assert "validation margin" in result["reason"]
    means = [row["objective"]["mean"] for row in result["leaderboard"]]
    assert means == sorted(means, reverse=True)
    board = pd.read_csv(project.artifacts(search) / "leaderboard.csv")
    assert board["val_margin"].tolist() == pytest.approx(means)
    assert (board["val_margin_low"] < board["val_margin"]).all()
    assert {"val_loss", "val_accuracy"} <= set(board)
    trials = pd.read_csv(project.artifacts(search) / "trials.csv")
    first, *_ = project.runs("trial", search.info.run_id)
    assert trials["val_margin"][0] == pytest.approx(first.data.metrics["val_margin"])


def test_models_of_different_objectives_compete_by_validation_loss(tmp_path: Path) -> None:
    """Losses of champion and challenger are paired by seed, whatever each was judged by."""
    project = Project.copied_to(tmp_path)
    project.pipeline("train", scheme="constant", initial_lr=0.05, seeds=2)
    project.pipeline("train", scheme="constant", initial_lr=0.05, seeds=2, objective="val_accuracy")
    stages = [run for run in project.runs("train") if "mlflow.parentRunId" not in run.data.tags]
    texts = [(project.artifacts(run) / "result.json").read_text(encoding="utf-8") for run in stages]
    champions = [json.loads(text)["champion"] for text in texts]
    assert sorted(reason[:14] for reason in champions) == ["there was no l", "version 1 stay"]
    assert any("the gain over it is 0 (95% interval 0 to 0) on 2 paired seeds" in reason for reason in champions)
