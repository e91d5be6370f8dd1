"""Text: which package a line of documentation is from, NumPy, pandas or scikit-learn.

python -m pipeline main --data text:data --model text:network --optimizer adam --epochs 4 --budget 10
"""

import inspect
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pandas as pd
import sklearn.linear_model
from keras import layers


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network of texts; its vocabulary will be learnt from the training set."""
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="string"),
            layers.TextVectorization(max_tokens=3_000, output_sequence_length=24),
            layers.Embedding(3_000, 16),
            layers.GlobalAveragePooling1D(),
            layers.Dense(num_outputs),
        ]
    )


def data() -> tuple[Any, Any]:
    """Return lines of documentation, and the names of their packages."""
    found = {
        "numpy": lines_about(np, np.linalg, np.random),
        "pandas": lines_about(pd, pd.DataFrame),
        "sklearn": lines_about(sklearn.linear_model),
    }
    texts = [line for lines in found.values() for line in lines]
    return np.array(texts), np.repeat(list(found), [len(lines) for lines in found.values()])


def lines_about(*owners: ModuleType | type) -> list[str]:
    """Return the lines, of six words or more, by which everything public in modules and classes is documented."""
    values = [value for owner in owners for name, value in sorted(vars(owner).items()) if not name.startswith("_")]
    lines = (line.strip() for value in values for line in (inspect.getdoc(value) or "").splitlines())
    return sorted({line for line in lines if len(line.split()) > 5})
