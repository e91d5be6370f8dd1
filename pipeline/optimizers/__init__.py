"""The optimizers that can be tuned: Keras' own, and three that need no schedule, written from their papers."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras import optimizers

from pipeline.errors import refusal
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
    "in_code",
    "name_of",
    "note",
    "own_file",
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
        InputError: if the compiled one averages weights, and the named one does so in its own way.

    """
    made = OPTIMIZERS[name](learning_rate, momentum)
    if compiled is None:
        return made
    if name_of(compiled) == name:
        compiled.learning_rate = learning_rate
        return compiled
    if compiled.use_ema and isinstance(made, ScheduleFree):
        raise refusal("model", f"one compiled with use_ema=True, for {name}", "use_ema=False: it averages by itself")
    changed = {key: value for key in SHARED if (value := getattr(compiled, key)) is not None}
    config = {**OPTIMIZERS[name](1.0, momentum).get_config(), **changed, "learning_rate": learning_rate}
    return type(made).from_config(config)


def in_code(optimizer: optimizers.Optimizer) -> str:
    """Return the call that makes an optimizer with a schedule, with the settings that differ from its defaults."""
    own = getattr(optimizer, "inner_optimizer", optimizer)
    kind = type(own)
    ours = own_file(own) is not None
    if not (ours or kind.__module__.startswith("keras.")):  # the user's own, whose settings are theirs to know
        return f"{kind.__name__}(learning_rate=Schedule(), ...)"
    default = kind(1.0).get_config()
    changed = {name: value for name, value in own.get_config().items() if value != default[name]}
    given = ["learning_rate=Schedule()", *(f"{name}={changed[name]!r}" for name in changed if name not in _OTHERWISE)]
    return f"{'' if ours else 'keras.optimizers.'}{kind.__name__}({', '.join(given)})"


def note(optimizer: optimizers.Optimizer) -> str:
    """Return the lines that tell users where the class of an optimizer is, and how to train with it; "" for Keras' own.

    Its file is taken to lie beside theirs.
    """
    own, file = getattr(optimizer, "inner_optimizer", optimizer), own_file(optimizer)
    if file is None:
        return ""
    where = f"\nwith `from {file.stem} import {type(own).__name__}`, of the file {file.name} beside this one.\n"
    return where + (_AVERAGED if isinstance(own, ScheduleFree) else "")


_AVERAGED = """
The weights to use are the optimizer's averages, which `fit` leaves in the model. Its validations see them with

    model.fit(..., callbacks=[AveragedWeights()])  # from the same file

With BatchNormalization, AveragedWeights(inputs=x[:1000]) gives the averages statistics of their own.
"""


def own_file(optimizer: optimizers.Optimizer) -> Path | None:
    """Return the file that defines an optimizer of this project, which needs Keras only; None for another."""
    own = type(getattr(optimizer, "inner_optimizer", optimizer))
    return Path(inspect.getfile(own)) if own in (ScheduleFreeSGD, ScheduleFreeAdamW, Prodigy) else None


def name_of(optimizer: optimizers.Optimizer) -> str | None:
    """Return the name in `OPTIMIZERS` of an optimizer's class or of one it extends; None if there is none."""
    classes = {type(make(1.0, 0.0)): name for name, make in OPTIMIZERS.items()}
    return next((classes[kind] for kind in type(optimizer).__mro__ if kind in classes), None)
