"""Logged models, and which of them is the champion."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import load, split
from pipeline.lr_pipeline_model import Outputs
from pipeline.tracking import Store
from pipeline.tracking.models import ALIAS, Scores, champions, log_model, register, why_unloadable

COMPARABLE = {"x_val": "1" * 64, "loss": "crossentropy"}
NAME = "lr-pipeline-a-folder-data-csv"


@pytest.fixture(scope="module")
def model_uri(store: Store) -> str:
    """Return a tiny logged model."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    with store.stage_run("train", "train", {}):
        return log_model(model, np.array([[0.0, 1.0], [1.0, 2.0]], np.float32))


def test_logged_model_has_signature_and_example(model_uri: str) -> None:
    """Loaded by MLflow alone, the model predicts for the example."""
    model = mlflow.pyfunc.load_model(model_uri)
    assert model.metadata.signature is not None
    predicted = model.predict(model.input_example)
    assert predicted.shape == (2, 3)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)
    assert isinstance(model.get_raw_model(), keras.Model)
    np.testing.assert_array_equal(mlflow.tensorflow.load_model(model_uri).predict(model.input_example), predicted)


def test_a_logged_model_takes_rows_of_a_table_as_they_were_given(store: Store, tmp_path: Path) -> None:
    """With gaps, words for them, unknown categories and columns left out, it answers as from the encoded rows."""
    age, town = ["20", "?", "40", "31"] * 10, ["Ulm", "Bonn", "", "Ulm"] * 10
    table = pd.DataFrame({"id": range(40), "age": age, "town": town, "target": [0, 1] * 20})
    table.to_csv(tmp_path / "d.csv", index=False)
    encoder = split(load(str(tmp_path / "d.csv")), seed=0).encoder
    encoder.save(tmp_path / "columns.skops")
    model = keras.Sequential([keras.Input((len(encoder.feature_names),)), keras.layers.Dense(2, "softmax")])
    with store.stage_run("train", "train", {}):
        uri = log_model(model, encoder.example, Outputs(("no", "yes")), columns=tmp_path / "columns.skops")
    loaded = mlflow.pyfunc.load_model(uri)
    np.testing.assert_allclose(loaded.predict(table), model.predict(encoder.transform(table), verbose=0), rtol=1e-5)
    rows = pd.DataFrame({"age": [25, None], "town": ["Rome", None]})
    answers = loaded.predict(rows)
    assert list(answers.columns) == ["no", "yes"]
    np.testing.assert_allclose(answers, model.predict(encoder.transform(rows), verbose=0), rtol=1e-5)


def test_the_champion_moves_only_to_what_is_surely_better(store: Store, model_uri: str) -> None:
    """Only comparable losses on paired seeds count; every version says why it is champion or not."""
    other_loss, other_data = {**COMPARABLE, "loss": "squared error"}, {**COMPARABLE, "x_val": "2" * 64}
    low = {0: 0.10, 1: 0.11, 2: 0.10}
    registered_in_turn: list[tuple[dict[int, float], dict[str, str], str, str]] = [
        ({0: 0.50, 1: 0.52, 2: 0.51}, COMPARABLE, "1", "there was no loadable champion"),
        ({0: 0.49, 1: 0.53, 2: 0.50}, COMPARABLE, "1", "does not exclude zero"),
        ({0: 0.60, 1: 0.62, 2: 0.61}, COMPARABLE, "1", "does not exclude zero"),
        ({7: 0.1, 8: 0.1, 2: 0.1}, COMPARABLE, "1", "1 seeds in common"),
        (low, other_loss, "1", "losses are not comparable"),
        (low, other_data, "1", "losses are not comparable"),
        ({0: 0.40, 1: 0.43, 2: 0.41}, COMPARABLE, "7", "better than version 1 by 0.0967 (95% interval 0.0823 to"),
        ({0: float("inf"), 1: 0.4, 2: 0.4}, COMPARABLE, "7", "version 7 stays"),
    ]
    for losses, comparable, champion, reason in registered_in_turn:
        registered, why = register(model_uri, "a folder/data.csv", Scores(comparable, losses))
        assert reason in why
        assert str(store.client.get_model_version_by_alias(NAME, ALIAS).version) == champion
        version = store.client.get_model_version(NAME, registered.rpartition(" ")[2])
        assert version.tags["pipeline.champion"] == why
        assert version.description.startswith("champion: " if str(version.version) == champion else "no champion: ")


def test_a_champion_that_cannot_be_loaded_is_replaced(store: Store) -> None:
    """Its artifacts were deleted without the registry noticing."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with store.stage_run("train", "train", {}):
        uris = [log_model(model, np.zeros((1, 2), np.float32)) for _ in range(2)]
    register(uris[0], "lost", Scores(COMPARABLE, {0: 0.1, 1: 0.1}))
    shutil.rmtree(mlflow.artifacts.download_artifacts(uris[0]))
    _, why = register(uris[1], "lost", Scores(COMPARABLE, {0: 0.5, 1: 0.6}))
    assert why == "there was no loadable champion"
    assert str(store.client.get_model_version_by_alias("lr-pipeline-lost", ALIAS).version) == "2"


LAYERS = """
import keras
import yaml
from scales import FACTOR

class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return FACTOR * inputs

@keras.saving.register_keras_serializable("own")
class Registered(Scaled):
    pass

class Doubled(keras.Model):
    def call(self, inputs):
        return 2 * inputs
"""
OWN = ("Scaled", "Registered", "Doubled")
LOAD = """
import sys, mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(np.array([[1.0, 2.0]], np.float32)).tolist())
"""


def test_a_users_own_layers_are_found_wherever_the_model_is_loaded(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They load in a fresh process elsewhere, which cannot import the module or what it imports, without pickle."""
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    code.mkdir()
    elsewhere.mkdir()
    (code / "own_layers.py").write_text(LAYERS, encoding="utf-8")
    (code / "scales.py").write_text("FACTOR = 3.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(code))
    modules = [importlib.import_module(name) for name in ("own_layers", "scales")]
    model = keras.Sequential([keras.Input((2,)), *(getattr(modules[0], name)() for name in OWN)])
    with store.stage_run("train", "train", {}):
        uri = log_model(model, np.ones((1, 2), np.float32), modules=modules)
    stored = [file for file in Path(mlflow.artifacts.download_artifacts(uri)).rglob("*") if file.is_file()]
    assert {file.name for file in stored} >= {"model.keras", "model.json", "columns.py", "own_layers.py"}
    (requirements,) = (file.read_text(encoding="utf-8") for file in stored if file.name == "requirements.txt")
    assert {line.partition("==")[0] for line in requirements.split()} >= {"mlflow", "tensorflow", "PyYAML"}
    assert [file for file in stored if "pickle" in file.name or file.suffix in (".pkl", ".pyc")] == []
    ended = subprocess.run(
        [sys.executable, "-P", "-c", LOAD, uri],
        cwd=elsewhere,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(ended.stdout.splitlines()[-1]) == [[18.0, 36.0]]


def test_models_are_loaded_each_with_its_own_code(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where two have modules of the same name, here in a folder without `__init__.py`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_nets").mkdir()
    for layer in ("First", "Second"):
        text = f"import keras\n\nclass {layer}(keras.layers.Dropout):\n    pass\n"
        (tmp_path / "own_nets" / "layers.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module("own_nets.layers")
        model = keras.Sequential([keras.Input((2,)), getattr(module, layer)(0.5)])
        with store.stage_run("train", "train", {}):
            register(log_model(model, np.ones((1, 2), np.float32), modules=[module]), layer, Scores({}, {0: 0.1}))
        for name in ("own_nets", "own_nets.layers"):
            del sys.modules[name]
    shutil.rmtree(tmp_path / "own_nets")
    found = {one.name: why_unloadable(one) for one in champions(store.client)}
    assert [found[f"lr-pipeline-{layer}"] for layer in ("First", "Second")] == ["", ""]
    assert "own_nets.layers" not in sys.modules


class Pickled(keras.layers.Layer):  # type: ignore[misc]
    """A layer of a model that an earlier version logged."""

    def call(self, inputs: Any) -> Any:
        return inputs


def test_no_pickle_is_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As earlier versions logged them with own layers: that is why such a champion cannot be loaded."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")  # which is put back at the end
    model = keras.Sequential([keras.Input((2,)), Pickled()])
    with store.stage_run("train", "train", {}):
        own = {"Pickled": Pickled}
        logged = mlflow.tensorflow.log_model(model, name="model", custom_objects=own, pip_requirements=["keras"])
    register(logged.model_uri, "pickled", Scores({}, {0: 0.1}))
    (champion,) = (one for one in champions(store.client) if one.name == "lr-pipeline-pickled")
    assert "cloudpickle is disallowed" in why_unloadable(champion)
