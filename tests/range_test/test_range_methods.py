"""Each method against an implementation that was written without looking at ours, on recorded curves."""

import numpy as np
import pytest

from pipeline.range_test.landmarks import METHODS, consensus, minimum, slide, smooth, steep, valley
from pipeline.schedules import Array
from tests.range_test.curves import SOUND, recorded


def reference_steep(rates: Array, losses: Array) -> float:
    """Walk the curve and keep the step with the greatest fall for its length in log rate."""
    falls = [(losses[i] - losses[i + 1]) / np.log(rates[i + 1] / rates[i]) for i in range(len(losses) - 1)]
    return float(rates[falls.index(max(falls))])


def reference_minimum(rates: Array, losses: Array) -> float:
    """Divide the rate of the lowest loss by ten."""
    return float(min(zip(losses, rates, strict=True))[1]) / 10


def reference_valley(rates: Array, losses: Array) -> float:
    """Find the longest decreasing subsequence by dynamic programming, and step half-way into its middle third."""
    best_length, best_end, lengths = 1, 0, [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i] and lengths[j] + 1 > lengths[i]:
                lengths[i] = lengths[j] + 1
        if lengths[i] > best_length:
            best_length, best_end = lengths[i], i
    third = best_length / 3
    return float(rates[best_end - best_length + int(third) + int(third / 2)])


def reference_slide(rates: Array, losses: Array, gap: int = 15, threshold: float = 0.005) -> float:
    """Move a window of `gap` updates left from the end until the gradients at its two sides agree."""
    gradient = np.gradient(losses)
    right = len(losses) - 1
    chosen = rates[right - gap]
    while right - gap >= 0 and abs(gradient[right] - gradient[right - gap]) > threshold:
        chosen = rates[right - gap]
        right -= 1
    return float(chosen)


class TestMethods:
    @pytest.mark.parametrize("name", SOUND)
    def test_they_agree_with_independent_implementations(self, name: str) -> None:
        """On each seed's recorded curve up to its minimum and a little beyond, and on the whole of it."""
        rates, losses = recorded(name)
        for row in smooth(losses, 0.9):
            whole = np.isfinite(row).sum()
            for end in (min(int(np.nanargmin(row)) + 20, whole), whole):
                x, y = rates[10:end], row[10:end]
                assert steep(x, y) == reference_steep(x, y)
                assert valley(x, y) == reference_valley(x, y)
                assert slide(x, y) == reference_slide(x, y)
                assert minimum(x, y) == pytest.approx(reference_minimum(x, y))

    def test_where_a_method_does_not_apply_it_says_so(self) -> None:
        """None on an empty curve for all; on a rising one for those that read a descent."""
        rising = np.arange(1.0, 6.0)
        assert [method(rising[:0], rising[:0]) for method in METHODS.values()] == [None] * 4
        assert (steep(rising, rising), valley(rising, rising), slide(rising, rising)) == (None, None, None)

    def test_consensus_is_the_median_in_log_space(self) -> None:
        """Of an even number, the geometric mean of the middle two."""
        assert consensus([1e-4, 1e-3, 1e-1, 1.0]) == pytest.approx(1e-2)
