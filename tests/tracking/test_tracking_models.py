"""The registry: a better model takes the alias, a worse one is not registered."""

import keras
import mlflow
import numpy as np
import pytest

from pipeline.tracking import Store
from pipeline.tracking.models import ALIAS, log_model, register_if_better


@pytest.fixture(scope="module")
def model_uri(store: Store) -> str:
    """Give a tiny logged model."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    with store.stage_run("train", "train", {}):
        return log_model(model, np.array([[0.0, 1.0], [1.0, 2.0]], np.float32))


def test_logged_model_has_signature_and_example(model_uri: str) -> None:
    """Loaded by MLflow alone it predicts for the example."""
    model = mlflow.pyfunc.load_model(model_uri)
    assert model.metadata.signature is not None
    predicted = model.predict(model.input_example)
    assert predicted.shape == (2, 3)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)


def test_only_a_better_model_on_the_same_data_replaces_the_champion(store: Store, model_uri: str) -> None:
    """Whatever of the data changed, it is other data: its losses are not compared."""
    digests = {"x_train": "1" * 64, "y_train": "2" * 64}
    relabelled = {**digests, "y_train": "3" * 64}
    answers = [
        register_if_better(model_uri, "a folder/data.csv", given, loss)
        for given, loss in ((digests, 0.5), (digests, 0.5), (digests, 0.6), (digests, 0.4), (relabelled, 0.9))
    ]
    name = "lr-pipeline-a-folder-data-csv"
    assert answers == [f"{name} version 1", None, None, f"{name} version 2", f"{name} version 3"]
    assert store.client.get_model_version_by_alias(name, ALIAS).version in (3, "3")
