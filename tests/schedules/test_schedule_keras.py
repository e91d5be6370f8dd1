"""Value for value against Keras' own schedules, over whole trainings.

Keras computes in the type of the initial rate, so a NumPy float64 makes it precise; its other constants pass through
float32, so they are fractions that float32 holds exactly.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras.optimizers import schedules as of_keras
from numpy.testing import assert_allclose

from pipeline.schedules import Value, curve, rewriter

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # from within Keras

STEPS = 240
PEAK = np.float64(0.125)
Params = dict[str, Value]

CASES: dict[str, tuple[Callable[[int], Any], str, Params]] = {
    "exponential smooth": (
        of_keras.ExponentialDecay(PEAK, 40, 0.5),
        "exponential",
        {"decay_rate": 0.5, "decay_length": 40, "unit": "step"},
    ),
    "exponential staircase": (
        of_keras.ExponentialDecay(PEAK, 70, 0.75, staircase=True),
        "exponential",
        {"decay_rate": 0.75, "decay_length": 70, "unit": "step", "staircase": True},
    ),
    "inverse time smooth": (
        of_keras.InverseTimeDecay(PEAK, 50, 0.5),
        "inverse_time",
        {"decay_rate": 0.5, "decay_length": 50, "unit": "step"},
    ),
    "inverse time staircase": (
        of_keras.InverseTimeDecay(PEAK, 70, 1.5, staircase=True),
        "inverse_time",
        {"decay_rate": 1.5, "decay_length": 70, "unit": "step", "staircase": True},
    ),
    "polynomial whole": (
        of_keras.PolynomialDecay(PEAK, STEPS, end_learning_rate=0.0, power=2.0),
        "polynomial",
        {"power": 2.0},
    ),
    "polynomial, ended early": (
        of_keras.PolynomialDecay(PEAK, 160, end_learning_rate=0.125 / 16, power=0.5),
        "polynomial",
        {"power": 0.5, "decay_length": 160, "unit": "step", "final_fraction": 1 / 16},
    ),
    "linear": (of_keras.PolynomialDecay(PEAK, STEPS, end_learning_rate=0.125 / 4), "linear", {"final_fraction": 0.25}),
    "cosine": (of_keras.CosineDecay(PEAK, STEPS, alpha=0.1), "cosine", {"final_fraction": 0.1}),
    "cosine, ended early": (of_keras.CosineDecay(PEAK, 160), "cosine", {"decay_length": 160, "unit": "step"}),
    "cosine warm-up": (
        of_keras.CosineDecay(PEAK / 8, STEPS - 24, alpha=0.25, warmup_target=0.125, warmup_steps=24),
        "cosine",
        {"final_fraction": 0.25, "warmup": 0.1, "warmup_start": 0.125},
    ),
    "restarts": (
        of_keras.CosineDecayRestarts(PEAK, 80, t_mul=1.0, m_mul=0.5, alpha=0.25),
        "cosine_restarts",
        {"cycles": 3, "cycle_growth": 1.0, "peak_decay": 0.5, "final_fraction": 0.25},
    ),
    "restarts, growing": (
        of_keras.CosineDecayRestarts(PEAK, 30, t_mul=2.0, m_mul=0.75),
        "cosine_restarts",
        {"first_length": 30, "cycle_growth": 2.0, "peak_decay": 0.75, "unit": "step"},
    ),
    "restarts, growing slowly": (
        of_keras.CosineDecayRestarts(PEAK, 30, t_mul=1.5),
        "cosine_restarts",
        {"first_length": 30, "cycle_growth": 1.5, "unit": "step"},
    ),
    "piecewise constant, one update later": (
        of_keras.PiecewiseConstantDecay([99, 179], [0.125, 0.03125, 0.0078125]),
        "piecewise_constant",
        {"milestones": "100:180", "factors": "1:0.25:0.0625", "unit": "step"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_rate_is_that_of_keras(name: str) -> None:
    """A curve in Keras' absolute lengths equals Keras' schedule at every update."""
    schedule, scheme, params = CASES[name]
    expected = [float(schedule(step)) for step in range(STEPS)]
    actual = curve(scheme, steps=STEPS, steps_per_epoch=60, initial_lr=0.125, params=params)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-17)


def test_rates_past_the_decay_stay_as_in_keras() -> None:
    """Keras holds the last rate after `decay_steps`, and so does a decay shorter than the training."""
    rates = curve(
        "linear",
        steps=100,
        steps_per_epoch=10,
        initial_lr=0.125,
        params={"decay_length": 50, "unit": "step", "final_fraction": 0.5},
    )
    schedule = of_keras.PolynomialDecay(0.125, 50, end_learning_rate=0.0625)
    assert_allclose(rates[50:], float(schedule(50)), rtol=0)
    assert float(schedule(5000)) == 0.0625


def test_plateaus_are_reduced_as_the_callback_does() -> None:
    """Driving the real callback through random histories gives the same rate after every epoch."""
    for seed in range(20):
        check_against_callback(np.random.default_rng(seed))


def check_against_callback(rng: np.random.Generator) -> None:
    """Compare the rewritten curve with the callback's rates on a history that falls, stalls and jumps."""
    epochs, steps_per_epoch, initial_lr = 40, 7, 0.1
    falling = np.maximum(np.exp(-0.1 * np.arange(epochs)), rng.uniform(0.05, 0.5))
    losses = falling + rng.choice([0.0, 0.01, 0.1]) * rng.standard_normal(epochs)
    params: Params = {
        "factor": float(rng.choice([0.1, 0.5, 0.9])),
        "patience": int(rng.integers(0, 5)),
        "min_delta": float(rng.choice([0.0, 1e-4, 0.05])),
        "cooldown": int(rng.integers(0, 4)),
        "min_lr": float(rng.choice([0.0, 0.003])),
    }
    expected = rates_of_callback(keras.callbacks.ReduceLROnPlateau(**params), losses.tolist(), initial_lr)
    params["unit"] = "epoch"
    rewrite = rewriter("reduce_on_plateau", params)
    assert rewrite is not None
    rates = curve(
        "reduce_on_plateau",
        steps=epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        initial_lr=initial_lr,
        params=params,
    )
    for epoch in range(epochs):
        rates = rewrite(rates, (epoch + 1) * steps_per_epoch, losses[: epoch + 1].tolist())
    assert_allclose(rates, np.repeat(expected, steps_per_epoch), rtol=1e-6)


def rates_of_callback(callback: Any, losses: list[float], initial_lr: float) -> list[float]:
    """Return the rate of each epoch of a training with these validation losses."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(initial_lr), loss="mse")
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        rates.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {"val_loss": loss})
    return rates
