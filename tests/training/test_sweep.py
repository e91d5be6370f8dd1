"""The parts that sweep a compiled model: batches in a seed's order, one traced program, kept state."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.errors import InputError
from pipeline.training import sweep

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10, dtype=np.int64)


def seen(batches: sweep.Batches, seed: int, count: int) -> list[list[int]]:
    """The labels of each batch."""
    return [np.asarray(batch[1]).tolist() for batch in batches(seed, count)]


def linear(**compiled: Any) -> keras.Model:
    """One dense layer, compiled."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(), "mean_squared_error", **compiled)
    return model


class TestArrayBatches:
    def test_every_epoch_has_every_example_once_in_the_seeds_own_order(self) -> None:
        """Three batches an epoch, the last one short; the same seed gives the same order."""
        batches = sweep.array_batches((X, Y), 4)
        first = seen(batches, 0, 6)
        assert [len(batch) for batch in first] == [4, 4, 2, 4, 4, 2]
        assert sorted(np.concatenate(first[:3])) == sorted(np.concatenate(first[3:])) == Y.tolist()
        assert first[:3] != first[3:]
        assert seen(batches, 0, 6) == first != seen(batches, 1, 6)

    def test_examples_stay_with_their_labels_and_weights_in_any_structure(self) -> None:
        """Several named inputs and sample weights."""
        data = ({"a": X, "b": 2 * X.astype(np.float64)}, Y, Y / 10)
        for inputs, labels, weights in sweep.array_batches(data, 3)(0, 8):
            assert np.array_equal(inputs["a"], X[labels])
            assert np.array_equal(inputs["b"], 2 * X[labels])
            assert np.asarray(weights) == pytest.approx(np.asarray(labels) / 10)
            assert inputs["b"].dtype == tf.float32

    def test_they_are_not_tuned(self) -> None:
        """The end of a sweep would at times wait seconds for TensorFlow's tuner."""
        assert not sweep.array_batches((X, Y), 4)(0, 6).options().autotune.enabled

    @pytest.mark.parametrize("data", [(X, Y[:-1]), (X[:0], Y[:0])], ids=["lengths differ", "empty"])
    def test_arrays_that_do_not_fit_are_refused(self, data: Any) -> None:
        """The error says which lengths were received."""
        with pytest.raises(InputError, match="received arrays of lengths"):
            sweep.array_batches(data, 4)


class TestDatasetBatches:
    def test_batches_are_the_users_own_as_often_as_needed(self) -> None:
        """Five batches of two, asked for twelve: none is cut up, and the seeds differ in order."""
        batches = sweep.dataset_batches(tf.data.Dataset.from_tensor_slices((X, Y)).batch(2))
        first = seen(batches, 0, 12)
        assert len(first) == 12
        assert {tuple(batch) for batch in first} <= {(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)}
        assert seen(batches, 0, 12) == first != seen(batches, 1, 12)


class TestSample:
    @pytest.mark.parametrize(
        "data", [(X, Y), tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)], ids=["arrays", "set"]
    )
    def test_it_is_the_same_every_time_and_never_too_large(self, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """At most SAMPLE examples, as one batch; all of them where there are fewer."""
        assert sorted(np.asarray(sweep.sample(data)[1]).tolist()) == Y.tolist()
        monkeypatch.setattr(sweep, "SAMPLE", 4)
        labels = np.asarray(sweep.sample(data)[1])
        assert len(labels) == 4
        assert np.array_equal(np.asarray(sweep.sample(data)[1]), labels)


class TestSweeper:
    def test_one_program_serves_all_sweeps(self) -> None:
        """Of any length, over any rates, from any seed: `call` runs in Python only while it is traced."""
        traced = []

        class Counting(layers.Dense):  # type: ignore[misc]
            def call(self, inputs: Any) -> Any:
                traced.append(1)
                return super().call(inputs)

        model = keras.Sequential([keras.Input((2,)), Counting(1)])
        model.compile("sgd", "mean_squared_error")
        traced.clear()
        sweeper = sweep.Sweeper(model, sweep.array_batches((X, Y), 4), reinitialize=False)
        for seed, length in enumerate((60, 130, 7)):
            sweeper.train(np.geomspace(1e-9, 1e-8, length), seed)
            if not seed:
                first = len(traced)
        assert 0 < first == len(traced)

    def test_it_starts_anew_every_time(self) -> None:
        """The first loss is that of the model's own weights, however far the last sweep went."""
        model = linear()
        sweeper = sweep.Sweeper(model, sweep.array_batches((X, Y), 10), reinitialize=False)
        with sweep.model_kept(model):
            first, again = (sweeper.train(np.full(20, 1e-3), 0)[0] for _ in range(2))
        assert np.array_equal(first, again)
        assert first[-1] < first[0] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)

    def test_the_users_optimizer_settings_are_used(self) -> None:
        """Clipped to almost nothing, no rate moves the weights."""
        model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        model.compile(keras.optimizers.SGD(clipnorm=1e-12), "mean_squared_error")
        losses, _ = sweep.Sweeper(model, sweep.array_batches((X, Y), 10), reinitialize=False).train(np.full(20, 0.1), 0)
        assert np.ptp(losses) < 1e-5 * losses[0]

    def test_losses_end_at_the_first_that_is_not_a_number(self) -> None:
        """Everything from there on is NaN, everything before is as it was measured."""
        model = linear()
        sweeper = sweep.Sweeper(model, sweep.array_batches((X, Y), 10), reinitialize=False)
        losses, _ = sweeper.train(np.full(200, 1e3), 0)
        finite = np.isfinite(losses)
        assert 0 < finite.sum() < 50
        assert not finite[finite.sum() :].any()
