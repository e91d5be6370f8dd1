"""What is done to inputs is said on the screen, in the results and in the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.e2e.project import Project

NETWORK = """
import keras
from keras import layers

def embed(input_shape, num_outputs):
    tokens = keras.Input(input_shape)
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(200, 8)(tokens))
    return keras.Model(tokens, layers.Dense(1, activation="sigmoid")(hidden))
"""

TRAINED: dict[str, Any] = {"optimizer": "adam", "scheme": "constant", "initial_lr": 0.02, "epochs": 5, "seeds": 1}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with a table of token ids, odd in one class and even in the other, and a network for them."""
    folder: Path = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 400)
    table = pd.DataFrame(2 * rng.integers(1, 100, (400, 6)) - target[:, None], columns=list("abcdef"))
    table.assign(target=target).to_csv(folder / "text.csv", index=False)
    (folder / "nets.py").write_text(NETWORK)
    return Project(folder)


def test_codes_are_learnt_from_and_said(text: Project) -> None:
    """In the terminal, the result and the report."""
    options = {**TRAINED, "data": "text.csv", "model": "nets:embed"}
    shown = text.here("report", **options).stdout
    assert "number: 'a', 'b', 'c', 'd', 'e', 'f'" in shown
    assert "inputs standardised feature by feature" in shown
    said = "codes for the network, passed on as they are"
    assert f"inputs {said}" in shown
    results = [text.artifacts(run) / "result.json" for run in text.runs("train", status="FINISHED")]
    found = json.loads(next(result for result in results if result.exists()).read_text())
    assert found["test_accuracy"] > 0.9
    assert found["scaling"]["codes"] == list(range(6))
    page = (text.folder / "reports" / "report.html").read_text()
    assert said in page
    assert "Columns of the data" in page
