"""Stand-alone schedule files: the source of the functions that compute a curve, independent of this project."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from string import Template
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.schedules import timeline
from pipeline.schedules.curves import check_training, formula_arguments, validate
from pipeline.schedules.parameters import Value
from pipeline.schedules.table import SCHEMES
from pipeline.schedules.timeline import Array

KERAS = Template('''\
"""Learning-rate schedule $title.

One rate for each of $steps optimizer updates; after the last the rate stays. It needs Keras 3 and NumPy:

    model.compile(optimizer=$optimizer, loss=...)
$note"""
$imports
import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SETTINGS = $settings


$functions


@keras.saving.register_keras_serializable(package="learning_rate", name="$scheme")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of each update, computed once and looked up; any of SETTINGS can be changed by name."""

    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.rates = $call.astype("float32")

    def __call__(self, step):
        update = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.rates) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates), update)

    def get_config(self):
        return dict(self.settings)


if __name__ == "__main__":
    rates = Schedule().rates
    print(f"first rate {rates[0]}, last rate {rates[-1]} of {len(rates)} updates")
''')

TORCH = Template('''\
"""Learning-rate schedule $title.

One rate for each of $steps optimizer updates; after the last the rate stays. It needs PyTorch and NumPy:

    scheduler = lambda_lr(optimizer)
    ...
    optimizer.step()
    scheduler.step()  # after every update, not every epoch
$note"""
$imports
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SETTINGS = $settings


$functions


RATES = $torch_call


def rate(step: int) -> float:
    """Return the rate of update `step`, counted from 0."""
    return float(RATES[min(step, len(RATES) - 1)])


def lambda_lr(optimizer):
    """Return the scheduler; it multiplies, so the rate of each parameter group is set to 1 or its multiplier first."""
    from torch.optim.lr_scheduler import LambdaLR

    for group in optimizer.param_groups:
        group["lr"] = group.get("lr_multiplier", 1.0)
    return LambdaLR(optimizer, rate)


if __name__ == "__main__":
    print(f"first rate {RATES[0]}, last rate {RATES[-1]} of {len(RATES)} updates")
''')


def keras_source(
    scheme: str,
    *,
    steps: int,
    steps_per_epoch: int,
    initial_lr: float,
    params: Mapping[str, Value] | None = None,
    rates: Array | None = None,
    optimizer: str = "keras.optimizers.SGD(learning_rate=Schedule())",
    note: str = "",
) -> str:
    """Return the text of a `schedule.py` for Keras 3 whose `Schedule()` gives the rates of `curve` in float32.

    Args:
        scheme: A name in `SCHEMES`; this and the next four arguments are those of `curve`.
        steps: The number of updates in the training.
        steps_per_epoch: The number of updates in an epoch.
        initial_lr: The rate by which the scheme is tuned.
        params: The scheme's parameters.
        rates: The rates that a training with a reactive scheme used, float64[steps], which the file then repeats;
            without them it stays at the rates before the first reduction. Other schemes ignore them.
        optimizer: The call that makes the optimizer which the rates are for.
        note: What else there is to say about the optimizer, in lines of text.

    Raises:
        InputError: as `curve`.

    """
    return _filled(KERAS, scheme, steps, steps_per_epoch, initial_lr, params, rates, optimizer, note)


def torch_source(
    scheme: str,
    *,
    steps: int,
    steps_per_epoch: int,
    initial_lr: float,
    params: Mapping[str, Value] | None = None,
    rates: Array | None = None,
    note: str = "",
) -> str:
    """Return the text for PyTorch, whose `lambda_lr(optimizer)` gives a LambdaLR; arguments as for `keras_source`."""
    return _filled(TORCH, scheme, steps, steps_per_epoch, initial_lr, params, rates, note=note)


def _filled(
    template: Template,
    scheme: str,
    steps: int,
    steps_per_epoch: int,
    initial_lr: float,
    params: Mapping[str, Value] | None,
    rates: Array | None,
    optimizer: str = "",
    note: str = "",
) -> str:
    checked = validate(scheme, params)
    check_training(steps, steps_per_epoch, initial_lr)
    row = SCHEMES[scheme]
    if row.reactive and rates is not None:
        if rates.shape != (steps,):
            raise InputError(f"rates must be one for each of {steps} updates; received the shape {rates.shape}")
        call, settings = "repeated(", _run_lengths(rates)
        functions = _sources(timeline.repeated)
    else:
        call = f"learning_rates({row.formula.__name__}, "
        settings = {"steps": int(steps), "steps_per_epoch": int(steps_per_epoch), "initial_lr": float(initial_lr)}
        settings |= formula_arguments(scheme, checked)
        functions = _sources(timeline.learning_rates, row.formula)
    names = [name for name in ("Callable", "Sequence") if f"{name}[" in functions]
    return template.substitute(
        title=f"'{scheme}': {row.summary}",
        scheme=scheme,
        steps=steps,
        optimizer=optimizer,
        note=note,
        imports=f"\nfrom collections.abc import {', '.join(names)}\n" if names else "",
        settings=_literal(settings),
        functions=functions,
        call=f"{call}**self.settings)",
        torch_call=f"{call}**SETTINGS)",
    )


def _run_lengths(rates: Array) -> dict[str, Any]:
    starts = np.flatnonzero(np.diff(rates, prepend=np.nan) != 0.0)
    return {"rates": rates[starts].tolist(), "updates": np.diff(starts, append=rates.size).tolist()}


def _literal(settings: Mapping[str, Any]) -> str:
    lines = "".join(f"    {_quoted(name)}: {_quoted(value)},\n" for name, value in settings.items())
    return f"{{\n{lines}}}"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _sources(*functions: Callable[..., Any]) -> str:
    """Return the source of the functions and of all functions of this package that they use, in order of dependence."""
    found: dict[str, str] = {}
    for function in functions:
        _collect(function, found)
    return "\n\n".join(found.values()).rstrip()


def _collect(function: Callable[..., Any], found: dict[str, str]) -> None:
    if not isinstance(function, FunctionType) or function.__name__ in found:
        return
    for name in _names_used(function.__code__):
        used = function.__globals__.get(name)
        if inspect.isfunction(used) and used.__module__.startswith(__package__ or ""):
            _collect(used, found)
    found[function.__name__] = textwrap.dedent(inspect.getsource(function))


def _names_used(code: CodeType) -> list[str]:
    nested = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [*code.co_names, *(name for inner in nested for name in _names_used(inner))]
