"""The rates of a sweep, and smoothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_test import smooth, sweep


class TestSweep:
    @given(st.floats(1e-9, 1.0), st.floats(1.5, 1e6), st.integers(2, 400), st.sampled_from(["exponential", "linear"]))
    def test_it_rises_evenly_from_bound_to_bound(self, low: float, factor: float, updates: int, spacing: str) -> None:
        """Exactly the two bounds at the ends, equal steps in log rate or in rate between."""
        rates = sweep(low, low * factor, updates, spacing)  # type: ignore[arg-type]
        assert (rates[0], rates[-1], rates.size) == (low, low * factor, updates)
        steps = np.diff(np.log(rates) if spacing == "exponential" else rates)
        assert steps == pytest.approx(np.full(updates - 1, steps.mean()), rel=1e-6)

    @pytest.mark.parametrize(
        ("low", "high", "updates", "spacing"),
        [(0.0, 1.0, 9, "linear"), (1.0, 0.1, 9, "linear"), (0.1, np.inf, 9, "linear"), (np.nan, 1.0, 9, "linear"),
         (0.1, 1.0, 1, "linear"), (0.1, 1.0, 9, "cubic")],
    )  # fmt: skip
    def test_impossible_sweeps_are_refused(self, low: float, high: float, updates: int, spacing: str) -> None:
        """Bounds in the wrong order, no positive start, too few updates, an unknown spacing."""
        with pytest.raises(InputError, match="received"):
            sweep(low, high, updates, spacing)  # type: ignore[arg-type]


class TestSmooth:
    def test_it_is_the_normalised_weighted_mean(self) -> None:
        """Value t is the mean of losses 0..t with weights beta ** (t - i)."""
        losses, beta = np.random.default_rng(0).normal(2.0, 1.0, (3, 40)), 0.9
        expected = [
            [np.average(row[: t + 1], weights=beta ** np.arange(t, -1, -1)) for t in range(row.size)] for row in losses
        ]
        assert smooth(losses, beta) == pytest.approx(np.array(expected), rel=1e-10)

    def test_a_loss_that_is_not_finite_is_neither_averaged_nor_shown(self) -> None:
        """NaN at its own place, and the next value is as if it had not been."""
        assert smooth([1.0, np.nan, 3.0, np.inf], 0.5) == pytest.approx([1.0, np.nan, 7 / 3, np.nan], nan_ok=True)

    @pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
    def test_impossible_weights_are_refused(self, beta: float) -> None:
        """Beta must lie in [0, 1)."""
        with pytest.raises(ValueError, match="beta"):
            smooth([1.0], beta)
