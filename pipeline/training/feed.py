"""Batches in an order that NumPy fixes, gathered from tensors of the data's own type."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import named

UPDATES_PER_CALL = 50
"""Optimizer updates per call of the compiled program; divergence is checked between calls."""

FUSED_FROM = 50
"""Fewest updates per epoch for XLA to compile a dense network: it takes a second, and saves 0.2 to 0.4 ms an update."""

Step = Callable[[Any], dict[str, Any]]
"""A model's `train_step`: a batch -> logs."""


class Updates(Protocol):
    """The updates of a model, which a feed calls with batches: `(inputs, labels)` or `(inputs, labels, weights)`.

    `recorded_update` consists of `rates`, `update` and `record`. If the updates are `fusible`, XLA may compile many
    calls of `update` as one program, since `update` uses no array whose length varies between trainings.
    """

    fusible: bool

    def recorded_update(self, batch: Any) -> dict[str, Any]:
        """Do the next update and return its logs."""

    def rates(self, count: int) -> Any:
        """Return the rates of the next `count` updates, float32 (count,)."""

    def update(self, rate: Any, batch: Any) -> tuple[dict[str, Any], Any]:
        """Do an update with this rate, and return its logs and loss."""

    def record(self, losses: Any) -> None:
        """Record the losses of the updates just done."""


AHEAD = 4
"""Batches prefetched while the network trains."""

_EVALUATION_BATCH, _EVALUATION_BYTES = 1_000, 16 * 2**20


class BatchOrder:
    """The examples of each update: a new permutation every epoch, whose last batch may be short.

    `short` is the length of that batch, or 0 if it is whole.
    """

    def __init__(self, examples: int, batch_size: int) -> None:
        self._examples = examples
        self.batch_size = batch_size
        self.steps_per_epoch = -(-examples // batch_size)
        self.short = examples % batch_size

    def examples(self, updates: int) -> int:
        """Return how many examples the first `updates` updates see."""
        epochs, steps = divmod(updates, self.steps_per_epoch)
        return epochs * self._examples + min(steps * self.batch_size, self._examples)

    def indices(self, seed: int, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the example indices of updates `start` to `stop`, and the ends of their batches.

        The batch of update `start + i` is `indices[ends[i]:ends[i + 1]]`; both are int32, `ends` (stop - start + 1,).
        """
        epochs = range(start // self.steps_per_epoch, -(-stop // self.steps_per_epoch))
        order = [np.random.default_rng((seed, epoch)).permutation(self._examples) for epoch in epochs]
        ends = np.array([self.examples(update) for update in range(start, stop + 1)])
        first = epochs.start * self._examples
        flat = np.concatenate(order)[ends[0] - first : ends[-1] - first]
        return flat.astype(np.int32), (ends - ends[0]).astype(np.int32)

    def whole(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return for each update how many whole batches follow before the next short one, or before `stop`, int32."""
        updates = np.arange(start, stop)
        left = self.steps_per_epoch - 1 - updates % self.steps_per_epoch if self.short else stop - updates
        return left.astype(np.int32)


class Feed(Protocol):
    """The training set, whose order is set before each part of a training.

    `steps_per_execution` is Keras' setting: how many elements of the data set each call of the program takes.
    """

    steps_per_execution: int

    def arrange(self, seed: int, start: int, stop: int) -> None:
        """Lay out the batches of updates `start` to `stop`; takes effect when the data set is next iterated."""

    def dataset(self, updates: int) -> tf.data.Dataset:
        """Return the next `updates` updates as a data set whose elements the step takes."""

    def each(self, step: Step) -> Step:
        """Return what takes an element of the data set and runs the step on each of its batches."""

    def step_for(self, updates: Updates) -> Step:
        """Return the `train_step` that takes an element of the data set."""


class MemoryFeed:
    """Batches that the program itself gathers from tensors in memory."""

    steps_per_execution = 1

    def __init__(
        self,
        tensors: Any,
        prepare: Callable[[Any], Any],
        order: BatchOrder,
        updates_per_call: int = UPDATES_PER_CALL,
        place: Callable[[NDArray[np.int32]], NDArray[np.int32]] = lambda examples: examples,
    ) -> None:
        """Gather from a nest of tensors.

        `prepare` turns gathered inputs into those of the network, and `place` the numbers of training examples into
        their rows in the tensors.
        """
        self._parts, self._prepare, self._order = tensors, prepare, order
        self._per_call, self._place = updates_per_call, place
        self._indices = tf.Variable(np.zeros(1, np.int32), shape=[None], trainable=False)
        self._ends = tf.Variable(np.zeros(2, np.int32), shape=[None], trainable=False)
        self._whole = tf.Variable(np.zeros(1, np.int32), shape=[None], trainable=False)

    def arrange(self, seed: int, start: int, stop: int) -> None:
        """Lay out the batches of updates `start` to `stop`; takes effect when the data set is next iterated."""
        indices, ends = self._order.indices(seed, start, stop)
        self._indices.assign(self._place(indices))
        self._ends.assign(ends)
        self._whole.assign(self._order.whole(start, stop))

    def dataset(self, updates: int) -> tf.data.Dataset:
        """Return the calls of the program for the next `updates` updates, int32 (2,) each: first update and end."""
        firsts = tf.data.Dataset.range(0, updates, self._per_call, output_type=tf.int32)
        return untuned(firsts.map(lambda first: tf.stack([first, tf.minimum(first + self._per_call, updates)])))

    def each(self, step: Step) -> Step:
        """Return a step that runs a whole call, gathering each batch."""
        return partial(self._call, step)

    def step_for(self, updates: Updates) -> Step:
        """Return a step that runs a whole call, gathering the batch of each update.

        Keras' `steps_per_execution` would run several updates too, but pass every batch through an iterator.
        """
        if updates.fusible and self._order.steps_per_epoch >= FUSED_FROM:
            return partial(self._fused_call, updates, self._fused_program(updates))
        return self.each(updates.recorded_update)

    def _call(self, step: Step, bounds: Any) -> dict[str, Any]:
        # Traced once, for the types of the logs and for the loop; as in Keras, AutoGraph leaves the user's step alone.
        one = tf.function(step, autograph=False)
        first, stop = bounds[0], bounds[1]

        def body(update: Any, _: Any) -> tuple[Any, Any]:
            return update + 1, one(self._batch(update))

        nothing = _empty(one.get_concrete_function(self._batch(first)).structured_outputs)
        return tf.while_loop(lambda update, _: update < stop, body, (first, nothing))[1]  # type: ignore[no-any-return]

    def _fused_call(self, updates: Updates, program: Callable[..., Any], bounds: Any) -> dict[str, Any]:
        """Run a call as stretches of whole batches, compiled by XLA, and the short ones between them, without XLA."""
        first, stop = bounds[0], bounds[1]
        if not self._order.short:
            return self._fused(updates, program, first, stop - first)

        def run(at: Any) -> tuple[Any, Any]:
            count = tf.minimum(self._whole[at], stop - at)
            whole = partial(self._fused, updates, program, at, count)
            logs = tf.cond(count > 0, whole, lambda: updates.recorded_update(self._batch(at)))
            return at + tf.maximum(count, 1), logs

        return tf.while_loop(lambda at, _: at < stop, lambda at, _: run(at), run(first))[1]  # type: ignore[no-any-return]

    def _fused(self, updates: Updates, program: Callable[..., Any], first: Any, count: Any) -> dict[str, Any]:
        """Do up to `UPDATES_PER_CALL` updates with whole batches."""
        length, begin = self._order.batch_size, self._ends[first]
        rows = self._indices[begin : begin + UPDATES_PER_CALL * length]
        rows = tf.pad(rows, [[0, UPDATES_PER_CALL * length - tf.size(rows)]])
        losses, logs = program(tf.reshape(rows, (UPDATES_PER_CALL, length)), updates.rates(UPDATES_PER_CALL), count)
        updates.record(losses[:count])
        return logs  # type: ignore[no-any-return]

    def _fused_program(self, updates: Updates) -> Callable[..., Any]:
        """Return `(rows of whole batches, their rates, count) -> losses, logs of the last`, compiled by XLA."""

        def program(rows: Any, rates: Any, count: Any) -> Any:
            one = tf.function(updates.update, autograph=False)

            def body(at: Any, losses: Any, _: Any) -> tuple[Any, Any, Any]:
                logs, loss = one(rates[at], self._gathered(rows[at]))
                return at + 1, tf.tensor_scatter_nd_update(losses, [[at]], [loss]), logs

            nothing = _empty(one.get_concrete_function(rates[0], self._gathered(rows[0])).structured_outputs[0])
            return tf.while_loop(lambda at, *_: at < count, body, (0, tf.zeros(UPDATES_PER_CALL), nothing))[1:]

        return tf.function(program, autograph=False, jit_compile=True)  # type: ignore[no-any-return]

    def _batch(self, update: Any) -> tuple[Any, ...]:
        chosen = self._indices[self._ends[update] : self._ends[update + 1]]
        # A shape known when tracing made article A's network faster (reports/performance.md).
        return self._gathered(tf.ensure_shape(chosen, (None if self._order.short else self._order.batch_size,)))

    def _gathered(self, rows: Any) -> tuple[Any, ...]:
        x, *rest = tf.nest.map_structure(lambda part: tf.gather(part, rows), self._parts)
        return self._prepare(x), *rest


def _empty(logs: Any) -> Any:
    """Return zeros of the same shapes."""
    return tf.nest.map_structure(lambda value: tf.zeros(value.shape, value.dtype), logs)


def evaluation_batches(given: tuple[Any, ...], length: int, scaling: Any) -> tf.data.Dataset:
    """Return examples in their own order, in batches of this length."""
    return prefetched(tf.data.Dataset.from_tensor_slices(given).batch(length), scaling)


def prefetched(batches: tf.data.Dataset, scaling: Any) -> tf.data.Dataset:
    """Return the batches scaled, and prefetched while the network trains."""
    return untuned(batches.map(lambda inputs, *rest: (scaled(inputs, scaling), *rest)).prefetch(AHEAD))


def untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return the same batches without tf.data's tuner, which has nothing to choose here.

    An iterator ends every epoch, and TensorFlow then waits for its tuner, which sometimes misses the signal and sleeps
    for seconds (seen with 2.21; reports/performance.md shows the cost).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def evaluation_length(shape: tuple[int, ...]) -> int:
    """Return the batch size for evaluating examples of this shape, which suits the processor's cache."""
    return max(1, min(_EVALUATION_BATCH, _EVALUATION_BYTES // (4 * int(np.prod(shape)))))


def parts(x: Any, y: NDArray[Any], weights: NDArray[Any] | None) -> tuple[Any, ...]:
    """Return the parts of a batch as Keras takes them."""
    return (named(x), named(y)) if weights is None else (named(x), named(y), weights)


def scaled(inputs: Any, scaling: Any) -> Any:
    """Return raw inputs as the network takes them: scaled, float32, by name where there are several; texts as given."""
    if isinstance(scaling, dict):
        return {name: scaled(inputs[name], own) for name, own in scaling.items()}
    if scaling.kind == "text":
        return inputs
    offset, scale = tf.constant(scaling.offset, tf.float32), tf.constant(scaling.scale, tf.float32)
    return (tf.cast(inputs, tf.float32) - offset) / scale
