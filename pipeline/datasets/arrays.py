"""The values of this package: data as its source gave it, and data split for training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Array = npt.NDArray[Any]
RowNumbers = npt.NDArray[np.int64]

Inputs = Any
"""An `Array`, or, where the data exceed what may be held in memory, `Rows` or a `Stream`: both have `shape`, `dtype`,
`ndim`, `len`, `take(rows)` and `blocks()`. Typed loosely, since nearly all code and data have arrays."""

Task = Literal["classification", "regression"]

_STRICT = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Scaling(BaseModel):
    """How raw inputs become network inputs: `(x - offset) / scale`, by training statistics.

    `offset` and `scale` hold one number (images) or one number a feature (tables).
    """

    model_config = _STRICT

    offset: tuple[float, ...]
    scale: tuple[float, ...]


InputShape = tuple[int, ...] | dict[str, tuple[int, ...]]
"""The shape of one example without the batch axis; of each input by name where there are several."""

Scalings = Scaling | dict[str, Scaling]
"""One scaling, or one of each input by name."""


class PrepareResult(BaseModel):
    """The data after splitting. `digests` maps each artifact to its SHA-256."""

    model_config = _STRICT

    data: str
    task: Task
    input_shape: InputShape
    num_outputs: int
    classes: tuple[str, ...]
    train_examples: int
    validation_examples: int
    test_examples: int
    scaling: Scalings
    digests: dict[str, str]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the updates in a pass over the training set."""
        return -(-self.train_examples // batch_size)


# Comparing arrays with == gives an array, so a generated __eq__ would raise: eq=False keeps identity.
@dataclass(frozen=True, eq=False)
class Raw:
    """Data as a source gives it, before splitting.

    `x_*` are images, uint8 or float32 [n, height, width, channels], or tables, float32 [n, features]. `y_*` are labels
    [n]: integers, booleans or text for classification, floats for regression. `w_*` are the examples' weights in the
    loss, float32 [n], or None. `x_test` and `y_test` are an official test set, or both None. `feature_names` names the
    columns of a table, where known. Several inputs an example are the fields of a structured array [n].

    Before `conform` has read it, a data set that is read in passes stands as a `Reader` for both x and y.
    """

    x_train: Inputs
    y_train: Array
    x_test: Inputs | None = None
    y_test: Array | None = None
    feature_names: tuple[str, ...] | None = None
    w_train: Array | None = None
    w_test: Array | None = None


@dataclass(frozen=True, eq=False)
class Index:
    """The row numbers of splits whose inputs stay on disk, and the labels that show whether the source has changed.

    `train`, `val` and `test` are row numbers; `test` is None with an official test set. `labels`, `weights` and those
    of the official test set are all that the source has, in its order.
    """

    train: RowNumbers
    val: RowNumbers
    test: RowNumbers | None
    labels: Array
    weights: Array | None = None
    labels_test: Array | None = None
    weights_test: Array | None = None


@dataclass(frozen=True, eq=False)
class Splits:
    """Data ready for training: three disjoint sets, labels encoded, inputs still unscaled.

    `x_*` are as in `Raw`. `y_*` [n] are int32 codes into `classes`, or float32 values for regression, where `classes`
    is empty. `w_*` [n] are float32 weights, or None. `num_outputs` is the width of the network's last layer: the number
    of classes, or 1. The network's input is `(x - scaling.offset) / scaling.scale`; where
    there are several inputs, `scaling` is a dictionary by name. `index` is there where inputs are not held in memory.
    """

    x_train: Inputs
    y_train: Array
    x_val: Inputs
    y_val: Array
    x_test: Inputs
    y_test: Array
    task: Task
    classes: tuple[str, ...]
    num_outputs: int
    scaling: Any
    w_train: Array | None = None
    w_val: Array | None = None
    w_test: Array | None = None
    index: Index | None = None


def pack(inputs: Mapping[str, Array]) -> Array:
    """One array [n] with a field for each input; all must have as many examples."""
    dtype = np.dtype([(name, values.dtype, values.shape[1:]) for name, values in inputs.items()])
    packed = np.empty(len(next(iter(inputs.values()))), dtype)
    for name, values in inputs.items():
        packed[name] = values
    return packed


def named(x: Inputs) -> Any:
    """Inputs as Keras takes them: name -> array where there are several, else the inputs themselves."""
    return {name: x[name] for name in x.dtype.names} if x.dtype.names else x


def input_shape(x: Inputs) -> InputShape:
    """The shape of one example, or name -> shape where there are several inputs."""
    return {name: x.dtype[name].shape for name in x.dtype.names} if x.dtype.names else x.shape[1:]
