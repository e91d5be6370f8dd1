"""Verdicts: answers, and refusals with their reasons."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.range_test import analyse
from pipeline.schedules import Array, sweep
from tests.range_test.curves import assert_sound, recorded, synthetic

ROOT = Path(__file__).parent.parent.parent


class TestVerdicts:
    def test_a_clean_curve_gives_its_landmarks(self) -> None:
        """Closed form of the logistic: a tenth of the fall is done at log10(rate / centre) = -ln(9) / 4."""
        rates, losses = synthetic(centre=1e-2, breaks_at=1.0)
        found = analyse(rates, losses, smoothing=0.0)
        assert found.divergence_lr == pytest.approx(1.0, rel=0.06)
        assert found.lr_low == pytest.approx(1e-2 * 10 ** (-np.log(9) / 4), rel=0.06)
        assert found.suggested_lr == pytest.approx((1e-2 * 1.0 / 2 * 1.0 / 8) ** (1 / 3), rel=0.06)
        assert found.lr_high == pytest.approx(1.0, rel=0.06)

    def test_without_divergence_it_is_left_out(self) -> None:
        """A loss that rises by less than half of its fall."""
        rates, losses = synthetic(breaks_at=np.inf)
        losses[:, rates > 1.0] += 0.5
        found = analyse(rates, losses, smoothing=0.0)
        assert (found.verdict, found.divergence_lr) == ("ok", None)
        assert found.suggested_lr == pytest.approx((1e-2 * 1.0 / 2) ** 0.5, rel=0.06)
        assert "nothing diverged" in found.reason

    def test_seeds_far_apart_are_refused(self) -> None:
        """One seed learns two decades later than the others; `max_spread` allows it."""
        rates, losses = synthetic(centre=1e-3, breaks_at=0.01)
        losses[2] = synthetic(centre=1e-1, breaks_at=1.0)[1][0]
        losses[:2, rates > 0.01] = np.nan
        found = analyse(rates, losses)
        assert (found.verdict, found.edge) == ("refused", None)
        assert "2 decades apart" in found.reason
        assert analyse(rates, losses, max_spread=2.5).verdict == "ok"

    def test_a_seed_that_does_not_learn_is_a_disagreement(self) -> None:
        """Two of three fall, one stays where it is."""
        rates, losses = synthetic(noise=0.02)
        losses[1] = 2.3 + np.random.default_rng(2).normal(0.0, 0.02, rates.size)
        found = analyse(rates, losses)
        assert "2 of 3 seeds" in found.reason
        assert found.seed_suggestions[1] is None

    @pytest.mark.parametrize(
        ("losses", "reason"),
        [(np.full((3, 100), np.nan), "not a number"), (np.full((1, 10), 2.3), "at least 20")],
        ids=["all NaN", "ten updates"],
    )
    def test_too_little_to_read_is_refused(self, losses: Array, reason: str) -> None:
        """A verdict, not a crash."""
        found = analyse(sweep(1e-6, 1.0, losses.shape[1]), losses)
        assert found.verdict == "refused"
        assert reason in found.reason

    def test_divergence_at_once_asks_for_smaller_rates(self) -> None:
        """NaN at the third update."""
        losses = np.full((2, 100), 2.3)
        losses[:, 2:] = np.nan
        found = analyse(sweep(1.0, 10.0, 100), losses)
        assert found.edge == "low"
        assert found.divergence_lr == sweep(1.0, 10.0, 100)[2]
        assert "diverged at once" in found.reason

    def test_the_band_is_for_plotting(self) -> None:
        """Median between lowest and highest, NaN only where no seed arrived."""
        rates, losses = recorded("regression_nan")
        found = analyse(rates, losses)
        reached = np.isfinite(losses).any(axis=0)
        assert np.array_equal(np.isfinite(found.median), reached)
        assert (found.band_low[reached] <= found.median[reached]).all()
        assert (found.median[reached] <= found.band_high[reached]).all()

    def test_one_seed_may_come_as_a_row(self) -> None:
        """float[updates] is float[1, updates]."""
        rates, losses = synthetic(noise=0.02, seeds=1)
        assert analyse(rates, losses[0]).suggested_lr == analyse(rates, losses).suggested_lr

    @pytest.mark.parametrize(
        ("rates", "shape"),
        [(np.arange(1.0, 30), (3, 30)), (np.arange(30.0), (1, 30)), (-np.arange(-30.0, 0), (1, 30)), ([], (1, 0))],
        ids=["lengths differ", "rate of zero", "falling", "empty"],
    )
    def test_misshapen_input_is_an_error(self, rates: npt.ArrayLike, shape: tuple[int, int]) -> None:
        """A fault of the caller, not of the sweep."""
        with pytest.raises(ValueError, match="rates"):
            analyse(rates, np.ones(shape))

    @given(st.floats(1e-4, 0.1), st.floats(5, 100), st.floats(0.0, 0.3), st.floats(0.01, 100), st.floats(0.01, 100))
    def test_units_do_not_matter(self, centre: float, gap: float, noise: float, loss_unit: float, unit: float) -> None:
        """Losses in another unit give the same rates, rates in another unit the same answer in that unit; all sound."""
        rates, losses = synthetic(centre, centre * gap, noise)
        found = analyse(rates, losses)
        assert_sound(found)
        scaled = analyse(rates * unit, losses * loss_unit)
        assert scaled.verdict == found.verdict
        assert scaled.edge == found.edge
        if found.suggested_lr is not None:
            assert scaled.suggested_lr == pytest.approx(found.suggested_lr * unit)

    @given(st.lists(st.lists(st.floats(-5, 5) | st.just(np.nan), min_size=25, max_size=25), min_size=1, max_size=3))
    def test_any_losses_give_a_sound_verdict(self, losses: list[list[float]]) -> None:
        """Nonsense in, a refusal or a rate within bounds out, never an exception."""
        assert_sound(analyse(sweep(1e-5, 1.0, 25), losses))


def test_importing_it_loads_numpy_alone() -> None:
    """Analysis is for every machine and fast to start: no SciPy, no TensorFlow, no pydantic."""
    code = "import sys, pipeline.range_test; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"scipy", "tensorflow", "keras", "pydantic", "pandas", "mlflow", "optuna", "matplotlib"}
