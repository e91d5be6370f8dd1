"""Two outputs of one network: which digit an image shows, and how much ink it takes.

python -m pipeline main --data two_outputs:data --model two_outputs:network --optimizer adam --epochs 20 --budget 10
"""

from typing import Any

import keras
from keras import layers
from sklearn.datasets import load_digits


def data() -> tuple[Any, dict[str, Any]]:
    """Return 1,797 images of 8x8 pixels with their labels by output: whole numbers are classes, others are values."""
    digits = load_digits()
    return digits.images.astype("uint8"), {"digit": digits.target, "ink": digits.images.mean(axis=(1, 2)) / 16}


def network(input_shape: tuple[int, ...], num_outputs: dict[str, int]) -> keras.Model:
    """Return a network with an output for each, compiled with a loss and a weight for each."""
    image = keras.Input(input_shape)
    shared = layers.Dense(64, activation="relu")(layers.Flatten()(image))
    model = keras.Model(
        image,
        {
            "digit": layers.Dense(num_outputs["digit"], activation="softmax")(shared),
            "ink": layers.Dense(num_outputs["ink"])(shared),
        },
    )
    model.compile(
        loss={"digit": "sparse_categorical_crossentropy", "ink": "mean_squared_error"},
        loss_weights={"digit": 1.0, "ink": 10.0},
        metrics={"digit": ["accuracy"], "ink": ["mae"]},
    )
    return model
