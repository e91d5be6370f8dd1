"""The optimizers that can be tuned."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import tensorflow as tf
from keras import optimizers


class Setting(float):
    """A number of an optimizer that is a variable in the compiled program, so that another needs no new one.

    Keras, which wants a float, finds the value it was made with, also for a saved configuration; TensorFlow finds the
    variable. Only for numbers that Keras hands to TensorFlow as they are: `momentum` of SGD and `weight_decay`.
    """

    variable: tf.Variable

    def __new__(cls, value: float) -> Self:
        """A setting with its variable."""
        setting = super().__new__(cls, value)
        setting.variable = tf.Variable(value, dtype=tf.float32, trainable=False)
        return setting

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """What TensorFlow asks for where it finds no tensor."""
        return tf.convert_to_tensor(self.variable, dtype, name=name)


OPTIMIZERS: dict[str, Callable[[Any, float], optimizers.Optimizer]] = {
    # Without momentum SGD keeps no velocities, so that is a program of its own.
    "sgd": lambda rate, momentum: optimizers.SGD(rate, momentum=Setting(momentum) if momentum else 0.0),
    "adam": lambda rate, _: optimizers.Adam(rate),
    "adamw": lambda rate, _: optimizers.AdamW(rate, weight_decay=Setting(0.004)),
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


def assign_settings(optimizer: optimizers.Optimizer, values: Mapping[str, float]) -> None:
    """Give settings new values, and those not named the values they were made with.

    Raises ValueError for a name that is no `Setting` of this optimizer.
    """
    settings = {name: value for name, value in vars(optimizer).items() if isinstance(value, Setting)}
    unknown = sorted(set(values) - set(settings))
    if unknown:
        raise ValueError(f"settings: received {', '.join(unknown)}, expected one of {', '.join(settings) or 'none'}")
    for name, setting in settings.items():
        setting.variable.assign(values.get(name, float(setting)))
