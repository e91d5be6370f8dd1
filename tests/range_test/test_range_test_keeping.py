"""The user's model is left as it was, bit for bit."""

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.optimizers import OPTIMIZERS, create
from pipeline.range_test import range_test
from pipeline.usages import usage
from tests.range_test.networks import SHORT, network, state


def draws() -> tuple[float, ...]:
    """Return the next random numbers of Python, NumPy, and TensorFlow with and without its generator."""
    generator = tf.random.get_global_generator()
    return random.random(), np.random.random(), float(generator.uniform(())), float(tf.random.uniform(()))


class TestTheModelIsLeftAsItWas:
    @pytest.mark.parametrize("name", [name for name in OPTIMIZERS if not usage(name).unswept])
    def test_bit_for_bit_with_every_optimizer(self, name: str, digits: Any) -> None:
        """In the middle of a training: weights, statistics, dropout seeds, optimizer, iterations, metrics."""
        model = network(create(name, 1e-3, 0.9))
        model.fit(*digits, epochs=1, verbose=0)
        optimizer, before = model.optimizer, state(model)
        found = range_test(model, digits, validation_data=digits, **SHORT)
        assert found.losses.shape == (1, 30)
        assert state(model) == before
        assert model.optimizer is optimizer
        assert int(optimizer.iterations) == 56
        assert float(optimizer.learning_rate) == np.float32(1e-3)

    def test_weights_alone_are_not_all_that_a_sweep_changes(self, digits: Any) -> None:
        """With only the weights put back, the next training differs, by optimizer and dropout."""

        def next_losses(sweep: Callable[[keras.Model], object]) -> list[float]:
            model = network(keras.optimizers.Adam(1e-3))
            model.fit(*digits, epochs=1, verbose=0, shuffle=False)
            sweep(model)
            losses: list[float] = model.fit(*digits, epochs=1, verbose=0, shuffle=False).history["loss"]
            return losses

        def weights_alone(model: keras.Model) -> None:
            weights = model.get_weights()
            model.fit(*digits, epochs=1, verbose=0, shuffle=False)
            model.set_weights(weights)

        untouched = next_losses(lambda model: None)
        assert next_losses(lambda model: range_test(model, digits, **SHORT)) == untouched
        assert next_losses(weights_alone) != untouched

    def test_the_next_training_is_the_same(self, digits: Any) -> None:
        """A twin that was never swept gives the same losses to the last digit, dropout included."""
        histories = []
        for swept in (False, True):
            model = network(keras.optimizers.Adam(1e-3))
            if swept:
                range_test(model, digits, **SHORT)
            keras.utils.set_random_seed(3)
            histories.append(model.fit(*digits, epochs=2, verbose=0, shuffle=False).history)
        assert histories[0] == histories[1]

    def test_a_schedule_object_stays(self, digits: Any) -> None:
        """The rate is swept although the optimizer was compiled with a schedule, which Keras does not let one set."""
        schedule = keras.optimizers.schedules.CosineDecay(1e-3, 100)
        model = network(keras.optimizers.SGD(schedule, momentum=0.9))
        config, before = model.optimizer.get_config(), state(model)
        range_test(model, digits, **SHORT)
        assert state(model) == before
        assert model.optimizer.get_config() == config

    def test_random_states_are_those_without_a_sweep(self, digits: Any) -> None:
        """Also where the weights are drawn anew for every seed."""
        model, seen = network(), []
        for swept in (False, True):
            keras.utils.set_random_seed(11)
            tf.random.get_global_generator().reset_from_seed(5)
            if swept:
                range_test(model, digits, reinitialize=True, **SHORT)
            seen.append(draws())
        assert seen[0] == seen[1]

    def test_after_divergence(self, digits: Any) -> None:
        """NaN in the weights, and none of it stays."""
        model = network(plain=True)
        before = state(model)
        found = range_test(model, digits, lr_max=1e38, seeds=1, updates=200, widenings=0)
        assert np.isnan(found.losses).any()
        assert state(model) == before

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_after_an_exception(self, error: type[BaseException], digits: Any) -> None:
        """Raised in the sixth update, when the weights had moved."""
        kernels: list[bytes] = []

        class Breaks(layers.Layer):  # type: ignore[misc]
            def call(self, inputs: Any) -> Any:
                kernels.append(np.asarray(model.layers[0].kernel).tobytes() if model.compiled else b"")
                if len(kernels) > 6:
                    raise error
                return inputs

        model = keras.Sequential([keras.Input((64,)), layers.Dense(16)])
        model.add(Breaks())
        model.add(layers.Dense(10, "softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        before = state(model)
        with pytest.raises(error):
            range_test(model, digits, lr_min=1e-2, lr_max=1.0, **SHORT)
        assert kernels[-1] != kernels[1]
        assert state(model) == before

    def test_several_outputs_with_losses_and_metrics_by_name(self, digits: Any) -> None:
        """Keras then has a metric for each loss; the sweep leaves none behind, before or after a first training."""
        x, y = digits
        labels = {"code": y, "size": y.astype(np.float32) / 10}
        inputs = keras.Input((64,))
        outputs = {"code": layers.Dense(10, "softmax", name="code"), "size": layers.Dense(1, name="size")}
        model = keras.Model(inputs, {name: layer(inputs) for name, layer in outputs.items()})
        losses = {"code": "sparse_categorical_crossentropy", "size": "mse"}
        model.compile("adam", losses, loss_weights={"code": 1.0, "size": 0.1}, metrics={"code": ["accuracy"]})
        for _ in range(2):
            before = state(model)
            found = range_test(model, (x, labels), validation_data=(x, labels), **SHORT)
            assert np.isfinite(found.losses).all()
            assert state(model) == before
            history = model.fit(x, labels, verbose=0).history
            assert set(history) == {"loss", "code_loss", "size_loss", "code_accuracy"}

    def test_penalties_can_still_be_read(self, digits: Any) -> None:
        """No tensor of the swept program is left in the layers."""
        model = network()
        range_test(model, digits, **SHORT)
        assert all(np.isfinite(float(loss)) for loss in model.losses)
