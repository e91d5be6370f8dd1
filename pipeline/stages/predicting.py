"""What the model that is kept predicts for the test set, for the report to show where it errs."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import Inputs, Splits, blocks, by_output, example
from pipeline.lr_pipeline_model import Outputs, ServedModel
from pipeline.predictions import Confused, Hard, Label, Predictions, Values

_MOST_CLASSES = 20
"""Classes whose confusions fit a page as a matrix."""

_MOST_CONFUSED, _MOST_HARD, _MOST_LABELS, _MOST_VALUES, _MOST_POINTS = 10, 12, 20, 4, 400

_LONGEST_SIDE = 96
"""Pixels of the longer side of a stored image, at most."""

_CHANNELS = (1, 3)

_BRIGHT = 128
"""The brightest of several images of bytes is at least this, or they hold fewer levels, as those of scikit-learn do."""


def predictions(
    serving: Any, outputs: Outputs | Mapping[str, Outputs], splits: Splits, seed: int, targets: Sequence[str] = ()
) -> tuple[Predictions, ...]:
    """Return what each output of a model predicts for the test set.

    Args:
        serving: the network, of raw inputs.
        outputs: what its outputs are, by name if there are several.
        splits: the data, labels as they were given.
        seed: that of the model's training.
        targets: the names of the values of a regression, if there are as many.

    """
    model, by_name = ServedModel(serving, outputs), by_output(splits)
    pieces = (piece for block in blocks(splits.x_test) for piece in blocks(block))  # a stream's can be larger
    predicted = np.concatenate([np.asarray(model.predict(as_served(piece, serving))) for piece in pieces])
    ends = np.cumsum([len(own.classes) or own.num_outputs for own in by_name.values()])
    answers = np.split(predicted.reshape(len(predicted), -1), ends[:-1], axis=1)
    return tuple(
        Predictions(seed=seed, examples=len(answer), output=name, **_of(own, answer, targets))
        for (name, own), answer in zip(by_name.items(), answers, strict=True)
    )


def _of(splits: Splits, predicted: NDArray[Any], targets: Sequence[str]) -> dict[str, Any]:
    if splits.task == "multi_label":
        return _of_labels(splits, predicted)
    return _of_classes(splits, predicted) if splits.classes else _of_values(splits, predicted, targets)


def as_served(block: Inputs, serving: Any) -> Any:
    """Return inputs as users have them and the served network takes them."""
    given = example(block, len(block))
    if isinstance(given, np.ndarray) and given.dtype.kind == "f":  # of sequences without the data's channel
        return given.reshape(len(given), *serving.input_shape[1:])
    return given


def _of_classes(splits: Splits, probabilities: NDArray[Any]) -> dict[str, Any]:
    true, predicted = splits.y_test.astype(int), probabilities.argmax(axis=1)
    counts = np.zeros((len(splits.classes), len(splits.classes)), int)
    np.add.at(counts, (true, predicted), 1)
    errors = counts - np.diag(np.diag(counts))
    often = np.argsort(-errors, axis=None, kind="stable")[:_MOST_CONFUSED]
    pairs = [divmod(int(at), len(counts)) for at in often if errors.flat[at]]
    named = splits.classes
    return {
        "correct": int(np.trace(counts)),
        "classes": named,
        "counts": tuple(map(tuple, counts.tolist())) if len(counts) <= _MOST_CLASSES else (),
        "confused": tuple(Confused(true=named[a], predicted=named[b], count=int(counts[a, b])) for a, b in pairs),
        "hardest": _hardest(splits, probabilities, true, predicted) if _are_images(splits.x_test) else (),
    }


def _hardest(
    splits: Splits, probabilities: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]
) -> tuple[Hard, ...]:
    rows = np.arange(len(true))
    own, named = probabilities[rows, true], splits.classes
    hardest = np.argsort(own, kind="stable")[:_MOST_HARD]
    images = _pixels(np.stack(_rows(splits.x_test, hardest)))
    return tuple(
        Hard(
            row=int(row),
            true=named[true[row]],
            predicted=named[predicted[row]],
            probability=float(probabilities[row, predicted[row]]),
            true_probability=float(own[row]),
            image=_png(image),
        )
        for row, image in zip(hardest, images, strict=True)
    )


def _of_labels(splits: Splits, probabilities: NDArray[Any]) -> dict[str, Any]:
    true, given = splits.y_test > 0.5, probabilities > 0.5  # where Keras' accuracy draws the line
    counts = [both.sum(axis=0).tolist() for both in (true & given, true & ~given, ~true & given)]
    labels = [
        Label(name=name, found=found, missed=missed, wrong=wrong)
        for name, found, missed, wrong in zip(splits.classes, *counts, strict=True)
    ]
    return {
        "correct": int((true == given).all(axis=1).sum()),
        "classes": splits.classes,
        "labels": tuple(sorted(labels, key=lambda label: inf if label.f1 is None else label.f1)[:_MOST_LABELS]),
    }


def _of_values(splits: Splits, predicted: NDArray[Any], targets: Sequence[str]) -> dict[str, Any]:
    true = splits.y_test.reshape(len(splits.y_test), -1).astype(float)
    predicted = predicted.astype(float)
    names = targets if len(targets) == true.shape[1] else [f"value {at + 1}" for at in range(true.shape[1])]
    errors = np.abs(predicted - true).mean(axis=0)
    some = np.unique(np.linspace(0, len(true) - 1, min(_MOST_POINTS, len(true))).astype(int))
    shown = range(min(_MOST_VALUES, true.shape[1]))
    return {
        "values": tuple(
            Values(
                name=names[at],
                true=tuple(true[some, at].tolist()),
                predicted=tuple(predicted[some, at].tolist()),
                mean_absolute_error=float(errors[at]),
            )
            for at in shown
        )
    }


def _are_images(x: Inputs) -> bool:
    return x.dtype.names is None and x.ndim == 4 and x.shape[-1] in _CHANNELS and min(x.shape[1:3]) > 1


def _rows(x: Inputs, rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Return a few rows of the inputs, in the order given, from one pass over them."""
    wanted, found, first = set(rows.tolist()), {}, 0
    for block in blocks(x):
        found.update({row: block[row - first] for row in wanted if first <= row < first + len(block)})
        first += len(block)
    return [found[row] for row in rows.tolist()]


def _pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as bytes; unless they are bytes that need it all, their range is stretched to that of bytes."""
    if images.dtype == np.uint8 and images.max() >= _BRIGHT:
        return images
    low, span = float(images.min()), float(np.ptp(images)) or 1.0
    return np.asarray(((images - low) * (255 / span)).round(), np.uint8)


def _png(image: NDArray[np.uint8]) -> str:
    """Return an image [height, width, channels] as a PNG file in base64."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
