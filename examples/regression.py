r"""Labels far from zero and one: how far the diabetes of 442 patients has progressed after a year, from 25 to 346.

python -m pipeline main --data regression:data --model regression:network \
    --scale-labels --optimizer adam --epochs 30 --budget 10
"""

from typing import Any

import keras
from keras import layers
from sklearn.datasets import load_diabetes


def data() -> Any:
    """Return what was measured at the beginning, in its own units, and the progression."""
    return load_diabetes(return_X_y=True, scaled=False)


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network that is not compiled: its loss will be the mean squared error."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.Dense(num_outputs),
        ]
    )
