"""The values of this package: data as its source gave it, and data split for training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.results import Task

Array = npt.NDArray[Any]
RowNumbers = npt.NDArray[np.int64]

Inputs = Any
"""An `Array`, or, where the data exceed what may be held in memory, `Rows` or a `Stream`: both have `shape`, `dtype`,
`ndim`, `len`, `take(rows)` and `blocks()`. Typed loosely, since nearly all code and data have arrays."""


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
    """Which rows of a source make up the splits whose inputs stay where they are, and by which labels to know it again.

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
