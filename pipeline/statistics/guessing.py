"""The results of guessing, computed from the labels alone. A network that does no better has learnt nothing."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.results import Guess
from pipeline.schedules import Array

_LEAST = 1e-7
"""The lowest probability of a class, as in Keras."""

_HALF = 0.5
"""The probability from which on Keras' binary accuracy takes a label for predicted."""

_ERRORS = 2.0
"""Standard errors of the test examples by which an accuracy has to exceed that of guessing."""


def guess_classes(trained: Array, judged: Array, loss: str, weights: tuple[Array | None, Array | None]) -> Guess:
    """Return the result of predicting the class frequencies, and so the most frequent class, for every example.

    Args:
        trained: the class of each training example.
        judged: the classes of the examples to predict.
        loss: the network's loss, as `compared_loss` returns it; the guess has no loss unless it is "crossentropy".
        weights: those of the training examples and of the examples to predict; None if all are equal.

    """
    counts = np.bincount(trained, weights[0], minlength=int(max(trained.max(), judged.max())) + 1)
    losses = -np.log(np.maximum(counts / counts.sum(), _LEAST))[judged]
    accuracy = float((judged == counts.argmax()).mean())
    known = float(_weighted(losses, weights[1])) if loss == "crossentropy" else None
    return Guess(what="the most frequent class", loss=known, accuracy=accuracy)


def guess_values(trained: Array, judged: Array, loss: str, weights: tuple[Array | None, Array | None]) -> Guess:
    """Return the result of predicting the mean training label for every example. Arguments: see `guess_classes`."""
    mean = np.average(trained.astype(np.float64), axis=0, weights=weights[0])
    by = {"squared": np.square, "absolute": np.abs}.get(loss)
    known = None if by is None else float(_weighted(by(judged - mean), weights[1]))
    return Guess(what="the mean of the training labels", loss=known, accuracy=None)


def guess_labels(trained: Array, judged: Array, loss: str, weights: tuple[Array | None, Array | None]) -> Guess:
    """Return the result of predicting, for every example, each label by its frequency; labels are 0 and 1 [n, k].

    Arguments: see `guess_classes`.
    """
    shares = np.clip(np.average(trained, axis=0, weights=weights[0]), _LEAST, 1 - _LEAST)
    losses = -np.where(judged > 0, np.log(shares), np.log1p(-shares))
    accuracy = float((judged == (shares > _HALF)).mean())
    known = float(_weighted(losses, weights[1])) if loss == "crossentropy" else None
    return Guess(what="each label by its frequency", loss=known, accuracy=accuracy)


def combined(guesses: Mapping[str, Guess], weights: Mapping[str, float]) -> Guess:
    """Return the result of guessing several outputs, by name: their losses add up, times `weights`, as in Keras."""
    losses = [None if guess.loss is None else weights[name] * guess.loss for name, guess in guesses.items()]
    known = [loss for loss in losses if loss is not None]
    what = " and ".join(f"{guess.what} ({name})" for name, guess in guesses.items())
    return Guess(what=what, loss=sum(known) if 0 < len(known) == len(losses) else None, accuracy=None)


def compared_loss(described: str) -> str:
    """Return the kind of the network's loss, "crossentropy", "squared" or "absolute"; "" if it is another.

    Args:
        described: the loss as JSON: a name or a serialised Keras object.

    """
    loss: Any = json.loads(described)
    config = loss.get("config") if isinstance(loss, dict) else None
    name = str(loss.get("class_name") if isinstance(loss, dict) else loss).replace("_", "").lower()
    if isinstance(config, dict) and config.get("label_smoothing"):
        return ""
    if name in ("meansquarederror", "mse"):
        return "squared"
    if name in ("meanabsoluteerror", "mae"):
        return "absolute"
    return "crossentropy" if name.endswith("crossentropy") and "focal" not in name else ""


def beats(guess: Guess, loss: float, accuracy: float | None, examples: int) -> bool:
    """Return whether a loss or an accuracy on `examples` examples beats a guess; True if neither can be compared."""
    if guess.loss is not None and loss < guess.loss:
        return True
    if guess.accuracy is not None and accuracy is not None:
        error = (guess.accuracy * (1 - guess.accuracy) / examples) ** 0.5
        return bool(accuracy > guess.accuracy + _ERRORS * error)
    return guess.loss is None


def _weighted(losses: Array, weights: Array | None) -> float:
    """Return the weighted mean as Keras computes it: divided by the number of examples, whatever their weights.

    An example with several outputs counts by their mean.
    """
    losses = losses.reshape(len(losses), -1).mean(axis=1)
    return float(np.mean(losses if weights is None else losses * weights))
