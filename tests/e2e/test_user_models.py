"""Networks that users bring, from the command to what it leaves."""

from pathlib import Path

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


def network(shape, outputs):
    return keras.Sequential([keras.Input(shape), layers.SimpleRNN(4), layers.Dense(outputs)])
"""


def test_data_made_with_keras_are_prepared_without_its_notices(tmp_path: Path) -> None:
    """TensorFlow writes a dozen lines about the processor at import, in which what is printed would drown."""
    project = Project.copied_to(tmp_path)
    made = "import keras, numpy\n\ndef load():\n    return numpy.eye(20)[:, :3], numpy.arange(20.0)\n"
    (tmp_path / "made.py").write_text(made, encoding="utf-8")
    assert project.run("python", "-m", "pipeline", "prepare", "--data", "made:load").stderr == ""


def test_the_model_of_a_network_of_sequences_takes_them_as_they_were_given(tmp_path: Path) -> None:
    """Without the channel axis of images."""
    project = Project(tmp_path)
    (tmp_path / "recurrent.py").write_text(RECURRENT, encoding="utf-8")
    x = np.random.default_rng(0).normal(size=(100, 12, 3)).astype(np.float32)
    np.savez(tmp_path / "series.npz", x_train=x, y_train=x.sum((1, 2)))
    project.here(
        "train",
        data="series.npz",
        model="recurrent:network",
        scheme="constant",
        initial_lr=0.05,
        epochs=1,
        seeds=1,
    )
    (version,) = project.client.search_model_versions()
    model = mlflow.pyfunc.load_model(project.client.get_model_version_download_uri(version.name, version.version))
    assert model.predict(x).shape == (100, 1)


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
