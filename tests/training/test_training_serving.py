"""The model that users are given."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.datasets import Splits
from pipeline.evaluation import Training
from pipeline.training import engine
from pipeline.training.network import Network
from tests.training.networks import BATCH, NETWORKS, STEPS, digits, digits_table, plain, trainer

CASES: dict[str, tuple[str, str, Splits]] = {
    "images": ("plain", "float32", digits()),
    "bfloat16": ("plain", "mixed_bfloat16", digits()),
    "table": ("table", "float32", digits_table()),
}
FRESH = """
import importlib.util, sys
import keras, numpy
assert importlib.util.find_spec("pipeline") is None
for name in sys.argv[1:]:
    model = keras.saving.load_model(name + ".keras")
    assert not model.compiled
    numpy.save(name + ".out.npy", model.predict(numpy.load(name + ".in.npy"), verbose=0))
"""


def served(network: str, training: Training, precision: str = "float32") -> keras.Model:
    """Return the network as users get it, with the weights of a training."""
    assert training.weights is not None
    build, data = NETWORKS[network]
    return Network(build, precision).served(training.weights, data())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the saved models, their raw inputs, and what a process without this project's code made of them."""
    folder = tmp_path_factory.mktemp("serving")
    for name, (network, precision, data) in CASES.items():
        engine = trainer(network, precision=precision)
        training = engine.train(np.full(3 * STEPS, 0.02), 1, validations=1, weights=True)
        served(network, training, precision).save(folder / f"{name}.keras")
        np.save(folder / f"{name}.in.npy", data.x_test)
        inputs = (data.x_test - np.asarray(data.scaling.offset)) / np.asarray(data.scaling.scale)
        np.save(folder / f"{name}.expected.npy", engine.model.predict(inputs.astype(np.float32), verbose=0))
    subprocess.run([sys.executable, "-I", "-c", FRESH, *CASES], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("name", CASES)
class TestServingModel:
    def test_it_takes_raw_inputs_wherever_keras_is(self, folder: Path, name: str) -> None:
        """Loaded in safe mode without this project, it gives for raw inputs what the network gives for scaled ones."""
        outputs = np.load(folder / f"{name}.out.npy")
        expected = np.load(folder / f"{name}.expected.npy")
        assert np.ptp(expected, axis=0).max() > 0.1
        tolerance = 0.02 if name == "bfloat16" else 1e-5
        np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)

    def test_its_file_says_nothing_of_the_training(self, folder: Path, name: str) -> None:
        """No optimizer, no loss, no state of them, no name of this project."""
        with zipfile.ZipFile(folder / f"{name}.keras") as archive:
            text = archive.read("config.json").decode()
        config = json.loads(text)
        assert not config.get("compile_config")
        assert "optimizer" not in text
        assert "pipeline" not in text
        model = keras.saving.load_model(folder / f"{name}.keras")
        assert not model.compiled


def test_images_may_stay_bytes() -> None:
    """The images are served as they were read."""
    assert digits().x_test.dtype == np.uint8
    engine = trainer("plain")
    training = engine.train(np.full(STEPS, 0.02), 1, validations=0, weights=True)
    outputs = served("plain", training)(digits().x_test)
    np.testing.assert_allclose(outputs, engine.model(digits().x_test / np.float32(16)), rtol=1e-5, atol=1e-6)


def test_a_compiled_model_is_served_without_its_training(tmp_path: Path) -> None:
    """Its file can be loaded where the user's loss is unknown."""

    def own_loss(y: Any, outputs: Any) -> Any:
        return keras.ops.mean(keras.ops.square(outputs), axis=-1)

    def build() -> keras.Model:
        model = plain()
        model.compile(keras.optimizers.SGD(0.1, use_ema=True), loss=own_loss, metrics=[own_loss])
        return model

    ours = engine(build, digits(), optimizer="sgd", momentum=0.5, batch_size=BATCH, precision="float32")
    training = ours.train(np.full(STEPS, 0.02), 1, validations=0, weights=True)
    assert training.weights is not None
    Network(build, "float32").served(training.weights, digits()).save(tmp_path / "served.keras")
    loaded = keras.saving.load_model(tmp_path / "served.keras")
    assert not loaded.compiled
    outputs = ours.model.predict(digits().x_test / np.float32(16), verbose=0)
    np.testing.assert_allclose(loaded.predict(digits().x_test, verbose=0), outputs, rtol=1e-4, atol=1e-6)
