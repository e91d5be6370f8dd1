"""The data sets of runs, which MLflow shows and can filter runs by."""

from collections.abc import Collection
from typing import Any

import mlflow
import mlflow.data
import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from numpy.typing import NDArray

from pipeline.datasets import named


def log_dataset(name: str, part: str, x: Any, y: NDArray[np.generic], digest: str) -> None:
    """Log one split of the data as an input of the active run, with its shape, types and digest.

    Inputs that are not held in memory are only described, with their known digest.
    """
    titled = f"{name} {part}"[-500:]  # as much as MLflow takes: of a longer path, its end says most
    if isinstance(x, np.ndarray):
        dataset = mlflow.data.from_numpy(named(x), targets=named(y), name=titled)
    else:
        schema = Schema(
            [TensorSpec(x.dtype, (-1, *x.shape[1:]), "inputs"), TensorSpec(y.dtype, (-1, *y.shape[1:]), "labels")]
        )
        dataset = MetaDataset(CodeDatasetSource({}), titled, digest[:8], schema)
    try:
        mlflow.log_input(dataset, context=part)
    except MlflowException:  # another command has just logged the same data for the first time
        mlflow.log_input(dataset, context=part)


def copy_data_sets(client: MlflowClient, source: str, run_id: str, parts: Collection[str]) -> None:
    """Log these parts of the data that one run has as inputs of another one too."""
    found = [one for one in data_sets(client, source) if _part(one) in parts]
    if found:
        client.log_inputs(run_id, datasets=found)


def data_sets(client: MlflowClient, run_id: str) -> list[DatasetInput]:
    """Return the data sets of a run."""
    return list(client.get_run(run_id).inputs.dataset_inputs)


def _part(logged: DatasetInput) -> str:
    return next((str(tag.value) for tag in logged.tags if tag.key == MLFLOW_DATASET_CONTEXT), "")
