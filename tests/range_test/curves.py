"""Range-test curves: synthetic with known answers, and recorded from real networks (`scripts/record_sweeps.py`)."""

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.range_test import Analysis
from pipeline.range_test.exploration import Measure
from pipeline.range_test.refinement import Ending, Train
from pipeline.schedules import Array, sweep

FOLDER = Path(__file__).parent / "recorded"


SOUND = (
    "mlp_mnist_sgd", "mlp_mnist_momentum", "mlp_mnist_adam", "mlp_digits_sgd", "mlp_digits_momentum",
    "mlp_digits_adam", "cnn_mnist_momentum", "cnn_mnist_adam", "cnn_batch_of_128", "regression_nan",
)  # fmt: skip


REFUSED = {
    "random_labels": (None, "at any rate"),
    "batch_of_4": (None, "too noisy"),
    "ends_early": ("high", "lowest at the highest rate"),
    "all_too_small": ("high", "too small"),
    "starts_late": ("low", "already falls at the lowest rates"),
    "starts_beyond": ("low", "smaller rates"),
}


def recorded(name: str) -> tuple[Array, Array]:
    """Return rates float64[updates] and losses float64[seeds, updates] of a recorded sweep."""
    table = np.genfromtxt(FOLDER / f"{name}.csv", delimiter=",", skip_header=1)
    return table[:, 0], table[:, 1:].T


def synthetic(centre: float = 1e-2, breaks_at: float = 1.0, noise: float = 0.0, seeds: int = 3) -> tuple[Array, Array]:
    """Return a fall from 2.3 to 0.3, logistic in log10 rate and steepest at `centre`, that explodes at `breaks_at`."""
    rates = sweep(1e-6, 10.0, 280)
    curve = 0.3 + 2.0 / (1 + np.exp(4 * np.log10(rates / centre)))
    curve[rates >= breaks_at] += 10.0
    return rates, curve + np.random.default_rng(1).normal(0.0, noise, (seeds, rates.size))


def descent(rates: Array, centre: float, breaks_at: float) -> Array:
    """Return a fall from 2.3 to 0.3, logistic in log10 rate around `centre`, that ends in NaN at `breaks_at`."""
    losses = 0.3 + 2.0 / (1 + np.exp(4 * np.log10(rates / centre)))
    return np.where(rates < breaks_at, losses, np.nan)


def measured(one: Callable[[Array, int], Array]) -> Measure:
    """Return what sweeps several seeds, from what sweeps one."""
    return lambda rates, seeds: [one(rates, seed) for seed in seeds]


def ending(loss: float) -> Ending:
    """Return a training that ends with this loss in training and validation alike."""
    return Ending(loss, loss, start_loss=10.0)


def trained(one: Callable[[float, int, float], float]) -> Train:
    """Return what makes several trainings, from what makes one at a rate, on a seed, of a share of the length."""
    return lambda asked: [ending(one(*each)) for each in asked]


def grid() -> dict[tuple[str, str], dict[float, float]]:
    """Return validation losses of whole trainings: (sweep, schedule) -> {initial rate: loss}."""
    losses: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    with (FOLDER / "grid.csv").open() as file:
        for row in csv.DictReader(file):
            losses[row["name"], row["schedule"]][float(row["rate"])] = float(row["val_loss"])
    return losses


def assert_sound(found: Analysis) -> None:
    """Check what a verdict promises for every curve."""
    answers = (found.suggested_lr, found.lr_low, found.lr_high)
    assert found.reason.endswith(".")
    if found.verdict == "refused":
        assert (answers, found.suggestions) == ((None, None, None), {})
        return
    assert found.suggested_lr is not None
    assert found.lr_low is not None
    assert found.lr_high is not None
    assert found.edge is None
    assert found.rates[0] <= found.lr_low <= found.suggested_lr <= found.lr_high < found.rates[-1]
    limit = found.divergence_lr or np.inf
    assert found.lr_high < limit
    assert all(0 < rate < limit for rate in found.suggestions.values())
