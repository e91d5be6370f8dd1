"""Sweeps of a model that somebody else compiled, which afterwards is exactly as it was.

Its own optimizer is never touched: a fresh one with the same settings trains in its place. Weights, BatchNormalization
statistics and dropout seeds are put back, whatever happens in between.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.training.callbacks import DIVERGED_AT
from pipeline.training.feed import AHEAD, UPDATES_PER_CALL, BatchOrder, untuned

VALIDATE_EVERY = 10
"""Updates between two losses on the validation sample."""

SAMPLE = 2_000
"""Most examples in the validation sample."""

_SHUFFLED_BATCHES = 32
_START = 3  # how many losses make up the start of a sweep

Batches = Callable[[int, int], tf.data.Dataset]
"""`(seed, count) -> the first count batches in the seed's order`, as Keras takes them."""


class Sweeper:
    """A built and compiled model with its data, to be trained along any number of rate curves.

    Only inside `model_kept` is the model safe. `optimizer` is the one that trains, fresh for every curve.
    """

    def __init__(self, model: keras.Model, batches: Batches, *, validation: Any = None, reinitialize: bool) -> None:
        self._model, self._batches, self._validation = model, batches, validation
        self._reinitialize = reinitialize
        self._weights = [weight.numpy() for weight in model.weights]
        known = {id(variable) for variable in (*model.weights, *model.metrics_variables)}
        self._random = [variable for variable in model.variables if id(variable) not in known]
        self.optimizer = _fresh(model.optimizer)
        self.optimizer.build(model.trainable_variables)
        self._state = [variable.numpy() for variable in self.optimizer.variables]
        self._micro_batches = gradient_accumulation(model)
        self._rates = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        compiled = (lambda run: run) if model.run_eagerly else tf.function
        self._run, self._evaluate = compiled(self._updates), compiled(self._validation_loss)

    def train(
        self, rates: NDArray[np.float64], seed: int, *, validate: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Train from the start with one rate an update, until the end or divergence.

        Returns float64[updates] twice: the loss of each update's batches before it, with regularisation, NaN from
        where training diverged; and the loss on the validation sample after it, NaN where it was not measured.
        """
        self._reset(rates, seed)
        losses, val_losses = np.full(len(rates), np.nan), np.full(len(rates), np.nan)
        batches = iter(self._batches(seed, len(rates) * self._micro_batches))
        validate = validate and self._validation is not None
        stride = VALIDATE_EVERY if validate else UPDATES_PER_CALL
        for first in range(0, len(rates), stride):
            last = min(first + stride, len(rates))
            losses[first:last] = self._run(batches, tf.constant(first), tf.constant(last)).numpy()
            if _diverged(losses[:last], first):
                broken = np.flatnonzero(~np.isfinite(losses))
                losses[broken[0] if broken.size else last :] = np.nan
                break
            if validate:
                val_losses[last - 1] = self.validation_loss()
        return losses, val_losses

    def validation_loss(self) -> float:
        """The loss of the model as it stands, on the validation sample."""
        return float(self._evaluate())

    def _reset(self, rates: NDArray[np.float64], seed: int) -> None:
        """Start weights, a fresh optimizer, and dropout seeds of this seed's own."""
        weights = _reinitialized(self._model, seed) if self._reinitialize else self._weights
        _assign(self._model.weights, weights)
        _assign(self.optimizer.variables, self._state)
        own = np.random.default_rng((seed, 1))
        _assign(self._random, [own.integers(2**31, size=state.shape, dtype=np.uint32) for state in self._random])
        self._rates.assign(rates.astype(np.float32))

    def _updates(self, batches: Any, first: Any, last: Any) -> Any:
        """Do the updates from `first` to `last`; the mean loss of each one's micro-batches, float32 (last - first,)."""
        losses = tf.TensorArray(tf.float32, size=last - first)
        for update in tf.range(first, last):
            self.optimizer.learning_rate.assign(self._rates[update])
            total = tf.constant(0.0)
            for _ in tf.range(self._micro_batches):
                total += self._micro_batch(next(batches))
            losses = losses.write(update - first, total / float(self._micro_batches))
        return losses.stack()

    def _micro_batch(self, batch: Any) -> Any:
        """Keras' own training step, without its metrics."""
        model = self._model
        with tf.GradientTape() as tape:
            loss = self._loss(batch, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return tf.cast(loss, tf.float32)

    def _validation_loss(self) -> Any:
        return self._loss(self._validation, training=False)

    def _loss(self, batch: Any, *, training: bool) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        # A model whose `call` has no `training` argument ignores it here, as in Keras' own step.
        y_pred = self._model(x, training=training) if self._model._call_has_training_arg else self._model(x)
        loss = self._model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=training)
        self._model._clear_losses()  # tensors of this program must not outlive it in the layers
        return loss


@contextmanager
def model_kept(model: keras.Model) -> Iterator[None]:
    """Put back, bit for bit and whatever happens, the state of the model and the random states of the process.

    Of the model: weights, BatchNormalization statistics, dropout seeds, metrics. Of the process: the states of
    `random`, `numpy.random` and TensorFlow's global generator.
    """
    variables = [*model.variables, *model.metrics_variables]
    before = [variable.numpy() for variable in variables]
    python, numpy, tensorflow = random.getstate(), np.random.get_state(), tf.random.get_global_generator()
    state = tensorflow.state.numpy()
    try:
        yield
    finally:
        _assign(variables, before)
        random.setstate(python)
        np.random.set_state(numpy)
        tensorflow.state.assign(state)


def array_batches(data: Any, batch_size: int) -> Batches:
    """Batches of `(x, y)` or `(x, y, sample_weight)`, arrays or nested arrays, in a new order for every seed."""
    given = keras.utils.pack_x_y_sample_weight(*keras.utils.unpack_x_y_sample_weight(data))
    parts = keras.tree.map_structure(_tensor, given)
    order = BatchOrder(example_count(data), batch_size)

    def batches(seed: int, count: int) -> tf.data.Dataset:
        rows, ends = (tf.constant(part) for part in order.indices(seed, 0, count))

        def gathered(update: Any) -> Any:
            chosen = rows[ends[update] : ends[update + 1]]
            return keras.tree.map_structure(lambda part: tf.gather(part, chosen), parts)

        return untuned(tf.data.Dataset.range(count).map(gathered).prefetch(AHEAD))

    return batches


def dataset_batches(data: tf.data.Dataset) -> Batches:
    """The user's own batches, as often as needed, shuffled anew for every seed within a window of 32 batches."""

    def batches(seed: int, count: int) -> tf.data.Dataset:
        shuffled = data.repeat().shuffle(_SHUFFLED_BATCHES, seed=seed, reshuffle_each_iteration=False)
        return shuffled.take(count).prefetch(tf.data.AUTOTUNE)

    return batches


def sample(data: Any) -> Any:
    """At most `SAMPLE` examples of a data set or of arrays, chosen the same way every time, as one batch."""
    if isinstance(data, tf.data.Dataset):
        return next(iter(data.unbatch().batch(SAMPLE)))
    count = example_count(data)
    return next(iter(array_batches(data, min(SAMPLE, count))(0, 1)))


def example_count(data: Any) -> int:
    """How many examples arrays hold; raises InputError where they differ in that."""
    counts = {len(part) for part in keras.tree.flatten(data) if part is not None}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"data: received arrays of lengths {sorted(counts)}, expected one length above 0")
    return counts.pop()


def updates_per_epoch(data: Any, per_batch: int, effective: int) -> int | None:
    """Updates of one pass over the data; None where a data set does not know its length."""
    if not isinstance(data, tf.data.Dataset):
        return -(-example_count(data) // effective)
    batches = int(data.cardinality())
    return -(-batches * per_batch // effective) if batches > 0 else None


def gradient_accumulation(model: keras.Model) -> int:
    """How many batches make one update of the model's optimizer."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return int(optimizer.gradient_accumulation_steps or 1)


def _fresh(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer with the same settings, in its initial state, whose rate can be assigned."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner, scale = _fresh(optimizer.inner_optimizer), optimizer.initial_scale
        growth = optimizer.dynamic_growth_steps
        return keras.optimizers.LossScaleOptimizer(inner, initial_scale=scale, dynamic_growth_steps=growth)
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": 1.0})


def _reinitialized(model: keras.Model, seed: int) -> list[NDArray[Any]]:
    """The weights that building the model anew with this seed gives; Keras draws its seeds from `random`."""
    random.seed(seed)
    return [weight.numpy() for weight in keras.models.clone_model(model).weights]


def _diverged(losses: NDArray[np.float64], first: int) -> bool:
    """Whether the losses from update `first` on are not finite, or in their middle far above the start."""
    recent, limit = losses[first:], DIVERGED_AT * np.median(losses[:_START])
    return not np.isfinite(recent).all() or bool(0 < limit < np.median(recent))


def _tensor(values: Any) -> Any:
    """An array as Keras passes it on: floating point numbers in the width that Keras is set to."""
    array = np.asarray(values)
    return tf.convert_to_tensor(array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array)


def _assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
