"""Intervals, paired comparisons, ties, basins: against SciPy, closed forms, and simulations with known truth."""

from math import inf, isnan, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.results import Interval
from pipeline.statistics import (
    basin,
    decades,
    mean_interval,
    paired_difference,
    rank_correlation,
    seed_noise,
    verdicts,
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

    def test_comparisons_widen_the_level_by_bonferroni(self) -> None:
        """Ten comparisons at 95% are each made, and reported, at 99.5%."""
        a, b = [0.31, 0.29, 0.35], [0.28, 0.27, 0.33]
        corrected = paired_difference(a, b, 0.95, comparisons=10)
        assert corrected.level == pytest.approx(0.995)
        assert corrected == paired_difference(a, b, corrected.level)
        assert corrected.high - corrected.low > paired_difference(a, b).high - paired_difference(a, b).low

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
        with pytest.raises(ValueError, match="comparisons"):
            paired_difference([1.0], [1.0], comparisons=0)

    @given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), min_size=2, max_size=8))
    def test_swapping_the_sides_mirrors_the_interval(self, pairs: list[tuple[float, float]]) -> None:
        """`b - a` is minus `a - b`."""
        a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        forth, back = paired_difference(a, b), paired_difference(b, a)
        assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


class TestVerdicts:
    def test_a_winner_beats_all_others(self) -> None:
        """Clear differences on every seed."""
        found = verdicts({"cosine": [0.10, 0.11, 0.12], "step": [0.20, 0.211, 0.22], "linear": [0.30, 0.312, 0.32]})
        assert found.best == "cosine"
        assert {name: row.verdict for name, row in found.rows.items()} == {
            "cosine": "winner",
            "step": "worse",
            "linear": "worse",
        }
        assert found.ties == ()

    def test_each_comparison_with_the_best_is_corrected_for_their_number(self) -> None:
        """Four candidates are three comparisons; one that diverged is none; `comparisons` overrides it."""
        losses = {"a": [0.1, 0.2], "b": [0.3, 0.4], "c": [0.5, 0.6], "d": [0.7, 0.8], "e": [inf, 1.0]}
        assert verdicts(losses).rows["b"].difference.level == pytest.approx(1 - 0.05 / 3)
        assert verdicts(losses, comparisons=10).rows["b"].difference.level == pytest.approx(0.995)

    def test_one_tie_leaves_no_winner(self) -> None:
        """The best by mean is only a tie when any other cannot be told from it."""
        found = verdicts({"a": [0.10, 0.11, 0.12], "b": [0.11, 0.10, 0.13], "c": [0.50, 0.51, 0.53]})
        assert found.best == "a"
        assert [found.rows[name].verdict for name in "abc"] == ["tie", "tie", "worse"]
        assert found.ties == ("b",)

    def test_one_seed_tells_nothing(self) -> None:
        """However far apart, single trainings are ties."""
        found = verdicts({"a": [0.1], "b": [5.0]})
        assert [row.verdict for row in found.rows.values()] == ["tie", "tie"]

    def test_divergence_on_any_seed_is_divergence(self) -> None:
        """Two good seeds do not make up for a NaN, and a diverged candidate is no rival of the best."""
        found = verdicts({"a": [0.01, float("nan"), 0.01], "b": [0.3, 0.31, 0.29], "c": [inf, inf, inf]})
        assert found.best == "b"
        assert [found.rows[name].verdict for name in "abc"] == ["diverged", "winner", "diverged"]
        assert found.rows["a"].difference.low == inf

    def test_all_diverged_has_no_best(self) -> None:
        """Nothing is named."""
        found = verdicts({"a": [inf, 1.0], "b": [float("nan"), 1.0]})
        assert found.best is None
        assert {row.verdict for row in found.rows.values()} == {"diverged"}

    @pytest.mark.parametrize("losses", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}])
    def test_unequal_seeds_are_refused(self, losses: dict[str, list[float]]) -> None:
        """Paired comparisons need the same seeds for all."""
        with pytest.raises(ValueError, match="same seeds"):
            verdicts(losses)

    @pytest.mark.parametrize("candidates", [2, 5])
    def test_equal_candidates_seldom_make_a_winner(self, candidates: int) -> None:
        """Among equally good candidates, a winner is named in at most about 5% of 1,000 searches."""
        draws = np.random.default_rng(3).normal(0.3, 0.05, (1000, candidates, 5))
        winners = 0
        for draw in draws:
            found = verdicts({f"scheme {index}": losses for index, losses in enumerate(draw)})
            winners += any(row.verdict == "winner" for row in found.rows.values())
        assert winners / len(draws) <= 0.065  # 5% plus two standard errors of a thousand draws

    def test_a_real_difference_is_found(self) -> None:
        """Two standard deviations apart on eight seeds: most searches name the better one, so ties are no dodge."""
        rng = np.random.default_rng(4)
        draws = [{"a": rng.normal(0.3, 0.05, 8), "b": rng.normal(0.4, 0.05, 8)} for _ in range(200)]
        assert np.mean([verdicts(draw).rows["a"].verdict == "winner" for draw in draws]) > 0.8

    @given(st.dictionaries(st.sampled_from("abcde"), st.lists(st.floats(0.01, 5), min_size=3, max_size=3), min_size=1))
    def test_verdicts_agree_with_each_other(self, losses: dict[str, list[float]]) -> None:
        """At most one winner, which is the best; a winner leaves no tie; the best is never "worse"."""
        found = verdicts(losses)
        words = {name: row.verdict for name, row in found.rows.items()}
        assert found.best is not None
        assert words[found.best] in ("winner", "tie")
        assert [name for name, word in words.items() if word == "winner"] in ([], [found.best])
        assert words[found.best] == "tie" or "tie" not in words.values()


class TestBasin:
    def test_the_edges_of_a_parabola(self) -> None:
        """A loss of log10(rate / 0.1) ** 2 is within 1 of its best for one decade on either side."""
        rates = np.geomspace(1e-4, 100, 2001)
        low, high = basin(rates, np.log10(rates / 0.1) ** 2, 1.0)
        assert (low, high) == pytest.approx((0.01, 1.0), rel=1e-3)
        assert decades(low, high) == pytest.approx(2.0, rel=1e-3)

    def test_crossings_are_interpolated_in_log_rate(self) -> None:
        """The loss rises by 2 over a decade; a noise of 1 is crossed half a decade away."""
        low, high = basin([0.01, 0.1, 1.0], [2.0, 0.0, 4.0], 1.0)
        assert (low, high) == pytest.approx((10**-1.5, 10**-0.75))

    def test_a_second_valley_is_not_part_of_it(self) -> None:
        """The range is contiguous round the best."""
        low, high = basin([0.001, 0.01, 0.1, 1.0], [0.0, 9.0, 0.0, 9.0], 0.0)
        assert (low, high) == pytest.approx((0.001, 0.001))

    @pytest.mark.parametrize("noise", [0.5, inf])
    def test_divergence_ends_it_at_the_last_sound_rate(self, noise: float) -> None:
        """Between a sound rate and a diverged one there is nothing to interpolate, whatever the noise."""
        assert basin([0.1, 0.01, 1.0], [0.1, 0.2, float("nan")], noise) == pytest.approx((0.01, 0.1))

    def test_nonsense_is_refused(self) -> None:
        """Lengths that differ, negative noise, rates of zero, or only divergence."""
        for rates, losses, noise in [([0.1], [1.0, 2.0], 0.1), ([0.1], [1.0], -1.0), ([0.0], [1.0], 0.1)]:
            with pytest.raises(ValueError, match="basin needs"):
                basin(rates, losses, noise)
        with pytest.raises(ValueError, match="did not diverge"):
            basin([0.1], [inf], 0.1)

    @given(
        st.lists(
            st.tuples(st.floats(1e-6, 10), st.floats(0, 5)), min_size=1, max_size=12, unique_by=lambda row: row[0]
        ),
        st.floats(0, 3),
    )
    def test_it_holds_the_best_and_grows_with_the_noise(self, rows: list[tuple[float, float]], noise: float) -> None:
        """Inside the rates given, round the best one, and never narrower for more noise."""
        rates, losses = [row[0] for row in rows], [row[1] for row in rows]
        low, high = basin(rates, losses, noise)
        best = rates[int(np.argmin(np.array(losses)[np.argsort(rates)]))] if len(rows) == 1 else None
        wider_low, wider_high = basin(rates, losses, noise + 1)
        slack = 1 + 1e-9
        assert min(rates) / slack <= low <= high <= max(rates) * slack
        assert any(low / slack <= rate <= high * slack for rate in rates if losses[rates.index(rate)] == min(losses))
        assert wider_low <= low * slack
        assert wider_high * slack >= high
        assert best is None or low == pytest.approx(best)


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
        """A diverged training tells nothing about the noise among the sound ones."""
        assert seed_noise([[0.0, 1.0, inf, float("nan")]]) == pytest.approx(sqrt(0.5))

    @pytest.mark.parametrize("groups", [[], [[1.0]], [[1.0, inf]]])
    def test_without_repeats_the_noise_is_unknown(self, groups: list[list[float]]) -> None:
        """Infinite, not zero."""
        assert seed_noise(groups) == inf

    def test_it_estimates_the_true_deviation(self) -> None:
        """400 candidates of three seeds, standard deviation 0.05."""
        assert seed_noise(np.random.default_rng(5).normal(1.0, 0.05, (400, 3))) == pytest.approx(0.05, rel=0.05)


class TestRankCorrelation:
    def test_closed_form_without_ties(self) -> None:
        """1 - 6 * sum(d ** 2) / (n * (n ** 2 - 1)), with rank differences d = (0, 1, 1, 0)."""
        assert rank_correlation([1.0, 2.0, 3.0, 4.0], [0.1, 0.3, 0.2, 0.4]) == pytest.approx(1 - 6 * 2 / (4 * 15))

    def test_only_the_order_counts(self) -> None:
        """Any increasing transformation leaves it at 1."""
        losses = [0.5, 0.1, 0.9, 0.3]
        assert rank_correlation(losses, [log(loss) for loss in losses]) == pytest.approx(1.0)

    def test_divergence_takes_the_last_rank(self) -> None:
        """NaN and infinity are alike, and worse than every number."""
        assert rank_correlation([0.1, 0.2, float("nan")], [0.3, 0.4, inf]) == pytest.approx(1.0)

    def test_undefined_without_an_order(self) -> None:
        """All ties, or a single candidate."""
        assert isnan(rank_correlation([1.0, 1.0], [1.0, 2.0]))
        assert isnan(rank_correlation([1.0], [1.0]))
        with pytest.raises(ValueError, match="same candidates"):
            rank_correlation([1.0], [1.0, 2.0])
