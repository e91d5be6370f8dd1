"""Moderated variances: the formulas of limma, and what equal differences and steps of a metric show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from pipeline.statistics import Pairs, moderated, rounding, verdicts
from pipeline.statistics.pairs import _inverse_trigamma

NAMES = "abcde"


def pairs_of(*losses: list[float], resolution: float = 0.0) -> Pairs:
    """Return the pairs of candidates a, b, c, ..."""
    return Pairs.of({name: np.array(values) for name, values in zip(NAMES, losses, strict=False)}, resolution)


class TestModerated:
    def test_trigamma_is_inverted(self) -> None:
        """The inverse is accurate from few degrees of freedom to many."""
        x = np.array([0.1, 0.5, 1.0, 7.0, 300.0])
        assert _inverse_trigamma(special.polygamma(1, x)) == pytest.approx(x, rel=1e-8)

    def test_the_prior_is_that_of_many_variances(self) -> None:
        """Scaled inverse chi-square with 4 degrees of freedom around 3, from 40,000 variances with 20."""
        rng = np.random.default_rng(0)
        true = 3.0 * 4 / rng.chisquare(4, 40_000)
        variances = true * rng.chisquare(20, 40_000) / 20
        found, freedom = moderated(variances, 20, candidates=300)
        assert freedom == pytest.approx(24, rel=0.02)
        assert found == pytest.approx((4 * 3.0 + 20 * variances) / 24, rel=0.02)

    @pytest.mark.parametrize(("candidates", "most"), [(2, 0), (3, 0), (4, 3), (5, 6), (8, 6)])
    def test_other_pairs_never_count_more_than_a_pairs_own_seeds(self, candidates: int, most: int) -> None:
        """They count half as much with four candidates, and not at all with fewer; equal variances stay equal."""
        found, freedom = moderated(np.full(candidates * (candidates - 1) // 2, 2.0), 6, candidates)
        assert freedom == pytest.approx(6 + most)
        assert found == pytest.approx(2.0, rel=0.1)

    @given(st.lists(st.floats(1e-6, 1e6), min_size=10, max_size=10), st.integers(1, 20))
    def test_variances_are_positive_and_keep_their_order(self, variances: list[float], freedom: int) -> None:
        """Each is a weighted mean of itself and the same number."""
        found, total = moderated(np.array(variances), freedom, 5)
        assert (found > 0).all()
        assert freedom <= total <= 2 * freedom
        order = np.argsort(variances, kind="stable")
        assert (np.diff(found[order]) >= -1e-9 * found.max()).all()


class TestPairs:
    def test_two_or_three_candidates_have_the_t_test_of_scipy(self) -> None:
        """With so few candidates, the other pairs do not count."""
        a, b, c = [0.10, 0.12, 0.11, 0.13], [0.13, 0.13, 0.15, 0.14], [0.5, 0.2, 0.3, 0.9]
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        for found in (pairs_of(a, b), pairs_of(a, b, c)):
            interval = found.interval("a", "b", 0.025)
            assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)

    def test_they_mirror_each_other(self) -> None:
        """B - a is minus a - b, and only one of the two can beat the other."""
        losses = np.random.default_rng(1).normal(size=(5, 4)) + np.arange(5)[:, None]
        found = Pairs.of(dict(zip(NAMES, losses, strict=True)))
        forth, back = found.interval("a", "e", 0.01), found.interval("e", "a", 0.01)
        assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
        assert (found.beats("a", "e", 0.01), found.beats("e", "a", 0.01)) == (True, False)
        assert found.most("a", "e", 0.01) == forth.high

    def test_one_seed_and_constant_differences_show_nothing(self) -> None:
        """Differences that vary in the last digits because of rounding count as constant."""
        for found in (pairs_of([0.1], [9.0]), pairs_of([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])):
            assert found.interval("a", "b", 0.025).high == np.inf
            assert not found.beats("a", "b", 0.025)

    def test_bounds_of_accuracies_end_where_these_do(self) -> None:
        """Two seeds show next to nothing, but no accuracy can be 300 points better than another."""
        found = Pairs.of({"a": np.array([0.2, 0.9]), "b": np.array([0.7, 0.3])}, resolution=0.01)
        interval = found.interval("a", "b", 0.025)
        assert (interval.low, interval.high, found.most("a", "b", 0.025)) == (-1.0, 1.0, 1.0)
        assert Pairs.of({"a": np.array([2.0, 9.0]), "b": np.array([7.0, 3.0])}).most("a", "b", 0.025) > 10

    def test_a_constant_difference_has_the_noise_of_the_others(self) -> None:
        """Next to three others that vary by 0.1, a constant 0.03 is nothing and a constant 9 a lot."""
        noisy = np.random.default_rng(2).normal(1.0, 0.1, (3, 3)).tolist()
        for ahead, beaten in ((0.03, False), (9.0, True)):
            found = pairs_of([1.0, 1.1, 0.9], [value + ahead for value in (1.0, 1.1, 0.9)], *noisy)
            assert found.beats("a", "b", 0.0125) == beaten


class TestResolution:
    def test_a_step_is_a_uniform_error_of_both(self) -> None:
        """The variance is that of the difference of two rounded values without any other noise."""
        rng = np.random.default_rng(3)
        values = rng.uniform(0, 100, (2, 200_000))
        errors = np.round(values * 20) / 20 - values
        assert np.var(errors[0] - errors[1]) == pytest.approx(rounding(0.05), rel=0.02)

    def test_equal_accuracies_have_no_winner(self) -> None:
        """0.9722 against 0.9694 on three seeds, one example of 360, is a tie; five examples are not."""
        for ahead, word in ((1, "tie"), (5, "winner")):
            losses = {"a": [-350 / 360] * 3, "b": [-(350 - ahead) / 360] * 3}
            assert verdicts(losses, resolution=1 / 360).rows["a"].verdict == word
            assert verdicts(losses).rows["a"].verdict == "tie"

    @pytest.mark.parametrize("noise", [0.25, 0.75, 2.0])
    def test_equal_counts_seldom_have_a_winner(self, noise: float) -> None:
        """A winner is named in at most 5% of 1,000 searches (plus two standard errors), whatever the noise."""
        rng, wins = np.random.default_rng(4), 0
        for _ in range(1_000):
            right = np.round(rng.uniform(-2, 2, 4) + noise * rng.normal(size=(2, 4)))
            wins += len(verdicts(dict(zip("ab", right, strict=True)), resolution=1.0).still_in) == 1
        assert wins / 1_000 < 0.064
