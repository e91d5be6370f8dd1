"""Formulas of the schemes that never rise, and of `reduce_on_plateau`, which rewrites its curve during training.

Each takes `x`, the time at the start of each update, and `length`, the length of the training, both in the scheme's
unit (`timeline.elapsed`), and `initial_lr`, the first rate. It returns one rate for each `x`. `curves` has checked all
values. A `decay_length` of 0 means the whole training.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.schedules.parameters import Value
from pipeline.schedules.timeline import Array, whole


def progress(x: Array, length: float, decay_length: float) -> Array:
    """Return the part of the decay that is done, from 0 to 1; it stays 1 after the decay's end."""
    return np.minimum(x / (decay_length or length), 1.0)


def periods(x: Array, length: float, decay_length: float, staircase: bool) -> Array:
    """Return how many decay lengths have passed; only whole ones count in a staircase."""
    passed = x / (decay_length or length)
    return whole(passed) if staircase else passed


def constant(x: Array, length: float, initial_lr: float) -> Array:
    """Return the same rate throughout: `initial_lr`."""
    return np.full_like(x, initial_lr)


def polynomial(
    x: Array, length: float, initial_lr: float, power: float, decay_length: float, final_fraction: float
) -> Array:
    """Return `initial_lr * (f + (1 - f) * (1 - p) ** power)`, p the part done, f the final fraction.

    Keras' PolynomialDecay, and GeeksforGeeks' polynomial decay (`x` in epochs, f = 0).
    """
    left = (1.0 - progress(x, length, decay_length)) ** power
    return initial_lr * (final_fraction + (1.0 - final_fraction) * left)


def linear(x: Array, length: float, initial_lr: float, decay_length: float, final_fraction: float) -> Array:
    """Return `initial_lr * (f + (1 - f) * (1 - p))`: the polynomial of power 1."""
    return polynomial(x, length, initial_lr, power=1.0, decay_length=decay_length, final_fraction=final_fraction)


def linear_decrement(x: Array, length: float, initial_lr: float, decrement: float, offset: float) -> Array:
    """Return `max(initial_lr - decrement * (x + offset), 0)`: the same amount is subtracted every unit of time.

    MachineCurve's linear decay: `decrement` = 0.00001 every epoch; `offset` = 1, as its first epoch is one step down.
    """
    return np.maximum(initial_lr - decrement * (x + offset), 0.0)


def exponential(
    x: Array, length: float, initial_lr: float, decay_rate: float, decay_length: float, staircase: bool
) -> Array:
    """Return `initial_lr * decay_rate ** (x / decay_length)`, the exponent rounded down in a staircase.

    Keras' ExponentialDecay (`x` in steps), which GeeksforGeeks' experiment uses.
    """
    return initial_lr * decay_rate ** periods(x, length, decay_length, staircase)


def natural_exponential(x: Array, length: float, initial_lr: float, decay_rate: float) -> Array:
    """Return `initial_lr * exp(-decay_rate * x)`: GeeksforGeeks' exponential decay (`x` in epochs)."""
    return exponential(x, length, initial_lr, decay_rate=np.exp(-decay_rate), decay_length=1.0, staircase=False)


def inverse_time(
    x: Array, length: float, initial_lr: float, decay_rate: float, decay_length: float, staircase: bool
) -> Array:
    """Return `initial_lr / (1 + decay_rate * x / decay_length)`, the quotient rounded down in a staircase.

    Keras' InverseTimeDecay (`x` in steps); GeeksforGeeks' inverse time decay (`x` in epochs, `decay_length` = 1) and
    its basic decay, applied every n epochs (a staircase, `decay_length` = n).
    """
    return initial_lr / (1.0 + decay_rate * periods(x, length, decay_length, staircase))


def time_based(x: Array, length: float, initial_lr: float, decay_rate: float) -> Array:
    """Return `initial_lr / ((1 + 0 * decay_rate) * (1 + 1 * decay_rate) * ... * (1 + x * decay_rate))`, x whole.

    MachineCurve's time decay: at each epoch `lr = lr / (1 + decay_rate * epoch)`, so that it compounds. The product is
    summed as logarithms, because it would overflow in a long training.
    """
    unit_of_update = x.astype(np.int64)
    logs = np.log1p(decay_rate * np.arange(unit_of_update[-1] + 1, dtype=np.float64))
    factors: Array = np.exp(-np.cumsum(logs))
    return initial_lr * factors[unit_of_update]


def cosine(x: Array, length: float, initial_lr: float, decay_length: float, final_fraction: float) -> Array:
    """Return `initial_lr * (f + (1 - f) * (1 + cos(pi * p)) / 2)`, p the part done, f the final fraction.

    Loshchilov & Hutter 2017 (arXiv 1608.03983) without restarts; Keras' CosineDecay.
    """
    left = 0.5 * (1.0 + np.cos(np.pi * progress(x, length, decay_length)))
    return initial_lr * (final_fraction + (1.0 - final_fraction) * left)


def rex(x: Array, length: float, initial_lr: float, beta: float, decay_length: float, final_fraction: float) -> Array:
    """Return `initial_lr * (f + (1 - f) * (1 - p) / (beta + (1 - beta) * (1 - p)))`: slow at first, steep at the end.

    Chen, Wolfe & Kyrillidis 2021 (arXiv 2107.04197), where `beta` is 1/2; `beta` = 1 is the linear decay.
    """
    remaining = 1.0 - progress(x, length, decay_length)
    left = remaining / (beta + (1.0 - beta) * remaining)
    return initial_lr * (final_fraction + (1.0 - final_fraction) * left)


def hyperbolic_tangent(
    x: Array,
    length: float,
    initial_lr: float,
    lower: float,
    upper: float,
    decay_length: float,
    final_fraction: float,
) -> Array:
    """Return `initial_lr * (f + (1 - f) * (1 - tanh(lower + (upper - lower) * p)) / 2)`.

    Hsueh, Li & Wu 2019 (arXiv 1806.01593), where `lower` = -6 and `upper` = 3: the first rate is 0.999994 of
    `initial_lr`, the last 0.0025 of it.
    """
    left = 0.5 * (1.0 - np.tanh(lower + (upper - lower) * progress(x, length, decay_length)))
    return initial_lr * (final_fraction + (1.0 - final_fraction) * left)


def step(
    x: Array,
    length: float,
    initial_lr: float,
    drop_rate: float,
    drops: int,
    step_size: float,
    offset: float,
) -> Array:
    """Return `initial_lr * drop_rate ** floor((x + offset) / step_size)`.

    A `step_size` of 0 divides the training into `drops + 1` equal parts. GeeksforGeeks' step decay has `offset` = 0;
    MachineCurve's has `offset` = 1, `drop_rate` = 0.5 and `step_size` = 15 epochs.
    """
    size = step_size or length / (drops + 1)
    return initial_lr * drop_rate ** whole((x + offset) / size)


def piecewise_constant(
    x: Array, length: float, initial_lr: float, milestones: Sequence[float], factors: Sequence[float]
) -> Array:
    """Return `initial_lr * factors[n]`, n the number of milestones reached.

    Keras' PiecewiseConstantDecay changes one update later: after its boundary, not at it.
    """
    return initial_lr * np.asarray(factors)[np.searchsorted(milestones, x, side="right")]


def multi_step(x: Array, length: float, initial_lr: float, drop_rate: float, milestones: Sequence[float]) -> Array:
    """Return `initial_lr * drop_rate ** n`, n the number of milestones reached: PyTorch's MultiStepLR."""
    factors = drop_rate ** np.arange(len(milestones) + 1.0)
    return piecewise_constant(x, length, initial_lr, milestones=milestones, factors=factors.tolist())


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
    """Return `initial_lr` for all updates; `rewrite` changes it after validations."""
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
