"""What becomes of each column of a table: decided by all of its values, and said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import Raw, load, split
from pipeline.datasets.encoding import encode
from pipeline.lr_pipeline_model.columns import load_columns

LABELS = [0, 1] * 100


class Encoded:
    """A table as it is read from a file, encoded by all of its rows."""

    def __init__(self, path: Path, *, hash_text: bool = False) -> None:
        self.raw = load(str(path))
        self.x, self.columns, self.said = encode(
            self.raw.x_train, np.arange(len(self.raw.y_train)), hash_text=hash_text
        )
        self.names = self.columns.feature_names

    def __getitem__(self, name: str) -> Any:
        return self.x[:, self.names.index(name)]


def loaded(folder: Path, values: Any, suffix: str = ".csv", *, hash_text: bool = False) -> Encoded:
    """Return a table with this column and another, and labels."""
    frame = pd.DataFrame({"c": values, "z": np.arange(200) / 2, "target": LABELS})
    path = folder / f"d{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    encoded = Encoded(path, hash_text=hash_text)
    assert encoded.said["z"] == "number"
    return encoded


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
    table = loaded(tmp_path, list(DATES[form].strftime(form)))
    clock = "time, " * ("H" in form)
    assert table.said["c"] == f"date, as days since 1970, and {clock}weekday, month as sine and cosine"
    expected = (DATES[form] - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    np.testing.assert_allclose(table["c"], expected, atol=0.002)  # float32


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_of_parquet_become_days(zone: str | None, tmp_path: Path) -> None:
    """Those with a zone in UTC."""
    times = pd.date_range("2024-01-20", periods=200, tz=zone)
    table = loaded(tmp_path, list(times), ".parquet")
    assert table.said["c"].startswith("date, as days since 1970")
    assert table["c"][0] == pytest.approx(19742 - (1 / 24 if zone else 0), abs=0.002)


def test_missing_numbers_are_filled_in_and_marked(tmp_path: Path) -> None:
    """Empty or marked, they become the median, and a column tells where."""
    values = [1.0, 2.0, 3.0, "", "?"] * 40
    table = loaded(tmp_path, values)
    assert table.said["c"] == "number, 80 missing, filled in with the median 2 and marked"
    assert table.names == ("c", "z", "c=missing")
    assert table["c"][:5].tolist() == [1, 2, 3, 2, 2]
    assert table["c=missing"][:5].tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("marker", ["NA", "n/a", "NULL", "nan", "-", " ? "])
def test_a_marker_does_not_make_numbers_text(marker: str, tmp_path: Path) -> None:
    """One such word among them is a missing value."""
    table = loaded(tmp_path, [marker, *range(199)])
    assert table.said["c"] == "number, 1 missing, filled in with the median 99 and marked"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_dates_and_booleans_are_filled_in_too(suffix: str, tmp_path: Path) -> None:
    """From every file."""
    days: list[Any] = [None, *pd.date_range("2024-01-01", periods=199)]
    assert loaded(tmp_path, days, suffix).said["c"].endswith("1 missing, filled in with the median 19822 and marked")
    if suffix == ".parquet":
        assert loaded(tmp_path, [None, True, False, True] * 50, suffix).said["c"].startswith("number, 50 missing")


def test_text_that_looks_missing_is_text(tmp_path: Path) -> None:
    """Namibia is NA; only an empty cell is missing, and is filled in with the most frequent one."""
    table = loaded(tmp_path, ["NA", "DE", "", "null", "NA"] * 40)
    assert table.said["c"] == "category of 3, 40 missing, filled in with the most frequent 'NA' and marked"
    assert table.names == ("z", "c=DE", "c=NA", "c=null", "c=missing")
    assert table["c=NA"][:5].tolist() == [1, 0, 1, 0, 1]
    assert table["c=missing"][:5].tolist() == [0, 0, 1, 0, 0]


def test_a_few_levels_are_categories(tmp_path: Path) -> None:
    """Numbers beside an open end are no mistake."""
    assert loaded(tmp_path, ["1", "2", "3", "4+"] * 50).said["c"] == "category of 4"


def test_labels_that_look_missing_are_labels(tmp_path: Path) -> None:
    """Among other texts."""
    pd.DataFrame({"a": range(200), "target": ["NA", "DE"] * 100}).to_csv(tmp_path / "d.csv", index=False)
    assert set(load(str(tmp_path / "d.csv")).y_train) == {"NA", "DE"}


def test_what_comes_round_is_close_across_the_turn(tmp_path: Path) -> None:
    """Midnight is near 23:00, and December near January; missing dates are nowhere, and only what varies is given."""
    times = pd.date_range("2024-01-01", periods=199, freq="h")
    table = loaded(tmp_path, ["", *times.astype(str)])
    assert table.names[3:] == ("c=time sin", "c=time cos", "c=weekday sin", "c=weekday cos")
    clock = np.stack([table["c=time sin"], table["c=time cos"]], axis=1)
    assert clock[0].tolist() == [0, 0]
    np.testing.assert_allclose(
        clock[1:], np.stack([f(2 * np.pi * times.hour / 24) for f in (np.sin, np.cos)], 1), atol=1e-5
    )
    assert np.linalg.norm(clock[1] - clock[24]) < np.linalg.norm(clock[1] - clock[6])
    january, july, december = (
        loaded(tmp_path, pd.date_range("2024-01-01", periods=200, freq="MS").astype(str)).x[at] for at in (0, 6, 11)
    )
    assert np.linalg.norm(january[4:] - december[4:]) < np.linalg.norm(january[4:] - july[4:])


REVIEWS = [f"it was {mood} film number {at}" for at, mood in enumerate(["a good", "a bad"] * 100)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([7] * 200, "constant"),
        (["yes"] * 200, "constant"),
        ([""] * 200, "empty"),
        (["?", "-"] * 100, "empty"),
        ([f"P-{at:04}" for at in range(200)], "an identifier"),
        (range(200), "counts the rows"),
        (np.random.default_rng(0).permutation(200) + 1, "counts the rows"),
        (REVIEWS, "free text"),
    ],
    ids=["constant", "constant text", "empty", "markers", "identifier", "counter", "shuffled counter", "free text"],
)
def test_columns_of_no_use_are_left_out_and_named(values: Any, why: str, tmp_path: Path) -> None:
    """They say nothing of other examples, or would let the network learn each by heart."""
    table = loaded(tmp_path, list(values))
    assert (table.said["c"], table.names) == (f"left out ({why})", ("z",))


def test_a_counter_is_kept_where_it_is_all_there_is(tmp_path: Path) -> None:
    """As in a function of time."""
    pd.DataFrame({"t": range(200), "target": LABELS}).to_csv(tmp_path / "d.csv", index=False)
    assert Encoded(tmp_path / "d.csv").said == {"t": "number"}


def test_free_text_is_hashed_on_request(tmp_path: Path) -> None:
    """Texts with the same words have the same features."""
    table = loaded(tmp_path, [*REVIEWS[:-1], REVIEWS[0]], hash_text=True)
    assert table.said["c"] == "free text, hashed into 256 features"
    assert table.x.shape == (200, 257)
    np.testing.assert_array_equal(table.x[0, 1:], table.x[-1, 1:])
    assert (table.x[0, 1:] != table.x[1, 1:]).any()


def test_the_rarest_of_many_categories_are_one(tmp_path: Path) -> None:
    """A town that is rare says little by itself."""
    towns = [f"T{at % 300}" for at in range(1000)]
    pd.DataFrame({"c": towns, "target": LABELS * 5}).to_csv(tmp_path / "d.csv", index=False)
    table = Encoded(tmp_path / "d.csv")
    assert table.said["c"] == "category of 300, the 46 rarest as one"
    assert table.x.shape == (1000, 255)
    assert table["c=others"].sum() == 46 * 3


@pytest.mark.parametrize("offset", [1e9, 1.7e12])
def test_numbers_that_float32_would_merge_are_centred(offset: float, tmp_path: Path) -> None:
    """Large ones with small differences keep these, and scaling follows from what is left."""
    table = loaded(tmp_path, np.arange(200) / 4 + offset)
    assert table.said["c"].startswith(f"number, less its mean {offset + 24.875:.10g}")
    np.testing.assert_allclose(np.diff(table["c"]), 0.25)
    assert table.names == ("z", "c")


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_separator_decimal_comma_and_byte_order_mark_are_recognised(
    separator: str, name: str, bom: str, tmp_path: Path
) -> None:
    """As spreadsheets write them outside of English."""
    rows = ["a,b", "target", "c"], *([f"{at},5", str(at % 2), f"1.{at:03},25"] for at in range(20))
    text = bom + "\n".join(separator.join(row) for row in rows)
    (tmp_path / "d.csv").write_text(text, encoding="utf-8")
    table = Encoded(tmp_path / "d.csv")
    assert table.said["a,b"] == table.said["c"] == "number with decimal comma"
    assert table.said["d.csv"] == f"separated by {name}" + ", with a byte-order mark" * bool(bom)
    assert table.x[3].tolist() == [3.5, 1003.25]
    assert set(table.raw.y_train) == {0, 1}
    served = pd.DataFrame({"a,b": [1.5, "1,5", "1.5"], "c": ["1.000,5", "0,5", "?"]})
    assert table.columns.transform(served)[:, 0].tolist() == [1.5, 1.5, 1.5]


def test_the_encoding_is_of_the_training_split_alone(tmp_path: Path) -> None:
    """A category or a number that only other examples have changes nothing, and is unknown to it."""
    frame = pd.DataFrame({"n": [1.0, 3.0, np.nan] * 60, "c": ["a", "b", "a"] * 60, "target": [0, 1] * 90})
    frame.to_csv(tmp_path / "d.csv", index=False)
    before = split(load(str(tmp_path / "d.csv")), seed=0)
    assert before.encoder is not None
    held_out = np.setdiff1d(np.arange(180), _train_rows(len(frame)))
    frame.loc[held_out, "n"], frame.loc[held_out, "c"] = 1000.0, "z"
    frame.to_csv(tmp_path / "d.csv", index=False)
    after = split(load(str(tmp_path / "d.csv")), seed=0)
    np.testing.assert_array_equal(after.x_train, before.x_train)
    np.testing.assert_array_equal(after.x_test, [[1000, 0, 0, 0]] * len(after.x_test))


def _train_rows(count: int) -> Any:
    """Return the training rows of seed 0: those of a table of row numbers with the same labels."""
    return split(Raw(np.arange(count)[:, None], np.array([0, 1] * (count // 2))), seed=0).x_train[:, 0].astype(int)


def test_a_table_is_encoded_as_in_training_wherever_it_is_loaded(tmp_path: Path) -> None:
    """Raw rows in any order of columns, with gaps, words for them, unknown categories and columns of no use."""
    frame = pd.DataFrame(
        {
            "age": ["20", "?", "40", "31"] * 50,
            "day": pd.date_range("2024-01-20", periods=200, freq="5h").strftime("%d.%m.%Y %H:%M"),
            "town": ["Ulm", "Bonn", "", "Ulm"] * 50,
            "size": [1_000_000_000.5 + at for at in range(200)],
            "name": [f"P-{at:04}" for at in range(200)],
            "target": LABELS,
        }
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    table = Encoded(tmp_path / "d.csv")
    table.columns.save(tmp_path / "columns.skops")
    columns = load_columns(tmp_path / "columns.skops")
    assert columns.feature_names == table.names
    np.testing.assert_allclose(columns.transform(frame.iloc[::-1, ::-1]), table.x[::-1], rtol=1e-6)
    np.testing.assert_allclose(columns.transform(columns.example), table.x[:5], rtol=1e-6)
    rows = pd.DataFrame(
        {"town": ["Rome", None], "day": [None, "21.01.2024 10:00"], "age": [35, None], "size": [1e9, 1e9]}
    )
    unknown = dict(zip(table.names, columns.transform(rows).T, strict=True))
    assert unknown["age"].tolist() == [35, 31]
    assert unknown["age=missing"].tolist() == [0, 1]
    assert (unknown["town=Ulm"].tolist(), unknown["town=Bonn"].tolist()) == ([0, 1], [0, 0])
    assert unknown["day=time cos"] == pytest.approx([0, np.cos(2 * np.pi * 10 / 24)])
    with pytest.raises(ValueError, match="column 'age': received 'old', expected numbers"):
        columns.transform(rows.assign(age="old"))
    with pytest.raises(ValueError, match="received a table without 'age', 'town'"):
        columns.transform(rows[["day", "size"]])
