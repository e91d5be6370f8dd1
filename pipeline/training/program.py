"""A compiled network as a program that reads rates from an array, traced once for all trainings."""

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline import optimizers
from pipeline.errors import InputError
from pipeline.training.compilation import Compile, fusible
from pipeline.training.feed import Feed, Step
from pipeline.training.network import assign
from pipeline.training.weight_decay import WeightDecay


class Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A Keras schedule that returns the rate of the current update, which the program sets."""

    def __init__(self) -> None:
        self.now = tf.Variable(0.0, trainable=False)

    def __call__(self, step: Any) -> Any:
        """Return the rate, whatever step Keras counts."""
        return tf.convert_to_tensor(self.now)

    def get_config(self) -> dict[str, object]:
        """Return an empty configuration: the rate belongs to a training."""
        return {}


class Program:
    """A model made ready for the engine: compiled, and traced once for all trainings.

    Attributes:
        curve: the rates that the updates read, float32.
        losses: the loss of each update's batch, with regularisation.
        step: the number of updates done, or of micro-batches if gradients are accumulated.
        traces: how often the program has been traced.
        fusible: whether XLA compiles its updates well.
        averages_weights: whether Keras replaces the weights by their moving averages at the end of a training.
        averaging: the optimizer if it is Schedule-Free, whose averaged weights are those to evaluate; None otherwise.

    """

    def __init__(self, model: keras.Model, feed: Feed, compile_: Compile) -> None:
        self.curve = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.losses = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.step = tf.Variable(0, trainable=False)
        self.traces = 0
        self.fusible = fusible(model)
        self._rate, self._loss = Rate(), tf.Variable(0.0, trainable=False)
        self._train_step = self._recording_step(model)
        self._call = feed.step_for(self)
        model.train_step = self._counted_call
        optimizer = compile_(model, self._rate, feed.steps_per_execution)
        self._optimizer = optimizers.with_own_multipliers(optimizer, model)
        self.averages_weights = bool(optimizers.unwrapped(self._optimizer).use_ema)
        self.averaging = optimizers.averaging(self._optimizer)
        self._initial = [variable.numpy() for variable in self._optimizer.variables]
        self._decay: WeightDecay | None = None

    def decay_by(self, weight_decay: float) -> None:
        """Let the optimizer decay weights by this in the trainings that follow.

        Raises:
            ValueError: if the program was traced with the optimizer's own decay.

        """
        if self._decay is None:
            if self.traces:
                raise ValueError(f"weight_decay: received {weight_decay:g} after trainings with the optimizer's own")
            self._decay = WeightDecay(self._optimizer)
        self._decay.assign(weight_decay)

    def reset(self, rates: NDArray[np.float64]) -> None:
        """Give the optimizer its initial state, and make room for the losses of these updates."""
        assign(self._optimizer.variables, self._initial)
        self.step.assign(0)
        self.curve.assign(rates.astype(np.float32))
        self.losses.assign(np.full(len(rates), np.nan, np.float32))

    @property
    def variables(self) -> list[Any]:
        """All that a training changes besides the model: the optimizer's variables, rates, losses and step."""
        return [*self._optimizer.variables, self.curve, self.losses, self.step]

    def rates(self, count: int) -> Any:
        """Return the rates of the next `count` updates, float32 (count,); past the end the last one is repeated."""
        following = tf.minimum(self.step + tf.range(count), tf.size(self.curve) - 1)
        return tf.ensure_shape(tf.gather(self.curve, following), (count,))

    def update(self, rate: Any, batch: Any) -> tuple[dict[str, Any], Any]:
        """Do an update with this rate, and return its logs and loss."""
        self._rate.now.assign(rate)
        logs = self._train_step(batch)
        return logs, self._loss.read_value()

    def record(self, losses: Any) -> None:
        """Record the losses of the updates just done."""
        count = tf.size(losses)
        self.losses.scatter_nd_update((self.step + tf.range(count))[:, None], losses)
        self.step.assign_add(count)

    def recorded_update(self, batch: Any) -> dict[str, Any]:
        """Do the next update."""
        logs, loss = self.update(self.rates(1)[0], batch)
        self.record(loss[None])
        return logs

    def _counted_call(self, data: Any) -> dict[str, Any]:
        self.traces += 1  # this Python code runs only while tracing
        return self._call(data)

    def _recording_step(self, model: keras.Model) -> Step:
        """Return the model's `train_step`, extended to store its batch's loss in `_loss`.

        Keras' logs hold the running mean of an epoch; `compute_loss` is the documented place to see each batch's loss.
        Keras calls it for validation too, and a user's override may not pass on which of the two it is for, so only
        calls made while the step runs are recorded.
        """
        train_step, compute_loss = model.train_step, model.compute_loss
        recorded: bool | None = None  # None outside a step

        def recording_step(data: Any) -> dict[str, Any]:
            nonlocal recorded
            recorded = False
            try:
                with nullcontext() if self._decay is None else self._decay.read():
                    logs: dict[str, Any] = train_step(data)
                if not recorded:
                    raise InputError("model: its train_step does not call compute_loss, expected one that does")
                return logs
            finally:
                recorded = None

        def recording_loss(*args: Any, **kwargs: Any) -> Any:
            nonlocal recorded
            loss = compute_loss(*args, **kwargs)
            if recorded is not None:
                recorded = True
                self._loss.assign(tf.reshape(tf.cast(loss, tf.float32), ()))
            return loss

        model.compute_loss = recording_loss
        return recording_step
