"""BatchNormalization's statistics in trainings that are too short for its moving averages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import keras
import tensorflow as tf

from pipeline.training import keras_internals
from pipeline.training.feed import UPDATES_PER_CALL, BatchOrder, Feed
from pipeline.training.network import assign

LAG: Final = 0.01
"""Share of the values before training from which moving averages lag: at a momentum of 0.99, up to 458 updates."""

EXAMPLES: Final = 1_000
"""Examples that suffice: with 300 or 2,400, validation losses of a convolutional network differed by less than 0.5%."""

_SEED: Final = 0


class BatchStatistics:
    """The means and variances that a model's BatchNormalization layers use outside of training.

    Keras averages them over the updates, from a mean of 0 and a variance of 1. After n updates the share
    `momentum ** n` of these is left, and most of the rest belongs to earlier weights. Until they have arrived, the
    validation loss can be that of guessing, whatever has been learnt. So they are computed anew from training batches
    with the weights as they are, as Wu and Johnson (2021, arXiv:2105.07576) recommend. Moving averages never arrive if
    other weights are evaluated than those that gradients are taken at, as with Schedule-Free optimizers.
    """

    def __init__(
        self,
        model: keras.Model,
        feed: Feed,
        order: BatchOrder,
        draws: keras.random.SeedGenerator,
        elsewhere: bool = False,
    ) -> None:
        """Prepare for a model that is fed in this order.

        `draws` is what it draws from where no seed is given, and `elsewhere` says whether other weights are evaluated
        than those that gradients are taken at.
        """
        self._model, self._feed, self._elsewhere = model, feed, elsewhere
        self._batches = min(-(-EXAMPLES // order.batch_size), UPDATES_PER_CALL, order.steps_per_epoch)
        layers = keras_internals.all_layers(model)
        self._layers = [one for one in layers if isinstance(one, keras.layers.BatchNormalization) and one.trainable]
        self._seen = tf.Variable(0.0, trainable=False)
        own = {id(variable) for layer in self._layers for variable in (layer.moving_mean, layer.moving_variance)}
        self._others = [draws.state, *(v for v in model.non_trainable_variables if id(v) not in own)]
        step = feed.each(self._average)
        self._step = step if model.run_eagerly else tf.function(step, autograph=False, reduce_retracing=True)

    def lag(self, updates: int) -> bool:
        """Return whether moving averages have not arrived after so many updates."""
        return any(self._elsewhere or layer.momentum**updates > LAG for layer in self._layers)

    def recompute(self) -> None:
        """Replace the statistics by averages over some 1,000 training examples, always the same ones.

        Nothing else changes: neither weights, nor dropout seeds, nor other states.
        """
        before = [variable.numpy() for variable in self._others]
        self._seen.assign(0.0)
        self._feed.arrange(_SEED, 0, self._batches)
        for element in self._feed.dataset(self._batches):
            self._step(element)
        assign(self._others, before)
        keras_internals.forget_losses(self._model)

    def _average(self, batch: Any) -> dict[str, Any]:
        """Add a batch to the averages, in which each example counts the same."""
        count = tf.cast(tf.shape(tf.nest.flatten(batch)[0])[0], tf.float32)
        with _momentum(self._layers, self._seen / (self._seen + count)):
            self._model(batch[0], training=True)
        self._seen.assign_add(count)
        return {}


class Recompute(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that recomputes BatchNormalization's statistics before each validation that comes too early for them.

    Attributes:
        applied: whether it did so before the last validation.

    """

    def __init__(self, statistics: BatchStatistics, step: tf.Variable) -> None:
        super().__init__()
        self._statistics, self._step = statistics, step
        self.applied = False

    def on_test_begin(self, logs: Any = None) -> None:
        """Recompute before a validation."""
        self.applied = self._statistics.lag(int(self._step))
        if self.applied:
            self._statistics.recompute()


@contextmanager
def _momentum(layers: Sequence[keras.layers.BatchNormalization], share: Any) -> Iterator[None]:
    """Let the layers keep this share of their statistics, a scalar tensor, when they are called."""
    before = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = tf.cast(share, keras.backend.result_type(layer.compute_dtype, "float32"))
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
