"""A network that ends its process once its values grow too large, and hangs once where a file asks for it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


class Fragile(keras.layers.Layer):  # type: ignore[misc]
    """Passes values on, unless one of them is above 1,000, or there is a file `hang`, which it removes."""

    def call(self, x: Any) -> Any:
        """Kill the process, sleep, or return `x`."""
        with tf.control_dependencies([tf.numpy_function(_check, [tf.reduce_max(tf.abs(x))], tf.bool)]):
            return tf.identity(x)


def _check(largest: float) -> bool:
    if not largest < 1_000:
        os.kill(os.getpid(), signal.SIGKILL)
    if (asked := Path("hang")).exists():
        asked.unlink()
        time.sleep(3_600)
    return True


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network with one hidden layer."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, activation="relu"), Fragile()]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_outputs, activation="softmax")])
