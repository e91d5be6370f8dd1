"""Data from a user's own function, given as `module:function`."""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Raw
from pipeline.datasets.refusals import describe, listed, refusal
from pipeline.datasets.streams import raw_of, read_datasets
from pipeline.errors import InputError

_ACCEPTED = (
    "(x, y), ((x_train, y_train), (x_test, y_test)), each with weights as a third array if wanted,"
    " or two tf.data.Dataset (train, test) of (x, y)"
)
_WHOLE, _PARTS = (2, 3), 2


def is_function(data: str) -> bool:
    """Tell whether `data` has the form `module:function`; the module's name may have dots."""
    module, colon, function = data.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def read_function(data: str, limit: int) -> Raw:
    """Call `module:function`, found on PYTHONPATH or in the working directory, and take its arrays or data sets.

    Data sets of at most `limit` bytes, batched or not, are read whole into arrays; larger ones are read in passes.
    Memory-mapped arrays of more than `limit` bytes stay where they are.

    Raises:
        InputError: if it cannot be imported or called, raises, or returns something else.

    """
    with _user_code(data), _working_directory_importable():
        returned = _resolve(data)()
    parts = _parts(returned, data)
    if all(_is_dataset(part) for part in parts) and len(parts) == _PARTS:
        return read_datasets(parts, data, limit, partial(_users_elements, data))
    mapped = sum(values.nbytes for part in parts for values in part if isinstance(values, np.memmap)) > limit
    return raw_of([tuple(_as_array(values, data, mapped=mapped) for values in part) for part in parts])


def _parts(returned: Any, data: str) -> tuple[Any, ...]:
    """The training set, and the test set where there is one."""
    if isinstance(returned, (tuple, list)) and len(returned) in _WHOLE:
        if len(returned) == _PARTS and (all(_is_part(part) or _is_dataset(part) for part in returned)):
            return tuple(returned)
        return (tuple(returned),)
    size = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
    raise refusal(f"unusable result of data function {data}", type(returned).__name__ + size, _ACCEPTED)


def _is_part(value: Any) -> bool:
    """Tell `(x, y)` and `(x, y, weights)` from an array given as nested lists: three of those would be examples."""
    return len(value) in _WHOLE if isinstance(value, tuple) else isinstance(value, list) and len(value) == _PARTS


@contextmanager
def _users_elements(data: str) -> Iterator[None]:
    """Where the elements of a data set are read: they may come from the user's code."""
    with _user_code(data), _working_directory_importable():
        yield


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
    except InputError:
        raise
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


def _as_array(values: Any, data: str, *, mapped: bool) -> Any:
    if isinstance(values, Mapping):  # several inputs by name
        return {name: _as_array(value, data, mapped=False) for name, value in values.items()}
    if mapped and isinstance(values, np.memmap):
        return values
    try:
        return np.asarray(values)
    except Exception as error:  # ragged lists and foreign array types raise what they like
        raise refusal(f"unusable result of data function {data}", describe(error), _ACCEPTED) from error


def _is_dataset(value: Any) -> bool:
    # Whoever made a data set has imported TensorFlow; this module need not.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)
