"""Trainings of the user's own compiled model, which is left exactly as it was.

The engine trains the model itself, with a fresh optimizer of the same settings in place of its own. Weights,
BatchNormalization statistics, dropout seeds, metrics and compiled programs are restored afterwards, even on errors.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation import Evaluation, Training
from pipeline.optimizers import unwrapped
from pipeline.training import keras_internals
from pipeline.training.compilation import take_over
from pipeline.training.engine import Trainer
from pipeline.training.executor import train
from pipeline.training.feed import AHEAD, UPDATES_PER_CALL, BatchOrder, Feed, MemoryFeed, Step, Updates, untuned
from pipeline.training.network import assign
from pipeline.training.own_optimizer import fresh

VALIDATE_EVERY = 10
"""Updates between two measurements of the validation loss in a sweep."""

SAMPLE = 2_000
"""Largest number of examples in the validation sample."""

_SHUFFLED_BATCHES = 32

Batches = Callable[[int, int], tf.data.Dataset]
"""`(seed, count) -> the first count batches in the seed's order`, as Keras takes them."""


class OwnModel:
    """Executor that trains a compiled model with its own optimizer, whatever the evaluation's optimizer and batch size.

    It changes the model: use it inside `model_kept`.

    Attributes:
        steps_per_epoch: optimizer updates in a pass over the data; 1 if the data set's length is unknown.
        accumulated: the number of batches in an update.

    """

    def __init__(
        self,
        model: keras.Model,
        data: Any,
        *,
        batch_size: int,
        validation_data: Any = None,
        reinitialize: bool,
        recompute: bool = True,
    ) -> None:
        keras_internals.measure_loss_alone(model)
        self.accumulated = gradient_accumulation(model)
        order = _order(data, batch_size)
        self.steps_per_epoch = -(-order.steps_per_epoch // self.accumulated)
        self._validated = validation_data is not None
        per_call = (VALIDATE_EVERY if self._validated else UPDATES_PER_CALL) * self.accumulated
        source = _Validation(None if validation_data is None else sample(validation_data))
        feed, watched = _feed(model, data, order, per_call), UPDATES_PER_CALL * self.accumulated
        trainer = Trainer(model, _OwnStart(model, reinitialize), source, feed, order, watched, recompute)
        first = sample(data, count=2)
        self._trainer = trainer.compile_with(
            lambda model, rates, steps: take_over(model, fresh(model, rates, model), steps, first)
        )

    def ask(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training as it finishes."""
        for evaluation in evaluations:
            yield evaluation, self._train(evaluation)

    def _train(self, evaluation: Evaluation) -> Training:
        """Train, and return rates and losses per update, which may take several batches."""
        every = VALIDATE_EVERY * self.accumulated if self._validated and evaluation.validations == 0 else 0
        times = self.accumulated
        curve = np.repeat(evaluation.curve(self.steps_per_epoch), times)
        training = train(self._trainer, evaluation, curve=curve, validate_every=every)
        updates = len(training.rates) // times
        whole = training.losses[: updates * times].reshape(updates, times)
        return replace(
            training,
            rates=training.rates[: updates * times : times],
            losses=whole.mean(axis=1),
            steps_per_epoch=self.steps_per_epoch,
            validation_steps=training.validation_steps // times,
        )


class _OwnStart:
    """The state that trainings begin with: the model's weights or new ones, and dropout seeds derived from the seed."""

    def __init__(self, model: keras.Model, reinitialize: bool) -> None:
        self._model, self._reinitialize = model, reinitialize
        weights = {id(variable) for variable in model.weights}
        self._is_weight = [id(variable) in weights for variable in model.variables]
        self._state = [variable.numpy() for variable in model.variables]

    def initial_state(self, seed: int) -> list[NDArray[Any]]:
        """Return the initial values of the model's variables, in their order."""
        drawn = np.random.default_rng((seed, 1))
        weights = iter(self._weights(seed))
        return [
            next(weights) if is_weight else drawn.integers(2**31, size=value.shape, dtype=np.uint32)
            for is_weight, value in zip(self._is_weight, self._state, strict=True)
        ]

    def _weights(self, seed: int) -> list[NDArray[Any]]:
        if not self._reinitialize:
            return [value for is_weight, value in zip(self._is_weight, self._state, strict=True) if is_weight]
        random.seed(seed)  # Keras draws its seeds from there
        return [weight.numpy() for weight in keras.models.clone_model(self._model).weights]


class _Validation:
    """The validation sample as a data set of one batch, without a test set."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    @property
    def validation(self) -> tf.data.Dataset:
        """The sample."""
        return tf.data.Dataset.from_tensors(self._batch)

    @property
    def test(self) -> tf.data.Dataset:
        """Raise NotImplementedError: no test set is given for a user's own model."""
        raise NotImplementedError


class _BatchesFeed:
    """Batches that come as a data set, for trainings in one part."""

    def __init__(self, batches: Batches, steps_per_execution: int) -> None:
        self._batches, self.steps_per_execution = batches, steps_per_execution
        self._seed = 0

    def arrange(self, seed: int, start: int, stop: int) -> None:
        """Store the seed; `start` is always 0, since there is one part."""
        self._seed = seed

    def dataset(self, updates: int) -> tf.data.Dataset:
        """Return the first batches in the seed's order."""
        return self._batches(self._seed, updates)

    def each(self, step: Step) -> Step:
        """Return the step itself: Keras calls it with one batch after another."""
        return step

    def step_for(self, updates: Updates) -> Step:
        """Return the step of one update."""
        return updates.recorded_update


@contextmanager
def model_kept(model: keras.Model) -> Iterator[None]:
    """Restore on exit, bit for bit and even on errors, the model's state and the random states of the process.

    The model's state is its weights, BatchNormalization statistics, dropout seeds, metrics, optimizer and compiled
    programs; the random states are those of `random`, `numpy.random` and the global generators of Keras and TensorFlow.
    """
    variables = [*model.variables, *model.metrics_variables]
    before, attributes = [variable.numpy() for variable in variables], dict(vars(model))
    with random_states_kept():
        try:
            yield
        finally:
            model.optimizer = attributes["optimizer"]  # by ordinary assignment first: TensorFlow tracks it separately
            vars(model).clear()
            vars(model).update(attributes)
            keras_internals.forget_losses(model)
            assign(variables, before)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore on exit the states of `random`, `numpy.random` and the global generators of Keras and TensorFlow."""
    python, numpy, tensorflow = random.getstate(), np.random.get_state(), tf.random.get_global_generator()
    state = tensorflow.state.numpy()
    try:
        with keras_internals.global_generator_kept():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tensorflow.state.assign(state)


def batch_length(data: Any, batch_size: int) -> int:
    """Return the number of examples in a batch: a data set's own, or for arrays `batch_size`, at most their length.

    Raises:
        InputError: if there is no batch, or the arrays differ in length.

    """
    if not isinstance(data, tf.data.Dataset):
        if batch_size < 1:
            raise InputError(f"batch_size: received {batch_size}, expected at least 1")
        return min(batch_size, _example_count(data))
    if int(data.cardinality()) == 0:
        raise InputError("data: received a data set without batches, expected at least one")
    return keras.tree.flatten(data.element_spec)[0].shape[0] or batch_size


def knows_length(data: Any) -> bool:
    """Return whether the number of batches is known."""
    return not isinstance(data, tf.data.Dataset) or int(data.cardinality()) > 0


def sample(data: Any, count: int = SAMPLE) -> Any:
    """Return at most `count` examples of a data set or of arrays as one batch, always the same ones."""
    if isinstance(data, tf.data.Dataset):
        return next(iter(data.unbatch().batch(count)))
    order = BatchOrder(_example_count(data), min(count, _example_count(data)))
    return next(iter(_gathered(_tensors(data), order)(0, 1)))


def gradient_accumulation(model: keras.Model) -> int:
    """Return the number of batches in an update of the model's optimizer."""
    optimizer = unwrapped(model.optimizer)
    return int(optimizer.gradient_accumulation_steps or 1)


def _order(data: Any, batch_size: int) -> BatchOrder:
    length = batch_length(data, batch_size)
    if isinstance(data, tf.data.Dataset):
        return BatchOrder(max(int(data.cardinality()), 1) * length, length)
    return BatchOrder(_example_count(data), length)


def _feed(model: keras.Model, data: Any, order: BatchOrder, updates_per_call: int) -> Feed:
    """Return a feed that gathers from arrays inside the program; data sets and eager models get batches from Keras."""
    steps = 1 if model.run_eagerly else updates_per_call
    if isinstance(data, tf.data.Dataset):
        return _BatchesFeed(lambda seed, count: _shuffled(data, seed, count), steps)
    if model.run_eagerly:
        return _BatchesFeed(_gathered(_tensors(data), order), steps)
    return MemoryFeed(_tensors(data), lambda inputs: inputs, order, updates_per_call)


def _shuffled(data: tf.data.Dataset, seed: int, count: int) -> tf.data.Dataset:
    """Return the user's batches, repeated as needed, and shuffled by the seed within a window of 32 batches."""
    shuffled = data.repeat().shuffle(_SHUFFLED_BATCHES, seed=seed, reshuffle_each_iteration=False)
    return shuffled.take(count).prefetch(tf.data.AUTOTUNE)


def _gathered(tensors: Any, order: BatchOrder) -> Batches:
    def batches(seed: int, count: int) -> tf.data.Dataset:
        rows, ends = (tf.constant(part) for part in order.indices(seed, 0, count))

        def gathered(update: Any) -> Any:
            chosen = rows[ends[update] : ends[update + 1]]
            return tf.nest.map_structure(lambda part: tf.gather(part, chosen), tensors)

        return untuned(tf.data.Dataset.range(count).map(gathered).prefetch(AHEAD))

    return batches


def _tensors(data: Any) -> tuple[Any, ...]:
    """Return `(x,)`, `(x, y)` or `(x, y, sample_weight)` as tensors, or nests of them."""
    given = keras.utils.pack_x_y_sample_weight(*keras.utils.unpack_x_y_sample_weight(data))
    tensors = keras.tree.map_structure(_tensor, given)
    return tensors if isinstance(tensors, tuple) else (tensors,)


def _tensor(values: Any) -> Any:
    """Return an array as Keras passes it on: floating-point numbers in Keras' `floatx`."""
    array = np.asarray(values)
    return tf.convert_to_tensor(array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array)


def _example_count(data: Any) -> int:
    counts = {len(part) for part in keras.tree.flatten(data) if part is not None}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"data: received arrays of lengths {sorted(counts)}, expected one length above 0")
    return counts.pop()
