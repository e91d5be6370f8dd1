"""A time series: the membrane potential of a nerve cell, ten steps ahead. Run it: python examples/series.py."""

from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.cbook import get_sample_data

from pipeline import find

PAST, AHEAD, EPOCHS = 40, 10, 10


def windows(series: Any) -> tuple[Any, Any]:
    """Return each stretch of the series as an input, and the value `AHEAD` steps later as its label."""
    x = np.lib.stride_tricks.sliding_window_view(series[:-AHEAD], PAST)
    return x[..., np.newaxis], series[PAST + AHEAD - 1 :]


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network that adds what it learns to the last value."""
    inputs = keras.Input(input_shape)
    x = layers.Conv1D(16, 5, strides=2, activation="relu")(inputs)
    x = layers.Conv1D(16, 5, strides=2, activation="relu")(x)
    change = layers.Dense(num_outputs)(layers.Flatten()(x))
    return keras.Model(inputs, layers.add([inputs[:, -1], change]))


def main(budget: float = 10) -> dict[str, float]:
    """Find the schedule on the first four fifths, train with it, and test on the last."""
    with get_sample_data("membrane.dat") as file:
        series = np.frombuffer(file.read(), np.float32)
    series = (series - series.mean()) / series.std()
    # In order of time: at random, a window for validation would overlap those for training.
    past, present, future = np.split(series, [7_200, 9_600])
    train, validation, test = windows(past), windows(present), windows(future)

    answer = find(network, train, validation_data=validation, epochs=EPOCHS, budget=budget, optimizer="adam")
    print(answer)

    keras.utils.set_random_seed(0)
    model = network(train[0].shape[1:], 1)
    answer.compile(model)
    model.fit(*train, epochs=EPOCHS, batch_size=answer.winner.batch_size, verbose=0)
    x, y = test
    scores = {"test_loss": model.evaluate(x, y, verbose=0)[0], "no change": float(np.mean((x[:, -1, 0] - y) ** 2))}
    print(scores)
    return scores


if __name__ == "__main__":
    main()
