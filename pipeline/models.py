"""The networks: those of the two articles, adapted to the data's shape, and the user's own."""

import inspect
import re
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import keras
from keras import layers

from pipeline import user_code
from pipeline.containment import contained
from pipeline.datasets import InputShape, Output, Task, Widths
from pipeline.errors import InputError, listed, refusal

Builder = Callable[[], keras.Model]

_EXPECTED = "a function of (input_shape, num_outputs) that returns a Keras model"
_NONE: Mapping[str, Any] = MappingProxyType({})
_TWO_CLASSES = 2

_ACTIVATIONS: dict[Task, str] = {"classification": "softmax", "multi_label": "sigmoid", "regression": "linear"}
"""Those of the last layer of built-in networks."""

_BOLD = re.compile(r"\x1b\[\d+m")

_SMALLEST = 4
"""Two 2x2 poolings leave nothing of an image smaller than this."""

_SMALLEST_UNPADDED = 10
"""Two 3x3 convolutions, each followed by 2x2 pooling, leave nothing of an image smaller than this."""


def cnn(input_shape: tuple[int, ...], num_outputs: int, activation: str) -> keras.Model:
    """Build article B's network (MachineCurve, "Problems with fixed and decaying learning rates")."""
    if len(input_shape) != 3 or min(input_shape[:2]) < _SMALLEST:
        raise InputError(
            f"model: received 'cnn' for inputs of shape {input_shape},"
            f" expected images of {_SMALLEST}x{_SMALLEST} or more, or model=mlp"
        )
    padding = "valid" if min(input_shape[:2]) >= _SMALLEST_UNPADDED else "same"
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(num_outputs, activation=activation),
        ]
    )


def mlp(input_shape: tuple[int, ...], num_outputs: int, activation: str) -> keras.Model:
    """Build article A's network (GeeksforGeeks, "Learning Rate Decay")."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(num_outputs, activation=activation),
        ]
    )


def keras_example(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Build the network of Keras' own example (keras.io, "Simple MNIST convnet"): 34,826 parameters on MNIST."""
    padding = "valid" if min(input_shape[:2]) >= _SMALLEST_UNPADDED else "same"
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(num_outputs, activation="softmax"),
        ]
    )


BUILT_IN: dict[str, Callable[[tuple[int, ...], int, str], keras.Model]] = {"cnn": cnn, "mlp": mlp}


def builder(
    model: str,
    input_shape: InputShape,
    num_outputs: Widths,
    task: Task,
    arguments: Mapping[str, Any] = _NONE,
    texts: Collection[str] = (),
    outputs: Mapping[str, Output] = _NONE,
) -> Builder:
    """Return a function that builds a new network at each call, and raises InputError if it does not fit the data.

    Args:
        model: a name in `BUILT_IN`, or `module:function`, called with `(input_shape, num_outputs)`. The network that it
            returns may be compiled; otherwise the engine compiles it for the task.
        input_shape: that of one example, without the batch axis; a dictionary by name if there are several inputs.
        num_outputs: the width of the last layer; a dictionary by name if there are several outputs.
        task: decides the activation of the last layer of built-in networks.
        arguments: keyword arguments of the function.
        texts: the names of inputs that are texts; "" is the name of a single one.
        outputs: what each predicts, by name, if there are several.

    Raises:
        InputError: if there is no such model, it does not take these arguments, or a built-in one cannot take these
            inputs.

    """
    if model in BUILT_IN:
        if isinstance(input_shape, dict):
            received = f"{model!r} for inputs named {', '.join(input_shape)}"
            raise InputError(f"model: received {received}, expected one input, or a module:function that takes several")
        if isinstance(num_outputs, dict):
            received = f"{model!r} for outputs named {', '.join(num_outputs)}"
            raise InputError(f"model: received {received}, expected one output, or a module:function with several")
        if texts:
            raise InputError(f"model: received {model!r} for texts, expected a module:function that takes them")
        return lambda: BUILT_IN[model](input_shape, num_outputs, _ACTIVATIONS[task])
    return built_by(_load(model), model, input_shape, num_outputs, task, arguments, texts, outputs)


def built_by(
    function: Callable[..., object],
    name: str,
    input_shape: InputShape,
    num_outputs: Widths,
    task: Task,
    arguments: Mapping[str, Any] = _NONE,
    texts: Collection[str] = (),
    outputs: Mapping[str, Output] = _NONE,
) -> Builder:
    """Return a function that builds a network by `function`, as `builder` does; `name` is its name in messages.

    It may also take nothing but `arguments`.
    """
    given = _positional(function, name, (input_shape, num_outputs), arguments)
    wanted = outputs or Output.model_validate({"task": task, "num_outputs": num_outputs, "classes": ()})
    call = f"{name}({', '.join([*map(str, given), *(f'{key}={value!r}' for key, value in arguments.items())])})"
    returned: weakref.WeakSet[keras.Model] = weakref.WeakSet()

    def build() -> keras.Model:
        try:
            with contained():
                made = function(*given, **arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too, which would end the command without a word
            raise InputError(f"model: {call} failed with {_in_a_line(error)}") from error
        if made in returned:
            raise InputError(f"model: {name} returned the same model again, expected a new one at every call")
        checked = _checked(name, made, symbolic(input_shape, texts), wanted)
        returned.add(checked)
        return checked

    return build


def _load(model: str) -> Callable[..., object]:
    if not user_code.is_function(model):
        raise InputError(f"model: received {model!r}, expected {', '.join(BUILT_IN)}, or module:function")
    try:
        return user_code.load(model, _EXPECTED)
    except InputError as error:
        raise InputError(f"model: {error}; or model={' or '.join(BUILT_IN)}") from error


def _positional(
    function: Callable[..., object], name: str, shapes: tuple[Any, ...], arguments: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Return the positional arguments that a function takes beside `arguments`: the shapes, or none."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # as of some built-in functions
        return shapes
    for given in (shapes, ()):
        with suppress(TypeError):
            signature.bind(*given, **arguments)
            return given
    known = list(signature.parameters)[len(shapes) :]
    if unknown := [key for key in arguments if key not in known]:
        accepted = f"{listed(known) or 'none'} of {name}{signature}{user_code.nearest(unknown[0], known)}"
        raise refusal("model_args", repr(unknown[0]), accepted)
    raise refusal("model", f"{name}{signature}", f"{_EXPECTED}; model_args=name=value gives it others")


def outputs_by_name(model: keras.Model) -> dict[str, Any]:
    """Return the symbolic outputs of a functional model, in Keras' order, by the names that labels and losses use.

    They are the keys of a dictionary, or the names of the layers that give them.
    """
    given = model.output
    names = sorted(given) if isinstance(given, dict) else model.output_names
    return dict(zip(names, model.outputs, strict=True))


def _checked(name: str, model: object, inputs: Any, wanted: Output | Mapping[str, Output]) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise InputError(f"model: {name} returned {type(model).__name__}, expected a Keras model")
    try:
        outputs = model(inputs)  # builds subclassed models too, which `build` does not
    except Exception as error:
        raise InputError(
            f"model: {name} returned a model that fails with {_in_a_line(error)},"
            f" expected one for inputs of shape {keras.tree.map_structure(lambda one: one.shape, inputs)}"
        ) from error
    if isinstance(wanted, Output):
        _check_width(f"{name} gives outputs", outputs, wanted)
    else:
        _check_outputs(name, model, wanted)
    if not model.trainable_variables:
        raise InputError(f"model: {name} has no trainable weights, expected at least one")
    return model


def _check_outputs(name: str, model: keras.Model, wanted: Mapping[str, Output]) -> None:
    """Check that a network has the outputs that there are labels for."""
    nested = isinstance(model.output, dict) and any(map(keras.tree.is_nested, model.output.values()))
    if nested or not hasattr(model, "output_names"):
        received = f"a {type(model).__name__} for labels of {listed(wanted)}"
        raise InputError(f"model: {name} returned {received}, expected a functional model with an output for each")
    outputs = outputs_by_name(model)
    if set(outputs) != set(wanted):
        raise InputError(f"model: {name} has outputs named {listed(outputs)}, expected {listed(wanted)}, as the labels")
    for output, one in wanted.items():
        _check_width(f"{name} gives output {output!r}", outputs[output], one)


def _check_width(gives: str, outputs: Any, wanted: Output) -> None:
    """Check the width of an output, which for two classes may also be one."""
    shape, width = getattr(outputs, "shape", None), wanted.num_outputs
    widths = (width, 1) if wanted.task == "classification" and width == _TWO_CLASSES else (width,)
    if shape not in [(None, width) for width in widths]:
        accepted = " or ".join(str((None, width)) for width in widths)
        raise InputError(f"model: {gives} of shape {shape or type(outputs).__name__}, expected {accepted}")


def symbolic(input_shape: InputShape, texts: Collection[str] = ()) -> Any:
    """Return a symbolic input, or name -> symbolic input if there are several, of which those named are texts."""
    if isinstance(input_shape, dict):
        return {name: keras.Input(shape, name=name, dtype=_dtype(name, texts)) for name, shape in input_shape.items()}
    return keras.Input(input_shape, dtype=_dtype("", texts))


def _dtype(name: str, texts: Collection[str]) -> str | None:
    return "string" if name in texts else None


def _in_a_line(error: BaseException) -> str:
    """Return an exception and the line of user code that it came through, without the bold type that Keras uses."""
    return _BOLD.sub("", user_code.describe_with_line(error))
