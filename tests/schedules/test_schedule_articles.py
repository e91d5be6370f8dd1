"""Both articles' formulas, computed here a second time as the articles state them: a loop over epochs."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.schedules import ARTICLE_FORMS, curve

EPOCHS = 40
STEPS_PER_EPOCH = 5
LR0 = 0.01

CLOSED: dict[str, Callable[[int], float]] = {
    "geeksforgeeks_step": lambda epoch: LR0 * 0.5 ** math.floor(epoch / 5),
    "geeksforgeeks_exponential": lambda epoch: LR0 * math.exp(-0.1 * epoch),
    "geeksforgeeks_inverse_time": lambda epoch: LR0 / (1 + 0.1 * epoch),
    "geeksforgeeks_polynomial": lambda epoch: LR0 * (1 - epoch / EPOCHS) ** 2.0,
    "geeksforgeeks_basic": lambda epoch: LR0 / (1 + 0.5 * (epoch // 5)),
    "machinecurve_step": lambda epoch: LR0 * 0.5 ** math.floor((1 + epoch) / 15),
    "machinecurve_exponential": lambda epoch: LR0 * math.exp(-0.1 * epoch),
}


@pytest.mark.parametrize("name", CLOSED)
def test_each_epoch_has_the_articles_rate(name: str) -> None:
    """A formula of the epoch gives the rate of all updates of that epoch."""
    expected = np.repeat([CLOSED[name](epoch) for epoch in range(EPOCHS)], STEPS_PER_EPOCH)
    assert_allclose(article_curve(name), expected, rtol=1e-12)


def test_linear_subtracts_before_the_first_epoch_and_stops_at_zero() -> None:
    """MachineCurve's linear decay takes the first step down before the first epoch."""
    expected, rate = [], 3e-4
    for _ in range(EPOCHS):
        rate = max(rate - 0.00001, 0)
        expected += [rate] * STEPS_PER_EPOCH
    assert_allclose(article_curve("machinecurve_linear", initial_lr=3e-4), expected, rtol=1e-9, atol=1e-18)
    assert expected[-1] == 0


def test_time_decay_compounds() -> None:
    """MachineCurve's time decay divides the rate of the epoch before."""
    expected, rate = [], LR0
    for epoch in range(EPOCHS):
        rate = rate / (1 + 0.0000015 * epoch)
        expected += [rate] * STEPS_PER_EPOCH
    assert_allclose(article_curve("machinecurve_time"), expected, rtol=1e-12)


def test_experiment_ends_at_the_printed_rate() -> None:
    """GeeksforGeeks' 15 epochs of 1,875 updates end at the rate that its program prints, computed in float32."""
    scheme, params = ARTICLE_FORMS["geeksforgeeks_experiment"]
    training = {"steps": 28_125, "steps_per_epoch": 1_875}
    rates = curve(scheme, initial_lr=0.1, params=params, **training)
    assert_allclose(rates[-1], 0.1 * 0.96**28, rtol=1e-14)
    assert_allclose(rates[-1], 0.031885575503110886, rtol=1e-6)
    in_float32 = {**params, "decay_rate": float(np.float32(0.96))}
    rates = curve(scheme, initial_lr=float(np.float32(0.1)), params=in_float32, **training)
    assert float(np.float32(rates[-1])) == 0.031885575503110886


def test_no_form_of_the_articles_goes_untested() -> None:
    """Every form of the table is compared above."""
    apart = {"machinecurve_linear", "machinecurve_time", "geeksforgeeks_experiment"}
    assert set(ARTICLE_FORMS) == set(CLOSED) | apart


def article_curve(name: str, initial_lr: float = LR0) -> np.ndarray:
    """Return the curve of an article's form."""
    scheme, params = ARTICLE_FORMS[name]
    return curve(
        scheme, steps=EPOCHS * STEPS_PER_EPOCH, steps_per_epoch=STEPS_PER_EPOCH, initial_lr=initial_lr, params=params
    )
