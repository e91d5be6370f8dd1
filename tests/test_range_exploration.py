"""Which rates are swept and tried: on curves with known answers, without any network."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_analysis import bounds, explore, sweep, updates_for
from pipeline.range_analysis.exploration import ANY_OPTIMIZER, BOUNDS, smoothing_for
from pipeline.range_analysis.refinement import refine, starting_rate

Array = npt.NDArray[np.float64]


def descent(rates: Array, centre: float, breaks_at: float) -> Array:
    """A fall from 2.3 to 0.3, logistic in log10 rate around `centre`, that ends in NaN at `breaks_at`."""
    losses = 0.3 + 2.0 / (1 + np.exp(4 * np.log10(rates / centre)))
    return np.where(rates < breaks_at, losses, np.nan)


class TestExplore:
    @given(st.floats(1e-9, 1e2))
    def test_it_finds_a_descent_that_is_not_too_far_outside(self, centre: float) -> None:
        """Within three decades of the first bounds it widens until the answer is inside, else it refuses."""
        found = explore(lambda rates, seed: descent(rates, centre, 30 * centre), (0, 1), 1e-6, 1e-1, 250)
        read = found.analysis
        if read.verdict == "ok":
            assert read.lr_low <= read.suggested_lr <= read.lr_high < read.divergence_lr  # type: ignore[operator]
        assert (read.verdict == "ok") or not 1e-7 < centre < 1e-2
        assert np.isclose(found.rates[0], [1e-6, 1e-6 / 30, 1e-6 / 900], rtol=1e-9).any()

    def test_a_wider_sweep_is_as_dense_and_all_of_it_is_counted(self) -> None:
        """Five decades and 250 updates, then 1.48 decades more; the sweeps end where they diverge."""
        made: list[Array] = []

        def measure(rates: Array, seed: int) -> Array:
            made.append(rates)
            return descent(rates, 0.1, 3.0)

        found = explore(measure, (0, 1), 1e-6, 1e-1, 250)
        assert [len(rates) for rates in made] == [250, 250, 324, 324]
        assert found.analysis.verdict == "ok"
        assert found.spent == 2 * (250 + int((made[-1] < 3.0).sum()))

    def test_it_may_end_early_or_in_nan(self) -> None:
        """A sweep that stopped may give fewer losses than rates; the rest counts as not reached."""
        whole = explore(lambda rates, seed: descent(rates, 1e-3, 1e-1), (0,), 1e-6, 1.0, 250)
        short = explore(lambda rates, seed: descent(rates, 1e-3, 1e-1)[: (rates < 0.1).sum()], (0,), 1e-6, 1.0, 250)
        assert short.analysis.suggested_lr == whole.analysis.suggested_lr
        assert short.spent == whole.spent < 250

    def test_it_widens_no_more_than_allowed(self) -> None:
        """A loss that never moves asks for larger rates for ever."""
        made: list[float] = []

        def measure(rates: Array, seed: int) -> Array:
            made.append(float(rates[-1]))
            return np.full(rates.size, 2.3)

        assert explore(measure, (0,), 1e-6, 1.0, 250).analysis.edge == "high"
        assert made == pytest.approx([1.0, 30.0, 900.0])


class TestDefaults:
    def test_bounds_go_by_the_class_name_of_the_optimizer(self) -> None:
        """In any case; one that nobody knows gets wide ones. Each spans six decades."""
        assert bounds("AdamW") == bounds("adamw") == BOUNDS["adamw"]
        assert bounds("Unheard") == ANY_OPTIMIZER
        assert [high / low for low, high in BOUNDS.values()] == pytest.approx([1e6] * len(BOUNDS))

    @pytest.mark.parametrize(
        ("batch_size", "budget", "seeds", "expected"),
        [(32, None, 1, 250), (512, None, 3, 250), (8, None, 1, 500), (2, None, 1, 1000), (1, None, 1, 1000),
         (32, 30_000, 3, 250), (32, 6_000, 3, 200), (32, 6_000, 1, 250), (32, 100, 3, 100)],
    )  # fmt: skip
    def test_updates_by_batch_size_and_budget(
        self, batch_size: int, budget: int | None, seeds: int, expected: int
    ) -> None:
        """Small batches get more, by the square root, four times at most; a tenth of the budget, but at least 100."""
        assert updates_for(batch_size, budget, seeds) == expected

    def test_smoothing_covers_the_same_part_of_a_decade(self) -> None:
        """0.9 for 250 updates over six decades; twice as dense, twice the memory."""
        assert smoothing_for(sweep(1e-5, 10.0, 250)) == pytest.approx(0.9)
        assert 1 / (1 - smoothing_for(sweep(1e-5, 10.0, 500))) == pytest.approx(20)


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
