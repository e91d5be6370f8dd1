"""What each column of a table is: numbers, dates, categories or text, decided by all of its values; or of no use."""

import re
from typing import Any

import numpy as np

from pipeline.errors import listed, refusal
from pipeline.lr_pipeline_model.columns import (
    DECIMAL_COMMA,
    ISO,
    MARKERS,
    WITH_DECIMAL_COMMA,
    Column,
    dates,
    numbers,
    parts_that_vary,
    text,
)

MAX_CATEGORIES = 255
"""Of more categories, the rarest are one."""

_FEW = 20
"""Numbers of so many distinct values at most may be levels beside texts such as `5+`, and texts are no identifiers."""

_MOSTLY = 0.5
_WORDS = 3
"""Words that a value of free text has on average, at least."""

_ISO = re.compile(r"\s*\d{4}-\d{1,2}(-\d{1,2}|$)")
_DATES = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+"


def recognise(column: Any, source: str, separator: str = ",") -> Column | str:
    """Return what a column is, or why it is of no use.

    Raises:
        InputError: if it is of another type, mixes numbers or dates with text, or can be read in two ways.

    """
    by_type = _by_type(column, source)
    if column.nunique(dropna=False) <= 1:
        return "empty" if column.isna().all() else "constant"
    known = by_type or _by_values(column, source, separator) or _category_or_text(text(column))
    if isinstance(known, Column) and known.kind in ("number", "date"):
        values = numbers(column, known.form) if known.kind == "number" else dates(column, known.form)
        if values.isna().all():
            return "empty"
    return known


def counts_rows(column: Any) -> bool:
    """Return whether a column numbers the rows, in any order, from 0 or 1."""
    from pandas.api import types

    if not len(column) or not types.is_integer_dtype(column) or column.isna().any():
        return False
    first = int(column.min())
    return first in (0, 1) and column.is_unique and int(column.max()) == first + len(column) - 1


def as_numbers_or_text(column: Any, source: str, separator: str = ",") -> Any:
    """Return a text column whose every value is a number or a marker as numbers, any other as it is.

    Raises:
        InputError: if it mixes numbers and text.

    """
    from pandas.api import types

    known = _by_values(column, source, separator) if types.is_string_dtype(column) else None
    return numbers(column, known.form) if known and known.kind == "number" else column


def _by_type(column: Any, source: str) -> Column | None:
    from pandas.api import types

    if types.is_numeric_dtype(column) and not types.is_complex_dtype(column):  # booleans count as numeric
        return Column("number")
    kind = types.infer_dtype(column, skipna=True)
    if types.is_datetime64_any_dtype(column) or kind in ("date", "datetime"):
        return Column("date", ISO, parts_that_vary(dates(column)))
    if kind == "boolean":
        return Column("number")
    if isinstance(column.dtype, types.CategoricalDtype):
        return Column("category")
    if not types.is_string_dtype(column):
        received = f"{column.name!r} of type {column.dtype} ({kind})"
        accepted = "numbers up to 64 bits, booleans, dates, or text as categories"
        raise refusal(f"{source} has an unusable column", received, accepted)
    return None


def _by_values(column: Any, source: str, separator: str) -> Column | None:
    """Recognise text as numbers, or as dates, where all of it can be read so; None where it is text."""
    words = column.astype("string").str.strip().fillna("")
    given = words[~words.isin(MARKERS)]
    if given.empty:
        return Column("number")
    form = _number_form(given, column, source, separator)
    read = numbers(given, form)
    if read.notna().mean() > _MOSTLY and read.nunique() > (0 if read.notna().all() else _FEW):
        _refuse_strays(column, given[read.isna()], "numbers", source)
        return Column("number", form)
    form = _date_form(given, column, source)
    times = dates(given, form) if form else None
    if times is not None and times.notna().mean() > _MOSTLY:
        _refuse_strays(column, given[times.isna()], "dates", source)
        return Column("date", form, parts_that_vary(times))
    return None


def _number_form(given: Any, column: Any, source: str, separator: str) -> str:
    """Return the form of numbers with a decimal comma, or "".

    Raises:
        InputError: if commas could as well part thousands: a file with semicolons has decimal commas, others may not.

    """
    if not given.str.contains(",").any() or not given.str.fullmatch(WITH_DECIMAL_COMMA).all():
        return ""
    if separator != ";" and given[given.str.contains(",")].str.fullmatch(_THOUSANDS).all():
        received = f"{given[given.str.contains(',')].iloc[0]!r} in column {str(column.name)!r}, decimals or thousands"
        raise refusal(f"{source} has ambiguous numbers", received, "numbers with a decimal point and nothing else")
    return DECIMAL_COMMA


def _refuse_strays(column: Any, strays: Any, what: str, source: str) -> None:
    if len(strays):
        received = f"{listed(strays.unique(), 3)} among {what} in column {str(column.name)!r}"
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        where = f"row {column.index.get_loc(strays.index[0]) + 1}{more}"
        accepted = f"{what} only; missing values empty or one of {', '.join(sorted(MARKERS - {''}))}"
        raise refusal(f"{source} has a column of two kinds", f"{received}, in {where}", accepted)


def _date_form(given: Any, column: Any, source: str) -> str:
    """Return the one form of dates that fits most of a text; "" where none fits the first.

    Raises:
        InputError: if all could be day first or month first.

    """
    first = next((value for value in given if any(letter.isdigit() for letter in value)), "")
    if _ISO.match(first):
        return ISO
    forms = [date + time for date in _DATES for time in _TIMES]
    found = {form: dates(given, form) for form in forms if _fits(first, form)}
    if not found:
        return ""
    best = max(found, key=lambda form: found[form].notna().sum())
    for other in found.values():
        if other.notna().all() and not other.equals(found[best]):
            received = f"{first!r} in column {str(column.name)!r}, day or month first"
            raise refusal(f"{source} has ambiguous dates", received, "dates as YYYY-MM-DD")
    return best


def _fits(value: str, form: str) -> bool:
    """Return whether a date could be of this form, whichever of its numbers is the month."""
    shape = re.sub(r"%.", "#", form)
    return re.sub(r"\d+", "#", value) == shape and (re.match(r"\d{4}", value) is not None) == form.startswith("%Y")


def _category_or_text(words: Any) -> Column | str:
    given = words[words != ""]
    distinct = given.nunique()
    mostly_distinct = distinct > max(_FEW, _MOSTLY * len(given))
    if not mostly_distinct and distinct <= MAX_CATEGORIES:
        return Column("category")
    if np.mean([len(value.split()) for value in given]) >= _WORDS:
        return Column("text")
    return "an identifier" if mostly_distinct else Column("category")
