"""Data sets as inputs of a run."""

import mlflow
import mlflow.data
import numpy as np
from numpy.typing import NDArray


def log_dataset(name: str, part: str, x: NDArray[np.generic], y: NDArray[np.generic]) -> None:
    """Log one split of the data as an input of the active run, with its shape, types and digest."""
    dataset = mlflow.data.from_numpy(x, targets=y, name=f"{name} {part}")
    mlflow.log_input(dataset, context=part)
