"""Tables as DataFrames, as functions return them and `find` takes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import IN_MEMORY, Splits, load, read_returned, split
from pipeline.errors import InputError


def frame() -> pd.DataFrame:
    """Return numbers with gaps, dates, categories, text with None, and columns of no use."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": range(200),
            "age": np.where(rng.random(200) < 0.1, np.nan, rng.integers(18, 80, 200)),
            "since": pd.date_range("2023-01-01", periods=200, freq="7h"),
            "size": pd.Categorical(rng.choice(["S", "M", "L"], 200)),
            "town": np.array(["Ulm", "Bonn", None, "Bonn"] * 50, object),
            "rooms": np.array([None, 1, 2, 3] * 50, object),
            "target": np.where(rng.random(200) < 0.5, "yes", "no"),
        }
    )


X, Y = frame().drop(columns="target"), frame()["target"]


def splits_of(returned: Any, target: str = "target") -> Splits:
    """Return the splits of what a function returned."""
    return split(read_returned(returned, "data", IN_MEMORY, target), seed=0)


def test_a_frame_is_encoded_as_the_same_table_in_a_file(tmp_path: Path) -> None:
    """To the last bit, and the same is said of each column."""
    frame().to_csv(tmp_path / "d.csv", index=False)
    expected, given = split(load(str(tmp_path / "d.csv")), seed=0), splits_of(frame())
    for name in ("x_train", "y_train", "x_val", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(given, name), getattr(expected, name))
    assert given.columns == expected.columns
    assert given.columns["id"] == "left out (counts the rows)"
    assert given.columns["age"].endswith("and marked")
    assert given.columns["rooms"].startswith("number, 50 missing")
    assert given.classes == ("no", "yes")


@pytest.mark.parametrize(
    "returned",
    [
        (X, Y),
        (X, Y.to_numpy()),
        (X, Y.to_frame()),
        (frame(), "target"),
        (frame().sample(frac=1, random_state=1).sort_index()[list(frame())[::-1]], "target"),
        (X.set_axis([7, 8, 9, 10, 11, 12], axis=1), Y.astype("category")),
    ],
    ids=["series", "array", "frame", "name", "other order", "numbered columns"],
)
def test_labels_stand_beside_it_or_in_a_column(returned: Any) -> None:
    """With the same result."""
    expected, given = splits_of(frame()), splits_of(returned)
    assert sorted(given.columns.values()) == sorted(expected.columns.values())
    np.testing.assert_array_equal(given.y_train, expected.y_train)
    np.testing.assert_array_equal(np.sort(given.x_train), np.sort(expected.x_train))


@pytest.mark.parametrize("beside", [True, False])
def test_given_sets_are_encoded_as_the_training_set(*, beside: bool) -> None:
    """Columns in any order; what only a test set has is unknown to the encoding."""
    train, test = frame().head(150), frame().tail(50).assign(town="Rome")
    test = test[list(test)[::-1]]
    sets = train, test
    splits = splits_of(tuple((one.drop(columns="target"), one["target"]) for one in sets) if beside else sets)
    assert (len(splits.x_train), len(splits.x_val), len(splits.x_test)) == (120, 30, 50)
    names = splits.encoder.feature_names
    assert splits.x_test[:, [names.index("town=Ulm"), names.index("town=Bonn")]].sum() == 0
    np.testing.assert_array_equal(splits.x_test, splits.encoder.transform(test).astype(np.float32))


def test_rows_that_each_set_counts_anew_are_left_out() -> None:
    """A counter from 0 in the training set and again in the test set is no feature."""
    second = X[:80].assign(id=range(80))
    splits = splits_of(((X, Y), (second, Y[:80])))
    assert splits.columns["id"] == "left out (counts the rows)"
    assert "id" not in splits.encoder.feature_names


def test_numbers_and_texts_without_gaps_stay_arrays() -> None:
    """A network's own columns, of whatever values, are left as they are; a single one of texts is no category."""
    numbers = pd.DataFrame({"a": np.arange(200), "b": 1.0, "c": [True, False] * 100})
    splits = splits_of((numbers, Y))
    assert splits.encoder is None
    assert splits.x_train.shape == (120, 3)
    assert splits_of(({"a": numbers, "b": np.ones((200, 2))}, Y)).x_train["a"].shape == (120, 3)
    assert splits_of((pd.DataFrame({"review": ["good film", "bad film"] * 100}), Y)).x_train.dtype.kind == "S"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((frame(), "price"), "data has no label column: received target='price'; accepted: one of 'id'"),
        ((frame(), frame().drop(columns="age")), "y_train has unusable labels"),
        (((X, Y), (X.drop(columns="age"), Y)), "data has a test set of other columns: received 'id', 'since'"),
        (((X, Y), (frame(), "target")), "data has a test set of other"),
        (((X, Y), (np.ones((200, 6)), Y)), "unusable result of data: received a table as x_train, and arrays"),
        ((X.assign(age=[1, np.inf] * 100), Y), "the table has unusable values: received 100 NaN or infinite.*'age'"),
        ((pd.concat([X, X], axis=1), Y), "data has repeated columns: received 'id'"),
        (
            (X.assign(age=np.array([1, "a"] * 100, object)), Y),
            "data has an unusable column: received 'age' of type object",
        ),
        (frame().head(0), "data is empty"),
        (({"a": X, "b": np.ones((200, 2))}, Y), "unusable input 'a' of data: received a DataFrame with text"),
        ((frame().assign(target=None), "target"), "data has missing labels"),
    ],
)
def test_unusable_frames_are_refused_in_one_line(returned: Any, message: str) -> None:
    """They name column and set."""
    with pytest.raises(InputError, match=message) as caught:
        splits_of(returned)
    assert "\n" not in str(caught.value)
