"""Compilation of a network, for its task or with the user's settings, into a program that reads rates from an array."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline import optimizers
from pipeline.errors import InputError, describe, refusal
from pipeline.training import keras_internals
from pipeline.training.examples import Examples
from pipeline.training.feed import Feed, Step
from pipeline.training.losses import doubt, fitting, one_hot_widths, refuse_unfit
from pipeline.training.network import assign

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
            made = optimizers.create(optimizer, rates, momentum, model)
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


class Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A Keras schedule that returns the rate of the current update, which the program sets."""

    def __init__(self) -> None:
        self.now = tf.Variable(0.0, trainable=False)

    def __call__(self, step: Any) -> Any:
        """Return the rate, whatever step Keras counts."""
        return tf.convert_to_tensor(self.now)

    def get_config(self) -> dict[str, object]:
        """Return an empty configuration: the rate belongs to a training."""
        return {}


class Program:
    """A model made ready for the engine: compiled, and traced once for all trainings.

    Attributes:
        curve: the rates that the updates read, float32.
        losses: the loss of each update's batch, with regularisation.
        step: the number of updates done, or of micro-batches if gradients are accumulated.
        traces: how often the program has been traced.
        fusible: whether XLA compiles its updates well.
        averages_weights: whether Keras replaces the weights by their moving averages at the end of a training.
        averaging: the optimizer if it is Schedule-Free, whose averaged weights are those to evaluate; None otherwise.

    """

    def __init__(self, model: keras.Model, feed: Feed, compile_: Compile) -> None:
        self.curve = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.losses = tf.Variable(np.zeros(1, np.float32), shape=[None], trainable=False)
        self.step = tf.Variable(0, trainable=False)
        self.traces = 0
        self.fusible = fusible(model)
        self._rate, self._loss = Rate(), tf.Variable(0.0, trainable=False)
        self._train_step = self._recording_step(model)
        self._call = feed.step_for(self)
        model.train_step = self._counted_call
        optimizer = compile_(model, self._rate, feed.steps_per_execution)
        self._optimizer = optimizers.with_own_multipliers(optimizer, model)
        self.averages_weights = bool(optimizers.unwrapped(self._optimizer).use_ema)
        self.averaging = optimizers.averaging(self._optimizer)
        self._initial = [variable.numpy() for variable in self._optimizer.variables]

    def reset(self, rates: NDArray[np.float64]) -> None:
        """Give the optimizer its initial state, and make room for the losses of these updates."""
        assign(self._optimizer.variables, self._initial)
        self.step.assign(0)
        self.curve.assign(rates.astype(np.float32))
        self.losses.assign(np.full(len(rates), np.nan, np.float32))

    @property
    def variables(self) -> list[Any]:
        """All that a training changes besides the model: the optimizer's variables, rates, losses and step."""
        return [*self._optimizer.variables, self.curve, self.losses, self.step]

    def rates(self, count: int) -> Any:
        """Return the rates of the next `count` updates, float32 (count,); past the end the last one is repeated."""
        following = tf.minimum(self.step + tf.range(count), tf.size(self.curve) - 1)
        return tf.ensure_shape(tf.gather(self.curve, following), (count,))

    def update(self, rate: Any, batch: Any) -> tuple[dict[str, Any], Any]:
        """Do an update with this rate, and return its logs and loss."""
        self._rate.now.assign(rate)
        logs = self._train_step(batch)
        return logs, self._loss.read_value()

    def record(self, losses: Any) -> None:
        """Record the losses of the updates just done."""
        count = tf.size(losses)
        self.losses.scatter_nd_update((self.step + tf.range(count))[:, None], losses)
        self.step.assign_add(count)

    def recorded_update(self, batch: Any) -> dict[str, Any]:
        """Do the next update."""
        logs, loss = self.update(self.rates(1)[0], batch)
        self.record(loss[None])
        return logs

    def _counted_call(self, data: Any) -> dict[str, Any]:
        self.traces += 1  # this Python code runs only while tracing
        return self._call(data)

    def _recording_step(self, model: keras.Model) -> Step:
        """Return the model's `train_step`, extended to store its batch's loss in `_loss`.

        Keras' logs hold the running mean of an epoch; `compute_loss` is the documented place to see each batch's loss.
        Keras calls it for validation too, and a user's override may not pass on which of the two it is for, so only
        calls made while the step runs are recorded.
        """
        train_step, compute_loss = model.train_step, model.compute_loss
        recorded: bool | None = None  # None outside a step

        def recording_step(data: Any) -> dict[str, Any]:
            nonlocal recorded
            recorded = False
            try:
                logs: dict[str, Any] = train_step(data)
                if not recorded:
                    raise InputError("model: its train_step does not call compute_loss, expected one that does")
                return logs
            finally:
                recorded = None

        def recording_loss(*args: Any, **kwargs: Any) -> Any:
            nonlocal recorded
            loss = compute_loss(*args, **kwargs)
            if recorded is not None:
                recorded = True
                self._loss.assign(tf.reshape(tf.cast(loss, tf.float32), ()))
            return loss

        model.compute_loss = recording_loss
        return recording_step
