"""Callbacks between the compiled calls of a training: order, divergence, validation, rewritten rates."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline import interruption
from pipeline.training.feed import Feed

_START_EXAMPLES = 32
"""First examples whose median loss is the loss at the start: enough for a steady value, in few updates."""

_MAX_START = 1_000.0
"""Most times the very first loss that the loss at the start may be: a large rate already affects the second update."""

Rewrite = Callable[[NDArray[np.float64], int, Sequence[float]], NDArray[np.float64]]
"""`(curve, updates done, validation losses so far) -> curve`: how a reactive scheme changes the remaining rates."""


class Reorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that lays out the batches of each part of a training before the part begins."""

    def __init__(self, feed: Feed, seed: int, updates: int) -> None:
        super().__init__()
        self._feed, self._seed, self._updates = feed, seed, updates

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Lay out the batches of this part; Keras makes a new iterator afterwards."""
        self._feed.arrange(self._seed, epoch * self._updates, (epoch + 1) * self._updates)


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that stops a training that diverged: NaN, inf, or a loss far above its start.

    It judges a fixed stretch of updates at a time, however many a call of the program runs, so that a training stops at
    the same update on every machine.

    Attributes:
        updates: the number of updates done.
        diverged: why the training was stopped, or "".

    """

    def __init__(
        self, losses: tf.Variable, step: tf.Variable, *, batch_size: int, part: int, stretch: int, diverged_at: float
    ) -> None:
        """Watch a training in parts of `part` updates; the end of a part also ends the stretch."""
        super().__init__()
        self._losses, self._step = losses, step
        self._part, self._stretch, self._diverged_at = part, stretch, diverged_at
        self._start_updates = -(-_START_EXAMPLES // batch_size)
        self._start: float | None = None
        self._judged = 0
        self.updates = 0
        self.diverged = ""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Abort the validation if the command was interrupted."""
        interruption.check()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Judge the losses of a stretch once it is complete."""
        interruption.check()
        self.updates = int(self._step)
        if self.updates - self._judged >= self._stretch or self.updates % self._part == 0:
            first, self._judged = self._judged, self.updates
            self._judge(self._losses[first : self.updates].numpy(), first)

    def _judge(self, recent: NDArray[np.float32], first: int) -> None:
        finite = np.isfinite(recent)
        if not finite.all():
            self._stop(f"loss is {recent[~finite][0]} at update {first + int(np.argmin(finite))}")
            return
        level = float(np.median(recent))
        if self._start is None:
            # Only the first loss precedes every update: a large rate can multiply even the second.
            self._start = min(float(np.median(recent[: self._start_updates])), _MAX_START * float(recent[0]))
        if 0 < self._diverged_at * self._start < level:  # a multiple of a negative loss means nothing
            self._stop(f"loss is {level:.3g} about update {first}, {level / self._start:.0f} times its start")

    def _stop(self, reason: str) -> None:
        self.diverged = reason
        self.model.stop_training = True


class Validate(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that measures the validation loss every `every` updates, a multiple of the updates per call.

    Attributes:
        losses: one after each stretch of `every` updates.

    """

    def __init__(self, loss: Callable[[], float], watch: Watch, every: int) -> None:
        super().__init__()
        self._loss, self._watch, self._every = loss, watch, every
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure once another stretch is complete, unless the training diverged."""
        if not self._watch.diverged and self._watch.updates >= (len(self.losses) + 1) * self._every:
            self.losses.append(self._loss())


class Rewriter(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that lets a reactive scheme rewrite the remaining rates after each validation."""

    def __init__(self, rates: tf.Variable, step: tf.Variable, curve: NDArray[np.float64], rewrite: Rewrite) -> None:
        super().__init__()
        self._rates, self._step, self._curve, self._rewrite = rates, step, curve, rewrite
        self._val_losses: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Replace the rates that have not been used yet."""
        self._val_losses.append(float((logs or {})["val_loss"]))
        done = int(self._step)
        rewritten = self._rewrite(self._curve, done, self._val_losses)
        self._curve = np.concatenate([self._curve[:done], rewritten[done:]])
        self._rates.assign(self._curve.astype(np.float32))
