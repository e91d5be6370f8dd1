"""The trained model, logged and registered."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from io import StringIO
from typing import Any

import mlflow
import mlflow.tensorflow
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

ALIAS = "champion"
_VAL_LOSS, _DATA = "val_loss", "data_digest"


def log_model(model: Any, example: Any) -> str:
    """Log a Keras model of raw inputs on the active run, with signature and input example; returns its URI."""
    signature = infer_signature(example, model.predict(example, verbose=0))
    with warnings.catch_warnings(), redirect_stdout(StringIO()):  # Keras draws a bar for each prediction
        warnings.simplefilter("ignore")  # it warns of integer columns, which an image rightly has
        info = mlflow.tensorflow.log_model(
            model,
            name="model",
            signature=signature,
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in ("keras", "tensorflow", "numpy")],
        )
    return str(info.model_uri)


def register_if_better(model_uri: str, data: str, digests: Mapping[str, str], val_loss: float) -> str | None:
    """Register the model, and point the alias at it, if no incumbent has a lower validation loss on the same data.

    Returns the registered name and version, or None where the incumbent stays.
    """
    client = MlflowClient()
    name = f"lr-pipeline-{re.sub(r'[^A-Za-z0-9]+', '-', data).strip('-')}"
    digest = hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()
    incumbent = _incumbent(client, name)
    if incumbent.get(_DATA) == digest and float(incumbent[_VAL_LOSS]) <= val_loss:
        return None
    tags = {_VAL_LOSS: repr(val_loss), _DATA: digest}
    with redirect_stderr(StringIO()):  # MLflow announces every version there
        registered = mlflow.register_model(model_uri, name, tags=tags)
    client.set_registered_model_alias(name, ALIAS, registered.version)
    return f"{name} version {registered.version}"


def _incumbent(client: MlflowClient, name: str) -> dict[str, str]:
    try:
        return dict(client.get_model_version_by_alias(name, ALIAS).tags)
    except mlflow.exceptions.MlflowException:
        return {}
