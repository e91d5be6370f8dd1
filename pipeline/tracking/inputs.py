"""Data sets as inputs of a run."""

from typing import Any

import mlflow
import mlflow.data
import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from pipeline.datasets import named


def log_dataset(name: str, part: str, x: Any, y: NDArray[np.generic], digest: str) -> None:
    """Log one split of the data as an input of the active run, with its shape, types and digest.

    Of inputs that are not held in memory MLflow is given the description alone, with the digest known already.
    """
    titled = f"{name} {part}"
    if isinstance(x, np.ndarray):
        dataset = mlflow.data.from_numpy(named(x), targets=y, name=titled)
    else:
        schema = Schema([TensorSpec(x.dtype, (-1, *x.shape[1:]), "inputs"), TensorSpec(y.dtype, (-1,), "labels")])
        dataset = MetaDataset(CodeDatasetSource({}), titled, digest[:8], schema)
    mlflow.log_input(dataset, context=part)
