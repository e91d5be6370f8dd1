"""Data from a user's own function, given as `module:function`."""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.datasets.checks import is_one_hot
from pipeline.datasets.refusals import describe, listed, refusal

_ACCEPTED = "(x, y), ((x_train, y_train), (x_test, y_test)), or two tf.data.Dataset (train, test) of (x, y)"
_ENDLESS = -1  # tf.data.INFINITE_CARDINALITY, without importing TensorFlow


def is_function(data: str) -> bool:
    """Tell whether `data` has the form `module:function`; the module's name may have dots."""
    module, colon, function = data.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def read_function(data: str) -> Raw:
    """Call `module:function`, found on PYTHONPATH or in the working directory, and take its arrays or data sets.

    Data sets, batched or not, are read whole into arrays.

    Raises:
        InputError: if it cannot be imported or called, raises, or returns something else.

    """
    with _working_directory_importable():
        function = _resolve(data)
        with _user_code(data):
            returned = function()
        first, second = _as_pair(returned, data)
        if _is_dataset(first) and _is_dataset(second):  # read here: its elements may come from the user's code
            return Raw(*_materialise(first, data), *_materialise(second, data))
    if _looks_like_pair(first) and _looks_like_pair(second):
        (x_train, y_train), (x_test, y_test) = first, second
        return Raw(_as_array(x_train, data), _as_array(y_train, data), _as_array(x_test, data), _as_array(y_test, data))
    return Raw(_as_array(first, data), _as_array(second, data))


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Let imports fall back on the working directory; last, so that its files replace no installed module."""
    entry = str(Path.cwd())
    if entry in sys.path:
        yield
        return
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


@contextmanager
def _user_code(data: str) -> Iterator[None]:
    """Report whatever the user's code raises, SystemExit included, with the line it comes from."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise refusal(f"data function {data} failed", describe(error) + _origin(error), _ACCEPTED) from error


def _origin(error: BaseException) -> str:
    """Name the last line of the user's own code that `error` passed through, if it passed any."""
    foreign = (__file__, "<frozen ", *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(foreign)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _resolve(data: str) -> Callable[[], Any]:
    name, _, attribute = data.partition(":")
    with _user_code(data):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only the named module or a parent of it: an import that fails inside it is the module's own fault.
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            module = None
    if module is None:
        raise refusal("no such module", data, "a module on PYTHONPATH or in the working directory")
    function = getattr(module, attribute, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise refusal("no such function", data, f"a function of {name}, which has {listed(public) or 'none'}")
    resolved: Callable[[], Any] = function
    return resolved


def _looks_like_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _as_pair(returned: Any, data: str) -> tuple[Any, Any]:
    if not _looks_like_pair(returned):
        size = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        raise refusal(f"unusable result of data function {data}", type(returned).__name__ + size, _ACCEPTED)
    first, second = returned
    return first, second


def _as_array(values: Any, data: str) -> Array:
    try:
        return np.asarray(values)
    except Exception as error:  # ragged lists and foreign array types raise what they like
        raise refusal(f"unusable result of data function {data}", describe(error), _ACCEPTED) from error


def _is_dataset(value: Any) -> bool:
    # Whoever made a data set has imported TensorFlow; this module need not.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)


def _materialise(dataset: Any, data: str) -> tuple[Array, Array]:
    unusable = f"unusable data set of data function {data}"
    if int(dataset.cardinality()) == _ENDLESS:
        raise refusal(unusable, "an endless one", "a data set without repeat()")
    with _user_code(data):
        elements = list(dataset.as_numpy_iterator())
    if not elements:
        raise refusal(unusable, "an empty one", "at least one (x, y)")
    if not all(isinstance(element, tuple) and len(element) == 2 for element in elements):
        raise refusal(unusable, f"elements {dataset.element_spec}", "elements (x, y)")
    xs, ys = ([_as_array(part, data) for part in parts] for parts in zip(*elements, strict=True))
    join = np.concatenate if _is_batched(xs, ys) else np.stack
    try:
        return join(xs), join(ys)
    except ValueError as error:
        raise refusal(unusable, describe(error), "examples of one shape") from error


def _is_batched(xs: list[Array], ys: list[Array]) -> bool:
    """Tell batches from single examples by their shapes: TensorFlow does not say."""
    if any(x.ndim < 2 or y.ndim < 1 or len(x) != len(y) for x, y in zip(xs, ys, strict=True)):
        return False
    # Left are batches, and images with as many rows as there are classes in their one-hot labels.
    equally_long = len({y.shape for y in ys}) == 1
    return not (equally_long and is_one_hot(np.stack(ys)))
