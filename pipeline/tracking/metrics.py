"""The metrics of trainings, sweeps and scores for MLflow's charts and tables."""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from mlflow.entities import Metric

from pipeline.evaluation import Training
from pipeline.results import RangeTestResult
from pipeline.schedules import Array

_POINTS = 150
"""Points per metric in MLflow, whose charts sample longer series anyway; the whole curve is in the file."""


def training_metrics(training: Training, extra: Mapping[str, float]) -> list[Metric]:
    """Return the metrics of a training's run: its curve, its validations, the best and last of them, and `extra`."""
    return [*_curve_points(training), *_epoch_points(training), *_final_points(training, extra)]


def sweep_metrics(rates: Array, losses: Array, result: RangeTestResult) -> list[Metric]:
    """Return the rate and the smoothed median loss of each update, and the rates read off them."""
    series: dict[str, Sequence[float]] = {"lr": rates.tolist(), "loss": losses.tolist()}
    found = {"suggested_lr": result.suggested_lr, "lr_low": result.lr_low, "lr_high": result.lr_high}
    now = _now()
    points = [Metric(name, value, now, step) for name, values in series.items() for step, value in enumerate(values)]
    return [*points, *score_metrics({name: value for name, value in found.items() if value is not None})]


def score_metrics(scores: Mapping[str, float]) -> list[Metric]:
    """Return scores as metrics of one point each."""
    now = _now()
    return [Metric(name, value, now, 0) for name, value in scores.items()]


def _now() -> int:
    return int(time.time() * 1000)


def _thinned(length: int) -> Sequence[int]:
    """Return at most `_POINTS` positions, evenly spread, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round())] if length else []


def _curve_points(training: Training) -> Iterator[Metric]:
    now = _now()
    for step in _thinned(len(training.rates)):
        yield Metric("lr", float(training.rates[step]), now, step)
        yield Metric("loss", float(training.losses[step]), now, step)
        yield Metric("epoch", step / training.steps_per_epoch, now, step)


def _epoch_points(training: Training) -> Iterator[Metric]:
    """Yield the metrics of each validation, at the last update before it."""
    now = _now()
    for name, values in training.history.items():
        if name == "loss":  # Keras' running mean; the metric `loss` is that of each batch
            continue
        for i, value in enumerate(values):
            yield Metric(name, float(value), now, min((i + 1) * training.validation_steps, len(training.rates)) - 1)


def _final_points(training: Training, extra: Mapping[str, float]) -> Iterator[Metric]:
    now, step = _now(), max(len(training.rates) - 1, 0)
    found = {f"best_{name}": training.best(name) for name in training.history if name.startswith("val_")}
    timing = {
        "train_seconds": training.seconds,
        "examples_per_second": training.examples / max(training.seconds, 1e-9),
    }
    for name, value in {**found, **timing, **extra}.items():
        if value is not None:
            yield Metric(name, float(value), now, step)
