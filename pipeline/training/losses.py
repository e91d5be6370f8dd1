"""The loss and metric that fit each output of a network that the user left uncompiled; checks of compiled losses."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import Splits, Task, by_output
from pipeline.errors import InputError
from pipeline.models import outputs_by_name
from pipeline.training import keras_internals

_LOGITS = frozenset({"linear", "log_softmax"})
_BETWEEN_0_AND_1 = frozenset({"sigmoid", "hard_sigmoid"})

_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "softmax": (1.0, 1.0),  # of a single unit
        **dict.fromkeys(_BETWEEN_0_AND_1, (0.0, 1.0)),
        **dict.fromkeys(("tanh", "hard_tanh", "softsign"), (-1.0, 1.0)),
        **dict.fromkeys(("relu", "softplus", "exponential"), (0.0, np.inf)),
        "relu6": (0.0, 6.0),
        "log_sigmoid": (-np.inf, 0.0),
    }
)
"""What the outputs of an activation can be; any number where it is not listed."""

_WIDER = (1.0, 10.0, -10.0)
"""Factors of the weights under which outputs show what bounds them."""

Fitting = tuple[str | keras.losses.Loss, keras.metrics.Metric]


def single_outputs(model: keras.Model, splits: Splits) -> dict[str, tuple[keras.Model, Splits]]:
    """Return for each output, by name, the network up to it and the data with its labels; "" names a single one."""
    if not splits.outputs:
        return {"": (model, splits)}
    outputs = outputs_by_name(model)
    return {name: (keras.Model(model.input, outputs[name]), own) for name, own in by_output(splits).items()}


def for_outputs(model: keras.Model, splits: Splits, given: Any) -> dict[str, Any]:
    """Return what was given to `compile`, as losses or their weights, by output; "" names a single one."""
    if not splits.outputs:
        return {"": given}
    if isinstance(given, list | tuple):
        given = dict(zip(outputs_by_name(model), given, strict=False))  # Keras refuses other lengths
    return {name: given.get(name) if isinstance(given, dict) else given for name in splits.outputs}


def fitting(model: keras.Model, splits: Splits, inputs: Any) -> dict[str, Fitting]:
    """Return the loss and the metric that fit each output of the network, by name; "" names a single one.

    Args:
        model: the network, uncompiled.
        splits: the data.
        inputs: a few examples as the network gets them, by which to tell where the last layer does not.

    Raises:
        InputError: where no loss fits.

    """
    return {name: _fitting(*one, inputs) for name, one in single_outputs(model, splits).items()}


def _fitting(model: keras.Model, splits: Splits, inputs: Any) -> Fitting:
    width = int(model(inputs, training=False).shape[-1])
    kind = _kind(model, inputs)
    # Given by name, metrics would get their variables while tracing, and TensorFlow would trace a second time.
    if splits.task == "regression":
        _check_range(kind, splits)
        return "mean_squared_error", keras.metrics.MeanAbsoluteError(name="mae")
    return _for_classes(kind, single=width == 1 or splits.task == "multi_label")


def to_probabilities(model: keras.Model, inputs: Any, task: Task = "classification") -> str:
    """Return the activation that turns the outputs of a classification into probabilities; "" if none needs to."""
    if _kind(model, inputs) not in _LOGITS:
        return ""
    return "sigmoid" if task == "multi_label" or model(inputs, training=False).shape[-1] == 1 else "softmax"


def _kind(model: keras.Model, inputs: Any) -> str:
    return keras_internals.output_activation(model) or _seen(model, inputs)


def _for_classes(kind: str, *, single: bool) -> Fitting:
    """Return what fits outputs that are one class's each (`single`), or of classes that exclude each other."""
    if single and kind in _LOGITS:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        return loss, keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    if single and kind in _BETWEEN_0_AND_1:
        return "binary_crossentropy", keras.metrics.BinaryAccuracy(name="accuracy")
    if not single and kind in _LOGITS:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return loss, keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    if not single and kind == "softmax":
        return "sparse_categorical_crossentropy", keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    expected = "sigmoid" if single else "softmax"
    raise InputError(f"model: received outputs by {kind}, expected {expected} (probabilities) or none (logits)")


def _check_range(kind: str, splits: Splits) -> None:
    """Check that the outputs of a regression can be what the labels are."""
    low, high = _RANGES.get(kind, (-np.inf, np.inf))
    labels = np.concatenate([splits.y_train, splits.y_val, splits.y_test])
    if kind == "softmax" or labels.min() < low or labels.max() > high:
        can = ("always 1" if labels.ndim == 1 else "of sum 1") if kind == "softmax" else f"from {low:g} to {high:g}"
        raise InputError(
            f"model: received outputs by {kind}, which are {can}, for labels from {labels.min():g} to"
            f" {labels.max():g}, expected a last layer without activation, or a compiled model"
        )


def _seen(model: keras.Model, inputs: Any) -> str:
    """Return the kind of activation that the outputs look like, under weights that are larger and of either sign."""
    before = model.get_weights()
    try:
        outputs = [_outputs(model, [factor * value for value in before], inputs) for factor in _WIDER]
    finally:
        model.set_weights(before)
    values = np.concatenate(outputs)
    if values.min() < 0 or values.max() > 1 or not values.any():
        return "linear"
    return "softmax" if values.shape[1] > 1 and np.allclose(values.sum(axis=1), 1, atol=1e-3) else "sigmoid"


def _outputs(model: keras.Model, weights: list[NDArray[Any]], inputs: Any) -> NDArray[Any]:
    model.set_weights(weights)
    values = np.asarray(model(inputs, training=False), np.float64)
    return values[np.isfinite(values).all(axis=1)]


def doubt(model: keras.Model, splits: Splits, inputs: Any) -> str:
    """Return a line where a compiled cross-entropy takes logits for probabilities, or an output has no loss; or ""."""
    losses, said = for_outputs(model, splits, model.loss), []
    for output, (network, _) in single_outputs(model, splits).items():
        name = _name(loss := losses[output])
        if output and loss is None:
            said.append(f"output {output!r} has no loss, so its own layers learn nothing")
        if "crossentropy" not in name or getattr(loss, "from_logits", False):
            continue
        if _kind(network, inputs) in _LOGITS:
            which = f"output {output!r} gives" if output else "the model's outputs are"
            said.append(f"{which} logits, which its loss {name} takes for probabilities: give it from_logits=True")
    return "; ".join(said)


def one_hot_widths(model: keras.Model, splits: Splits) -> dict[str, int]:
    """Return the number of classes of each output with a compiled loss that compares one-hot rows, by name.

    These are losses of Keras such as categorical cross-entropy; "" names a single output.
    """
    losses = for_outputs(model, splits, model.loss)
    dense = {name for name, loss in losses.items() if _name(loss).replace("_", "").lower().startswith("categorical")}
    own = by_output(splits)
    return {name: own[name].num_outputs for name in own if name in dense and own[name].task == "classification"}


def refuse_unfit(model: keras.Model, splits: Splits, inputs: Any) -> None:
    """Check that no compiled loss compares classes with each other where there is only one unit.

    Raises:
        InputError: if one does.

    """
    losses = for_outputs(model, splits, model.loss)
    for output, (network, _) in single_outputs(model, splits).items():
        name = _name(losses[output])
        if "categorical_crossentropy" in name and network(inputs, training=False).shape[-1] == 1:
            which = f"one unit of output {output!r}" if output else "one output"
            raise InputError(f"model: received loss {name} for {which}, expected binary_crossentropy, or two outputs")


def _name(loss: Any) -> str:
    return str(loss if isinstance(loss, str) else getattr(loss, "name", ""))
