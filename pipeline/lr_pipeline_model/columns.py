"""The columns of a table: how they are read and become a network's inputs, in training and wherever it is served."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

MARKERS = frozenset({"", "?", "-", ".", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "null", "NULL", "None"})
"""What stands for a missing value among numbers or dates. In a column of text all but "" are text like any other."""

ISO = "ISO8601"
"""The form of dates whose first number is the year and whose second is the month."""

DECIMAL_COMMA = ","
"""The form of numbers such as `1.234,5`."""

WITH_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
"""What such numbers match."""

TRUSTED = ("numpy.dtype",)
"""Types that may occur in a file of columns beside those of scikit-learn and NumPy that skops trusts."""

_WHOLE = 2**53  # from here on, float64 has no odd numbers
_DAY = np.timedelta64(1, "D")
_PERIODS = {"time": 1.0, "weekday": 7.0, "month": 12.0}
"""Parts of a date that come round, each with its period, in days or months."""


@dataclass(frozen=True)
class Column:
    """How a column is read.

    Attributes:
        kind: what its values are.
        form: of numbers, `DECIMAL_COMMA` or ""; of dates, `ISO` or as `strptime` takes it.
        parts: of dates, which parts that come round are given as sine and cosine.

    """

    kind: Literal["number", "date", "category", "text"]
    form: str = ""
    parts: tuple[str, ...] = ()


class Columns:
    """Turns a table as it was given into inputs, by a `ColumnTransformer` fitted on the training data."""

    def __init__(
        self, known: Mapping[str, Column], transformer: Any, feature_names: tuple[str, ...], example: Any
    ) -> None:
        """Store how columns are read, what is done to them, what comes of it, and a few rows as they were given."""
        self.known, self.transformer, self.feature_names, self.example = known, transformer, feature_names, example

    def transform(self, frame: Any) -> Any:
        """Return inputs, float64 [n, features].

        Raises:
            ValueError: if a column is missing, or a value is none of its column's kind.

        """
        return self.transformer.transform(typed(frame, self.known))

    def save(self, path: Path) -> None:
        """Write them without pickle."""
        import skops.io

        stored = {
            "known": {name: asdict(column) for name, column in self.known.items()},
            "transformer": self.transformer,
            "feature_names": self.feature_names,
            "example": self.example.astype(object).where(self.example.notna(), None).to_dict("list"),
        }
        skops.io.dump(stored, path)


def load_columns(path: Path) -> Columns:
    """Read what `Columns.save` wrote. No type is loaded that could run code."""
    import pandas as pd
    import skops.io

    stored = skops.io.load(path, trusted=list(TRUSTED))
    known = {name: Column(**{**column, "parts": tuple(column["parts"])}) for name, column in stored["known"].items()}
    return Columns(known, stored["transformer"], tuple(stored["feature_names"]), pd.DataFrame(stored["example"]))


def typed(frame: Any, known: Mapping[str, Column]) -> Any:
    """Return the columns as numbers and text: NaN and "" where missing, dates as `date_features` gives them.

    Raises:
        ValueError: if a column is missing, or a value is none of its column's kind.

    """
    import pandas as pd

    if lacking := [name for name in known if name not in frame]:
        raise ValueError(f"columns: received a table without {', '.join(map(repr, lacking))}")
    features: dict[str, Any] = {}
    for name, column in known.items():
        values = frame[name]
        if column.kind == "number":
            features[name] = _strict(values, numbers(values, column.form), "numbers")
        elif column.kind == "date":
            features |= date_features(name, _strict(values, dates(values, column.form), "dates"), column.parts)
        else:
            features[name] = text(values)
    return pd.DataFrame(features, index=frame.index)


def text(values: Any) -> Any:
    """Return a column as text, "" where it is missing; whole numbers have no decimal point, however they are held."""
    from pandas.api import types

    if types.is_float_dtype(values) and ((values.dropna() % 1 == 0) & (values.dropna().abs() < _WHOLE)).all():
        values = values.astype("Int64")
    return values.astype("string").fillna("").astype(object)


def numbers(values: Any, form: str = "") -> Any:
    """Return a column as float64, NaN where a value is missing or no number."""
    import pandas as pd
    from pandas.api import types

    if types.is_bool_dtype(values) or types.infer_dtype(values, skipna=True) == "boolean":
        values = values.astype("boolean")
    elif not types.is_numeric_dtype(values):
        words = values.astype("string").str.strip()
        if form == DECIMAL_COMMA:
            plain = words.str.replace(".", "").str.replace(",", ".")
            words = plain.where(words.str.fullmatch(WITH_DECIMAL_COMMA), words)
        values = pd.to_numeric(words, errors="coerce")
    return pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index, name=values.name)


def dates(values: Any, form: str = ISO) -> Any:
    """Return a column as times in UTC, NaT where a value is missing or no date."""
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(values) or types.infer_dtype(values, skipna=True) in ("date", "datetime"):
        return pd.to_datetime(values, utc=True)
    return pd.to_datetime(values.astype("string").str.strip(), format=form, errors="coerce", utc=True)


def date_features(name: str, times: Any, parts: Sequence[str]) -> dict[str, Any]:
    """Return times as days since 1970-01-01 and the given parts as sine and cosine; NaN where they are missing."""
    days = (times.dt.tz_localize(None).to_numpy("datetime64[us]") - np.datetime64(0, "us")) / _DAY
    month = times.dt.month.to_numpy(dtype=np.float64, na_value=np.nan)
    features = {name: days}
    for part in parts:
        angle = 2 * np.pi * (month if part == "month" else days) / _PERIODS[part]
        features |= {f"{name}={part} sin": np.sin(angle), f"{name}={part} cos": np.cos(angle)}
    return features


def parts_that_vary(times: Any) -> tuple[str, ...]:
    """Return the parts that come round and in which times differ."""
    known = times.dropna()
    given = {"time": known - known.dt.normalize(), "weekday": known.dt.day_of_week, "month": known.dt.month}
    return tuple(part for part in _PERIODS if given[part].nunique() > 1)


def _strict(values: Any, read: Any, what: str) -> Any:
    unread = values[read.isna()]
    if len(unread) and (wrong := [value for value in text(unread) if value.strip() not in MARKERS]):
        raise ValueError(f"column {values.name!r}: received {wrong[0]!r}, expected {what}")
    return read
