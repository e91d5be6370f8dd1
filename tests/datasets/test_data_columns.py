"""What becomes of each column of a table: decided by all of its values, and said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import Raw, load

LABELS = [0, 1] * 100


def loaded(folder: Path, values: list[Any], suffix: str = ".csv") -> Raw:
    """Return a table with this column and another, and labels, as it is read from a file."""
    frame = pd.DataFrame({"c": values, "z": np.arange(200) / 2, "target": LABELS})
    path = folder / f"d{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    return load(str(path))


def column(raw: Raw, name: str) -> Any:
    """Return the values of a feature."""
    assert raw.feature_names is not None
    return raw.x_train[:, raw.feature_names.index(name)]


def said(raw: Raw) -> str:
    """Return what is said of the column."""
    assert raw.columns is not None
    assert raw.columns["z"] == "number"
    return raw.columns["c"]


DATES = {
    "%Y-%m-%d": pd.date_range("2024-01-20", periods=200),
    "%Y-%m-%d %H:%M:%S": pd.date_range("2024-01-20", periods=200, freq="12h"),
    "%Y-%m-%dT%H:%MZ": pd.date_range("2024-01-20", periods=200, freq="12h"),
    "%Y-%m": pd.date_range("2004-01-01", periods=200, freq="MS"),
    "%Y/%m/%d": pd.date_range("2024-01-20", periods=200),
    "%d.%m.%Y": pd.date_range("2024-01-20", periods=200),
    "%m/%d/%Y": pd.date_range("2024-01-20", periods=200),
    "%d/%m/%Y %H:%M": pd.date_range("2024-01-20", periods=200, freq="12h"),
}


@pytest.mark.parametrize("form", DATES)
def test_dates_become_days(form: str, tmp_path: Path) -> None:
    """However they are written; a column a date would teach each day by itself."""
    raw = loaded(tmp_path, list(DATES[form].strftime(form)))
    assert (said(raw), raw.feature_names) == ("date, as days since 1970", ("c", "z"))
    expected = (DATES[form] - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    np.testing.assert_allclose(column(raw, "c"), expected, atol=0.002)  # float32


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_of_parquet_become_days(zone: str | None, tmp_path: Path) -> None:
    """Those with a zone in UTC."""
    times = pd.date_range("2024-01-20", periods=200, tz=zone)
    raw = loaded(tmp_path, list(times), ".parquet")
    assert said(raw) == "date, as days since 1970"
    assert column(raw, "c")[0] == pytest.approx(19742 - (1 / 24 if zone else 0), abs=0.002)


def test_missing_numbers_are_filled_in_and_marked(tmp_path: Path) -> None:
    """Empty or marked, they become the median, and a column tells where."""
    values = [1.0, 2.0, 3.0, "", "?"] * 40
    raw = loaded(tmp_path, values)
    assert said(raw) == "number, 80 missing, filled in with the median 2 and marked"
    assert raw.feature_names == ("c", "c=missing", "z")
    assert column(raw, "c")[:5].tolist() == [1, 2, 3, 2, 2]
    assert column(raw, "c=missing")[:5].tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("marker", ["NA", "n/a", "NULL", "nan", "-", " ? "])
def test_a_marker_does_not_make_numbers_text(marker: str, tmp_path: Path) -> None:
    """One such word among them is a missing value."""
    raw = loaded(tmp_path, [marker, *range(199)])
    assert said(raw) == "number, 1 missing, filled in with the median 99 and marked"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_dates_and_booleans_are_filled_in_too(suffix: str, tmp_path: Path) -> None:
    """From every file."""
    days: list[Any] = [None, *pd.date_range("2024-01-01", periods=199)]
    assert said(loaded(tmp_path, days, suffix)).startswith("date, as days since 1970, 1 missing, filled in")
    if suffix == ".parquet":
        assert said(loaded(tmp_path, [None, True, False, True] * 50, suffix)).startswith("number, 50 missing")


def test_text_that_looks_missing_is_text(tmp_path: Path) -> None:
    """Namibia is NA, and an empty cell is a category of its own."""
    raw = loaded(tmp_path, ["NA", "DE", "", "null"] * 50)
    assert said(raw) == "category of 4, 50 missing as one of them"
    assert raw.feature_names == ("c=", "c=DE", "c=NA", "c=null", "z")
    assert column(raw, "c=NA")[:4].tolist() == [1, 0, 0, 0]


def test_a_few_levels_are_categories(tmp_path: Path) -> None:
    """Numbers beside an open end are no mistake."""
    assert said(loaded(tmp_path, ["1", "2", "3", "4+"] * 50)) == "category of 4"


def test_labels_that_look_missing_are_labels(tmp_path: Path) -> None:
    """Among other texts."""
    pd.DataFrame({"a": range(200), "target": ["NA", "DE"] * 100}).to_csv(tmp_path / "d.csv", index=False)
    assert set(load(str(tmp_path / "d.csv")).y_train) == {"NA", "DE"}
