"""The data of a run, as MLflow shows them."""

from typing import Any

import mlflow
import mlflow.data
import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.types import Schema, TensorSpec
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
