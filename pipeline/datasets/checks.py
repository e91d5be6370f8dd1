"""What any source must satisfy: the door between users' arrays and the rest of the project."""

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.datasets.refusals import refusal

_X_KINDS = "numbers or booleans, as [n, features], [n, height, width] or [n, height, width, channels]"
_Y_KINDS = "integers, text or booleans (classification) or floats (regression)"
_Y_SHAPES = "[n], [n, 1] or one-hot rows [n, classes]"


def conform(raw: Raw) -> Raw:
    """Check `raw` and bring it to the shapes and types that `Raw` promises; conforming data passes unchanged.

    Images without a channel axis get one. Integer and boolean images within 0..255 become uint8, other images and all
    tables float32. Labels [n, 1] are squeezed, one-hot rows become the index of their class, bytes become text.

    Raises:
        InputError: for empty sets, other shapes or types, values that are not finite, or sets that do not fit together.

    """
    x_train, y_train = _examples(raw.x_train, raw.y_train, "train", raw.feature_names)
    if raw.x_test is None and raw.y_test is None:
        return Raw(x_train, y_train, None, None, raw.feature_names)
    if raw.x_test is None or raw.y_test is None:
        lacking = "x_test" if raw.x_test is None else "y_test"
        raise refusal("test set is incomplete", f"no {lacking}", "both x_test and y_test, or neither")
    x_test, y_test = _examples(raw.x_test, raw.y_test, "test", raw.feature_names)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise refusal("x_test is unlike x_train", f"examples of shape {x_test.shape[1:]}", str(x_train.shape[1:]))
    if x_train.dtype != x_test.dtype:
        raise refusal("x_test is unlike x_train", f"values that need {x_test.dtype}", f"{x_train.dtype}, as x_train")
    if label_kind(y_train) != label_kind(y_test):
        raise refusal("y_test is unlike y_train", label_kind(y_test), f"{label_kind(y_train)}, as y_train")
    return Raw(x_train, y_train, x_test, y_test, raw.feature_names)


def label_kind(y: Array) -> str:
    """Name the kind of conforming labels: "integers", "booleans", "text" or "floats" (which mean regression)."""
    return {"i": "integers", "u": "integers", "b": "booleans", "U": "text", "f": "floats"}[y.dtype.kind]


def is_one_hot(y: Array) -> bool:
    """Tell whether `y` is [n, classes] with a single 1 in each row and 0 elsewhere."""
    if y.ndim != 2 or y.shape[0] == 0 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(np.isin(y, (0, 1)).all() and (np.count_nonzero(y, axis=1) == 1).all())


def _examples(x: Array, y: Array, part: str, feature_names: tuple[str, ...] | None) -> tuple[Array, Array]:
    x, y = _features(x, f"x_{part}", feature_names), _labels(y, f"y_{part}")
    if len(x) != len(y):
        raise refusal(f"x_{part} and y_{part} differ in length", f"{len(x)} and {len(y)}", "one label an example")
    return x, y


def _features(x: Array, name: str, feature_names: tuple[str, ...] | None) -> Array:
    if x.dtype.kind not in "biuf":
        raise refusal(f"{name} has unusable values", f"dtype {x.dtype}", _X_KINDS)
    if x.ndim not in (2, 3, 4):
        raise refusal(f"{name} has an unusable shape", x.shape, _X_KINDS)
    if x.size == 0:
        raise refusal(f"{name} is empty", f"shape {x.shape}", "at least one example, and one value in each")
    images = x.ndim > 2
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if images and x.dtype.kind in "biu" and x.min() >= 0 and x.max() <= 255:
        return x.astype(np.uint8, copy=False)
    return _finite_float32(x, name, feature_names)


def _labels(y: Array, name: str) -> Array:
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
    return _finite_float32(y, name, None) if y.dtype.kind == "f" else y


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


def _finite_float32(values: Array, name: str, feature_names: tuple[str, ...] | None) -> Array:
    with np.errstate(over="ignore"):  # what overflows float32 becomes infinite, and is refused as such below
        values = values.astype(np.float32, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    first = np.unravel_index(np.argmin(finite), finite.shape)
    where = f"example {first[0]}" + (f", feature {feature_names[first[1]]!r}" if feature_names else "")
    count = values.size - np.count_nonzero(finite)
    raise refusal(f"{name} has unusable values", f"{count} NaN or infinite, first in {where}", "finite float32 values")
