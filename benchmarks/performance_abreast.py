"""Several trainings of article A's network as one program: stacked weights, batched matrix products, a rate for each.

What the engine would gain by it at the most: it does nothing but the updates, each training on batches of its own.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.datasets import Splits

_HIDDEN = 128


def stacked_epochs(splits: Splits, trainings: int, batch_size: int, epochs: int) -> Callable[[], Any]:
    """Epochs of so many trainings by SGD with momentum 0.9, whose whole batches alone are taken."""
    examples, pixels = len(splits.x_train), int(np.prod(splits.x_train.shape[1:]))
    x, y = tf.constant(splits.x_train.reshape(examples, pixels)), tf.constant(splits.y_train)
    widths = (pixels, _HIDDEN, splits.num_outputs)
    shapes = [(trainings, *shape) for n, m in pairwise(widths) for shape in ((n, m), (1, m))]
    weights = [tf.Variable(tf.random.normal(shape, stddev=0.05)) for shape in shapes]
    momenta = [tf.Variable(tf.zeros(shape)) for shape in shapes]
    rates = tf.Variable(np.geomspace(1e-3, 1e-1, trainings).reshape(-1, 1, 1).astype(np.float32))
    updates, scale = examples // batch_size, splits.scaling.scale[0]
    losses = tf.Variable(tf.zeros((updates, trainings)))

    def epoch(orders: Any) -> None:
        for update in tf.range(updates):
            chosen = orders[:, update * batch_size : (update + 1) * batch_size]
            inputs, labels = tf.cast(tf.gather(x, chosen), tf.float32) / scale, tf.gather(y, chosen)
            with tf.GradientTape() as tape:
                hidden = tf.nn.relu(inputs @ weights[0] + weights[1])
                outputs = tf.nn.softmax(hidden @ weights[2] + weights[3])
                loss = tf.reduce_mean(keras.ops.sparse_categorical_crossentropy(labels, outputs), axis=1)
            gradients = tape.gradient(loss, weights)
            for weight, momentum, gradient in zip(weights, momenta, gradients, strict=True):
                momentum.assign(0.9 * momentum - rates * gradient)
                weight.assign_add(momentum)
            losses.scatter_nd_update([[update]], [loss])

    compiled, random = tf.function(epoch), np.random.default_rng(0)
    orders = tf.constant([random.permutation(examples) for _ in range(trainings)], tf.int32)
    return lambda: [compiled(orders) for _ in range(epochs)]
