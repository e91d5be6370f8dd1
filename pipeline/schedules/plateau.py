"""Reduce on plateau: the only scheme that is not known in advance.

Its curve starts constant. After each validation the engine has the rest of the curve recomputed from all validation
losses so far, so a training can be resumed from those losses and the curve alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.schedules.parameters import Value
from pipeline.schedules.timeline import Array


def start_constant(
    x: Array,
    length: float,
    initial_lr: float,
    factor: float,
    patience: float,
    min_delta: float,
    cooldown: float,
    min_lr: float,
) -> Array:
    """Return `initial_lr`, until the validation losses say otherwise (`rewrite`)."""
    return np.full_like(x, initial_lr)


def rewrite(curve: Array, step: int, val_losses: Sequence[float], params: Mapping[str, Value]) -> Array:
    """Return the curve with every rate from update `step` on replaced by the one that follows from the losses.

    Args:
        curve: One rate per update, initial or already rewritten; it is not changed.
        step: The number of updates done.
        val_losses: The validation losses so far, at equal distances, the last one after update `step`.
        params: All parameters of the scheme, checked.

    """
    warmup_steps = round(float(params["warmup"]) * curve.size)
    # Losses during the warm-up do not indicate a plateau. Skipping them also keeps the peak, from which the rate is
    # computed, in the part of the curve that is never rewritten.
    skipped = sum(1 for index in range(len(val_losses)) if (index + 1) * step <= warmup_steps * len(val_losses))
    if skipped == len(val_losses):
        return curve.copy()
    validations = len(val_losses) * curve.size / step
    rewritten = curve.copy()
    rewritten[step:] = reduced(float(curve.max()), val_losses[skipped:], in_validations(params, validations))
    return rewritten


def in_validations(params: Mapping[str, Value], validations: float) -> dict[str, float]:
    """Return the parameters of `reduced`, with patience and cooldown as numbers of validations."""
    of_unit = validations if params["unit"] == "fraction" else 1.0
    numeric = {name: float(params[name]) for name in ("factor", "min_delta", "min_lr")}
    counted = {name: round(float(params[name]) * of_unit) for name in ("patience", "cooldown")}
    return {**numeric, **counted}


def reduced(initial_lr: float, val_losses: Sequence[float], params: Mapping[str, float]) -> float:
    """Return the rate after these validations, exactly as keras.callbacks.ReduceLROnPlateau reduces it."""
    rate, best, waited, cooling = initial_lr, None, 0, 0.0
    for loss in val_losses:
        if cooling > 0:
            cooling, waited = cooling - 1, 0
        # Keras compares in float32, which decides when an improvement equals min_delta.
        if best is None or np.float32(loss + params["min_delta"]) < np.float32(best):
            best, waited = loss, 0
            continue
        if cooling > 0:
            continue
        waited += 1
        if waited >= params["patience"] and rate > params["min_lr"]:
            rate = max(rate * params["factor"], params["min_lr"])
            waited, cooling = 0, params["cooldown"]
    return rate
