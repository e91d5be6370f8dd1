"""Several named inputs an example, as one structured array: its rows, files and digests are like those of any other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Inputs
from pipeline.results import InputShape


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
