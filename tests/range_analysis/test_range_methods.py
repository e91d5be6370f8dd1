"""Each method against an independent implementation, on recorded curves."""

import numpy as np
import pytest

from pipeline.range_test import METHODS, consensus, minimum, slide, smooth, steep, valley
from tests.range_analysis.curves import SOUND, recorded
from tests.range_analysis.methods import reference_minimum, reference_slide, reference_steep, reference_valley


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
