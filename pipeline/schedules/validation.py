"""The door: what a caller gives is checked here, once, and trusted everywhere else."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from pipeline.errors import InputError
from pipeline.schedules.parameters import Bounds, Parameter, Value, numbers
from pipeline.schedules.scheme import Scheme
from pipeline.schedules.table import SCHEMES
from pipeline.schedules.vocabulary import COMMON

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
    """Refuse a time that no update can resolve, and one above 1 in fractions: it was meant in epochs or steps."""
    for name, parameter in accepted.items():
        times = numbers(str(params[name])) if parameter.is_time else ()
        if any(0.0 < time < SHORTEST_TIME for time in times):
            return f"parameter {name!r} must be 0 or at least {SHORTEST_TIME:g}; received {params[name]!r}"
        if params.get("unit") == "fraction" and any(time > 1.0 for time in times):
            return f"parameter {name!r} must be at most 1 when unit is fraction; received {params[name]!r}"
    return ""


def check_training(steps: object, steps_per_epoch: object, initial_lr: object) -> None:
    """Refuse a training that cannot be.

    Raises:
        InputError: a number of updates is not a whole number, or the rate not a number, within its bounds.

    """
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) not in UPDATES:
            raise InputError(f"{name} must be a whole number in {UPDATES}; received {value!r}")
    if isinstance(initial_lr, bool) or not isinstance(initial_lr, Real) or float(initial_lr) not in RATES:
        raise InputError(f"initial_lr must be a number in {RATES}; received {initial_lr!r}")


def formula_arguments(scheme: str, checked: Mapping[str, Value]) -> dict[str, Any]:
    """Return what `timeline.learning_rates` takes from checked parameters: texts of numbers become lists of numbers."""
    accepted = parameters_of(SCHEMES[scheme])
    return {
        name: list(numbers(str(value))) if accepted[name].kind == "numbers" else value
        for name, value in checked.items()
    }
