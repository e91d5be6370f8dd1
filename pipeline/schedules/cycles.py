"""Formulas of the schemes that rise at some point, and of those in several phases.

The arguments are those of `decays`, but `initial_lr` is the peak here: the highest rate of the scheme.
"""

import numpy as np

from pipeline.schedules.timeline import Array, whole


def growing_cycle(x: Array, first_length: float, growth: float) -> tuple[Array, Array]:
    """Return the cycle at each time, from 0, and the part of it done; each is `growth` times as long as the last."""
    if growth == 1.0:
        cycle = whole(x / first_length)
        return cycle, x / first_length - cycle
    cycle = whole(np.log1p(x / first_length * (growth - 1.0)) / np.log(growth))
    start = first_length * np.expm1(cycle * np.log(growth)) / (growth - 1.0)
    return cycle, (x - start) / (first_length * growth**cycle)


def cosine_restarts(
    x: Array,
    length: float,
    initial_lr: float,
    cycles: int,
    cycle_growth: float,
    peak_decay: float,
    first_length: float,
    final_fraction: float,
) -> Array:
    """Return `initial_lr * (f + (1 - f) * peak_decay ** i * (1 + cos(pi * p)) / 2)` at part p of cycle i, i from 0.

    SGDR, Loshchilov & Hutter 2017 (arXiv 1608.03983), and Keras' CosineDecayRestarts: each cycle is `cycle_growth`
    times as long as the one before. A `first_length` of 0 makes `cycles` whole cycles fill the training.
    """
    first = first_length or length / float(np.sum(cycle_growth ** np.arange(cycles, dtype=np.float64)))
    cycle, part = growing_cycle(x, first, cycle_growth)
    left: Array = peak_decay**cycle * 0.5 * (1.0 + np.cos(np.pi * part))
    return initial_lr * (final_fraction + (1.0 - final_fraction) * left)


def cycles_passed(x: Array, length: float, cycles: int, cycle_length: float) -> Array:
    """Return how many cycles have passed, with fractions; a `cycle_length` of 0 makes `cycles` fill the training."""
    return x / (cycle_length or length / cycles)


def triangular_wave(passed: Array, initial_lr: float, base_fraction: float, height: Array) -> Array:
    """Return `base + (initial_lr - base) * height * (1 - |2 * p - 1|)` at part p of a cycle.

    The base is `base_fraction * initial_lr`. The rate rises from it in the first half of each cycle and falls back in
    the second.
    """
    part = passed - whole(passed)
    rise = np.clip(1.0 - np.abs(2.0 * part - 1.0), 0.0, 1.0)
    return initial_lr * (base_fraction + (1.0 - base_fraction) * height * rise)


def triangular(
    x: Array, length: float, initial_lr: float, base_fraction: float, cycles: int, cycle_length: float
) -> Array:
    """Return the triangular wave with every peak at `initial_lr`: Smith 2017 (arXiv 1506.01186)."""
    passed = cycles_passed(x, length, cycles, cycle_length)
    return triangular_wave(passed, initial_lr, base_fraction, height=np.ones_like(x))


def triangular2(
    x: Array, length: float, initial_lr: float, base_fraction: float, cycles: int, cycle_length: float
) -> Array:
    """Return the triangular wave, its height halved after each cycle: Smith 2017 (arXiv 1506.01186)."""
    passed = cycles_passed(x, length, cycles, cycle_length)
    return triangular_wave(passed, initial_lr, base_fraction, height=0.5 ** whole(passed))


def exp_range(
    x: Array,
    length: float,
    initial_lr: float,
    base_fraction: float,
    cycles: int,
    cycle_length: float,
    decay_rate: float,
    decay_length: float,
) -> Array:
    """Return the triangular wave with the height `decay_rate ** (x / decay_length)`: Smith 2017 (arXiv 1506.01186).

    A `decay_length` of 0 means the whole training; Smith's gamma is `decay_rate` with a `decay_length` of 1 step.
    """
    passed = cycles_passed(x, length, cycles, cycle_length)
    height = decay_rate ** (x / (decay_length or length))
    return triangular_wave(passed, initial_lr, base_fraction, height=height)


def one_cycle(
    x: Array,
    length: float,
    initial_lr: float,
    warm_fraction: float,
    start_fraction: float,
    final_fraction: float,
    anneal: str,
    phases: int,
    endpoint: bool,
) -> Array:
    """Go from `initial_lr * start_fraction` up to `initial_lr`, then down to `initial_lr * final_fraction`.

    Smith & Topin 2018 (arXiv 1708.07120). The rise takes `warm_fraction` of the training. With three phases, the fall
    back to the start takes as long as the rise, and the last phase goes below it. Phases are straight lines or half
    cosines between the same points. With `endpoint`, as in PyTorch's OneCycleLR, each phase ends on an update of its
    own, the last phase on the last update; without, as in fastai and Keras' schedules, that ends one update later.
    """
    fractions = [1.0, final_fraction] if phases == 2 else [1.0, start_fraction, final_fraction]
    ends = length * np.array([*(warm_fraction * np.arange(1, phases)), 1.0])
    if endpoint:
        update = length / x.size
        ends = np.maximum(ends - update * np.array([*range(1, phases), 1]), 1e-9)
    knots = np.array([0.0, *ends])
    rates = initial_lr * np.array([start_fraction, *fractions])
    phase = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, phases - 1)
    part = np.clip((x - knots[phase]) / (knots[phase + 1] - knots[phase]), 0.0, 1.0)
    if anneal == "cosine":
        part = 0.5 * (1.0 - np.cos(np.pi * part))
    annealed: Array = rates[phase] + (rates[phase + 1] - rates[phase]) * part
    return annealed


def warmup_stable_decay(
    x: Array, length: float, initial_lr: float, decay_fraction: float, shape: str, final_fraction: float
) -> Array:
    """Stay at `initial_lr`, then fall over the last `decay_fraction` of the updates to `initial_lr * final_fraction`.

    The cooldown at its part p leaves 1 - p ("linear"), (1 + cos(pi * p)) / 2 ("cosine") or 1 - sqrt(p) ("1-sqrt").
    With a warm-up it is the trapezoid of Xing et al. 2018 (arXiv 1802.08770), or warmup-stable-decay, Hu et al. 2024
    (arXiv 2404.06395); 1-sqrt is from Hägele et al. 2024 (arXiv 2405.18392).
    """
    part = np.clip((x / length - (1.0 - decay_fraction)) / decay_fraction, 0.0, 1.0)
    shapes = {"linear": 1.0 - part, "cosine": 0.5 * (1.0 + np.cos(np.pi * part)), "1-sqrt": 1.0 - np.sqrt(part)}
    return initial_lr * (final_fraction + (1.0 - final_fraction) * shapes[shape])


def inverse_sqrt(
    x: Array, length: float, initial_lr: float, warm_length: float, warm_fraction: float, offset: float
) -> Array:
    """Return `initial_lr * min(s / w, sqrt(w / s))` with `s = x + offset`.

    The rate rises linearly over the time w, then falls as one over the square root of time.
    This is Noam's schedule, Vaswani et al. 2017 (arXiv 1706.03762): there `x` is in steps, counted from 1 (offset 1),
    and the peak is `(d_model * w) ** -0.5`. w is `warm_length`, or `warm_fraction` of the training if that is 0.
    """
    warm = warm_length or warm_fraction * length
    since = x + offset
    return initial_lr * np.minimum(since / warm, np.sqrt(warm / np.maximum(since, warm)))
