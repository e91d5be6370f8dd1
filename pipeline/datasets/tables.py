"""Reading `.csv` and `.parquet` tables: a row for each example, and a column for the label."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.datasets.columns import as_numbers_or_text, encode
from pipeline.errors import listed, reading, refusal


def read_csv(path: Path, target: str) -> Raw:
    """Read a comma-separated table with a header line; `target` names the label column.

    A leading column without a name that counts the rows, as `DataFrame.to_csv` writes it, is left out.

    Raises:
        InputError: if the file cannot be read or a column cannot be used.

    """
    import pandas as pd

    accepted = "a comma-separated table in UTF-8 with a header line that names each column"
    with reading(path, accepted):
        # Types are inferred from whole columns, not by chunks, and "NA" may be a text like any other.
        frame = pd.read_csv(path, low_memory=False, keep_default_na=False, na_values=[""])
        # `frame` has them renamed if they are repeated: a second label column would be a feature.
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes fields beyond the header for row names
        raise refusal(f"cannot read {path}", "rows with more fields than the header has names", accepted)
    _refuse_repeated(filter(None, header), path)
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
        _refuse_repeated(parquet.read_schema(path).names, path)
        table = parquet.read_table(path)
        table.validate(full=True)  # otherwise invalid UTF-8 would only surface when it is used
        frame = table.to_pandas()
    return _to_raw(frame, path, target)


def _to_raw(frame: Any, path: Path, target: str) -> Raw:
    import pandas as pd

    _check_columns(frame, path, target)
    labels = _labels(frame[target], path)
    features, columns = [], {}
    for name in frame.columns.drop(target):
        encoded, columns[str(name)] = encode(frame[name], path)
        features.append(encoded)
    table = pd.concat(features, axis=1)
    names = tuple(str(name) for name in table.columns)
    return Raw(table.to_numpy(dtype=np.float64), labels, feature_names=names, columns=columns)


def _refuse_repeated(names: Iterable[str], path: Path) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise refusal(f"{path} has repeated columns", listed(repeated), "each name once")


def _check_columns(frame: Any, path: Path, target: str) -> None:
    columns = list(frame.columns)
    if target not in columns:
        accepted = f"one of {listed(columns)}" if columns else "a table with at least two columns"
        raise refusal(f"{path} has no label column", f"target={target!r}", accepted)
    if len(columns) < 2:
        raise refusal(f"{path} has no features", f"only the label column {target!r}", "at least one more column")
    if len(frame) == 0:
        raise refusal(f"{path} is empty", "0 rows", "at least one")


def _labels(labels: Any, path: Path) -> Array:
    """Give the labels as an array: text that is all numbers as numbers, as a marker among them would make it text."""
    labels = as_numbers_or_text(labels, path)
    with reading(path, "labels as numbers, booleans or text in UTF-8"):
        missing = labels.isna() | (labels.astype("string").str.strip() == "").fillna(value=True)
    if missing.any():
        received = f"{missing.sum()} in column {str(labels.name)!r}, first in row {int(missing.argmax()) + 1}"
        raise refusal(f"{path} has missing labels", received, "a label in every row (leave out those rows)")
    return _label_array(labels)


def _label_array(labels: Any) -> Array:
    """Return the labels as a NumPy array of their kind: pandas' nullable and categorical types become plain ones."""
    from pandas.api import types

    if types.is_bool_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.bool_)
    if types.is_float_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.float64)
    return np.asarray(labels.to_numpy())
