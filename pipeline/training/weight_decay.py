"""Weight decays that differ between trainings by one compiled program."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from pipeline.optimizers import unwrapped

_NAMES = ("weight_decay", "adam_weight_decay")
"""The attributes in which optimizers keep their decay; Muon has one more, for the weights that it trains as AdamW."""


class WeightDecay:
    """The weight decay of an optimizer: a number, which a program reads from a variable."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        own = vars(unwrapped(optimizer))
        self._attributes, self._names = own, [name for name in _NAMES if name in own]
        self._now = tf.Variable(0.0, trainable=False)

    def assign(self, value: float) -> None:
        """Set the decay, also in the optimizer's configuration."""
        self._now.assign(value)
        self._attributes.update(dict.fromkeys(self._names, value))

    @contextmanager
    def read(self) -> Iterator[None]:
        """Let what is traced inside read the variable. Keras' tracking of attributes is bypassed."""
        numbers = {name: self._attributes[name] for name in self._names}
        self._attributes.update(dict.fromkeys(self._names, self._now))
        try:
            yield
        finally:
            self._attributes.update(numbers)
