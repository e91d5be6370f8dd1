"""Tables from `.csv`, `.parquet` and DataFrames: a row for each example, and a column for the label."""

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.arrays import Array, Raw
from pipeline.datasets.columns import as_numbers_or_text, counts_rows, recognise
from pipeline.datasets.encoding import Table
from pipeline.datasets.streams import raw_of
from pipeline.errors import listed, reading, refusal, shortened
from pipeline.lr_pipeline_model.columns import Column

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BOM = "\ufeff"


def read_csv(path: Path, target: str) -> Raw:
    """Read a table with a header line, separated by commas, semicolons, tabs or bars; `target` names the label column.

    Raises:
        InputError: if the file cannot be read or a column cannot be used.

    """
    import pandas as pd

    accepted = "a table in UTF-8, separated by commas, semicolons, tabs or |, with a header line that names each column"
    with reading(path, accepted):
        with path.open(encoding="utf-8", newline="") as file:
            first = next((line for line in file if line.strip()), "")
        separator = _separator(first.removeprefix(_BOM), target)
        form: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "keep_default_na": False}
        # Types are inferred from whole columns, not by chunks, and "NA" may be a text like any other.
        frame = pd.read_csv(path, low_memory=False, na_values=[""], **form)
        # `frame` has them renamed if they are repeated: a second label column would be a feature.
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **form).iloc[0]
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes fields beyond the header for row names
        raise refusal(f"cannot read {path}", "rows with more fields than the header has names", accepted)
    _refuse_repeated(filter(None, header), str(path))
    unusual = [f"separated by {_SEPARATORS[separator]}"] * (separator != ",")
    unusual += ["with a byte-order mark"] * first.startswith(_BOM)
    return _to_raw(frame, str(path), target, separator, {path.name: ", ".join(unusual)} if unusual else {})


def _separator(header: str, target: str) -> str:
    """Return the separator by which the header has a label column and the most names."""

    def names(separator: str) -> list[str]:
        return next(csv.reader([header], delimiter=separator), [])

    return max(_SEPARATORS, key=lambda separator: (target in names(separator), len(names(separator))))


def read_parquet(path: Path, target: str) -> Raw:
    """Read a Parquet table; `target` names the label column.

    Raises:
        InputError: if the file cannot be read or a column cannot be used.

    """
    from pyarrow import parquet

    with reading(path, "a Parquet table"):
        _refuse_repeated(parquet.read_schema(path).names, str(path))
        table = parquet.read_table(path)
        table.validate(full=True)  # otherwise invalid UTF-8 would only surface when it is used
        frame = table.to_pandas()
    return _to_raw(frame, str(path), target)


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas DataFrame."""
    pandas = sys.modules.get("pandas")  # whoever made one has imported it
    return pandas is not None and isinstance(value, pandas.DataFrame)


def as_array(frame: Any) -> Array | None:
    """Return a DataFrame as an array if it holds numbers without gaps, or a single column of texts; else None."""
    from pandas.api import types

    if len(frame.columns) == 1 and all(isinstance(value, str) for value in frame.iloc[:, 0]):
        return np.asarray(frame, dtype=object)
    numeric = all(types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype) for dtype in frame.dtypes)
    return frame.to_numpy(np.float64) if numeric and not frame.isna().any(axis=None) else None


def read_frames(sets: Mapping[str, tuple[Any, ...]], data: str, target: str) -> Raw:
    """Take sets of DataFrames, named as `raw_of` takes them, of which all rows decide what a column is.

    Args:
        sets: `(frame,)` with the label column `target`, or `(frame, labels)` or `(frame, labels, weights)`, where
            labels are an array or the name of their column.
        data: how the user named them.
        target: as of `read_csv`.

    Raises:
        InputError: if a column cannot be used, or the sets do not fit together.

    """
    import pandas as pd

    sets = {name: part if len(part) > 1 else (*part, target) for name, part in sets.items()}
    frames = {name: frame.set_axis(map(str, frame.columns), axis=1) for name, (frame, *_) in sets.items()}
    columns, labels = frames["train"].columns, sets["train"][1]
    _refuse_repeated(columns, data)
    for name, (_, own, *_) in sets.items():
        if sorted(frames[name].columns) != sorted(columns):
            raise refusal(f"{data} has a {name} set of other columns", listed(frames[name]), listed(columns))
        if isinstance(own, str) != isinstance(labels, str) or (isinstance(own, str) and own != labels):
            raise refusal(
                f"{data} has a {name} set of other labels", shortened(repr(own)), "the same column, or arrays"
            )
    whole = pd.concat([frame[columns] for frame in frames.values()], ignore_index=True)
    objects = [name for name in columns if whole[name].dtype.kind == "O"]
    whole[objects] = whole[objects].convert_dtypes()  # None among texts or numbers
    counted = [name for name in columns if all(counts_rows(frame[name]) for frame in frames.values())]  # each anew
    if isinstance(labels, str):
        raw = _to_raw(whole, data, labels, counted=counted)
    else:
        raw = Raw(_table(whole, data, counted=counted), labels)
    parts: dict[str, tuple[Any, ...]] = {}
    start = 0
    for name, (frame, own, *weights) in sets.items():
        rows = slice(start, start + len(frame))
        table = replace(raw.x_train, frame=raw.x_train.frame.iloc[rows])
        y = raw.y_train[rows] if isinstance(own, str) else np.asarray(own)
        parts[name] = (table, y, *map(np.asarray, weights))
        start = rows.stop
    return replace(raw_of(parts), label_names=raw.label_names)


def _to_raw(
    frame: Any,
    source: str,
    target: str,
    separator: str = ",",
    said: Mapping[str, str] | None = None,
    counted: Sequence[str] = (),
) -> Raw:
    targets = [target] if target in frame.columns else target.split(",")
    _check_columns(frame, source, targets)
    labels = [_labels(frame[name], source, separator) for name in targets]
    table = _table(frame.drop(columns=targets), source, separator, said, counted)
    y = labels[0] if len(labels) == 1 else _side_by_side(labels, targets, source)
    return Raw(table, y, label_names=tuple(targets))


def _table(
    features: Any,
    source: str,
    separator: str = ",",
    said: Mapping[str, str] | None = None,
    counted: Sequence[str] = (),
) -> Table:
    recognised = {name: recognise(features[name], source, separator) for name in features}
    known = {name: column for name, column in recognised.items() if isinstance(column, Column)}
    useless = {name: why for name, why in recognised.items() if isinstance(why, str)}
    useless |= {name: "counts the rows" for name in known if name in counted or counts_rows(features[name])}
    if useful := {name: column for name, column in known.items() if name not in useless}:
        known = useful
    left = {name: f"left out ({useless[name]})" for name in features if name not in known}
    return Table(features, known, {**left, **(said or {})})


def _side_by_side(labels: list[Array], targets: list[str], source: str) -> Array:
    if text := [name for name, values in zip(targets, labels, strict=True) if values.dtype.kind not in "biuf"]:
        raise refusal(
            f"{source} has several label columns", f"text in {listed(text)}", "numbers, or one column of text"
        )
    return np.column_stack(labels)


def _refuse_repeated(names: Iterable[str], source: str) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise refusal(f"{source} has repeated columns", listed(repeated), "each name once")


def _check_columns(frame: Any, source: str, targets: list[str]) -> None:
    columns = list(frame.columns)
    for target in targets:
        if target not in columns:
            accepted = f"one of {listed(columns)}" if columns else "a table with at least two columns"
            raise refusal(f"{source} has no label column", f"target={target!r}", accepted)
    if len(set(targets)) < len(targets):
        raise refusal("target names a column twice", ",".join(targets), "each once")
    if len(columns) == len(targets):
        received = f"only the label column{'s' if len(targets) > 1 else ''} {', '.join(map(repr, targets))}"
        raise refusal(f"{source} has no features", received, "at least one more column")
    if len(frame) == 0:
        raise refusal(f"{source} is empty", "0 rows", "at least one")


def _labels(labels: Any, source: str, separator: str) -> Array:
    """Give the labels as an array: text that is all numbers as numbers, as a marker among them would make it text."""
    labels = as_numbers_or_text(labels, source, separator)
    with reading(source, "labels as numbers, booleans or text in UTF-8"):
        missing = labels.isna() | (labels.astype("string").str.strip() == "").fillna(value=True)
    if missing.any():
        received = f"{missing.sum()} in column {str(labels.name)!r}, first in row {int(missing.argmax()) + 1}"
        raise refusal(f"{source} has missing labels", received, "a label in every row (leave out those rows)")
    return _label_array(labels)


def _label_array(labels: Any) -> Array:
    """Return the labels as a NumPy array of their kind: pandas' nullable and categorical types become plain ones."""
    from pandas.api import types

    if types.is_bool_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.bool_)
    if types.is_float_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.float64)
    return np.asarray(labels.to_numpy())
