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
from pipeline.training.compilation import compile_for
from pipeline.training.feed import Feed


class Curve(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Reads the rate of every update from an array, which can be replaced without tracing again."""

    def __init__(self) -> None:
        self.rates = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)

    def __call__(self, step: Any) -> Any:
        """The rate of an update; that of the last one for those after it."""
        return tf.gather(self.rates, tf.minimum(tf.cast(step, tf.int32), tf.size(self.rates) - 1))

    def get_config(self) -> dict[str, object]:
        """The array belongs to a training, not to the configuration."""
        return {}


class Program:
    """A model made ready for the engine: compiled, and traced once for all trainings.

    Attributes:
        curve: the rates that the updates read.
        losses: the loss of each batch, with regularisation, at the place of its update.
        step: how many updates, or micro-batches where gradients are accumulated, have been done.
        traces: how often the training step has been traced.

    """

    def __init__(self, model: keras.Model, feed: Feed, splits: Splits, optimizer: str, momentum: float) -> None:
        self.curve = Curve()
        self.losses = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.step = tf.Variable(0, trainable=False)
        self.traces = 0
        self._record_losses(model)
        model.train_step = feed.repeating(model.train_step)
        self._optimizer = compile_for(model, splits, optimizer, momentum, self.curve, feed.steps_per_execution)
        self._initial = [variable.numpy() for variable in self._optimizer.variables]

    def reset(self, rates: NDArray[np.float64], settings: Mapping[str, float]) -> None:
        """A fresh optimizer with these settings that will read these rates, and room for as many losses."""
        assign_settings(self._optimizer, settings)
        assign(self._optimizer.variables, self._initial)
        self.step.assign(0)
        self.curve.rates.assign(rates.astype(np.float32))
        self.losses.assign(np.full(len(rates), np.nan, np.float32))

    def _record_losses(self, model: keras.Model) -> None:
        """Write each batch's loss into `losses`, since Keras' logs give the running mean of an epoch.

        `compute_loss` is the documented place to see it. Keras calls it for validation as well, and the user's own
        may not say for which: only `train_step` knows.
        """
        train_step, compute_loss = model.train_step, model.compute_loss
        recorded: bool | None = None

        def counted_step(data: Any) -> Any:
            nonlocal recorded
            self.traces += 1  # this Python code runs only while tracing
            recorded = False
            try:
                logs = train_step(data)
                if not recorded:
                    raise InputError("model: its train_step leaves out compute_loss, expected one that calls it")
                self.step.assign_add(1)
                return logs
            finally:
                recorded = None

        def recording_loss(*args: Any, **kwargs: Any) -> Any:
            nonlocal recorded
            loss = compute_loss(*args, **kwargs)
            if recorded is not None:
                recorded = True
                at = tf.reshape(self.step, (1, 1))
                self.losses.scatter_nd_update(at, tf.reshape(tf.cast(loss, tf.float32), (1,)))
            return loss

        model.train_step, model.compute_loss = counted_step, recording_loss


def assign(variables: Any, values: Any) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
