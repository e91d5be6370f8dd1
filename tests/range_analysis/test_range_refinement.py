"""Which rates are tried by trainings: on valleys with known bottoms, without any network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_analysis import explore
from pipeline.range_analysis.refinement import refine, starting_rate
from tests.range_analysis.curves import descent


class Valley:
    """Trainings whose best rate is known; counts them, and diverges above `breaks_at`."""

    def __init__(self, best: float, curvature: float, breaks_at: float = np.inf) -> None:
        self.best, self.curvature, self.breaks_at, self.calls = best, curvature, breaks_at, 0

    def __call__(self, rate: float, seed: int) -> float:
        self.calls += 1
        loss = 0.1 * np.exp(self.curvature * np.log10(rate / self.best) ** 2)
        return float(loss) if rate < self.breaks_at else np.nan


class TestRefine:
    def test_it_starts_from_the_middle_seed_where_they_disagree(self) -> None:
        """Three seeds, one two decades off: no answer of the sweep, but a start. A flat sweep gives none."""
        centres = (1e-3, 1.2e-3, 1e-1)
        found = explore(lambda rates, seed: descent(rates, centres[seed], 30 * centres[seed]), range(3), 1e-6, 10, 250)
        assert (found.analysis.verdict, found.analysis.suggested_lr) == ("refused", None)
        assert starting_rate(found.analysis) == sorted(found.analysis.seed_suggestions)[1]  # type: ignore[type-var]
        flat = explore(lambda rates, seed: np.full(rates.size, 2.3), (0,), 1e-6, 1.0, 250, widenings=0)
        assert starting_rate(flat.analysis) is None

    @given(st.floats(-2.4, 2.4), st.floats(0.1, 3.0))
    def test_it_finds_the_bottom_of_a_parabola(self, off: float, curvature: float) -> None:
        """Exactly, from up to 2.4 decades away; the interval holds it."""
        train = Valley(1e-2, curvature)
        found = refine(train, 1e-2 * 10**off)
        assert found is not None
        assert found.suggested_lr == pytest.approx(1e-2, rel=1e-6)
        assert found.lr_low < 1e-2 < found.lr_high
        assert found.trainings == train.calls <= 10

    def test_five_trainings_a_seed_where_the_start_was_right(self) -> None:
        """On the same seeds at every rate."""
        seeds: list[tuple[float, int]] = []

        def train(rate: float, seed: int) -> float:
            seeds.append((rate, seed))
            return Valley(1e-2, 1.0)(rate, seed) * (1 + 0.1 * seed)

        found = refine(train, 1e-2, (3, 4))
        assert found is not None
        assert found.trainings == len(seeds) == 10
        assert {seed for _, seed in seeds} == {3, 4}
        assert len({rate for rate, _ in seeds}) == 5

    def test_it_goes_down_where_the_start_diverges(self) -> None:
        """NaN compares with nothing, and is worse than everything."""
        train = Valley(1e-1, 1.0, breaks_at=2e-2)
        found = refine(train, 1.0)
        assert found is not None
        assert found.suggested_lr < 2e-2
        assert found.lr_high < min(rate for rate, loss in found.val_losses.items() if np.isinf(loss))

    def test_a_valley_too_far_away_is_followed_as_far_as_promised(self) -> None:
        """Ten trainings, and the rate it got to."""
        train = Valley(1e-6, 0.5)
        found = refine(train, 1.0)
        assert found is not None
        assert found.trainings == 10
        assert found.suggested_lr < 10**-2.9

    def test_where_all_diverges_there_is_no_answer(self) -> None:
        """None, after no more trainings than promised."""
        train = Valley(1e-2, 1.0, breaks_at=0.0)
        assert refine(train, 1.0) is None
        assert train.calls <= 10

    @pytest.mark.parametrize("start", [0.0, -1.0, np.nan, np.inf])
    def test_a_start_must_be_a_rate(self, start: float) -> None:
        """Refused by name."""
        with pytest.raises(InputError, match="start"):
            refine(Valley(1e-2, 1.0), start)
