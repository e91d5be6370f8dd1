"""Small networks with every kind of state, and what is read off them."""

from typing import Any

import keras
import numpy as np
from keras import layers

SHORT: dict[str, Any] = {"seeds": 1, "updates": 30, "widenings": 0}


def network(optimizer: Any = "sgd", *, plain: bool = False, **compiled: Any) -> keras.Model:
    """Return a network with every kind of state, penalties included; `plain` has weights alone."""
    keras.utils.set_random_seed(7)
    hidden: list[keras.Layer] = [layers.Dense(16, "relu")]
    if not plain:
        hidden = [
            layers.Dense(16, "relu", kernel_regularizer="l2", activity_regularizer="l1"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
        ]
    model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    return model


def state(model: keras.Model) -> list[bytes]:
    """Return all that a training would change, as bytes."""
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [np.asarray(variable).tobytes() for variable in variables]
