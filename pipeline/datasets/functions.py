"""Data from a user's own function, given as `module:function`."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Raw
from pipeline.datasets.streams import raw_of, read_datasets
from pipeline.errors import describe, refusal
from pipeline.user_code import blaming, load, working_directory_importable

_ACCEPTED = (
    "(x, y), ((x_train, y_train), (x_test, y_test)), each with weights as a third array if wanted,"
    " or two tf.data.Dataset (train, test) of (x, y)"
)
_WHOLE, _PARTS = (2, 3), 2


def read_function(data: str, limit: int) -> Raw:
    """Call `module:function`, found on PYTHONPATH or in the working directory, and take its arrays or data sets.

    Data sets of at most `limit` bytes, batched or not, are read whole into arrays; larger ones are read in passes.
    Memory-mapped arrays of more than `limit` bytes stay where they are.

    Raises:
        InputError: if it cannot be imported or called, raises, or returns something else.

    """
    function = load(data, _ACCEPTED)
    with _users_code(data):
        returned = function()
    parts = _parts(returned, data)
    if all(_is_dataset(part) for part in parts) and len(parts) == _PARTS:
        return read_datasets(parts, data, limit, partial(_users_code, data))
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
def _users_code(data: str) -> Iterator[None]:
    """Run code of the user's: the function, or what makes the elements of its data sets."""
    with blaming(f"data function {data}", _ACCEPTED), working_directory_importable():
        yield


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
