"""The parts that all curves share: the time of each update, and the warm-up before the scheme.

These functions and the formulas need only NumPy and each other: `export` copies them into stand-alone files.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def elapsed(steps: int, steps_per_epoch: int, unit: str) -> tuple[Array, float]:
    """Return the time at the start of each update, and the length of the training, both in `unit`.

    Update t of `steps` is at `t / steps` of the training ("fraction"), in epoch `t // steps_per_epoch`, counted from 0
    and constant within an epoch ("epoch"), or at `t` ("step").
    """
    updates = np.arange(steps, dtype=np.float64)
    if unit == "fraction":
        return updates / steps, 1.0
    if unit == "epoch":
        return updates // steps_per_epoch, steps / steps_per_epoch
    return updates, float(steps)


def whole(ratio: Array) -> Array:
    """Return `floor(ratio)`, forgiving rounding: 0.6 / 0.2 is 2.9999999999999996 and must count as 3."""
    return np.floor(ratio + 1e-9)


def ramp_up(rates: Array, steps: int, start: float) -> Array:
    """Return `steps` rates on the straight line from `start` towards the first of `rates`, followed by `rates`."""
    return np.concatenate([np.linspace(start, rates[0], steps, endpoint=False), rates])


def learning_rates(
    formula: Callable[..., Array],
    steps: int,
    steps_per_epoch: int,
    initial_lr: float,
    warmup: float,
    warmup_start: float,
    unit: str = "fraction",
    **arguments: object,
) -> Array:
    """Return the rate of each update: a warm-up of `warmup * steps` updates, then the formula over the rest."""
    ramp = min(round(warmup * steps), steps - 1)
    x, length = elapsed(steps - ramp, steps_per_epoch, unit)
    return ramp_up(formula(x, length, initial_lr, **arguments), ramp, warmup_start * initial_lr)


def repeated(rates: Sequence[float], updates: Sequence[int]) -> Array:
    """Return each rate repeated for its number of updates: a curve that no formula gives."""
    return np.repeat(np.asarray(rates, dtype=np.float64), updates)
