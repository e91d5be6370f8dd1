"""What a training computes, against plain Keras and against closed forms in NumPy."""

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.training.feed import BatchOrder
from tests.training.networks import BATCH, STEPS, digits, digits_table, rich, trainer

SEED = 5
CURVE = np.geomspace(0.05, 0.001, 3 * STEPS)


def batches(updates: int) -> list[NDArray[np.int32]]:
    """Return the example indices of each update."""
    indices, ends = BatchOrder(200, BATCH).indices(SEED, 0, updates)
    return [indices[start:stop] for start, stop in pairwise(ends)]


def plain_keras(optimizer: keras.optimizers.Optimizer) -> tuple[list[NDArray[Any]], list[float]]:
    """Return weights and batch losses of a loop that sets the rate of every update by hand."""
    keras.utils.set_random_seed(SEED)
    model = rich()
    model.compile(optimizer, loss="sparse_categorical_crossentropy", jit_compile=False)
    losses = []
    for chosen, rate in zip(batches(len(CURVE)), CURVE, strict=True):
        optimizer.learning_rate = rate
        model.reset_metrics()
        x, y = digits().x_train[chosen] / np.float32(16), digits().y_train[chosen]
        losses.append(float(model.train_on_batch(x, y)))
    return model.get_weights(), losses


class TestAgainstPlainKeras:
    @pytest.mark.parametrize(
        ("name", "optimizer"),
        [("sgd", lambda: keras.optimizers.SGD(0.1, momentum=0.9)), ("adam", lambda: keras.optimizers.Adam(0.1))],
        ids=["sgd", "adam"],
    )
    def test_weights_and_losses_are_those_of_a_loop_with_the_rate_set_at_every_update(
        self, name: str, optimizer: Any
    ) -> None:
        """Same weights, and the loss of every batch, with regularisers, own penalty, dropout and normalisation."""
        engine = trainer("rich", name, recompute=False)
        training = engine.train(CURVE, SEED, validations=3)
        weights, losses = plain_keras(optimizer())
        np.testing.assert_allclose(training.losses, losses, rtol=1e-5)
        for ours, theirs in zip(engine.model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6)

    def test_one_other_rate_gives_other_weights(self) -> None:
        """A curve that differs in its last rate only differs in the last update only."""
        engine = trainer("rich")
        first = engine.train(CURVE, SEED, validations=0)
        weights = engine.model.get_weights()
        other = engine.train(np.append(CURVE[:-1], 2 * CURVE[-1]), SEED, validations=0)
        assert np.array_equal(first.losses, other.losses)
        assert not np.allclose(weights[0], engine.model.get_weights()[0], rtol=1e-5)


class TestRecord:
    def test_the_losses_are_of_batches_and_the_history_is_their_mean_over_examples(self) -> None:
        """Keras' own value of each part is the mean of our batch losses, weighted by batch size."""
        training = trainer("rich").train(CURVE, SEED, validations=3)
        sizes = [len(chosen) for chosen in batches(STEPS)]
        assert sizes == [32] * 6 + [8]
        means = [np.average(part, weights=sizes) for part in training.losses.reshape(3, STEPS)]
        assert training.history["loss"] == pytest.approx(means, rel=1e-5)

    def test_everything_is_counted(self) -> None:
        """Rates as given, in float32; updates and examples with the short last batch of every epoch."""
        training = trainer("rich").train(CURVE, SEED, validations=3)
        np.testing.assert_array_equal(training.rates, CURVE.astype(np.float32))
        assert (training.steps_per_epoch, training.validation_steps, training.examples) == (STEPS, STEPS, 600)
        assert training.diverged == ""
        assert training.seconds > 0
        partial = trainer("rich").train(CURVE[:9], SEED, validations=0)
        assert partial.examples == 200 + 2 * BATCH

    def test_validation_is_of_the_weights_at_that_time(self) -> None:
        """The last validation is what NumPy computes from the network's predictions, penalties added by Keras."""
        engine, data = trainer("plain"), digits()
        training = engine.train(CURVE, SEED, validations=3)
        probabilities = engine.model.predict(data.x_val / np.float32(16), verbose=0)
        of_truth = probabilities[np.arange(100), data.y_val]
        assert training.history["val_loss"][-1] == pytest.approx(-np.log(of_truth).mean(), rel=1e-4)
        assert training.history["val_accuracy"][-1] == pytest.approx((probabilities.argmax(1) == data.y_val).mean())

    def test_regression_is_measured_by_squared_and_absolute_error(self) -> None:
        """Labels [n] against outputs [n, 1] are compared one by one, on tables scaled by column."""
        engine, data = trainer("table"), digits_table()
        measured = engine.train(np.full(2 * STEPS, 0.01), SEED, validations=1, test=True).test
        scaled = (data.x_test - data.scaling.offset) / data.scaling.scale
        errors = engine.model.predict(scaled.astype(np.float32), verbose=0)[:, 0] - data.y_test
        assert measured is not None
        assert measured["loss"] == pytest.approx((errors**2).mean(), rel=1e-4)
        assert measured["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
        assert measured["loss"] < data.y_test.var()
