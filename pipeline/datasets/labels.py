"""Labels: what their type and shape mean, and the checks that bring them to what `Raw` promises."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.datasets.arrays import Array, Splits, Task, check_names, finite_float32, named, pack
from pipeline.errors import listed, refusal

TASK_AUTO = "auto"

_Y_KINDS = "integers, text or booleans (classification) or floats (regression)"
_Y_SHAPES = "[n], [n, 1], one-hot rows [n, classes], 0 and 1 for several labels an example, or floats [n, values]"


def label_kind(y: Array) -> str:
    """Return the kind of conforming labels: "integers", "booleans", "text" or "floats", and how many an example."""
    if y.dtype.names:
        return ", ".join(f"{output} {label_kind(y[output])}" for output in sorted(y.dtype.names))
    kind = {"i": "integers", "u": "integers", "b": "booleans", "U": "text", "f": "floats"}[y.dtype.kind]
    return kind if y.ndim == 1 else f"{y.shape[1]} {kind} an example"


def task_of(y: Array) -> Task:
    """Return the task of conforming labels: floats are values to predict, rows of 0 and 1 several labels an example."""
    if y.dtype.names:
        return "several"
    if y.dtype.kind == "f":
        return "regression"
    return "classification" if y.ndim == 1 else "multi_label"


def is_one_hot(y: Array) -> bool:
    """Return whether `y` is [n, classes] with a single 1 in each row and 0 elsewhere."""
    if y.ndim != 2 or y.shape[0] == 0 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(np.isin(y, (0, 1)).all() and (np.count_nonzero(y, axis=1) == 1).all())


def label_array(y: Array, name: str) -> Array:
    """Return labels [n] or [n, k] as numbers, text or booleans: [n, 1] is squeezed, bytes become text."""
    y = _plain_text(y, name)
    if y.dtype.kind not in "biufU":
        raise refusal(f"{name} has unusable labels", f"dtype {y.dtype}", _Y_KINDS)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or (y.ndim == 2 and y.dtype.kind == "U"):
        raise refusal(f"{name} has an unusable shape", f"{y.shape}, dtype {y.dtype}", _Y_SHAPES)
    if y.size == 0:
        raise refusal(f"{name} is empty", "0 labels", "at least one")
    return y


def plain_labels(y: Array, name: str, task: str = TASK_AUTO) -> Array:
    """Return labels in the type that says what they are.

    Integers, booleans or text [n] are classes, uint8 [n, k] several labels an example, each 0 or 1, and float32 [n] or
    [n, k] values to predict. One-hot rows become the index of their class, unless `task`, the option, says otherwise.
    Labels for several outputs, by name, become the fields of an array [n].

    Raises:
        InputError: for labels of other shapes and types, or that `task` does not fit.

    """
    outputs = named(y) if isinstance(y, np.ndarray) else y
    if isinstance(outputs, Mapping):
        return _of_outputs(outputs, name, task)
    y = label_array(y, name)
    if task == "regression":
        if y.dtype.kind == "U":
            raise refusal("task", f"regression for {name} of text", "numbers, or task=classification")
        return finite_float32(y, name)
    if task != "multi_label" and is_one_hot(y):
        return np.asarray(y.argmax(axis=1))
    if y.ndim == 2 or task == "multi_label":
        return _several(y, name, task)
    if y.dtype.kind != "f":
        return y
    y = finite_float32(y, name)
    return _whole(y, name) if task == "classification" else y


def _of_outputs(outputs: Mapping[str, Array], name: str, task: str) -> Array:
    check_names(outputs, name)
    if len(outputs) == 1:
        raise refusal(f"{name} has labels by name for one output", listed(outputs), "the labels as an array")
    if taken := [output for output in outputs if output == "val" or output.startswith("val_")]:
        raise refusal(f"{name} has an output named", repr(taken[0]), "another name: Keras names validation metrics so")
    if task != TASK_AUTO:
        accepted = "auto: classes as whole numbers or text, values to predict as floats"
        raise refusal("task", f"{task} for {name} with labels for several outputs", accepted)
    plain = {output: plain_labels(values, f"{name}[{output!r}]") for output, values in outputs.items()}
    for output, values in plain.items():
        if task_of(values) == "multi_label":
            received = f"{values.shape[1]} labels an example for one of several outputs"
            raise refusal(f"{name}[{output!r}]", received, "one class an example, values as floats, or an output each")
    return pack(plain, f"the labels of {name}")


def same_labels(y: Array, known: Array) -> bool:
    """Return whether labels, as their source gives them, are those that `plain_labels` made `known` of, an array."""
    if isinstance(y, Mapping):
        return False
    y = label_array(y, "labels")
    if y.ndim > known.ndim and is_one_hot(y):
        y = y.argmax(axis=1)
    return bool(np.array_equal(y.astype(np.float32) if known.dtype.kind == "f" else y, known))


def with_balanced_classes(splits: Splits) -> Splits:
    """Return the data with class weights by which all classes of the training split count the same.

    Raises:
        InputError: if examples have no class.

    """
    if splits.task != "classification":
        what = "for several outputs" if splits.outputs else "that are no classes"
        raise refusal("class_weight", f"balanced for labels {what}", "none, or one class an example")
    from sklearn.utils.class_weight import compute_class_weight

    weights = compute_class_weight("balanced", classes=np.arange(splits.num_outputs), y=splits.y_train)
    return replace(splits, class_weights=tuple(weights.tolist()))


def _several(y: Array, name: str, task: str) -> Array:
    """Return several labels or values an example."""
    if y.ndim == 2 and np.isin(y, (0, 1)).all():
        return y.astype(np.uint8)
    if y.dtype.kind == "f" and task == TASK_AUTO:
        return finite_float32(y, name)
    if task == TASK_AUTO:
        accepted = "0 and 1 for several labels an example, or floats (or task=regression) for values to predict"
        raise refusal(f"{name} has several whole numbers an example", f"shape {y.shape}, dtype {y.dtype}", accepted)
    received = f"{task} for {name} of shape {y.shape}, dtype {y.dtype}"
    accepted = "labels [n, k] of 0 and 1" if task == "multi_label" else "one class an example, or task=regression"
    raise refusal("task", received, accepted)


def _whole(y: Array, name: str) -> Array:
    """Return classes that were written as decimal numbers."""
    if (broken := y != np.floor(y)).any():
        received = f"classification for {name} with {y[broken.argmax()]:g}"
        raise refusal("task", received, "whole numbers or text as classes, or task=regression")
    return y.astype(np.int64)


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
