"""Models as users load them: probabilities by name, from raw inputs, without pickle."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from pipeline.lr_pipeline_model import VALUES, Outputs, load, save
from pipeline.lr_pipeline_model.columns import Column, Columns
from pipeline.training import to_probabilities

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)


def network(units: int, activation: str | None = None, inputs: int = 2) -> keras.Model:
    """Return a network whose outputs are far from each other."""
    keras.utils.set_random_seed(0)
    start = keras.initializers.RandomNormal(stddev=2)
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(units, activation, kernel_initializer=start)])


def sigmoid(values: Any) -> Any:
    """Return the probability of the second class."""
    return 1 / (1 + np.exp(-values))


def softmax(values: Any) -> Any:
    """Return the probability of each class."""
    return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("model", "names", "expected"),
    [
        (network(3, "softmax"), ("cat", "dog", "owl"), lambda outputs: outputs),
        (network(3), ("cat", "dog", "owl"), softmax),
        (network(1, "sigmoid"), ("no", "yes"), lambda outputs: np.hstack([1 - outputs, outputs])),
        (network(1), ("no", "yes"), lambda outputs: np.hstack([1 - sigmoid(outputs), sigmoid(outputs)])),
    ],
    ids=["softmax", "logits", "one unit", "one logit"],
)
def test_each_class_has_a_column_of_probabilities(
    model: keras.Model, names: tuple[str, ...], expected: Any, tmp_path: Path
) -> None:
    """Whatever the last layer is, they are between 0 and 1, sum to 1, and have the labels as the data had them."""
    save(tmp_path, model, Outputs(names, to_probabilities(model, X)))
    answers = load(tmp_path).predict(X)
    assert tuple(answers.columns) == names
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(answers, expected(model.predict(X, verbose=0)), rtol=1e-5)
    assert np.ptp(answers.to_numpy(), axis=0).max() > 0.3


def test_a_regression_answers_values(tmp_path: Path) -> None:
    """As the network gives them."""
    save(tmp_path, network(1), VALUES)
    np.testing.assert_array_equal(load(tmp_path).predict(X), network(1).predict(X, verbose=0))


def test_a_table_is_taken_as_it_was_given(tmp_path: Path) -> None:
    """With gaps, and categories that the training never saw; the rows keep their index."""
    table = pd.DataFrame({"age": [20.0, np.nan, 40.0], "town": ["Ulm", "Bonn", "Ulm"]}, index=[7, 8, 9])
    fitted = make_column_transformer(
        (SimpleImputer(), ["age"]), (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"])
    ).fit(table)
    known = {"age": Column("number"), "town": Column("category")}
    Columns(known, fitted, ("age", "town=Bonn", "town=Ulm"), table).save(tmp_path / "fitted.skops")
    model = network(1, inputs=3)
    (folder := tmp_path / "model").mkdir()
    save(folder, model, VALUES, columns=tmp_path / "fitted.skops")
    rows = pd.DataFrame({"town": ["Rome", "Bonn"], "age": [np.nan, 25.0]})
    expected = model.predict(np.array([[30, 0, 0], [25, 1, 0]], np.float32), verbose=0)
    np.testing.assert_allclose(load(folder).predict(rows), expected, rtol=1e-6)
    save(folder, network(2, "softmax", inputs=3), Outputs(("no", "yes")), columns=tmp_path / "fitted.skops")
    assert list(load(folder).predict(table).index) == [7, 8, 9]


def test_columns_that_run_other_code_are_not_loaded(tmp_path: Path) -> None:
    """Only scikit-learn's own types are trusted."""
    skops.io.dump(FunctionTransformer(pytest.main), tmp_path / "columns.skops")
    save(tmp_path, network(1), VALUES)
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        load(tmp_path)
