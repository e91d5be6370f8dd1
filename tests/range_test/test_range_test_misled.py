"""Refinement on real networks whose validation loss differs from their training loss."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.range_test import range_test


def network(*hidden: layers.Layer, **optimizer: Any) -> keras.Model:
    """Return two dense layers with others between them, compiled."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((64,)), layers.Dense(32, "relu"), *hidden, layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(**optimizer), "sparse_categorical_crossentropy")
    return model


def judged(model: keras.Model, digits: Any, validation_data: Any = None, **options: Any) -> tuple[set[str], Any]:
    """Return what trainings of a refinement, of 50 to 116 updates, were judged by, and the result."""
    x, y = digits
    validation = (x[1000:1400], y[1000:1400]) if validation_data is None else validation_data
    found = range_test(
        model,
        (x[:900], y[:900]),
        seeds=1,
        updates=150,
        epochs=4,
        refine="cosine",
        validation_data=validation,
        **options,
    )
    refinement = found.summary.refinement
    assert refinement is not None
    return {tried.judged_by for tried in refinement.tried}, found


def test_moving_averages_that_lag_are_no_valley(digits: Any) -> None:
    """With Keras' statistics the training loss is followed, and said; recomputed ones are validated."""

    def build() -> keras.Model:
        return network(layers.Rescaling(30.0), layers.BatchNormalization(momentum=0.999))

    by, found = judged(build(), digits, batch_norm="keras")
    assert by == {"train_loss"}
    assert "judged by training loss as validation shows nothing of what is learnt" in found.reason
    recomputed, expected = judged(build(), digits)
    assert recomputed == {"val_loss"}
    assert "judged by" not in expected.reason
    assert abs(np.log10(found.suggested_lr / expected.suggested_lr)) < 0.5


def test_validation_data_of_another_kind_are_no_valley(digits: Any) -> None:
    """Labels that have nothing to do with the inputs: the best would be to learn nothing."""
    x, y = digits
    by, found = judged(network(), digits, (x[1000:1400], np.random.default_rng(0).permutation(y[1000:1400])))
    assert by == {"train_loss"}
    assert found.suggested_lr > 1e-3


@pytest.mark.parametrize(
    "build",
    [lambda: network(layers.Dropout(0.7)), lambda: network(use_ema=True, ema_momentum=0.99)],
    ids=["dropout", "averaged weights"],
)
def test_dropout_and_averaged_weights_are_judged_by_validation(build: Any, digits: Any) -> None:
    """They make validation differ from training, but it shows what is learnt."""
    by, _ = judged(build(), digits)
    assert by == {"val_loss"}
