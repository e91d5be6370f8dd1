"""Reduce on plateau beyond Keras' callback: fractions of the training, warm-up, resuming."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.schedules import Array, Value, curve, rewriter

STALLED = [1.0, *[0.5] * 39]


def rates_of_training(losses: list[float], epochs: int, params: dict[str, Value]) -> Array:
    """Return the rate of each epoch of 5 updates when every epoch ends with these losses."""
    rates = curve("reduce_on_plateau", steps=5 * epochs, steps_per_epoch=5, initial_lr=0.1, params=params)
    rewrite = rewriter("reduce_on_plateau", params)
    assert rewrite is not None
    for epoch in range(epochs):
        rates = rewrite(rates, 5 * (epoch + 1), losses[: epoch + 1])
    return rates


def test_patience_is_a_fraction_of_the_training() -> None:
    """A tenth of 20 epochs is 2 validations, of 40 epochs 4; less than one counts as one."""
    half: dict[str, Value] = {"factor": 0.5, "patience": 0.1}
    for epochs, patience in ((20, 2), (40, 4), (4, 1)):
        per_epoch = rates_of_training(STALLED, epochs, half)[::5]
        epoch = np.arange(epochs)
        assert_allclose(per_epoch, 0.1 * 0.5 ** (np.maximum(epoch - 2, 0) // patience))


def test_past_rates_are_not_rewritten() -> None:
    """Only rates from the given update on change, in a new array."""
    rates = curve("reduce_on_plateau", steps=100, steps_per_epoch=10, initial_lr=0.1)
    rewrite = rewriter("reduce_on_plateau", {"factor": 0.5, "patience": 1, "unit": "epoch"})
    assert rewrite is not None
    rewritten = rewrite(rates, 30, [1.0, 0.5, 0.5])
    assert_array_equal(rates, np.full(100, 0.1))
    assert_allclose(rewritten, [0.1] * 30 + [0.05] * 70)


def test_rewriting_again_changes_nothing() -> None:
    """The rate follows from the whole history, so a resumed training may repeat its last validation."""
    rates = curve("reduce_on_plateau", steps=100, steps_per_epoch=10, initial_lr=0.1)
    rewrite = rewriter("reduce_on_plateau", {"patience": 1, "unit": "epoch"})
    assert rewrite is not None
    once = rewrite(rates, 30, [1.0, 0.5, 0.5])
    assert_array_equal(rewrite(once, 30, [1.0, 0.5, 0.5]), once)


def test_warm_up_is_no_plateau() -> None:
    """Validations during the warm-up neither lower the rate nor count as the best so far."""
    params: dict[str, Value] = {"factor": 0.5, "patience": 2, "unit": "epoch", "warmup": 0.5}
    rates = rates_of_training([0.1, 0.1, 0.1, 0.1, 0.1, 9.0, 8.0, 8.0, 8.0, 8.0], 10, params)
    assert_allclose(rates[:25], 0.1 * np.arange(25) / 25)
    assert_allclose(rates[25::5], [0.1, 0.1, 0.1, 0.1, 0.05])


def test_a_loss_that_is_not_a_number_is_no_improvement() -> None:
    """A diverging training has its rate lowered."""
    rates = rates_of_training(
        [1.0, float("nan"), float("nan"), 2.0], 4, {"factor": 0.5, "patience": 1, "unit": "epoch"}
    )
    assert_allclose(rates[::5], [0.1, 0.1, 0.05, 0.025])
