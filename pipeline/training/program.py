"""The compiled program of a training: rates from an array, true batch losses into an array, many updates a call."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Splits
from pipeline.errors import InputError
from pipeline.optimizers import assign_settings
from pipeline.training.compilation import compile_for, fusible
from pipeline.training.feed import Feed, Step


class Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rate of the update that is being done, which the program sets."""

    def __init__(self) -> None:
        self.now = tf.Variable(0.0, trainable=False)

    def __call__(self, step: Any) -> Any:
        """The same for whatever step Keras counts."""
        return tf.convert_to_tensor(self.now)

    def get_config(self) -> dict[str, object]:
        """The rate belongs to a training, not to the configuration."""
        return {}


class Program:
    """A model made ready for the engine: compiled, and traced once for all trainings.

    Attributes:
        curve: the rates that the updates read, float32.
        losses: the loss of each batch, with regularisation, at the place of its update.
        step: how many updates, or micro-batches where gradients are accumulated, have been done.
        traces: how often the program has been traced.
        fusible: whether XLA can compile its updates, and well.

    """

    def __init__(self, model: keras.Model, feed: Feed, splits: Splits, optimizer: str, momentum: float) -> None:
        self.curve = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.losses = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.step = tf.Variable(0, trainable=False)
        self.traces = 0
        self.fusible = fusible(model)
        self._rate, self._loss = Rate(), tf.Variable(0.0, trainable=False)
        self._train_step = self._telling_its_loss(model)
        self._call = feed.repeating(self)
        model.train_step = self._counted_call
        self._optimizer = compile_for(model, splits, optimizer, momentum, self._rate, feed.steps_per_execution)
        self._initial = [variable.numpy() for variable in self._optimizer.variables]

    def reset(self, rates: NDArray[np.float64], settings: Mapping[str, float]) -> None:
        """A fresh optimizer with these settings that will read these rates, and room for as many losses."""
        assign_settings(self._optimizer, settings)
        assign(self._optimizer.variables, self._initial)
        self.step.assign(0)
        self.curve.assign(rates.astype(np.float32))
        self.losses.assign(np.full(len(rates), np.nan, np.float32))

    def rates(self, count: int) -> Any:
        """The rates of the next `count` updates, float32 (count,); that of the last one for those after it."""
        following = tf.minimum(self.step + tf.range(count), tf.size(self.curve) - 1)
        return tf.ensure_shape(tf.gather(self.curve, following), (count,))

    def update(self, rate: Any, batch: Any) -> tuple[dict[str, Any], Any]:
        """Do an update with this rate; its logs and loss."""
        self._rate.now.assign(rate)
        logs = self._train_step(batch)
        return logs, self._loss.read_value()

    def record(self, losses: Any) -> None:
        """Note the losses of as many updates that have been done."""
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

    def _telling_its_loss(self, model: keras.Model) -> Step:
        """The model's `train_step`, which leaves its batch's loss in `_loss`: Keras' logs give an epoch's running mean.

        `compute_loss` is the documented place to see it. Keras calls it for validation as well, and the user's own
        may not say for which: only `train_step` knows.
        """
        train_step, compute_loss = model.train_step, model.compute_loss
        told: bool | None = None

        def telling_step(data: Any) -> dict[str, Any]:
            nonlocal told
            told = False
            try:
                logs: dict[str, Any] = train_step(data)
                if not told:
                    raise InputError("model: its train_step leaves out compute_loss, expected one that calls it")
                return logs
            finally:
                told = None

        def telling_loss(*args: Any, **kwargs: Any) -> Any:
            nonlocal told
            loss = compute_loss(*args, **kwargs)
            if told is not None:
                told = True
                self._loss.assign(tf.reshape(tf.cast(loss, tf.float32), ()))
            return loss

        model.compute_loss = telling_loss
        return telling_step


def assign(variables: Any, values: Any) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
