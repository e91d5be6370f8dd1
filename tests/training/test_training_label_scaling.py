"""Labels of a regression that are scaled for the training: results and predictions are in the labels' own units."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from pipeline.datasets import Splits, far_labels, with_scaled_labels
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import Builder
from pipeline.statistics.guessing import guess_classes, guess_values
from pipeline.training import InProcess, Problem
from tests.training.networks import digits, digits_table, plain, table_mlp

PRICE, FACTOR = 457_000.0, 10_000.0
CANDIDATE = Candidate(scheme="cosine", initial_lr=0.005, optimizer="sgd", batch_size=32, params={})
ASKED = Evaluation(CANDIDATE, 10, 0, test=True, weights=True)


def priced(splits: Splits) -> Splits:
    """Return the data with labels that are far from zero."""
    changed = {name: getattr(splits, name) * FACTOR + PRICE for name in ("y_train", "y_val", "y_test")}
    return replace(splits, **{name: values.astype(np.float32) for name, values in changed.items()})


def trained(splits: Splits, build: Builder = table_mlp) -> tuple[InProcess, Training]:
    """Train on these data."""
    executor = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    return executor, answers(executor.ask, [ASKED])[0]


def test_training_does_not_depend_on_the_units() -> None:
    """The weights are those for labels that were standardised before; errors have the labels' units."""
    plain_scaling, scaled = with_scaled_labels(digits_table()), with_scaled_labels(priced(digits_table()))
    _, expected = trained(replace(plain_scaling, label_scaling=None))
    executor, found = trained(scaled)
    assert expected.weights is not None
    assert found.weights is not None
    for ours, theirs in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-3)
    assert executor.label_scaling is not None
    (deviation,) = executor.label_scaling.scale
    np.testing.assert_allclose(found.losses, expected.losses * deviation**2, rtol=1e-2)
    for name, power in (("loss", 2), ("val_loss", 2), ("mae", 1), ("val_mae", 1)):
        in_units = np.multiply(expected.history[name], deviation**power)
        np.testing.assert_allclose(found.history[name], in_units, rtol=1e-2)


def test_the_served_model_gives_labels_as_they_were() -> None:
    """Its squared error on raw inputs and labels is the test loss; it can be saved and loaded."""
    data = priced(digits_table())
    executor, training = trained(with_scaled_labels(data))
    predicted = executor.served(training).predict(data.x_test, verbose=0)[:, 0]
    assert training.test is not None
    assert float(np.square(predicted - data.y_test).mean()) == pytest.approx(training.test["loss"], rel=1e-3)
    assert float(np.abs(predicted - data.y_test).mean()) == pytest.approx(training.test["mae"], rel=1e-3)
    assert training.test["loss"] < float(np.var(data.y_test)) / 2
    assert executor.unsavable({}) == ""


def test_it_is_another_training() -> None:
    """Under a key of its own."""
    data = priced(digits_table())
    by = [InProcess(Problem(table_mlp, one, 0.9, "float32")).conditions() for one in (data, with_scaled_labels(data))]
    assert by[0] != by[1]


def test_classes_and_compiled_models_are_refused() -> None:
    """Classes have no scale, and a loss of the user's is in unknown units."""
    with pytest.raises(InputError, match="scale_labels: received true for labels that are classes"):
        with_scaled_labels(digits())

    def compiled() -> keras.Model:
        model = table_mlp()
        model.compile("sgd", "huber")
        return model

    with pytest.raises(InputError, match="received scale_labels=true with a compiled model"):
        trained(with_scaled_labels(digits_table()), compiled)


def test_labels_far_from_zero_and_one_are_noticed() -> None:
    """Whatever their sign; those of ordinary size are not."""
    assert far_labels(digits_table()) == ""
    assert far_labels(digits()) == ""
    far = "the labels lie far from zero and one (mean 457,"
    assert far_labels(priced(digits_table())).startswith(far)
    table = digits_table()
    assert "scale_labels=true" in far_labels(replace(table, y_train=table.y_train / 1_000))


def test_guesses_are_what_keras_measures_of_a_constant_prediction() -> None:
    """Weights of the examples included."""
    weights = np.random.default_rng(0).uniform(0.1, 3, 100)
    for data, build, loss, guess in (
        (digits(), plain, "sparse_categorical_crossentropy", guess_classes),
        (priced(digits_table()), table_mlp, "mean_squared_error", guess_values),
    ):
        model = build()
        for layer in model.layers:
            layer.set_weights([np.zeros_like(one) for one in layer.get_weights()])
        share = np.bincount(data.y_train, minlength=10) / len(data.y_train) if guess is guess_classes else None
        bias = [data.y_train.mean()] if share is None else np.log(np.maximum(share, 1e-7))
        model.layers[-1].set_weights([model.layers[-1].get_weights()[0], np.asarray(bias)])
        model.compile(loss=loss, metrics=["accuracy"] if share is not None else [])
        measured = model.evaluate(data.x_val, data.y_val, sample_weight=weights, verbose=0, return_dict=True)
        kind = "crossentropy" if share is not None else "squared"
        found = guess(data.y_train, data.y_val, kind, (None, weights))
        assert found.loss == pytest.approx(measured["loss"], rel=1e-3)
        assert found.accuracy == pytest.approx(measured.get("accuracy"))
