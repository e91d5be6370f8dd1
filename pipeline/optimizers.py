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


def create(name: str, learning_rate: Any, momentum: float) -> optimizers.Optimizer:
    """An optimizer by name; `learning_rate` is a rate or a Keras schedule."""
    return OPTIMIZERS[name](learning_rate, momentum)
