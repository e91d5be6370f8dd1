"""The metrics of a range test's run."""

import time
from collections.abc import Sequence

import numpy as np
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from pipeline.results import RangeTestResult


def log_sweep(run_id: str, rates: NDArray[np.float64], losses: NDArray[np.float64], result: RangeTestResult) -> None:
    """Log the rate and the smoothed median loss of each update, and what was read off them."""
    now = int(time.time() * 1000)
    series: dict[str, Sequence[float]] = {"lr": rates.tolist(), "loss": losses.tolist()}
    points = [Metric(name, value, now, step) for name, values in series.items() for step, value in enumerate(values)]
    found = {"suggested_lr": result.suggested_lr, "lr_low": result.lr_low, "lr_high": result.lr_high}
    points += [Metric(name, value, now, 0) for name, value in found.items() if value is not None]
    MlflowClient().log_batch(run_id, metrics=points)
    for name in ("optimizer", "batch_size"):
        MlflowClient().set_tag(run_id, f"pipeline.{name}", str(getattr(result, name)))
