"""Copies of a user's compiled model, which is left alone, and what it was compiled with for other models."""

from collections.abc import Callable
from typing import Any

import keras

from pipeline.errors import describe, refusal
from pipeline.training import keras_internals
from pipeline.training.own_optimizer import fresh
from pipeline.training.vocabularies import copy_vocabularies


def copying(model: keras.Model) -> Callable[[], keras.Model]:
    """Return a function that copies a built model: its weights, and if it is compiled, what it was compiled with.

    Raises:
        InputError: from the returned function, if Keras cannot copy the model.

    """

    def copy() -> keras.Model:
        try:
            plain = keras_internals.is_plain_model(model)
            made = keras.models.clone_model(model) if plain else type(model).from_config(model.get_config())
            if not made.built:
                made.build(model.input_shape)
            copy_vocabularies(model, made)
            made.set_weights(model.get_weights())
            made.lr_multipliers = getattr(model, "lr_multipliers", None)
        except Exception as error:  # whatever the user's layers and Keras raise
            received = f"a model that cannot be copied ({describe(error)})"
            raise refusal("model", received, "a function that builds it, or get_config and from_config") from error
        if model.compiled:
            compile_like(made, model, fresh(model, 1.0, made))
        return made

    return copy


def compile_like(model: keras.Model, like: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile a model with the losses, their weights and the metrics of a compiled one, and with this optimizer."""
    model.compile(optimizer=optimizer, **keras.tree.map_structure(_own, keras_internals.compiled_with(like)))


def _own(given: Any) -> Any:
    """Return a metric of the same kind without the values that it has collected; anything else as it is."""
    return type(given).from_config(given.get_config()) if isinstance(given, keras.metrics.Metric) else given
