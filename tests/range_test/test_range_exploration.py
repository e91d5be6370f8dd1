"""Rates to sweep and smoothing, on curves with known answers, without any network."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_test import bounds, explore, updates_for
from pipeline.range_test.exploration import ANY_OPTIMIZER, BOUNDS, smoothing_for
from pipeline.range_test.landmarks import smooth
from pipeline.schedules import Array, sweep
from tests.range_test.curves import descent, measured


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
        """NaN in its place, and no effect on the next value."""
        assert smooth([1.0, np.nan, 3.0, np.inf], 0.5) == pytest.approx([1.0, np.nan, 7 / 3, np.nan], nan_ok=True)

    @pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
    def test_impossible_weights_are_refused(self, beta: float) -> None:
        """Beta must lie in [0, 1)."""
        with pytest.raises(ValueError, match="beta"):
            smooth([1.0], beta)


class TestExplore:
    @given(st.floats(1e-9, 1e2))
    def test_it_finds_a_descent_that_is_not_too_far_outside(self, centre: float) -> None:
        """Within three decades of the first bounds it widens until the answer is inside, else it refuses."""
        found = explore(measured(lambda rates, seed: descent(rates, centre, 30 * centre)), (0, 1), 1e-6, 1e-1, 250)
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

        found = explore(measured(measure), (0, 1), 1e-6, 1e-1, 250)
        assert [len(rates) for rates in made] == [250, 324]
        assert found.analysis.verdict == "ok"
        assert found.spent == 250 + int((made[-1] < 3.0).sum())

    def test_it_may_end_early_or_in_nan(self) -> None:
        """A sweep that stopped may give fewer losses than rates; the rest counts as not reached."""
        whole, short = (
            explore(measured(one), (0,), 1e-6, 1.0, 250)
            for one in (
                lambda rates, seed: descent(rates, 1e-3, 1e-1),
                lambda rates, seed: descent(rates, 1e-3, 1e-1)[: (rates < 0.1).sum()],
            )
        )
        assert short.analysis.suggested_lr == whole.analysis.suggested_lr
        assert short.spent == whole.spent < 250

    @pytest.mark.parametrize(
        ("centres", "asked"),
        [
            ({}, [(0,)]),
            ({0: 1e5}, [(0,), (1, 2), (3, 4)]),
            ({0: 1e5, 1: 1e5, 2: 1e5}, [(0,), (1, 2)]),
        ],
        ids=["a clear first", "an unclear first", "none learns"],
    )
    def test_one_seed_is_swept_before_others_are_asked_for(
        self, centres: dict[int, float], asked: list[tuple[int, ...]]
    ) -> None:
        """The others are swept where it gives no answer, together; two more, also together, where these disagree."""
        batches: list[tuple[int, ...]] = []

        def measure(rates: Array, seeds: Sequence[int]) -> list[Array]:
            batches.append(tuple(seeds))
            own = [centres.get(seed, 1e-3) for seed in seeds]
            return [descent(rates, centre, 30 * centre) for centre in own]

        found = explore(measure, (0, 1, 2), 1e-6, 10, 250, widenings=0)
        assert batches == asked
        assert found.seeds == tuple(seed for batch in asked for seed in batch)

    def test_others_are_swept_where_the_methods_disagree(self) -> None:
        """A steep fall at small rates, and divergence five decades above."""

        def measure(rates: Array, seed: int) -> Array:
            at = np.log10(rates)
            losses = 0.3 + 2.0 / (1 + np.exp(20 * (at + 5))) + 0.02 * np.clip(at + 4, 0, 5)
            return np.where(rates < 5.0, losses, np.nan)

        found = explore(measured(measure), (0, 1, 2), 1e-7, 10, 300)
        assert found.analysis.verdict == "ok"
        assert not found.analysis.clear
        assert found.seeds == (0, 1, 2)

    def test_nothing_counts_after_a_loss_that_is_not_finite(self) -> None:
        """Infinity ends a sweep as NaN does."""

        def measure(rates: Array, seed: int) -> Array:
            losses = descent(rates, 1e-3, 1e-1)
            losses[200:] = [np.inf, *losses[201:230], *np.full(20, 0.5)]
            return losses

        found = explore(measured(measure), (0,), 1e-6, 1.0, 250)
        assert np.isnan(found.losses[0, 200:]).all()
        assert np.isfinite(found.losses[0, :200]).all()
        assert found.spent == 200

    def test_it_widens_no_more_than_allowed(self) -> None:
        """A loss that never changes would ask for larger rates again and again."""
        made: list[float] = []

        def measure(rates: Array, seed: int) -> Array:
            made.append(float(rates[-1]))
            return np.full(rates.size, 2.3)

        assert explore(measured(measure), (0,), 1e-6, 1.0, 250).analysis.edge == "high"
        assert made == pytest.approx([1.0, 30.0, 900.0])

    @pytest.mark.parametrize(("most", "seeds"), [(100, 1), (600, 2), (900, 3), (1250, 5)])
    def test_sweeps_that_are_not_afforded_are_left_out(self, most: int, seeds: int) -> None:
        """But for the first. Three seeds that disagree would get two more."""
        centres = [1e5, 1.2e-3, 1e-3, 1.1e-3, 0.9e-3]
        differing = measured(lambda rates, seed: descent(rates, centres[seed], 30 * centres[seed]))
        found = explore(differing, (0, 1, 2), 1e-6, 10, 250, widenings=0, most=most)
        assert len(found.seeds) == seeds
        assert found.spent <= max(most, 250)

    def test_a_wider_sweep_that_is_not_afforded_is_left_out(self) -> None:
        """The edge is then what is known. Both have 574 updates together; one and a half times `most` are allowed."""
        measure = measured(lambda rates, seed: descent(rates, 0.1, 3.0))
        left_out, made = (
            explore(measure, (0, 1), 1e-6, 1e-1, 250, most=most) for most in (380, 390)
        )  # 250 + 324 of 570
        assert left_out.analysis.edge == "high"
        assert left_out.spent == 250
        assert made.analysis.verdict == "ok"

    def test_two_more_seeds_are_swept_where_they_disagree(self) -> None:
        """One seed of five is an exception, one of three is not; a second exception is no answer."""
        centres = [1e5, 1.2e-3, 1e-3, 1.1e-3, 0.9e-3]
        differing = measured(lambda rates, seed: descent(rates, centres[seed], 30 * centres[seed]))
        found = explore(differing, (0, 1, 2), 1e-6, 10, 250, widenings=0)
        assert found.seeds == (0, 1, 2, 3, 4)
        assert found.losses.shape == (5, 250)
        assert found.analysis.verdict == "ok"
        agreeing = explore(measured(lambda rates, seed: descent(rates, 1e-3, 0.03)), (0, 1, 2), 1e-6, 10, 250)
        assert 0.3 < found.analysis.suggested_lr / agreeing.analysis.suggested_lr < 3  # type: ignore[operator]
        centres[4] = 1e-1
        refused = explore(differing, (0, 1, 2), 1e-6, 10, 250, widenings=0)
        assert refused.analysis.verdict == "refused"
        assert refused.spent > agreeing.spent


class TestDefaults:
    def test_bounds_go_by_the_class_name_of_the_optimizer(self) -> None:
        """In upper or lower case; unknown ones get wide bounds. Each spans six decades."""
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
