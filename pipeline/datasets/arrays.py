"""The two values of this package: data as its source gave it, and data split for training."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pipeline.results import Scaling, Task

Array = npt.NDArray[Any]


# Comparing arrays with == gives an array, so a generated __eq__ would raise: eq=False keeps identity.
@dataclass(frozen=True, eq=False)
class Raw:
    """Data as a source gives it, before splitting.

    `x_*` are images, uint8 or float32 [n, height, width, channels], or tables, float32 [n, features]. `y_*` are labels
    [n]: integers, booleans or text for classification, floats for regression. `x_test` and `y_test` are an official
    test set, or both None. `feature_names` names the columns of a table, where known.
    """

    x_train: Array
    y_train: Array
    x_test: Array | None = None
    y_test: Array | None = None
    feature_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Splits:
    """Data ready for training: three disjoint sets, labels encoded, inputs still unscaled.

    `x_*` are as in `Raw`. `y_*` [n] are int32 codes into `classes`, or float32 values for regression, where `classes`
    is empty. `num_outputs` is the width of the network's last layer: the number of classes, or 1. The network's
    input is `(x - scaling.offset) / scaling.scale`.
    """

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    x_test: Array
    y_test: Array
    task: Task
    classes: tuple[str, ...]
    num_outputs: int
    scaling: Scaling
