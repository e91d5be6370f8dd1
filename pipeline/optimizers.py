"""The optimizers that can be tuned."""

from collections.abc import Callable
from typing import Any

from keras import optimizers

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
}
"""Name -> function of learning rate and momentum that makes the optimizer, with Keras' defaults otherwise."""


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
        momentum: for SGD; the others ignore it.
        compiled: the optimizer that the user compiled the model with. If it is the named one, it is returned itself,
            with only the rate replaced; otherwise its `SHARED` settings are copied to the new one.

    """
    made = OPTIMIZERS[name](learning_rate, momentum)
    if compiled is None:
        return made
    if name_of(compiled) == name:
        compiled.learning_rate = learning_rate
        return compiled
    changed = {key: value for key in SHARED if (value := getattr(compiled, key)) is not None}
    config = {**OPTIMIZERS[name](1.0, momentum).get_config(), **changed, "learning_rate": learning_rate}
    return type(made).from_config(config)


def in_code(optimizer: optimizers.Optimizer) -> str:
    """Return the call that makes an optimizer with a schedule, with the settings that differ from its defaults."""
    own = getattr(optimizer, "inner_optimizer", optimizer)
    kind = type(own)
    if not kind.__module__.startswith("keras."):  # the user's own, whose settings are theirs to know
        return f"{kind.__name__}(learning_rate=Schedule(), ...)"
    default = kind(1.0).get_config()
    changed = {name: value for name, value in own.get_config().items() if value != default[name]}
    given = ["learning_rate=Schedule()", *(f"{name}={changed[name]!r}" for name in changed if name not in _OTHERWISE)]
    return f"keras.optimizers.{kind.__name__}({', '.join(given)})"


def name_of(optimizer: optimizers.Optimizer) -> str | None:
    """Return the name in `OPTIMIZERS` of an optimizer's class or of one it extends; None if there is none."""
    classes = {type(make(1.0, 0.0)): name for name, make in OPTIMIZERS.items()}
    return next((classes[kind] for kind in type(optimizer).__mro__ if kind in classes), None)
