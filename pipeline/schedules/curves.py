"""From a scheme's name and parameters to one rate per update.

What a caller passes is checked here, once, and trusted by the formulas.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np

from pipeline.errors import InputError
from pipeline.schedules.parameters import Bounds, Parameter, Value, numbers
from pipeline.schedules.scheme import COMMON, Scheme
from pipeline.schedules.table import SCHEMES
from pipeline.schedules.timeline import Array, learning_rates, ramp_up

UPDATES = Bounds(1, 1e9)
RATES = Bounds(0.0, 1e6, low_open=True)
SHORTEST_TIME = 1e-6


def parameters_of(scheme: Scheme) -> dict[str, Parameter]:
    """Return all parameters that the scheme accepts, by name."""
    return {parameter.name: parameter for parameter in (*COMMON, *scheme.parameters)}


def validate(scheme: str, params: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """Return all the parameters of the scheme, the given ones in their own types and the others at their defaults.

    Raises:
        InputError: the scheme or a parameter is unknown, or a value is out of range.

    """
    if scheme not in SCHEMES:
        raise InputError(f"scheme must be one of {', '.join(SCHEMES)}; received {scheme!r}")
    accepted = parameters_of(SCHEMES[scheme])
    given = params or {}
    for name in given:
        if name not in accepted:
            raise InputError(f"scheme {scheme!r} accepts the parameters {', '.join(accepted)}; received {name!r}")
    try:
        checked = {name: parameter.checked(given.get(name, parameter.default)) for name, parameter in accepted.items()}
    except InputError as error:
        raise InputError(f"scheme {scheme!r}: {error}") from None
    problem = SCHEMES[scheme].check(checked) or _impossible_time(accepted, checked)
    if problem:
        raise InputError(f"scheme {scheme!r}: {problem}")
    return checked


def _impossible_time(accepted: Mapping[str, Parameter], params: Mapping[str, Value]) -> str:
    """Return what is wrong with a time: too short, or a fraction above 1, meant in epochs or steps; "" if none is."""
    for name, parameter in accepted.items():
        times = numbers(str(params[name])) if parameter.is_time else ()
        if any(0.0 < time < SHORTEST_TIME for time in times):
            return f"parameter {name!r} must be 0 or at least {SHORTEST_TIME:g}; received {params[name]!r}"
        if params.get("unit") == "fraction" and any(time > 1.0 for time in times):
            return f"parameter {name!r} must be at most 1 when unit is fraction; received {params[name]!r}"
    return ""


def check_training(steps: object, steps_per_epoch: object, initial_lr: object) -> None:
    """Check the numbers of updates and the rate of a training.

    Raises:
        InputError: a number of updates is not a whole number within bounds, or the rate not a number within bounds.

    """
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) not in UPDATES:
            raise InputError(f"{name} must be a whole number in {UPDATES}; received {value!r}")
    if isinstance(initial_lr, bool) or not isinstance(initial_lr, Real) or float(initial_lr) not in RATES:
        raise InputError(f"initial_lr must be a number in {RATES}; received {initial_lr!r}")


def formula_arguments(scheme: str, checked: Mapping[str, Value]) -> dict[str, Any]:
    """Return checked parameters as arguments of `timeline.learning_rates`: numbers in text become lists."""
    accepted = parameters_of(SCHEMES[scheme])
    return {
        name: list(numbers(str(value))) if accepted[name].kind == "numbers" else value
        for name, value in checked.items()
    }


Spacing = Literal["exponential", "linear"]


@dataclass(frozen=True)
class Part:
    """One part of a joined curve.

    Attributes:
        length: A number of updates if it is an int, a fraction of the training if it is a float.
        scale: The part's `initial_lr`, as a fraction of that of the whole curve.

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
        steps_per_epoch: The number of updates in an epoch; it matters only for times in epochs.
        initial_lr: The first rate of a scheme that never rises, the highest rate of any other.
        params: The scheme's parameters, and `warmup` and `warmup_start`. Missing ones take their defaults.

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
    rates[-1] = lr_max  # exact despite rounding
    return rates


def warmup(rates: Array, steps: int, start: float = 0.0) -> Array:
    """Return `steps` rates on the straight line from `start` towards the first of `rates`, followed by `rates`.

    Raises:
        InputError: `steps` is not a whole number of at least 0, or `start` not a finite number of at least 0.

    """
    if steps not in Bounds(0) or steps != int(steps):
        raise InputError(f"the warm-up's steps must be a whole number in {Bounds(0)}; received {steps!r}")
    if start not in Bounds(0.0):
        raise InputError(f"the warm-up's start must be in {Bounds(0.0)}; received {start!r}")
    return ramp_up(rates, steps, start)


def join(parts: Sequence[Part], *, steps: int, steps_per_epoch: int, initial_lr: float) -> Array:
    """Return the curves of the parts one after the other, each compressed into its own length, as float64[steps].

    Raises:
        InputError: the lengths do not add up to `steps` (or to 1), or as for `curve`.

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
    """Return the function `rewrite(curve, step, val_losses) -> curve` of a reactive scheme, None for any other.

    It must be called after each validation with the curve, the number of updates done and all validation losses so far.
    It returns the curve with its rates from update `step` on recomputed; calling it again changes nothing.

    Raises:
        InputError: as `validate`.

    """
    checked = validate(scheme, params)
    rewrite = SCHEMES[scheme].rewrite
    if rewrite is None:
        return None
    return lambda curve, step, val_losses: rewrite(curve, step, val_losses, checked)
