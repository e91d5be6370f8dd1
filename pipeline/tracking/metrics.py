"""The metrics of trainings, sweeps and scores for MLflow's charts and tables."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from mlflow.entities import Metric
from mlflow.utils.validation import path_not_unique

from pipeline.evaluation import Training
from pipeline.results import RangeTestResult
from pipeline.schedules import Array

_POINTS = 150
"""Points per metric in MLflow, whose charts sample longer series anyway; the whole curve is in the file."""


Point = tuple[str, float, int]
"""Name, value and step of a metric."""

_UNSTORABLE = re.compile(r"[^\w .:/-]", re.ASCII)
"""Characters that MLflow refuses in the name of a metric."""

_LONGEST = 240
"""Characters of a name that are kept: MLflow refuses more than 250."""

_OURS = ("lr", "epoch")
"""Series that every training logs, whatever metrics the network has."""


def training_metrics(training: Training, extra: Mapping[str, float], ended: float) -> list[Metric]:
    """Return the metrics of a training's run: its curve, its validations, the best and last of them, and `extra`.

    Names that MLflow refuses are changed; no two metrics get the same one. All have the time when the training `ended`,
    in seconds since the epoch, so that those that are logged twice are stored once.
    """
    # The UI compares runs by the metric that comes first.
    found = [*_epoch_points(training), *_curve_points(training), *_final_points(training, extra)]
    names, at = storable(dict.fromkeys(name for name, _, _ in found)), int(ended * 1000)
    return [Metric(names[name], value, at, step) for name, value, step in found]


def storable(names: Iterable[str]) -> dict[str, str]:
    """Return a name that MLflow accepts for each: its own where it can be, `top_2` for `top@2`."""
    found: dict[str, str] = {}
    for name in sorted(names, key=_plain_first):
        kept = _accepted(name)
        while kept in found.values():
            kept += "_"
        found[name] = kept
    return found


def _plain_first(name: str) -> bool:
    return _accepted(name) != name


def _accepted(name: str) -> str:
    kept = _UNSTORABLE.sub("_", name)[:_LONGEST]
    # MLflow takes names for paths, and accepts none that could be written in another way.
    return re.sub("[./]", "_", kept) if path_not_unique(kept) else kept


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


def without_system(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return a run's metrics without MLflow's system metrics, which say nothing of another run."""
    return {name: value for name, value in metrics.items() if not name.startswith("system/")}


def _now() -> int:
    return int(time.time() * 1000)


def _thinned(length: int) -> Sequence[int]:
    """Return at most `_POINTS` positions, evenly spread, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round())] if length else []


def _curve_points(training: Training) -> Iterator[Point]:
    for step in _thinned(len(training.rates)):
        yield "lr", float(training.rates[step]), step
        yield "loss", float(training.losses[step]), step
        yield "epoch", step / training.steps_per_epoch, step


def _epoch_points(training: Training) -> Iterator[Point]:
    """Yield the metrics of each validation, at the last update before it."""
    for name, values in sorted(training.history.items(), key=lambda series: series[0] != "val_loss"):
        if name == "loss":  # Keras' running mean; the metric `loss` is that of each batch
            continue
        shown = f"{name}_metric" if name in _OURS else name
        for i, value in enumerate(values):
            yield shown, float(value), min((i + 1) * training.validation_steps, len(training.rates)) - 1


def _final_points(training: Training, extra: Mapping[str, float]) -> Iterator[Point]:
    step = max(len(training.rates) - 1, 0)
    found = {f"best_{name}": training.best(name) for name in training.history if name.startswith("val_")}
    timing = {
        "train_seconds": training.seconds,
        "examples_per_second": training.examples / max(training.seconds, 1e-9),
    }
    for name, value in {**found, **timing, **extra}.items():
        if value is not None:
            yield name, float(value), step
