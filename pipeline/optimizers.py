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
"""Name -> `(learning_rate, momentum)` -> optimizer; everything else as Keras has it by default."""


SHARED = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip
"""What every Keras optimizer can be told."""


def create(
    name: str, learning_rate: Any, momentum: float, compiled: optimizers.Optimizer | None = None
) -> optimizers.Optimizer:
    """An optimizer by name; `learning_rate` is a rate or a Keras schedule.

    `compiled` is what the user compiled the model with. If it is of that name, it is what is returned, as it is but for
    the rate, its own momentum included. Otherwise the settings that all optimizers share are taken from it.
    """
    made = OPTIMIZERS[name](learning_rate, momentum)
    if compiled is None:
        return made
    if _named(compiled) == name:
        compiled.learning_rate = learning_rate
        return compiled
    changed = {key: value for key in SHARED if (value := getattr(compiled, key)) is not None}
    config = {**OPTIMIZERS[name](1.0, momentum).get_config(), **changed, "learning_rate": learning_rate}
    return type(made).from_config(config)


def _named(optimizer: optimizers.Optimizer) -> str | None:
    """The name of an optimizer's class, or of the one that a user's own class extends."""
    classes = {type(make(1.0, 0.0)): name for name, make in OPTIMIZERS.items()}
    return next((classes[kind] for kind in type(optimizer).__mro__ if kind in classes), None)
