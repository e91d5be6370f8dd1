"""The optimizers that can be tuned: Keras' own, and three that need no schedule, written from their papers."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from pprint import pformat
from types import MappingProxyType
from typing import Any

import keras
from keras import optimizers

from pipeline import lr_multipliers
from pipeline.errors import InputError, refusal
from pipeline.optimizers.prodigy import Prodigy
from pipeline.optimizers.schedule_free import (
    AveragedWeights,
    ScheduleFree,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    averaging,
)

__all__ = [
    "OPTIMIZERS",
    "SHARED",
    "AveragedWeights",
    "averaging",
    "create",
    "estimates_step_size",
    "in_code",
    "name_of",
    "note",
    "own_file",
    "own_files",
    "refuse_several",
    "unwrapped",
    "with_own_multipliers",
]

OPTIMIZERS: dict[str, Callable[[Any, float], optimizers.Optimizer]] = {
    "sgd": lambda rate, momentum: optimizers.SGD(rate, momentum=momentum),
    "adam": lambda rate, _: optimizers.Adam(rate),
    "adamw": lambda rate, _: optimizers.AdamW(rate),
    "adadelta": lambda rate, _: optimizers.Adadelta(rate),
    "adamax": lambda rate, _: optimizers.Adamax(rate),
    "rmsprop": lambda rate, _: optimizers.RMSprop(rate),
    "nadam": lambda rate, _: optimizers.Nadam(rate),
    "adagrad": lambda rate, _: optimizers.Adagrad(rate),
    "lion": lambda rate, _: optimizers.Lion(rate),
    # With Keras' 1e-30, squares of it underflow where a unit and its input are both silent, and weights become NaN.
    "adafactor": lambda rate, _: optimizers.Adafactor(rate, epsilon_1=1e-16),
    "lamb": lambda rate, _: optimizers.Lamb(rate),
    "muon": lambda rate, _: optimizers.Muon(rate),
    "schedule_free_sgd": lambda rate, _: ScheduleFreeSGD(rate),
    "schedule_free_adamw": lambda rate, _: ScheduleFreeAdamW(rate),
    "prodigy": lambda rate, _: Prodigy(rate),
}
"""Name -> function of learning rate and momentum that makes the optimizer, with the defaults of its class otherwise."""


SHARED = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip
"""Settings that every Keras optimizer has."""


_OTHERWISE = ("name", "learning_rate")

_NONE: Mapping[str, float] = MappingProxyType({})

_MULTIPLIERS = Path(lr_multipliers.__file__)


def create(
    name: str, learning_rate: Any, momentum: float, compiled: optimizers.Optimizer | None = None
) -> optimizers.Optimizer:
    """Return an optimizer by name.

    Args:
        name: one in `OPTIMIZERS`.
        learning_rate: a rate or a Keras schedule.
        momentum: for SGD; the others ignore it, since what Schedule-Free SGD calls momentum is something else.
        compiled: the optimizer that the user compiled the model with. If it is the named one, it is returned itself,
            with only the rate replaced; otherwise its `SHARED` settings are copied to the new one.

    Raises:
        InputError: if the compiled one averages weights, and the named one does so in its own way, or is several.

    """
    made = OPTIMIZERS[name](learning_rate, momentum)
    if compiled is None:
        return made
    refuse_several(compiled)
    own = unwrapped(compiled)
    if name_of(own) == name:
        compiled.learning_rate = learning_rate
        return compiled
    if own.use_ema and isinstance(made, ScheduleFree):
        raise refusal("model", f"one compiled with use_ema=True, for {name}", "use_ema=False: it averages by itself")
    changed = {key: value for key in SHARED if (value := getattr(own, key)) is not None}
    config = {**OPTIMIZERS[name](1.0, momentum).get_config(), **changed, "learning_rate": learning_rate}
    return type(made).from_config(config)


def unwrapped(optimizer: optimizers.Optimizer) -> optimizers.Optimizer:
    """Return the optimizer that a `LossScaleOptimizer` calls; any other one itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def refuse_several(optimizer: optimizers.Optimizer) -> None:
    """Refuse Keras' `MultiOptimizer`, whose optimizers have rates of their own."""
    if type(optimizer).__name__ == "MultiOptimizer":  # which not all versions of Keras have
        accepted = "one optimizer; model.lr_multipliers gives layers their own multiples of its rate"
        raise refusal("model", "one compiled with MultiOptimizer", accepted)


def estimates_step_size(name: str) -> bool:
    """Return whether an optimizer estimates one step size for all weights, so that none can have a rate of its own."""
    return bool(getattr(OPTIMIZERS[name](1.0, 0.0), "estimates_step_size", False))


def with_own_multipliers(optimizer: optimizers.Optimizer, model: keras.Model) -> optimizers.Optimizer:
    """Let an optimizer train the layers of a model at their own rates, if the model has such, and return it.

    Raises:
        InputError: if the model's `lr_multipliers` cannot be used, or not with this optimizer.

    """
    try:
        scaled = lr_multipliers.multipliers(model)
        return lr_multipliers.with_lr_multipliers(optimizer, model) if scaled else optimizer
    except ValueError as error:
        raise InputError(f"model: {error}") from error


def in_code(optimizer: optimizers.Optimizer, multipliers: Mapping[str, float] = _NONE) -> str:
    """Return the call that makes an optimizer with a schedule, with the settings that differ from its defaults.

    `multipliers` are those of layers, if the model has any.
    """
    if multipliers:
        return f"with_lr_multipliers({in_code(optimizer)}, model)"
    own = unwrapped(optimizer)
    kind = type(own)
    ours = own_file(own) is not None
    if not (ours or kind.__module__.startswith("keras.")):  # the user's own, whose settings are theirs to know
        return f"{kind.__name__}(learning_rate=Schedule(), ...)"
    default = kind(1.0).get_config()
    changed = {name: value for name, value in own.get_config().items() if value != default[name]}
    given = ["learning_rate=Schedule()", *(f"{name}={changed[name]!r}" for name in changed if name not in _OTHERWISE)]
    return f"{'' if ours else 'keras.optimizers.'}{kind.__name__}({', '.join(given)})"


def note(optimizer: optimizers.Optimizer, multipliers: Mapping[str, float] = _NONE, *, undecayed: bool = False) -> str:
    """Return the lines that tell users where to find what the call needs, and how to train with it.

    They are "" for Keras' own optimizers without multipliers of layers, unless some weights are `undecayed`. Files are
    taken to lie beside theirs.
    """
    own, file = unwrapped(optimizer), own_file(optimizer)
    needed = [] if file is None else [(file, type(own).__name__)]
    if multipliers:
        needed.append((_MULTIPLIERS, "with_lr_multipliers"))
    said = [
        f"\nwith `from {one.stem} import {name}`, of the file {one.name} beside this one.\n" for one, name in needed
    ]
    said += [_AVERAGED] if isinstance(own, ScheduleFree) else []
    said += [_scaled(multipliers)] if multipliers else []
    return "".join([*said, _UNDECAYED] if undecayed else said)


def own_files(optimizer: optimizers.Optimizer, multipliers: Mapping[str, float] = _NONE) -> list[Path]:
    """Return the files of this project that the call needs, which need Keras only."""
    return [*filter(None, [own_file(optimizer)]), *([_MULTIPLIERS] if multipliers else [])]


def _scaled(multipliers: Mapping[str, float]) -> str:
    factors = textwrap.indent(pformat(dict(multipliers), sort_dicts=False, width=90), " " * 4)
    return _SCALED.format(factors.strip())


_SCALED = """
Layers of the model train at their own multiples of these rates, as they did when the rates were found:

    model.lr_multipliers = {}  # which your model may set already
"""


_UNDECAYED = """
Some weights are not decayed: let your optimizer exclude them by `exclude_from_weight_decay`, as that of your model did.
"""


_AVERAGED = """
The weights to use are the optimizer's averages, which `fit` leaves in the model. Its validations see them with

    model.fit(..., callbacks=[AveragedWeights()])  # from the same file

With BatchNormalization, AveragedWeights(inputs=x[:1000]) gives the averages statistics of their own.
"""


def own_file(optimizer: optimizers.Optimizer) -> Path | None:
    """Return the file that defines an optimizer of this project, which needs Keras only; None for another."""
    own = type(unwrapped(optimizer))
    return Path(inspect.getfile(own)) if own in (ScheduleFreeSGD, ScheduleFreeAdamW, Prodigy) else None


def name_of(optimizer: optimizers.Optimizer) -> str | None:
    """Return the name in `OPTIMIZERS` of an optimizer's class or of one it extends; None if there is none."""
    classes = {type(make(1.0, 0.0)): name for name, make in OPTIMIZERS.items()}
    return next((classes[kind] for kind in type(optimizer).__mro__ if kind in classes), None)
