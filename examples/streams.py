"""A `tf.data` pipeline: decoded, resized and given to the pipeline as it is.

python -m pipeline main --data streams:data --model streams:network --optimizer adam --epochs 8 --budget 10
"""

import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

Examples = tuple[tf.Tensor, tf.Tensor]


def data() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Return training and test set, without `shuffle` and `repeat`: the pipeline shuffles, in a known order."""
    x, y = load_digits(return_X_y=True)
    examples = tf.data.Dataset.from_tensor_slices((x.reshape(-1, 8, 8, 1), y))
    examples = examples.map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.take(1_500), examples.skip(1_500)


def prepared(image: tf.Tensor, label: tf.Tensor) -> Examples:
    """Return an example as the network gets it."""
    return tf.image.resize(image, (16, 16)) / 16.0, label


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a small convolutional network."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(num_outputs, activation="softmax"),
        ]
    )
