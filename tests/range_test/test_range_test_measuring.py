"""Measurements while the rate grows: the true loss of each batch, on small real networks."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.range_test import range_test
from tests.range_test.networks import SHORT, network


class TestWhatIsMeasured:
    def test_the_loss_of_each_batch_before_its_update_at_its_rate(self) -> None:
        """Least squares with one weight, trained by hand: w -= rate * d loss / d w, with an L2 penalty."""
        x = np.random.default_rng(0).normal(size=(64, 1)).astype(np.float32)
        y = 3 * x
        penalty = keras.regularizers.L2(0.1)
        model = keras.Sequential(
            [keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer=penalty)]
        )
        model.compile("sgd", "mean_squared_error")
        found = range_test(model, (x, y), batch_size=64, lr_min=1e-3, lr_max=0.5, **SHORT)
        weight, expected = 1.0, []
        for rate in found.rates:
            expected.append(float(np.mean((weight * x - y) ** 2)) + 0.1 * weight**2)
            weight -= rate * (float(np.mean(2 * x * (weight * x - y))) + 0.2 * weight)
        assert found.losses[0] == pytest.approx(expected, rel=1e-4)

    def test_accumulated_gradients_make_one_update(self, digits: Any) -> None:
        """Four batches of 8 with accumulation are one batch of 32: as many updates, and the same losses."""
        whole = range_test(network("sgd", plain=True), digits, lr_max=1.0, **SHORT)
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=4)
        options = {**SHORT, "lr_max": 1.0, "batch_size": 8, "validation_data": digits}
        parts = range_test(network(accumulating, plain=True), digits, **options)
        assert parts.losses == pytest.approx(whole.losses, rel=1e-3)
        assert np.flatnonzero(np.isfinite(parts.val_losses[0])).tolist() == [9, 19, 29]
        assert np.ptp(whole.losses) > 0.1

    def test_a_seed_fixes_order_and_dropout(self, digits: Any) -> None:
        """The same seed gives the same losses; another order or other dropped units do not."""
        model = network()
        nothing_learnt: dict[str, Any] = {"lr_min": 1e-9, "lr_max": 1e-8, "widenings": 0}  # so that all are swept
        found = range_test(model, digits, seeds=[4, 5, 4], updates=30, **nothing_learnt).losses
        assert np.array_equal(found[0], found[2])
        assert not np.array_equal(found[0], found[1])
        one_batch = range_test(model, digits, batch_size=1792, seeds=2, updates=20, **nothing_learnt).losses
        assert one_batch[0, 0] != one_batch[1, 0]

    def test_weights_are_the_users_own_unless_asked_otherwise(self, digits: Any) -> None:
        """With all data in one batch and no dropout, the seeds' first losses differ by the initial weights alone."""
        model = network(plain=True)
        own = model.evaluate(*digits, verbose=0)[0]
        options: dict[str, Any] = {"batch_size": 1792, "seeds": 2, "updates": 20, "widenings": 0}
        kept = range_test(model, digits, **options).losses[:, 0]
        drawn = range_test(model, digits, reinitialize=True, **options).losses[:, 0]
        assert kept == pytest.approx([own, own], rel=1e-5)
        assert abs(drawn[0] - drawn[1]) > 1e-3

    def test_validation_loss_on_a_fixed_sample(self, digits: Any) -> None:
        """Every tenth update; at rates that change nothing it is the model's own, without dropout."""
        model = network()
        own = model.evaluate(*digits, verbose=0)[0]
        found = range_test(model, digits, validation_data=digits, lr_min=1e-20, lr_max=1e-19, **SHORT)
        measured = np.flatnonzero(np.isfinite(found.val_losses[0]))
        assert measured.tolist() == [9, 19, 29]
        assert found.val_losses[0, 9] == pytest.approx(own, rel=0.05)  # evaluate averages the penalty over batches

    @pytest.mark.parametrize("compiled", [{"run_eagerly": True}, {"jit_compile": False}])
    def test_however_the_model_was_compiled(self, compiled: dict[str, Any], digits: Any) -> None:
        """Eagerly or not, the losses are the same."""
        reference = range_test(network(plain=True), digits, **SHORT).losses
        assert range_test(network(plain=True, **compiled), digits, **SHORT).losses == pytest.approx(reference, rel=1e-4)

    def test_scaled_losses_are_distinguished_from_the_true_ones(self, digits: Any) -> None:
        """A loss-scaling optimizer multiplies the loss for its gradients only."""
        scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=1024.0)
        reference = range_test(network(keras.optimizers.SGD(), plain=True), digits, **SHORT).losses
        assert range_test(network(scaling, plain=True), digits, **SHORT).losses == pytest.approx(reference, rel=1e-4)
