"""Intervals, paired differences and noise: against SciPy, closed forms, and simulations with known truth."""

from math import inf, isnan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pipeline.results import Interval
from pipeline.statistics import (
    accuracy_interval,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    seed_noise,
)

LOSSES = st.lists(st.floats(0.001, 10), min_size=2, max_size=8)


class TestMeanInterval:
    @pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
    def test_it_is_the_t_interval_of_scipy(self, level: float) -> None:
        """Same bounds as `scipy.stats.ttest_1samp(...).confidence_interval`."""
        values = [0.31, 0.29, 0.35, 0.30, 0.33]
        expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
        interval = mean_interval(values, level)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)

    def test_two_values_have_a_closed_form(self) -> None:
        """With one degree of freedom t is Cauchy's: t(p) = tan(pi * (p - 1/2))."""
        interval = mean_interval([1.0, 3.0], 0.9)
        half = np.tan(np.pi * 0.45) * sqrt(2) / sqrt(2)
        assert (interval.mean, interval.low, interval.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-12)

    def test_one_value_says_nothing_about_the_spread(self) -> None:
        """Its interval is infinite, not a point."""
        assert mean_interval([0.3]) == Interval(mean=0.3, low=-inf, high=inf)

    @pytest.mark.parametrize("diverged", [float("nan"), inf])
    def test_a_diverged_value_is_infinitely_bad(self, diverged: float) -> None:
        """A mean over the survivors alone would hide the divergence."""
        assert mean_interval([0.3, diverged, 0.31]) == Interval(mean=inf, low=inf, high=inf)

    @pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)])
    def test_nonsense_is_refused(self, values: list[float], level: float) -> None:
        """No values, or a level outside (0, 1), is an error."""
        with pytest.raises(ValueError, match="received"):
            mean_interval(values, level)

    @pytest.mark.parametrize("noise", [0.25, 0.5, 1.0])
    def test_rounding_counts_as_noise(self, noise: float) -> None:
        """Two equal accuracies have an interval too; of 2,000 from two seeds, with this noise in steps, few miss."""
        assert mean_interval([0.9, 0.9], resolution=0.01).high == pytest.approx(0.9 + 12.706 * 0.01 / 24**0.5, rel=1e-3)
        samples = np.random.default_rng(8).normal(0.3, 0.01 * noise, (2000, 2))
        rounded = 0.01 * np.round(samples / 0.01)
        intervals = [mean_interval(sample, resolution=0.01) for sample in rounded]
        assert np.mean([interval.low <= 0.3 <= interval.high for interval in intervals]) >= 0.94

    def test_it_covers_the_truth_as_often_as_it_says(self) -> None:
        """Of 2,000 intervals from normal samples of five, about 95% hold the true mean."""
        samples = np.random.default_rng(7).normal(0.3, 0.05, (2000, 5))
        intervals = [mean_interval(sample) for sample in samples]
        covered = np.mean([interval.low <= 0.3 <= interval.high for interval in intervals])
        assert 0.935 <= covered <= 0.965

    @given(LOSSES, st.floats(-5, 5))
    def test_shifting_the_values_shifts_the_interval(self, values: list[float], shift: float) -> None:
        """The width does not depend on the mean."""
        before, after = mean_interval(values), mean_interval([value + shift for value in values])
        assert after.high - after.low == pytest.approx(before.high - before.low, rel=1e-6, abs=1e-9)
        assert after.low <= after.mean <= after.high


class TestAccuracyInterval:
    def test_one_seed_covers_the_examples(self) -> None:
        """The interval of Agresti and Coull, around the accuracy itself."""
        p = (0.9 * 100 + 2) / 104
        half = stats.norm.ppf(0.975) * sqrt(p * (1 - p) / 100)
        found = accuracy_interval([0.9], 100)
        assert (found.mean, found.low, found.high) == pytest.approx((0.9, 0.9 - half, 0.9 + half))

    def test_endless_examples_leave_the_interval_of_the_seeds(self) -> None:
        """Student's, as `mean_interval` has it."""
        values = [0.91, 0.93, 0.95]
        found, seeds = accuracy_interval(values, 10**12), mean_interval(values)
        assert (found.low, found.high) == pytest.approx((seeds.low, seeds.high), rel=1e-4)

    def test_all_right_is_not_certainty(self) -> None:
        """The interval has a width, and does not end above 100%."""
        found = accuracy_interval([1.0, 1.0, 1.0], 360)
        assert 0.98 < found.low < 0.999 < found.high == 1.0

    def test_it_covers_new_seeds_and_new_examples(self) -> None:
        """It holds the true accuracy 19 times out of 20, while the interval of the seeds alone does not."""
        rng, held, seeds_alone = np.random.default_rng(8), 0, 0
        for _ in range(2_000):
            chances = rng.beta(0.9, 0.1, 300)  # of each example to be right, on whatever seed; 0.9 in the mean
            found = (rng.uniform(size=(3, 300)) < chances).mean(1)
            interval, alone = accuracy_interval(found, 300), mean_interval(found)
            held += interval.low <= 0.9 <= interval.high
            seeds_alone += alone.low <= 0.9 <= alone.high
        assert held / 2_000 > 0.94
        assert seeds_alone / 2_000 < 0.9


class TestPairedDifference:
    def test_it_is_the_paired_t_interval_of_scipy(self) -> None:
        """Same bounds as `scipy.stats.ttest_rel(a, b).confidence_interval`."""
        a, b = [0.31, 0.29, 0.35, 0.30], [0.28, 0.27, 0.33, 0.29]
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        interval = paired_difference(a, b)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)

    def test_pairing_removes_what_the_seed_does_to_both(self) -> None:
        """Seeds differ by far more than the candidates, and still the difference is found."""
        seeds = np.array([0.1, 0.5, 0.9, 1.3])
        interval = paired_difference(seeds + np.array([0.011, 0.009, 0.010, 0.012]), seeds)
        assert 0 < interval.low < 0.0105 < interval.high

    def test_a_share_of_the_error_widens_it(self) -> None:
        """A tenth of 5% is SciPy's interval at 99.5%, reported at the 95% that ten such hold together."""
        a, b = [0.31, 0.29, 0.35], [0.28, 0.27, 0.33]
        expected = stats.ttest_rel(a, b).confidence_interval(0.995)
        shared = paired_difference(a, b, 0.95, share=0.1)
        assert (shared.low, shared.high, shared.level) == pytest.approx((expected.low, expected.high, 0.95), rel=1e-9)

    def test_the_side_that_diverged_is_infinitely_worse(self) -> None:
        """Both diverged: nothing is known."""
        good, bad = [0.1, 0.2], [0.1, inf]
        assert paired_difference(bad, good).low == inf
        assert paired_difference(good, bad).high == -inf
        both = paired_difference(bad, bad)
        assert (isnan(both.mean), both.low, both.high) == (True, -inf, inf)

    def test_different_seeds_are_refused(self) -> None:
        """Values of unequal number cannot be pairs."""
        with pytest.raises(ValueError, match="3 and 2 values"):
            paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])
        with pytest.raises(ValueError, match="share"):
            paired_difference([1.0], [1.0], share=0)

    @given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), min_size=2, max_size=8))
    def test_swapping_the_sides_mirrors_the_interval(self, pairs: list[tuple[float, float]]) -> None:
        """`b - a` is minus `a - b`."""
        a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        forth, back = paired_difference(a, b), paired_difference(b, a)
        assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


class TestPValue:
    def test_it_is_the_t_test_of_scipy(self) -> None:
        """The p value is that of the two-sided one-sample test."""
        values = [0.31, 0.29, 0.35, 0.30, 0.33]
        for mean in (0.0, 0.3, 0.34):
            assert p_value(values, mean) == pytest.approx(float(stats.ttest_1samp(values, mean).pvalue), rel=1e-12)

    @given(LOSSES, st.floats(0.001, 10), st.floats(0.8, 0.999))
    def test_the_interval_excludes_what_the_test_rejects(self, values: list[float], mean: float, level: float) -> None:
        """They agree at every level, up to rounding at the bound itself."""
        interval, p = mean_interval(values, level), p_value(values, mean)
        assume(abs(p - (1 - level)) > 1e-6)
        assert (p < 1 - level) == (not interval.low <= mean <= interval.high)

    def test_without_spread_any_other_mean_is_impossible(self) -> None:
        """Equal values fit their own mean only; one value fits any."""
        assert (p_value([0.5, 0.5], 0.5), p_value([0.5, 0.5], 0.4), p_value([0.5], 0.4)) == (1, 0, 1)

    @pytest.mark.parametrize("values", [[], [0.1, inf], [float("nan"), 0.2]])
    def test_nothing_and_divergence_are_refused(self, values: list[float]) -> None:
        """Without finite values there is no mean to test."""
        with pytest.raises(ValueError, match="finite values, received"):
            p_value(values)


class TestHolm:
    def test_by_hand(self) -> None:
        """4 * 0.005 = 0.02; 3 * 0.011 = 0.033; 2 * 0.02 = 0.04; and 1 * 0.03, raised to 0.04 as none may fall."""
        assert holm([0.02, 0.005, 0.03, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])

    def test_holms_own_example(self) -> None:
        """Of p = 0.01, 0.005, 0.03 and 0.04 two are rejected at 5%: 0.03 is above 5% / 2, which ends the procedure."""
        assert (holm([0.01, 0.005, 0.03, 0.04]) < 0.05).tolist() == [True, True, False, False]

    def test_a_single_p_value_stays_and_none_exceeds_1(self) -> None:
        """An empty table has nothing to adjust."""
        assert holm([0.03]).tolist() == [0.03]
        assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
        assert holm([]).size == 0

    def test_the_error_of_the_whole_table_is_held(self) -> None:
        """Of 4,000 tables of ten true hypotheses about 5% have any rejected; unadjusted, about 40% have."""
        samples = np.random.default_rng(11).normal(size=(4_000, 10, 4))
        tables = stats.ttest_1samp(samples, 0.0, axis=2).pvalue
        wrong = [(holm(table) < 0.05).any() for table in tables]
        assert 0.035 < np.mean(wrong) < 0.057
        assert np.mean((tables < 0.05).any(axis=1)) > 0.35


class TestSeedNoise:
    def test_equal_groups_pool_to_the_mean_variance(self) -> None:
        """It is the root of the mean of the variances when every candidate has as many seeds."""
        groups = [[1.0, 2.0, 4.0], [5.0, 5.0, 6.0]]
        expected = sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
        assert seed_noise(groups) == pytest.approx(expected, rel=1e-12)

    def test_candidates_may_differ_in_level_and_number(self) -> None:
        """Two values one apart and a lone far one: variance 1/2 from one degree of freedom."""
        assert seed_noise([[0.0, 1.0], [500.0]]) == pytest.approx(sqrt(0.5))

    def test_divergence_is_left_out(self) -> None:
        """A diverged training says nothing about the noise among the others."""
        assert seed_noise([[0.0, 1.0, inf, float("nan")]]) == pytest.approx(sqrt(0.5))

    @pytest.mark.parametrize("groups", [[], [[1.0]], [[1.0, inf]]])
    def test_without_repeats_the_noise_is_unknown(self, groups: list[list[float]]) -> None:
        """The noise is infinite, not zero."""
        assert seed_noise(groups) == inf

    def test_it_estimates_the_true_deviation(self) -> None:
        """400 candidates with three seeds each recover a standard deviation of 0.05."""
        assert seed_noise(np.random.default_rng(5).normal(1.0, 0.05, (400, 3))) == pytest.approx(0.05, rel=0.05)
