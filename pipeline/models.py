"""The networks: those of the two articles, adapted to the data's shape, and the user's own."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from pipeline.errors import InputError
from pipeline.results import Task

Builder = Callable[[], keras.Model]

_SMALLEST_UNPADDED = 10
"""Two 3x3 convolutions, each followed by 2x2 pooling, leave nothing of an image smaller than this."""


def cnn(input_shape: tuple[int, ...], num_outputs: int, activation: str) -> keras.Model:
    """Article B's network (MachineCurve, "Problems with fixed and decaying learning rates")."""
    if len(input_shape) != 3:
        raise InputError(f"model: received 'cnn' for inputs of shape {input_shape}, expected images or model=mlp")
    padding = "valid" if min(input_shape[:2]) >= _SMALLEST_UNPADDED else "same"
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(num_outputs, activation=activation),
        ]
    )


def mlp(input_shape: tuple[int, ...], num_outputs: int, activation: str) -> keras.Model:
    """Article A's network (GeeksforGeeks, "Learning Rate Decay")."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(num_outputs, activation=activation),
        ]
    )


BUILT_IN: dict[str, Callable[[tuple[int, ...], int, str], keras.Model]] = {"cnn": cnn, "mlp": mlp}


def builder(model: str, input_shape: tuple[int, ...], num_outputs: int, task: Task) -> Builder:
    """A function that builds the network anew at each call.

    `model` is a name in `BUILT_IN`, or `module:function`, given `(input_shape, num_outputs)` without the
    batch axis. Raises InputError where the model does not fit the data.
    """
    if model in BUILT_IN:
        activation = "softmax" if task == "classification" else "linear"
        return lambda: BUILT_IN[model](input_shape, num_outputs, activation)
    function = _import(model)

    def build() -> keras.Model:
        return _checked(model, function(input_shape, num_outputs), input_shape, num_outputs)

    return build


def _import(model: str) -> Callable[[tuple[int, ...], int], object]:
    module_name, _, function_name = model.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"model: received {model!r}, expected module:function found on PYTHONPATH or in the working directory"
            f" ({error})"
        ) from None
    if not callable(function):
        raise InputError(f"model: received {model!r}, which is not callable, expected a function")
    return function  # type: ignore[no-any-return]


def _checked(name: str, model: object, input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise InputError(f"model: {name} returned {type(model).__name__}, expected an uncompiled Keras model")
    if model.compiled:
        raise InputError(f"model: {name} returned a compiled model, expected an uncompiled one")
    if not model.built:
        model.build((None, *input_shape))
    output = model.compute_output_shape((None, *input_shape))
    if not isinstance(output, tuple) or output[-1] != num_outputs:
        raise InputError(f"model: {name} gives outputs of shape {output}, expected (None, {num_outputs})")
    if not model.trainable_variables:
        raise InputError(f"model: {name} has no trainable weights, expected at least one")
    return model
