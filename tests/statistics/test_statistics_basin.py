"""The basin of an initial rate, and the rate to try next to find its edges."""

from collections.abc import Callable
from math import inf, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics import basin, decades, next_rate


def parabola(rate: float) -> float:
    """A loss that is lowest at 0.1 and rises by the square of the distance in decades."""
    return log10(rate / 0.1) ** 2


class TestBasin:
    def test_the_edges_of_a_parabola(self) -> None:
        """It is within 1 of its best for one decade on either side."""
        losses = {float(rate): parabola(rate) for rate in np.geomspace(1e-4, 100, 2001)}
        centre = min(losses, key=losses.__getitem__)
        low, high = basin(losses, centre, 1.0)
        assert (low, high) == pytest.approx((0.01, 1.0), rel=1e-3)
        assert decades(low, high) == pytest.approx(2.0, rel=1e-3)

    def test_crossings_are_interpolated_in_log_rate(self) -> None:
        """The loss rises by 2 over a decade; a noise of 1 is crossed half a decade away."""
        assert basin({0.01: 2.0, 0.1: 0.0, 1.0: 4.0}, 0.1, 1.0) == pytest.approx((10**-1.5, 10**-0.75))

    def test_a_second_valley_is_not_part_of_it(self) -> None:
        """The range is contiguous around the centre."""
        assert basin({0.001: 0.0, 0.01: 9.0, 0.1: 0.0, 1.0: 9.0}, 0.1, 0.0) == pytest.approx((0.1, 0.1))

    def test_it_is_measured_from_the_best_rate_but_always_holds_the_centre(self) -> None:
        """A better neighbour lowers the threshold, never below the centre's own loss."""
        losses = {0.01: 0.36, 0.1: 0.30, 1.0: 0.20, 10.0: 0.9}
        low, high = basin(losses, 0.1, 0.05)
        assert low == pytest.approx(0.1)
        assert 1.0 < high < 10.0
        assert basin(losses, 0.1, 0.13)[0] == pytest.approx(0.1 * 10**-0.5)

    @pytest.mark.parametrize("noise", [0.5, inf])
    def test_divergence_ends_it_at_the_last_sound_rate(self, noise: float) -> None:
        """Between a sound rate and a diverged one there is nothing to interpolate, whatever the noise."""
        assert basin({0.1: 0.1, 0.01: 0.2, 1.0: inf}, 0.1, noise) == pytest.approx((0.01, 0.1))

    @pytest.mark.parametrize(
        ("losses", "centre", "noise"),
        [({0.1: 1.0}, 0.2, 0.1), ({0.1: 1.0}, 0.1, -1.0), ({0.0: 1.0}, 0.0, 0.1), ({0.1: inf}, 0.1, 0.1)],
    )
    def test_nonsense_is_refused(self, losses: dict[float, float], centre: float, noise: float) -> None:
        """A centre that is not among the rates or diverged, negative noise, or rates of zero."""
        with pytest.raises(ValueError, match="basin needs"):
            basin(losses, centre, noise)

    @given(st.dictionaries(st.floats(1e-6, 10), st.floats(0, 5), min_size=1, max_size=12), st.floats(0, 3), st.data())
    def test_it_holds_the_centre_and_grows_with_the_noise(
        self, losses: dict[float, float], noise: float, data: st.DataObject
    ) -> None:
        """Inside the rates given, and never narrower for more noise."""
        centre = data.draw(st.sampled_from(sorted(losses)))
        low, high = basin(losses, centre, noise)
        wider_low, wider_high = basin(losses, centre, noise + 1)
        slack = 1 + 1e-9
        assert min(losses) / slack <= low <= centre * slack
        assert centre / slack <= high <= max(losses) * slack
        assert wider_low <= low * slack
        assert wider_high * slack >= high


def explore(loss: Callable[[float], float], noise: float, runs: int, centre: float = 0.1) -> tuple[float, float]:
    """Try `runs` rates on each side, and return the edges in decades from the centre."""
    losses = {centre: loss(centre)}
    for side in (-1, 1):
        for _ in range(runs):
            rate = next_rate(losses, centre, noise, side)
            if rate is None:
                break
            losses[rate] = loss(rate)
    low, high = basin(losses, centre, noise)
    return log10(centre / low), log10(high / centre)


class TestNextRate:
    @pytest.mark.parametrize("width", [0.1, 0.25, 0.4, 0.8, 1.2])
    def test_three_trainings_find_the_edge_of_a_parabola(self, width: float) -> None:
        """To a tenth of a decade on either side, near or far."""
        assert explore(parabola, width**2, 3) == pytest.approx((width, width), abs=0.1)

    def test_an_edge_at_divergence_is_bisected(self) -> None:
        """Diverging at 0.5 decades: 0.3 is sound, 0.6 is not, 0.45 is."""
        low, high = explore(lambda rate: 0.0 if rate < 0.1 * 10**0.5 else inf, 0.1, 3)
        assert high == pytest.approx(0.45)
        assert low == pytest.approx(1.2)

    def test_it_stops_where_it_is_wide_enough(self) -> None:
        """No rate is tried beyond one and a half decades."""
        losses = {0.1: 0.0}
        tried = []
        while (rate := next_rate(losses, 0.1, 1.0, 1)) is not None:
            losses[rate] = 0.0
            tried.append(log10(rate / 0.1))
        assert tried == pytest.approx([0.3, 0.6, 1.2, 1.5])

    def test_it_stops_where_the_edge_is_known(self) -> None:
        """Between two rates less than a tenth of a decade apart no rate is tried; on the other side one still is."""
        losses = {0.1: 0.0, 0.12: 9.0}
        assert next_rate(losses, 0.1, 1.0, 1) is None
        assert next_rate(losses, 0.1, 1.0, -1) == pytest.approx(0.1 * 10**-0.3)

    def test_known_trainings_are_used(self) -> None:
        """With a bad rate known, the next one lies between it and the centre."""
        rate = next_rate({0.1: 0.0, 0.4: 9.0}, 0.1, 1.0, 1)
        assert rate is not None
        assert 0.1 < rate < 0.4
