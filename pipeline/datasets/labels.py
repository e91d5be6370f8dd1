"""Labels: their kinds, and the checks that bring them to what `Raw` promises."""

import numpy as np

from pipeline.datasets.arrays import Array, finite_float32
from pipeline.errors import refusal

_Y_KINDS = "integers, text or booleans (classification) or floats (regression)"
_Y_SHAPES = "[n], [n, 1] or one-hot rows [n, classes]"


def label_kind(y: Array) -> str:
    """Return the kind of conforming labels: "integers", "booleans", "text" or "floats" (which mean regression)."""
    return {"i": "integers", "u": "integers", "b": "booleans", "U": "text", "f": "floats"}[y.dtype.kind]


def is_one_hot(y: Array) -> bool:
    """Return whether `y` is [n, classes] with a single 1 in each row and 0 elsewhere."""
    if y.ndim != 2 or y.shape[0] == 0 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(np.isin(y, (0, 1)).all() and (np.count_nonzero(y, axis=1) == 1).all())


def plain_labels(y: Array, name: str) -> Array:
    """Return labels [n] as numbers, text or booleans.

    [n, 1] is squeezed, one-hot rows become the index of their class, bytes become text.
    """
    y = _plain_text(y, name)
    if y.dtype.kind not in "biufU":
        raise refusal(f"{name} has unusable labels", f"dtype {y.dtype}", _Y_KINDS)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if is_one_hot(y):
        y = y.argmax(axis=1)
    if y.ndim == 2 and y.shape[1] > 1:
        accepted = f"one label each ({_Y_SHAPES}): choose one, and train a network for each of the others"
        raise refusal(f"{name} has several labels per example", f"shape {y.shape}, dtype {y.dtype}", accepted)
    if y.ndim != 1:
        raise refusal(f"{name} has an unusable shape", y.shape, _Y_SHAPES)
    if y.size == 0:
        raise refusal(f"{name} is empty", "0 labels", "at least one")
    return finite_float32(y, name) if y.dtype.kind == "f" else y


def _plain_text(y: Array, name: str) -> Array:
    """Turn bytes, and the object arrays that pandas gives for columns of text or bytes, into NumPy text."""
    if y.dtype == object and y.size:
        for kind in (str, bytes):
            if all(isinstance(label, kind) for label in y.flat):
                y = y.astype(kind)
    try:
        if y.dtype.kind == "U":
            np.char.encode(np.unique(y), "utf-8")  # the name of a folder may hold bytes that are no text
        return np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y
    except UnicodeError as error:
        raise refusal(f"{name} has unusable labels", "bytes that are not UTF-8", _Y_KINDS) from error
