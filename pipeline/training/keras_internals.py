"""The private parts of Keras that the engine relies on; `test_keras_internals` tests that they behave as expected."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.activations import ALL_OBJECTS_DICT
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.trainers.compile_utils import CompileLoss

_ACTIVATIONS = {name.replace("_", ""): name for name in ALL_OBJECTS_DICT}
"""The names of activations, by how functions, layers and operations write them."""


def draw_unseeded_from(generator: keras.random.SeedGenerator) -> None:
    """Make `keras.random` draw from this generator whenever no seed is given.

    Keras replaces its global generator whenever a seed is set, but a traced program keeps the one it was traced with.
    """
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the model and all its layers, those of nested models included."""
    return list(model._flatten_layers())


def decays(optimizer: keras.optimizers.Optimizer, weight: keras.Variable) -> bool:
    """Return whether an optimizer would decay a weight if it decays any, which users can exclude it from."""
    return bool(optimizer._use_weight_decay(weight))


def excludes_weights(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether users have excluded weights from an optimizer's decay."""
    return any(getattr(optimizer, f"_exclude_from_weight_decay{kind}", None) for kind in ("", "_pattern"))


def convolves(layer: keras.layers.Layer) -> bool:
    """Return whether a layer is one of Keras' own convolutions."""
    return type(layer).__module__.startswith("keras.src.layers.convolutional")


def output_activation(model: keras.Model) -> str | None:
    """Return the name of Keras' function that gives a model's outputs; None if its last layer does not show one."""
    operation = _last_operation(model, 0)
    shown = getattr(operation, "activation", operation)
    name = getattr(shown, "__name__", type(shown).__name__)
    return _ACTIVATIONS.get(name.lower().replace("_", "")) if is_keras_own(shown) else None


def output_operations(model: keras.Model) -> list[Any]:
    """Return what gives each output of a functional model, even inside a nested one."""
    return [_last_operation(model, at) for at in range(len(model.outputs))]


def _last_operation(model: keras.Model, at: int) -> Any:
    operation: Any = model
    while is_plain_model(operation):
        operation, _, at = operation.outputs[at]._keras_history
    return operation


def is_plain_model(model: keras.Model) -> bool:
    """Return whether a model is Sequential or functional, without methods of the user's."""
    return type(model) in (keras.Sequential, Functional)


def is_keras_own(function: Any) -> bool:
    """Return whether a function, such as an activation, or an object is one of Keras' own."""
    return bool(function.__module__.startswith("keras."))


@contextmanager
def global_generator_kept() -> Iterator[None]:
    """Restore on exit the generator that `keras.random` draws from when no seed is given, with its state."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    state = None if generator is None else generator.state.numpy()
    try:
        yield
    finally:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(state)


def forget_losses(model: keras.Model) -> None:
    """Drop the penalties that layers keep from their last call, which may be tensors of a traced program."""
    model._clear_losses()


def measure_loss_alone(model: keras.Model) -> None:
    """Remove the metrics of a compiled model, and replace its loss by a new object with the same functions.

    Keras builds metrics and loss on their first call. The objects made by `compile` stay untouched, and so do metrics
    that the user holds. Keras' tracking of attributes is bypassed, so that restoring the attributes undoes everything.
    """
    loss, attributes = model._compile_loss, vars(model)
    attributes["_compile_metrics"] = None
    if loss is not None:
        attributes["_compile_loss"] = CompileLoss(
            loss._user_loss, loss._user_loss_weights, output_names=loss.output_names
        )


def compiled_with(model: keras.Model) -> dict[str, Any]:
    """Return the losses, their weights and the metrics that a model was compiled with, as they were given."""
    loss, metrics = model._compile_loss, model._compile_metrics
    return {
        "loss": loss and loss._user_loss,
        "loss_weights": loss and loss._user_loss_weights,
        "metrics": metrics and metrics._user_metrics,
        "weighted_metrics": metrics and metrics._user_weighted_metrics,
    }
