"""Compilation of a network, for its task or with the user's settings."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from pipeline import optimizers
from pipeline.errors import InputError, describe, refusal
from pipeline.training import keras_internals, own_optimizer
from pipeline.training.examples import Examples
from pipeline.training.losses import doubt, fitting, one_hot_widths, refuse_unfit

_SEEN = 50
"""Examples by which to tell what a network's outputs are."""

_DENSE = (
    keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Rescaling, keras.layers.Dense,
    keras.layers.Activation, keras.layers.ReLU, keras.layers.Concatenate, keras.layers.Add,
    keras.layers.BatchNormalization, keras.layers.LayerNormalization,
)  # fmt: skip
"""Layers that XLA compiles well."""

_MOST_NUMBERS = 100
"""The most numbers in a metric, each of which is logged: the tracking UI slows down beyond some hundred."""


Compile = Callable[[keras.Model, Any, int], keras.optimizers.Optimizer]
"""`(model, rates, steps_per_execution) -> optimizer`: compile a model for training with `rates`, a Keras schedule."""


def compiled_for(examples: Examples, optimizer: str, momentum: float) -> Compile:
    """Return a function that compiles a network for these data and this optimizer.

    A model that the user compiled keeps its losses, their weights, and its metrics. It is trained by its own optimizer
    if that is the one asked for; otherwise by a new one with those of its settings that all optimizers share.

    Raises:
        InputError: from the returned function, if the model runs eagerly, or its loss or metrics do not fit the labels.

    """

    def compile_(model: keras.Model, rates: Any, steps_per_execution: int) -> keras.optimizers.Optimizer:
        if model.compiled:
            if model.run_eagerly:
                raise InputError("model: received one compiled with run_eagerly=True, expected one that can be traced")
            if examples.splits.label_scaling:
                received = "scale_labels=true with a compiled model"
                raise refusal("model", received, "one that is not compiled, so that it gets the mean squared error")
            refuse_unfit(model, examples.splits, examples.first(2)[0])
            _convert_labels(model, one_hot_widths(model, examples.splits), weighted=examples.weighted)
            made = own_optimizer.named(optimizer, rates, momentum, model)
            return take_over(model, made, steps_per_execution, examples.first(2))
        found = fitting(model, examples.splits, examples.first(_SEEN)[0])
        losses, metrics = ({name: pair[at] for name, pair in found.items()} for at in (0, 1))
        _convert_labels(model, {}, weighted=examples.weighted)
        model.compile(
            optimizers.create(optimizer, rates, momentum),
            loss=losses.get("", losses),
            metrics=[metrics[""]] if "" in metrics else {name: [metric] for name, metric in metrics.items()},
            steps_per_execution=steps_per_execution,
            jit_compile=False,  # XLA made the convolutional network many times slower on CPUs
        )
        model.optimizer.build(model.trainable_variables)
        return model.optimizer

    return compile_


def remark(model: keras.Model, examples: Examples) -> str:
    """Return what the user should know about the loss: what an uncompiled network gets, or what is odd about theirs.

    Raises:
        InputError: where no loss fits.

    """
    inputs = examples.first(_SEEN)[0]
    if model.compiled:
        return doubt(model, examples.splits, inputs)
    said = []
    for output, (loss, metric) in fitting(model, examples.splits, inputs).items():
        named = loss if isinstance(loss, str) else f"{loss.name} (from logits)"
        said.append(f"{output or 'it'} is trained with the loss {named} and the metric {metric.name}")
    return f"the model is not compiled: {', '.join(said)}"


def _convert_labels(model: keras.Model, one_hot: Mapping[str, int], *, weighted: bool) -> None:
    """Let losses and metrics get labels in the form that they compare with.

    Outputs in `one_hot`, by name with the number of classes, get one-hot rows for class numbers. A list of outputs gets
    a list if examples have weights, where Keras fails on a dictionary.
    """
    as_list = weighted and len(getattr(model, "outputs", ())) > 1 and not isinstance(model.output, dict)
    if not one_hot and not as_list:
        return

    def converted(y: Any) -> Any:
        if "" in one_hot:
            return keras.ops.one_hot(y, one_hot[""])
        rows = {name: keras.ops.one_hot(y[name], width) for name, width in one_hot.items()}
        return [{**y, **rows}[name] for name in model.output_names] if as_list else {**y, **rows}

    def converting(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x=None, y=None, *args, **kwargs: method(x, converted(y), *args, **kwargs)

    model.compute_loss, model.compute_metrics = converting(model.compute_loss), converting(model.compute_metrics)


def take_over(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, steps_per_execution: int, first: tuple[Any, ...]
) -> keras.optimizers.Optimizer:
    """Replace the optimizer of a compiled model; `first` are a few examples that build its loss and metrics."""
    model.optimizer = optimizer
    model.steps_per_execution, model.jit_compile = steps_per_execution, False
    model.train_function = model.test_function = None  # traced by the model's earlier trainings
    _build_loss_and_metrics(model, first)
    model.optimizer.build(model.trainable_variables)
    return model.optimizer


def fusible(model: keras.Model) -> bool:
    """Return whether XLA compiles the training well, as for dense float32 networks of Keras' own layers.

    On CPUs XLA made convolutions many times slower, and dropout twice as slow. A user's own code may not compile.
    """
    if not keras_internals.is_plain_model(model) or model.compiled:
        return False
    return all(fusible(layer) if isinstance(layer, keras.Model) else _dense(layer) for layer in model.layers)


def _dense(layer: keras.layers.Layer) -> bool:
    functions = [value for value in vars(layer).values() if callable(value)]
    keras_own = all(map(keras_internals.is_keras_own, functions))
    return type(layer) in _DENSE and layer.compute_dtype == "float32" and keras_own


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Check that no callback would fail during the training.

    Raises:
        InputError: if a callback sets the rate, as the curve does, or TensorBoard is used without its package, which
            TensorFlow does not include.

    """
    setters = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard) and find_spec("tensorboard") is None:
            raise InputError("callbacks: received TensorBoard without its package, expected `pip install tensorboard`")
        if isinstance(callback, setters):
            received = type(callback).__name__
            raise InputError(
                f"callbacks: received {received}, expected none that sets the rate, as the curve does that"
            )


def _build_loss_and_metrics(model: keras.Model, first: tuple[Any, ...]) -> None:
    """Call loss and metrics once: Keras creates their variables on the first call, which must not be during tracing."""
    x, y, *w = first
    outputs = model(x, training=False)
    try:
        model.compute_loss(x, y, outputs, *w)
        measured = model.compute_metrics(x, y, outputs, *w)
    except Exception as error:
        labels = ", ".join(f"{one.dtype} labels {one.shape}" for one in keras.tree.flatten(y))
        received = keras.tree.map_structure(lambda one: tuple(one.shape), outputs)
        raise InputError(
            f"model: its compiled loss or metrics fail with {describe(error)},"
            f" expected ones for {labels} and outputs {received}"
        ) from error
    for name, value in measured.items():
        if (numbers := np.size(value)) > _MOST_NUMBERS:
            raise refusal(f"model: metric {name!r}", f"{numbers:,} numbers", f"at most {_MOST_NUMBERS}")
    model.reset_metrics()
