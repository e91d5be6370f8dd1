"""What arrays must satisfy, whichever source they come from."""

import numpy as np

from pipeline.datasets.arrays import Array
from pipeline.errors import refusal

_X_KINDS = "numbers or booleans, as [n, features], [n, height, width] or [n, height, width, channels]"
_Y_KINDS = "integers, text or booleans (classification) or floats (regression)"
_Y_SHAPES = "[n], [n, 1] or one-hot rows [n, classes]"


def label_kind(y: Array) -> str:
    """Name the kind of conforming labels: "integers", "booleans", "text" or "floats" (which mean regression)."""
    return {"i": "integers", "u": "integers", "b": "booleans", "U": "text", "f": "floats"}[y.dtype.kind]


def is_one_hot(y: Array) -> bool:
    """Tell whether `y` is [n, classes] with a single 1 in each row and 0 elsewhere."""
    if y.ndim != 2 or y.shape[0] == 0 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(np.isin(y, (0, 1)).all() and (np.count_nonzero(y, axis=1) == 1).all())


def check_inputs(x: Array, name: str) -> None:
    """Raise InputError unless `x` is of a type and shape that can become inputs."""
    if x.dtype.kind not in "biuf":
        raise refusal(f"{name} has unusable values", f"dtype {x.dtype}", _X_KINDS)
    if x.ndim not in (2, 3, 4):
        raise refusal(f"{name} has an unusable shape", x.shape, _X_KINDS)
    if x.size == 0:
        raise refusal(f"{name} is empty", f"shape {x.shape}", "at least one example, and one value in each")


def are_bytes(x: Array) -> bool:
    """Tell whether `x` are images whose every value is an integer from 0 to 255."""
    return x.ndim > 2 and x.dtype.kind in "biu" and bool(x.min() >= 0 and x.max() <= 255)


def plain_weights(w: Array, name: str) -> Array:
    """Weights as float32 [n]: finite, none negative, not all zero."""
    if w.dtype.kind not in "biuf" or w.ndim not in (1, 2) or w.size != len(w):
        raise refusal(f"{name} are unusable", f"dtype {w.dtype}, shape {w.shape}", "one number an example")
    w = finite_float32(w.reshape(-1), name)
    if w.min(initial=0) < 0 or not w.any():
        raise refusal(f"{name} are unusable", f"{w.min():.3g} to {w.max():.3g}", "none below 0, and one above")
    return w


def plain_labels(y: Array, name: str) -> Array:
    """Labels [n] as numbers, text or booleans: [n, 1] is squeezed, one-hot rows give their class, bytes become text."""
    y = _plain_text(y, name)
    if y.dtype.kind not in "biufU":
        raise refusal(f"{name} has unusable labels", f"dtype {y.dtype}", _Y_KINDS)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if is_one_hot(y):
        y = y.argmax(axis=1)
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
    if y.dtype.kind != "S":
        return y
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError as error:
        raise refusal(f"{name} has unusable labels", "bytes that are not UTF-8", _Y_KINDS) from error


def finite_float32(values: Array, name: str, feature_names: tuple[str, ...] | None = None, first: int = 0) -> Array:
    """As float32; raises InputError where that is not finite. `first` is the number of the first example."""
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, and is refused as such below
        values = values.astype(np.float32, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    at = np.unravel_index(np.argmin(finite), finite.shape)
    where = f"example {first + at[0]}" + (f", feature {feature_names[at[1]]!r}" if feature_names else "")
    count = values.size - np.count_nonzero(finite)
    raise refusal(f"{name} has unusable values", f"{count} NaN or infinite, first in {where}", "finite float32 values")
