"""Reading `.csv` and `.parquet` tables: a row for each example, and a column for the label."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.errors import listed, reading, refusal

MAX_CATEGORIES = 255
"""A text column with more distinct values is refused: it holds names or identifiers, not categories."""


def read_csv(path: Path, target: str) -> Raw:
    """Read a comma-separated table with a header line; `target` names the label column.

    A leading column without a name that counts the rows, as `DataFrame.to_csv` writes it, is left out.

    Raises:
        InputError: if the file cannot be read or a column cannot be used.

    """
    import pandas as pd

    accepted = "a comma-separated table in UTF-8 with a header line that names each column"
    with reading(path, accepted):
        # low_memory=False: types are inferred from whole columns, not by chunks
        frame = pd.read_csv(path, low_memory=False)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes fields beyond the header for row names
        raise refusal(f"cannot read {path}", "rows with more fields than the header has names", accepted)
    if frame.columns[0] == "Unnamed: 0" and np.array_equal(frame.iloc[:, 0], np.arange(len(frame))):
        frame = frame.iloc[:, 1:]
    return _to_raw(frame, path, target)


def read_parquet(path: Path, target: str) -> Raw:
    """Read a Parquet table; `target` names the label column.

    Raises:
        InputError: if the file cannot be read or a column cannot be used.

    """
    from pyarrow import parquet

    with reading(path, "a Parquet table"):
        table = parquet.read_table(path)
        table.validate(full=True)  # otherwise invalid UTF-8 would only surface when it is used
        frame = table.to_pandas()
    return _to_raw(frame, path, target)


def _to_raw(frame: Any, path: Path, target: str) -> Raw:
    _check_columns(frame, path, target)
    features = _encode_features(frame.drop(columns=target), path)
    names = tuple(str(name) for name in features.columns)
    return Raw(features.to_numpy(dtype=np.float64), _label_array(frame[target]), feature_names=names)


def _check_columns(frame: Any, path: Path, target: str) -> None:
    columns = list(frame.columns)
    if target not in columns:
        raise refusal(f"{path} has no label column", f"target={target!r}", f"one of {listed(columns)}")
    if len(columns) < 2:
        raise refusal(f"{path} has no features", f"only the label column {target!r}", "at least one more column")
    if len(frame) == 0:
        raise refusal(f"{path} is empty", "0 rows", "at least one")
    missing = frame.isna().sum()
    if missing.any():
        column = missing[missing > 0].index[0]
        remedy = "a value in every row (fill them in, or leave out those rows or the column)"
        raise refusal(f"{path} has missing values", f"{missing[column]} in column {column!r}", remedy)


def _encode_features(features: Any, path: Path) -> Any:
    """Keep numbers and booleans, and turn text into one 0/1 column per category, named `column=category`."""
    import pandas as pd

    categorical = [name for name in features.columns if _is_category(features[name], path)]
    for name in categorical:
        distinct = features[name].nunique()
        if distinct > MAX_CATEGORIES:
            remedy = f"at most {MAX_CATEGORIES} (leave the column out, or encode it as numbers)"
            raise refusal(f"{path} has text that is not a category", f"{distinct} distinct values in {name!r}", remedy)
    # The whole table is encoded at once: which categories exist reveals nothing about any label.
    return pd.get_dummies(features, columns=categorical, prefix_sep="=", dtype=np.float32)


def _is_category(column: Any, path: Path) -> bool:
    from pandas.api import types

    if types.is_numeric_dtype(column) and not types.is_complex_dtype(column):  # booleans count as numeric
        return False
    if isinstance(column.dtype, types.CategoricalDtype) or types.is_string_dtype(column):
        return True
    received = f"{column.name!r} of type {column.dtype} ({types.infer_dtype(column)})"
    raise refusal(f"{path} has an unusable column", received, "numbers up to 64 bits, booleans, or text as categories")


def _label_array(labels: Any) -> Array:
    """Return the labels as a NumPy array of their kind: pandas' nullable and categorical types become plain ones."""
    from pandas.api import types

    if types.is_bool_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.bool_)
    if types.is_float_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.float64)
    return np.asarray(labels.to_numpy())
