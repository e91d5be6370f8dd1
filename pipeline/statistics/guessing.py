"""What guessing gives, from the labels alone: an answer that is no better has learnt nothing."""

import json
from typing import Any

import numpy as np

from pipeline.results import Guess
from pipeline.schedules import Array

_LEAST = 1e-7
"""The least probability of a class, as in Keras."""

_ERRORS = 2.0
"""Standard errors of the test examples by which an accuracy has to exceed that of guessing."""


def guess_classes(trained: Array, judged: Array, loss: str, weights: tuple[Array | None, Array | None]) -> Guess:
    """Predict for every example how frequent each class is, hence as its class the most frequent one.

    Args:
        trained: the class of each training example.
        judged: those of the examples to predict.
        loss: the network's, as in `compared_loss`; the guess has none unless it is "crossentropy".
        weights: those of the training examples and of the others, None where all weigh the same.

    """
    counts = np.bincount(trained, weights[0], minlength=int(max(trained.max(), judged.max())) + 1)
    losses = -np.log(np.maximum(counts / counts.sum(), _LEAST))[judged]
    accuracy = float((judged == counts.argmax()).mean())
    known = float(_weighted(losses, weights[1])) if loss == "crossentropy" else None
    return Guess(what="the most frequent class", loss=known, accuracy=accuracy)


def guess_values(trained: Array, judged: Array, loss: str, weights: tuple[Array | None, Array | None]) -> Guess:
    """Predict the mean of the training labels for every example; the arguments are those of `guess_classes`."""
    mean = np.average(trained.astype(np.float64), axis=0, weights=weights[0])
    by = {"squared": np.square, "absolute": np.abs}.get(loss)
    known = None if by is None else float(_weighted(by(judged - mean), weights[1]))
    return Guess(what="the mean of the training labels", loss=known, accuracy=None)


def compared_loss(described: str) -> str:
    """Return which of the losses that a guess has a network was compiled with: "" where it is none of them.

    Args:
        described: the loss as JSON, a name or a serialised object of Keras.

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
    """Return whether a loss or an accuracy on so many examples is better than a guess; True where none compares."""
    if guess.loss is not None and loss < guess.loss:
        return True
    if guess.accuracy is not None and accuracy is not None:
        error = (guess.accuracy * (1 - guess.accuracy) / examples) ** 0.5
        return bool(accuracy > guess.accuracy + _ERRORS * error)
    return guess.loss is None


def _weighted(losses: Array, weights: Array | None) -> float:
    """Return the mean as Keras takes it, which divides by the number of examples whatever they weigh."""
    return float(np.mean(losses if weights is None else losses * weights))
