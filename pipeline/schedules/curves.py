"""From a scheme's name and parameters to one rate per update."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from pipeline.errors import InputError
from pipeline.schedules.parameters import Bounds, Value
from pipeline.schedules.table import SCHEMES
from pipeline.schedules.timeline import Array, learning_rates, ramp_up
from pipeline.schedules.validation import check_training, formula_arguments, validate

Spacing = Literal["exponential", "linear"]


@dataclass(frozen=True)
class Part:
    """One part of a joined curve.

    Attributes:
        length: An int is a number of updates, a float a fraction of the training.
        scale: The part's `initial_lr`, as a fraction of that of the whole.

    """

    scheme: str
    length: int | float
    params: Mapping[str, Value] = field(default_factory=dict)
    scale: float = 1.0


def curve(
    scheme: str,
    *,
    steps: int,
    steps_per_epoch: int,
    initial_lr: float,
    params: Mapping[str, Value] | None = None,
) -> Array:
    """Return the learning rate of each of `steps` optimizer updates, as float64[steps].

    Args:
        scheme: A name in `SCHEMES`.
        steps: The number of updates in the training.
        steps_per_epoch: The number of updates in an epoch; it matters only to times given in epochs.
        initial_lr: The first rate of a scheme that never rises, the highest of any other.
        params: The scheme's parameters; `warmup` and `warmup_start` besides. What is missing has its default.

    Raises:
        InputError: an argument or a parameter is unknown or out of range.

    """
    checked = validate(scheme, params)
    check_training(steps, steps_per_epoch, initial_lr)
    arguments = formula_arguments(scheme, checked)
    return learning_rates(SCHEMES[scheme].formula, steps, steps_per_epoch, float(initial_lr), **arguments)


def sweep(lr_min: float, lr_max: float, updates: int, spacing: Spacing = "exponential") -> Array:
    """Return the rate of each update of a range test, from `lr_min` to `lr_max` inclusive, as float64[updates].

    Exponential: lr_min * (lr_max / lr_min) ** (t / (updates - 1)), equal steps in log rate. Linear: equal steps in
    the rate, as in Smith (2017), arXiv:1506.01186.

    Raises:
        InputError: unless 0 < lr_min < lr_max and updates >= 2, and the spacing is one of the two.

    """
    if not 0 < lr_min < lr_max < np.inf:
        raise InputError(f"a sweep needs 0 < lr_min < lr_max, received lr_min={lr_min} and lr_max={lr_max}")
    if updates < 2:
        raise InputError(f"a sweep needs at least 2 updates, received {updates}")
    if spacing not in get_args(Spacing):
        raise InputError(f"spacing must be 'exponential' or 'linear', received {spacing!r}")
    points = np.linspace(0.0, 1.0, updates)
    rates = lr_min * (lr_max / lr_min) ** points if spacing == "exponential" else lr_min + (lr_max - lr_min) * points
    rates[-1] = lr_max  # exactly, whatever rounding did
    return rates


def warmup(rates: Array, steps: int, start: float = 0.0) -> Array:
    """Return `steps` rates on the straight line from `start` towards the first of `rates`, followed by `rates`.

    Raises:
        InputError: `steps` is not a whole number, or `start` not a finite number, from 0.

    """
    if steps not in Bounds(0) or steps != int(steps):
        raise InputError(f"the warm-up's steps must be a whole number in {Bounds(0)}; received {steps!r}")
    if start not in Bounds(0.0):
        raise InputError(f"the warm-up's start must be in {Bounds(0.0)}; received {start!r}")
    return ramp_up(rates, steps, start)


def join(parts: Sequence[Part], *, steps: int, steps_per_epoch: int, initial_lr: float) -> Array:
    """Return the curves of the parts one after the other, each squeezed into its own length, as float64[steps].

    Raises:
        InputError: the lengths do not add up to `steps` (or to 1), or as in `curve`.

    """
    check_training(steps, steps_per_epoch, initial_lr)
    counts = _updates_of_parts([part.length for part in parts], steps)
    curves = [
        curve(
            part.scheme,
            steps=count,
            steps_per_epoch=steps_per_epoch,
            initial_lr=initial_lr * part.scale,
            params=part.params,
        )
        for part, count in zip(parts, counts, strict=True)
    ]
    return np.concatenate(curves)


def _updates_of_parts(lengths: Sequence[int | float], steps: int) -> list[int]:
    total = sum(lengths)
    if all(isinstance(length, int) for length in lengths):
        if total != steps:
            raise InputError(f"the parts' lengths must add up to {steps} updates; received {list(lengths)}")
        edges = np.cumsum(lengths)
    else:
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise InputError(f"the parts' lengths must all be fractions and add up to 1; received {list(lengths)}")
        edges = np.rint(np.cumsum(lengths) * steps)
    counts = np.diff(edges, prepend=0).astype(int).tolist()
    if min(counts) < 1:
        raise InputError(f"each part must have at least one of the {steps} updates; received {list(lengths)}")
    return [int(count) for count in counts]


def rewriter(
    scheme: str, params: Mapping[str, Value] | None = None
) -> Callable[[Array, int, Sequence[float]], Array] | None:
    """Return `rewrite(curve, step, val_losses) -> curve` of a reactive scheme, None of any other.

    To be called after each validation with the curve, the number of updates done and all validation losses so far. It
    returns the curve with its rates from update `step` on computed anew; calling it twice changes nothing more.

    Raises:
        InputError: as `validate`.

    """
    checked = validate(scheme, params)
    rewrite = SCHEMES[scheme].rewrite
    if rewrite is None:
        return None
    return lambda curve, step, val_losses: rewrite(curve, step, val_losses, checked)
