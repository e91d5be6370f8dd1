"""Networks that users bring, from the command to what it leaves."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from pipeline.results import TrainResult
from tests.e2e.project import Project

pytestmark = pytest.mark.slow

UNSAVABLE = """
import keras
from keras import layers


class Apply(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def network(shape, outputs):
    inputs = keras.Input(shape)
    doubled = Apply(lambda values: values * 2.0)(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(doubled))
"""


RECURRENT = """
import keras
from keras import layers


def network(shape, outputs, factor=0.5):
    model = keras.Sequential([keras.Input(shape), layers.SimpleRNN(4, name="rnn"), layers.Dense(outputs)])
    model.lr_multipliers = {"rnn": factor}
    return model
"""


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which a network of sequences was trained, whose layers have rates of their own."""
    folder = tmp_path_factory.mktemp("recurrent")
    (folder / "recurrent.py").write_text(RECURRENT, encoding="utf-8")
    x = np.random.default_rng(0).normal(size=(100, 12, 3)).astype(np.float32)
    np.savez(folder / "series.npz", x_train=x, y_train=x.sum((1, 2)))
    project = Project(folder)
    said = project.here("train", torch_schedule="true", **SEQUENCES).stdout
    assert "layers train at multiples of the rate: rnn=0.5" in said
    return project


SEQUENCES: dict[str, Any] = {
    "data": "series.npz",
    "model": "recurrent:network",
    "scheme": "constant",
    "initial_lr": 0.05,
    "epochs": 1,
    "seeds": 1,
}


def test_data_made_with_keras_are_prepared_without_its_notices(tmp_path: Path) -> None:
    """TensorFlow writes a dozen lines about the processor at import, in which what is printed would drown."""
    project = Project.copied_to(tmp_path)
    made = "import keras, numpy\n\ndef load():\n    return numpy.eye(20)[:, :3], numpy.arange(20.0)\n"
    (tmp_path / "made.py").write_text(made, encoding="utf-8")
    assert project.run("python", "-m", "pipeline", "prepare", "--data", "made:load").stderr == ""


def test_the_model_of_a_network_of_sequences_takes_them_as_they_were_given(recurrent: Project) -> None:
    """Without the channel axis of images."""
    (version,) = recurrent.client.search_model_versions()
    model = mlflow.pyfunc.load_model(recurrent.client.get_model_version_download_uri(version.name, version.version))
    assert model.predict(np.load(recurrent.folder / "series.npz")["x_train"]).shape == (100, 1)


def test_rates_of_layers_are_shown_wherever_the_schedule_is(recurrent: Project) -> None:
    """In the run, the result, the code to paste with the file that it needs, and the registry's words on the model."""
    (run,) = recurrent.runs("train")[:1]
    assert run.data.params["lr_multipliers"] == "rnn=0.5"
    folder = recurrent.artifacts(run)
    result = TrainResult.model_validate_json((folder / "result.json").read_text(encoding="utf-8"))
    assert result.lr_multipliers == json.loads((folder / "schedule.json").read_text())["lr_multipliers"] == {"rnn": 0.5}
    code = (folder / "schedule.py").read_text(encoding="utf-8")
    assert "model.compile(optimizer=with_lr_multipliers(keras.optimizers.SGD(learning_rate=Schedule()" in code
    assert "model.lr_multipliers = {'rnn': 0.5}" in code
    assert (folder / "lr_multipliers.py").is_file()
    assert (recurrent.folder / "reports" / "lr_multipliers.py").is_file()
    assert '"lr_multiplier": 0.1}' in (folder / "schedule_torch.py").read_text(encoding="utf-8")
    (version,) = recurrent.client.search_model_versions()
    assert "Layers train at multiples of the rate: rnn=0.5." in version.description


def test_factors_that_cannot_be_used_end_a_command_in_one_line(recurrent: Project) -> None:
    """With exit code 2."""
    refused = recurrent.here("train", code=2, model_args="factor=-1.0", **SEQUENCES).stderr.splitlines()[-1]
    why = "received -1.0 for 'rnn', expected a number of at least 0"
    assert refused == f"lr-pipeline: model: lr_multipliers: {why}"


def test_a_network_that_cannot_be_saved_still_gets_its_answer(tmp_path: Path) -> None:
    """A line says so before it trains; in place of a registered model the run keeps its weights and the reason."""
    project = Project(tmp_path)
    (tmp_path / "own_network.py").write_text(UNSAVABLE, encoding="utf-8")
    ended = project.here("train", model="own_network:network", scheme="constant", initial_lr=0.05, epochs=1, seeds=1)
    assert "the network cannot be saved as a model, so only its weights will be: NotImplementedError" in ended.stdout
    assert ended.stdout.index("cannot be saved") < ended.stdout.index("test accuracy")
    folder = project.artifacts(project.runs("train")[0])
    result = TrainResult.model_validate_json((folder / "result.json").read_text(encoding="utf-8"))
    assert result.registered is None
    assert result.unsaved.startswith("NotImplementedError")
    assert (folder / "model.weights.h5").is_file()
    assert (folder / "schedule.py").is_file()
    assert not (folder / "model.keras").exists()
