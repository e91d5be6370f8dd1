"""Trainings of the user's own compiled model: batches, one traced program, one rule of divergence."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.errors import InputError
from pipeline.evaluation import SWEEP, Candidate, Evaluation, Training, answers
from pipeline.training import InProcess, Problem, own_model
from pipeline.training.own_model import OwnModel, model_kept
from tests.training.networks import BATCH, STEPS, constant, digits

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10, dtype=np.int64)
FLAT = Candidate(scheme="constant", initial_lr=1e-3, optimizer="sgd", batch_size=10, params={})


def seen(batches: own_model.Batches, seed: int, count: int) -> list[list[int]]:
    """Return the labels of each batch."""
    return [np.asarray(batch[1]).tolist() for batch in batches(seed, count)]


def gathered(data: Any, batch_size: int) -> own_model.Batches:
    """Return the batches of arrays that are passed through Keras."""
    return own_model._gathered(own_model._tensors(data), own_model._order(data, batch_size))


def linear(optimizer: Any = "sgd", **compiled: Any) -> keras.Model:
    """Return one dense layer, compiled."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile(optimizer, "mean_squared_error", **compiled)
    return model


def own(model: keras.Model, **options: Any) -> OwnModel:
    """Return what trains a model on all examples in each update."""
    return OwnModel(model, (X, Y), reinitialize=False, **{"batch_size": 10, **options})


def trained(executor: OwnModel | InProcess, rate: float, updates: int, seed: int = 0) -> Training:
    """Train at one rate, in one part without validation."""
    evaluation = Evaluation(FLAT.model_copy(update={"initial_lr": rate}), updates, seed, validations=0)
    return answers(executor.ask, [evaluation])[0]


class TestArrayBatches:
    def test_every_epoch_has_every_example_once_in_the_seeds_own_order(self) -> None:
        """Three batches an epoch, the last one short; the same seed gives the same order."""
        batches = gathered((X, Y), 4)
        first = seen(batches, 0, 6)
        assert [len(batch) for batch in first] == [4, 4, 2, 4, 4, 2]
        assert sorted(np.concatenate(first[:3])) == sorted(np.concatenate(first[3:])) == Y.tolist()
        assert first[:3] != first[3:]
        assert seen(batches, 0, 6) == first != seen(batches, 1, 6)

    def test_examples_stay_with_their_labels_and_weights_in_any_structure(self) -> None:
        """Several named inputs and sample weights."""
        data = ({"a": X, "b": 2 * X.astype(np.float64)}, Y, Y / 10)
        for inputs, labels, weights in gathered(data, 3)(0, 8):
            assert np.array_equal(inputs["a"], X[labels])
            assert np.array_equal(inputs["b"], 2 * X[labels])
            assert np.asarray(weights) == pytest.approx(np.asarray(labels) / 10)
            assert inputs["b"].dtype == tf.float32

    def test_they_are_not_tuned(self) -> None:
        """The end of a sweep would at times wait seconds for TensorFlow's tuner."""
        assert not gathered((X, Y), 4)(0, 6).options().autotune.enabled

    @pytest.mark.parametrize("data", [(X, Y[:-1]), (X[:0], Y[:0])], ids=["lengths differ", "empty"])
    def test_arrays_that_do_not_fit_are_refused(self, data: Any) -> None:
        """The error says which lengths were received."""
        with pytest.raises(InputError, match="received arrays of lengths"):
            gathered(data, 4)


class TestDatasetBatches:
    def test_batches_are_the_users_own_as_often_as_needed(self) -> None:
        """Five batches of two, asked for twelve: none is cut up, and the seeds differ in order."""
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)

        def batches(seed: int, count: int) -> tf.data.Dataset:
            return own_model._shuffled(data, seed, count)

        first = seen(batches, 0, 12)
        assert len(first) == 12
        assert {tuple(batch) for batch in first} <= {(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)}
        assert seen(batches, 0, 12) == first != seen(batches, 1, 12)


class TestSample:
    @pytest.mark.parametrize(
        "data", [(X, Y), tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)], ids=["arrays", "set"]
    )
    def test_it_is_the_same_every_time_and_never_too_large(self, data: Any) -> None:
        """At most so many examples, as one batch; all of them where there are fewer."""
        assert sorted(np.asarray(own_model.sample(data)[1]).tolist()) == Y.tolist()
        labels = np.asarray(own_model.sample(data, count=4)[1])
        assert len(labels) == 4
        assert np.array_equal(np.asarray(own_model.sample(data, count=4)[1]), labels)


class TestOwnModel:
    @pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
    def test_one_program_serves_all_trainings(self, eager: bool) -> None:
        """Of any length, over any rates, from any seed: `call` runs in Python only while it is traced."""
        traced = []

        class Counting(layers.Dense):  # type: ignore[misc]
            def call(self, inputs: Any) -> Any:
                traced.append(1)
                return super().call(inputs)

        model = keras.Sequential([keras.Input((2,)), Counting(1)])
        model.compile("sgd", "mean_squared_error", run_eagerly=eager)
        trainer = own(model, batch_size=4)
        counts = []
        for seed, length in enumerate((20, 43, 2)):
            trained(trainer, 1e-9, length, seed)
            counts.append(len(traced))
        assert counts[0] > 0
        assert (counts[0] == counts[2]) is not eager

    def test_it_starts_anew_every_time(self) -> None:
        """The first loss is that of the model's own weights, however far the last training went."""
        model = linear()
        with model_kept(model):
            trainer = own(model)
            first, again = (trained(trainer, 1e-3, 20).losses for _ in range(2))
        assert np.array_equal(first, again)
        assert first[-1] < first[0] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)

    def test_the_users_optimizer_settings_are_used(self) -> None:
        """Clipped to almost nothing, no rate moves the weights."""
        losses = trained(own(linear(keras.optimizers.SGD(clipnorm=1e-12))), 0.1, 20).losses
        assert np.ptp(losses) < 1e-5 * losses[0]

    def test_layers_train_at_their_multiples_of_the_rate(self) -> None:
        """And the model keeps its own optimizer, which knows nothing of them."""
        model, other = linear(keras.optimizers.SGD(momentum=0.9)), linear(keras.optimizers.SGD(momentum=0.9))
        other.set_weights(model.get_weights())
        model.lr_multipliers = {"dense*": 0.25}
        with model_kept(model):
            scaled = trained(own(model), 4e-3, 20)
        assert scaled.losses == pytest.approx(trained(own(other), 1e-3, 20).losses, rel=1e-4)
        assert scaled.rates[0] == np.float32(4e-3)
        assert "update_step" not in vars(model.optimizer)

    def test_losses_end_where_the_training_diverged(self) -> None:
        """Everything before is as it was measured."""
        training = trained(own(linear()), 1e3, 200)
        assert training.diverged.startswith("loss is ")
        assert len(training.losses) == len(training.rates) == 50
        finite = np.isfinite(training.losses)
        assert 0 < finite.sum() < 50
        assert not finite[finite.sum() :].any()

    def test_accumulated_batches_are_counted_as_one_update(self) -> None:
        """Rates, losses and epochs are those of updates: two batches of five make one of ten."""
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
        parts, whole = own(linear(accumulating), batch_size=5), own(linear())
        assert (parts.accumulated, parts.steps_per_epoch) == (2, whole.steps_per_epoch) == (2, 1)
        training = trained(parts, 1e-4, 12)
        assert training.rates.tolist() == [np.float32(1e-4)] * 12
        assert (training.losses.shape, training.epochs) == ((12,), 12.0)

    def test_metrics_and_loss_that_were_never_called_stay_so(self) -> None:
        """Keras builds them at their first call, which is for the user's own training; values in them stay."""
        metric = keras.metrics.MeanAbsoluteError()
        metric.update_state([1.0], [3.0])
        model = linear(metrics=[metric, "mse"])
        loss, metrics = model._compile_loss, model._compile_metrics
        with model_kept(model):
            trained(own(model, validation_data=(X, Y)), 1e-3, 20)
        assert (model._compile_loss, model._compile_metrics) == (loss, metrics)
        assert not loss.built
        assert not metrics.built
        assert float(metric.result()) == 2.0
        assert set(model.fit(X, Y, verbose=0).history) == {"loss", "mean_absolute_error", "mse"}

    def test_compiled_functions_are_neither_used_nor_lost(self) -> None:
        """A model that was trained and evaluated before keeps what Keras compiled for that."""
        model = linear()
        model.fit(X, Y, verbose=0)
        model.evaluate(X, Y, verbose=0)
        compiled = model.train_function, model.test_function, model.train_step, model.compute_loss
        with model_kept(model):
            trained(own(model, validation_data=(X, Y)), 1e-3, 20)
        assert (model.train_function, model.test_function, model.train_step, model.compute_loss) == compiled


@pytest.fixture(scope="module")
def executors() -> dict[str, Any]:
    """Return all ways to train the same network with the same weights on the same data."""
    splits = digits()
    x, y = splits.x_train / np.float32(16), splits.y_train

    def compiled(eager: bool = False) -> keras.Model:
        model = constant()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=eager)
        return model

    def on(model: keras.Model, **options: Any) -> OwnModel:
        return OwnModel(model, (x, y), batch_size=BATCH, reinitialize=False, **options)

    return {
        "stage": InProcess(Problem(constant, splits, momentum=0.0, precision="float32")),
        "arrays": on(compiled()),
        "validated": on(compiled(), validation_data=(x[:10], y[:10])),
        "eager": on(compiled(eager=True)),
    }


class TestOneRuleOfDivergence:
    """A training diverges at the same update, whether the stage asks for it or the Python API."""

    @pytest.mark.parametrize("way", ["arrays", "validated", "eager"])
    @pytest.mark.parametrize(
        ("lowest", "highest", "says"),
        [(1e-3, 1e3, "times its start"), (1e37, 1e38, "loss is inf at update"), (1e-3, 0.1, "")],
        ids=["rises", "breaks", "learns"],
    )
    def test_it_is_the_same(
        self, way: str, lowest: float, highest: float, says: str, executors: dict[str, Any]
    ) -> None:
        """Reason, number of updates and losses, for sweeps that rise, break or do neither."""
        params: dict[str, Any] = {"lr_max": highest, "spacing": "exponential"}
        candidate = Candidate(scheme=SWEEP, initial_lr=lowest, optimizer="sgd", batch_size=BATCH, params=params)
        evaluation = Evaluation(candidate, 120 / STEPS, seed=0, validations=0)
        expected, training = (answers(executors[name].ask, [evaluation])[0] for name in ("stage", way))
        assert says in expected.diverged
        assert bool(says) == bool(expected.diverged)
        assert training.diverged == expected.diverged
        assert len(training.losses) == len(expected.losses)
        np.testing.assert_allclose(training.losses, expected.losses, rtol=1e-3)
