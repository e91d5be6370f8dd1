"""One column of a table as features: numbers, dates or categories, decided by all of its values."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import listed, refusal

MAX_CATEGORIES = 255
"""A text column with more distinct values is refused: it holds names or identifiers, not categories."""

MARKERS = frozenset({"", "?", "-", ".", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "null", "NULL", "None"})
"""What stands for a missing value among numbers or dates. In a column of text all but "" are text like any other."""

_FEW = 20
"""Numbers of so many distinct values at most may be levels beside texts such as `5+`."""

_MOSTLY = 0.5
_ISO = re.compile(r"\s*\d{4}-\d{1,2}(-\d{1,2}|$)")
_DATES = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_DAY = np.timedelta64(1, "D")


def encode(column: Any, path: Path) -> tuple[Any, str]:
    """Encode a column.

    Numbers and booleans stay as they are, dates become days since 1970-01-01 (UTC), text one 0/1 column per category,
    named `column=category`. Missing numbers and dates are filled in with the median, and marked in a column
    `column=missing`; missing text is a category of its own.

    Returns:
        its features, a DataFrame, and what was done in words.

    Raises:
        InputError: if it is of another type, mixes numbers or dates with text, or has too many categories.

    """
    import pandas as pd

    values, kind = _as_numbers(column, path)
    if values is None:
        return _categories(column, path)
    missing = np.isnan(values)
    if missing.all():
        raise refusal(f"{path} has an empty column", repr(str(column.name)), "at least one value (or leave it out)")
    features = {column.name: values}
    if missing.any():
        middle = float(np.median(values[~missing]))
        features[column.name] = np.where(missing, middle, values)
        features[f"{column.name}=missing"] = missing.astype(np.float64)
        kind += f", {np.count_nonzero(missing)} missing, filled in with the median {middle:g} and marked"
    return pd.DataFrame(features, index=column.index), kind


def as_numbers_or_text(column: Any, path: Path) -> Any:
    """Return a text column whose every value is a number or a marker as numbers, any other as it is.

    Raises:
        InputError: if it mixes numbers and text.

    """
    from pandas.api import types

    if not types.is_string_dtype(column):
        return column
    numbers = _parsed(column, path)
    return (
        column
        if numbers is None or numbers[1] != "number"
        else column.__class__(numbers[0], column.index, name=column.name)
    )


def _as_numbers(column: Any, path: Path) -> tuple[Any, str]:
    """Return float64 values, NaN where missing, and what they are; None for a category."""
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(column) and not types.is_complex_dtype(column):  # booleans count as numeric
        return column.to_numpy(dtype=np.float64, na_value=np.nan), "number"
    kind = types.infer_dtype(column, skipna=True)
    if types.is_datetime64_any_dtype(column) or kind in ("date", "datetime"):
        return _days(pd.to_datetime(column, utc=True)), _DATE
    if kind == "boolean":
        return column.astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan), "number"
    if isinstance(column.dtype, types.CategoricalDtype):
        return None, "category"
    if not types.is_string_dtype(column):
        received = f"{column.name!r} of type {column.dtype} ({kind})"
        accepted = "numbers up to 64 bits, booleans, dates, or text as categories"
        raise refusal(f"{path} has an unusable column", received, accepted)
    return _parsed(column, path) or (None, "category")


_DATE = "date, as days since 1970"


def _parsed(column: Any, path: Path) -> tuple[Any, str] | None:
    """Read text as numbers, or as dates, where all of it can be read so; None where it is text."""
    import pandas as pd

    text = column.astype("string").str.strip().fillna("")
    present = ~text.isin(MARKERS)
    given = text[present]
    if given.empty:
        return np.full(len(column), np.nan), "number"
    numbers = pd.to_numeric(given, errors="coerce")
    if numbers.notna().mean() > _MOSTLY and numbers.nunique() > (0 if numbers.notna().all() else _FEW):
        _refuse_strays(column, given[numbers.isna()], "numbers", path)
        return numbers.reindex(column.index).to_numpy(dtype=np.float64, na_value=np.nan), "number"
    dates = _dates(given, column, path)
    if dates is not None and dates.notna().mean() > _MOSTLY:
        _refuse_strays(column, given[dates.isna()], "dates", path)
        return _days(dates.reindex(column.index)), _DATE
    return None


def _refuse_strays(column: Any, strays: Any, what: str, path: Path) -> None:
    if len(strays):
        received = f"{listed(strays.unique(), 3)} among {what} in column {str(column.name)!r}"
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        where = f"row {column.index.get_loc(strays.index[0]) + 1}{more}"
        accepted = f"{what} only; missing values empty or one of {', '.join(sorted(MARKERS - {''}))}"
        raise refusal(f"{path} has a column of two kinds", f"{received}, in {where}", accepted)


def _dates(text: Any, column: Any, path: Path) -> Any:
    """Read text as dates in the one form that fits most of it, NaT where it does not; None where none fits the first.

    Raises:
        InputError: if all could be day first or month first.

    """
    import pandas as pd

    first = next((value for value in text if any(letter.isdigit() for letter in value)), "")
    if _ISO.match(first):
        return pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    forms = [date + time for date in _DATES for time in _TIMES]
    found = [pd.to_datetime(text, format=form, errors="coerce", utc=True) for form in forms if _fits(first, form)]
    if not found:
        return None
    best = max(found, key=lambda dates: dates.notna().sum())
    for other in found:
        if other.notna().all() and not other.equals(best):
            received = f"{first!r} in column {str(column.name)!r}, day or month first"
            raise refusal(f"{path} has ambiguous dates", received, "dates as YYYY-MM-DD")
    return best


def _fits(value: str, form: str) -> bool:
    """Return whether a date could be of this form, whichever of its numbers is the month."""
    shape = re.sub(r"%.", "#", form)
    return re.sub(r"\d+", "#", value) == shape and (re.match(r"\d{4}", value) is not None) == form.startswith("%Y")


def _days(dates: Any) -> Any:
    return (dates.dt.tz_localize(None).to_numpy("datetime64[us]") - np.datetime64(0, "us")) / _DAY


def _categories(column: Any, path: Path) -> tuple[Any, str]:
    import pandas as pd

    text = column.astype("string").fillna("")
    distinct, missing = text.nunique(), int((text == "").sum())
    if distinct > MAX_CATEGORIES:
        remedy = f"at most {MAX_CATEGORIES} (leave the column out, or encode it as numbers)"
        raise refusal(
            f"{path} has text that is not a category", f"{distinct} distinct values in {column.name!r}", remedy
        )
    # The whole table is encoded at once: which categories exist reveals nothing about any label.
    features = pd.get_dummies(text, prefix=column.name, prefix_sep="=", dtype=np.float32)
    words = f"category of {distinct}" + (f", {missing} missing as one of them" if missing else "")
    return features, words
