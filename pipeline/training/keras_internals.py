"""The private parts of Keras that the engine relies on, all of them; `test_keras_internals` says what they must do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.trainers.compile_utils import CompileLoss


def draw_unseeded_from(generator: keras.random.SeedGenerator) -> None:
    """Make `keras.random` draw from this generator wherever no seed is given.

    Keras replaces its global generator with every seed that is set, but a traced program keeps the one it was traced
    with.
    """
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the model and its layers, in however many models they are nested."""
    return list(model._flatten_layers())


def convolves(layer: keras.layers.Layer) -> bool:
    """Return whether it is a convolution of Keras' own."""
    return type(layer).__module__.startswith("keras.src.layers.convolutional")


def is_plain_model(model: keras.Model) -> bool:
    """Return whether it is a Sequential or functional model without methods of a user's own."""
    return type(model) in (keras.Sequential, Functional)


def is_keras_own(function: Any) -> bool:
    """Return whether a function, an activation for example, is one that Keras brings."""
    return bool(function.__module__.startswith("keras."))


@contextmanager
def global_generator_kept() -> Iterator[None]:
    """Put back the generator that `keras.random` draws from where no seed is given, and its state."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    state = None if generator is None else generator.state.numpy()
    try:
        yield
    finally:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(state)


def forget_losses(model: keras.Model) -> None:
    """Drop the penalties that layers hold since their last call, maybe tensors that live in a program only."""
    model._clear_losses()


def measure_loss_alone(model: keras.Model) -> None:
    """Take the metrics out of a compiled model, and give it the same loss anew, which was never called.

    Keras builds metrics and loss at their first call. Those that compiling made stay as they are, and so do metrics
    that the user holds. Keras' tracking of attributes is passed by, so that putting the attributes back is enough.
    """
    loss, attributes = model._compile_loss, vars(model)
    attributes["_compile_metrics"] = None
    if loss is not None:
        attributes["_compile_loss"] = CompileLoss(
            loss._user_loss, loss._user_loss_weights, output_names=loss.output_names
        )
