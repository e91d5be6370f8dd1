"""Comparisons with the best: cases with known answers, SciPy's t tests, and simulations with a known truth."""

from collections.abc import Sequence
from math import inf, isnan
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.statistics import MOST_SEEDS, Pairs, Verdicts, looks, seeds_needed, spent_at, verdicts

SIXTEENTHS = st.integers(1, 80).map(lambda count: count / 16)
"""Losses whose sums and differences have no rounding errors."""


def words(found: Verdicts) -> dict[str, str]:
    """Return the verdict of each candidate."""
    return {name: row.verdict for name, row in found.rows.items()}


class TestVerdicts:
    def test_a_winner_beats_all_others(self) -> None:
        """Differences that are clear on every seed decide."""
        found = verdicts({"cosine": [0.10, 0.11, 0.12], "step": [0.20, 0.211, 0.22], "linear": [0.30, 0.312, 0.32]})
        assert found.best == "cosine"
        assert words(found) == {"cosine": "winner", "step": "worse", "linear": "worse"}
        assert found.ties == ()
        assert found.still_in == ("cosine",)
        assert found.rows["cosine"].behind.high == 0

    def test_two_candidates_are_compared_by_the_paired_t_test(self) -> None:
        """The verdict flips at the level of SciPy's two-sided p value."""
        a, b = [0.10, 0.12, 0.11, 0.13], [0.13, 0.13, 0.15, 0.14]
        p = float(stats.ttest_rel(a, b).pvalue)
        assert verdicts({"a": a, "b": b}, level=1 - p * 1.001).rows["a"].verdict == "winner"
        assert verdicts({"a": a, "b": b}, level=1 - p * 0.999).rows["a"].verdict == "tie"

    def test_the_bound_is_the_one_sided_one_of_scipy(self) -> None:
        """It bounds the paired difference at 5% / (k - 1); the mean is the difference from the lowest."""
        losses = {"a": [0.10, 0.12, 0.11], "b": [0.11, 0.11, 0.14], "c": [0.9, 1.0, 0.8]}
        found = verdicts(losses)
        assert found.still_in == ("a", "b")
        test = stats.ttest_rel(losses["c"], losses["a"], alternative="less")
        other = stats.ttest_rel(losses["c"], losses["b"], alternative="less")
        bounds = [one.confidence_interval(1 - 0.05 / 2).high for one in (test, other)]
        behind = found.rows["c"].behind
        assert (behind.low, behind.high, behind.level) == pytest.approx((0.0, max(bounds), 0.95), rel=1e-9)
        assert behind.mean == pytest.approx(np.subtract(losses["c"], losses["a"]).mean())

    def test_one_tie_leaves_no_winner(self) -> None:
        """The best by mean is only tied if another may be better, and it may be behind that one."""
        found = verdicts({"a": [0.10, 0.11, 0.12], "b": [0.11, 0.10, 0.13], "c": [0.50, 0.51, 0.53]})
        assert found.best == "a"
        assert words(found) == {"a": "tie", "b": "tie", "c": "worse"}
        assert found.ties == ("b",)
        assert found.rows["a"].behind.mean == 0 < found.rows["a"].behind.high < found.rows["b"].behind.high

    def test_a_beaten_candidate_leaves_its_error_to_the_others(self) -> None:
        """Two candidates that a quarter of the error cannot distinguish are distinguished once the others are out."""
        a = np.array([0.10, 0.11, 0.12, 0.13])
        close = {"a": a, "b": a + np.array([0.010, 0.019, 0.015, 0.000])}
        far = {name: a + 9 + np.random.default_rng(at).normal(0, 0.01, 4) for at, name in enumerate("cde")}
        near = {name: values - values.mean() + a.mean() + 0.005 for name, values in far.items()}
        pairs = Pairs.of(close | far)
        assert pairs.beats("a", "b", 0.05 / 2)
        assert not pairs.beats("a", "b", 0.05 / 4)
        assert words(verdicts(close | far)) == {"a": "winner", **dict.fromkeys("bcde", "worse")}
        assert words(verdicts(close | near)) == dict.fromkeys("abcde", "tie")

    def test_one_seed_shows_nothing(self) -> None:
        """Single trainings are ties without a bound, however far apart they are."""
        found = verdicts({"a": [0.1], "b": [5.0]})
        assert words(found) == {"a": "tie", "b": "tie"}
        assert found.rows["a"].behind.high == inf

    def test_divergence_on_any_seed_is_divergence(self) -> None:
        """Two good seeds do not make up for a NaN, and a diverged candidate is no rival of the best."""
        found = verdicts({"a": [0.01, float("nan"), 0.01], "b": [0.3, 0.31, 0.29], "c": [inf, inf, inf]})
        assert found.best == "b"
        assert words(found) == {"a": "diverged", "b": "winner", "c": "diverged"}
        assert found.rows["a"].behind.mean == inf

    def test_all_diverged_has_no_best(self) -> None:
        """No candidate is named."""
        found = verdicts({"a": [inf, 1.0], "b": [float("nan"), 1.0]})
        assert (found.best, found.still_in) == (None, ())
        assert words(found) == {"a": "diverged", "b": "diverged"}
        assert isnan(found.rows["a"].behind.mean)

    @pytest.mark.parametrize("losses", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": [1.0, 2.0], "b": []}])
    def test_unequal_seeds_are_refused(self, losses: dict[str, list[float]]) -> None:
        """Without a schedule paired comparisons need the same seeds for all."""
        with pytest.raises(ValueError, match="same seeds"):
            verdicts(losses)

    def test_seeds_between_looks_are_refused(self) -> None:
        """Their share of the error is not known."""
        with pytest.raises(ValueError, match="no look at 4 seeds, only at 3, 6"):
            verdicts({"a": [0.1] * 4, "b": [0.2] * 6}, looks(6))

    def test_a_candidate_alone_is_not_compared(self) -> None:
        """It is the best but beat nobody; if it is alone because the other one diverged, it is the winner."""
        found = verdicts({"a": [0.1, 0.2]})
        assert (words(found), found.best, found.still_in) == ({"a": "tie"}, "a", ("a",))
        assert words(verdicts({"a": [0.1, 0.2], "b": [inf, 0.2]})) == {"a": "winner", "b": "diverged"}

    @given(st.dictionaries(st.sampled_from("abcde"), st.lists(SIXTEENTHS, min_size=3, max_size=3), min_size=1))
    def test_verdicts_agree_with_each_other(self, losses: dict[str, list[float]]) -> None:
        """The lowest mean is the best; it is the only winner, or tied with all others that are not beaten."""
        found = verdicts(losses)
        assert found.best is not None
        assert np.mean(losses[found.best]) == min(np.mean(values) for values in losses.values())
        assert found.best in found.still_in
        word = "winner" if len(found.still_in) == 1 < len(losses) else "tie"
        assert words(found) == {name: word if name in found.still_in else "worse" for name in losses}
        assert all(row.behind.low <= max(row.behind.mean, 0.0) <= row.behind.high + 1e-9 for row in found.rows.values())


class TestEquivalence:
    LOSSES = MappingProxyType(
        {"a": [1.000, 1.010, 0.990, 1.004], "b": [1.001, 1.009, 0.992, 1.003], "c": [2.0, 2.1, 1.9, 2.05]}
    )

    def test_ties_within_the_tolerance_are_equivalent(self) -> None:
        """Their bounds decide, not their means: the tolerance must be at least the largest bound."""
        tied = verdicts(self.LOSSES)
        assert words(tied) == {"a": "tie", "b": "tie", "c": "worse"}
        assert not tied.decided
        most = max(tied.rows[name].behind.high for name in "ab") / float(np.mean(self.LOSSES["a"]))
        found = verdicts(self.LOSSES, tolerance=1.001 * most)
        assert words(found) == {"a": "equivalent", "b": "equivalent", "c": "worse"}
        assert (found.decided, found.still_in, found.ties) == (True, ("a", "b"), ("b",))
        assert words(verdicts(self.LOSSES, tolerance=0.999 * most)) == words(tied)

    def test_the_tolerance_is_a_share_whatever_the_sign(self) -> None:
        """Losses are negative if higher is better."""
        below = {name: [value - 4 for value in values] for name, values in self.LOSSES.items() if name != "c"}
        assert words(verdicts(below, tolerance=0.01)) == {"a": "equivalent", "b": "equivalent"}

    def test_one_seed_shows_no_equivalence(self) -> None:
        """With one seed there is no bound."""
        assert words(verdicts({"a": [1.0], "b": [1.0]}, tolerance=0.5)) == {"a": "tie", "b": "tie"}

    def test_it_is_seldom_claimed_of_candidates_that_differ_by_more(self) -> None:
        """If they differ by just more than the tolerance, in at most 5% of 600 searches (plus two standard errors)."""
        rng, claimed = np.random.default_rng(6), 0
        for _ in range(600):
            drawn = np.array([10.0, 10.101])[:, None] + 0.1 * rng.normal(size=(2, 6))
            claimed += words(verdicts(dict(zip("ab", drawn, strict=True)), tolerance=0.01))["a"] == "equivalent"
        assert claimed / 600 < 0.068


class TestSeveralLooks:
    def test_a_candidate_beaten_early_stays_beaten(self) -> None:
        """It does so even if later seeds blur the difference; the bound is that of all seeds that both have."""
        schedule = looks(6)
        a = [0.100, 0.110, 0.120, 0.105, 0.115, 0.125]
        b = [0.101, 0.108, 0.121, 0.104, 0.116, 0.125]
        blurred = [1.10, 1.12, 1.11, -3.0, 9.0, 0.1]
        found = verdicts({"a": a, "b": b, "blurred": blurred}, schedule)
        assert words(found) == {"a": "tie", "b": "tie", "blurred": "worse"}
        assert words(verdicts({"a": a, "b": b, "blurred": blurred}))["blurred"] == "tie"
        assert found.rows["blurred"].behind.high > 5

    def test_a_candidate_that_left_needs_no_further_seeds(self) -> None:
        """The verdicts are the same as with them; its bound is SciPy's, at the share of the look at which it left."""
        a = [0.100, 0.110, 0.120, 0.105, 0.115, 0.125]
        losses = {"a": a, "b": [0.101, 0.108, 0.121, 0.104, 0.116, 0.125], "c": [1.10, 1.12, 1.11]}
        found = verdicts(losses, looks(6))
        assert words(found) == {"a": "tie", "b": "tie", "c": "worse"}
        share = 0.05 * spent_at(3, looks(6)) / 2
        tests = [stats.ttest_rel(losses["c"], losses[one][:3], alternative="less") for one in "ab"]
        assert found.rows["c"].behind.high == pytest.approx(max(t.confidence_interval(1 - share).high for t in tests))
        assert found.rows["c"].behind.mean == pytest.approx(
            np.subtract(losses["c"], losses[found.best or ""][:3]).mean()
        )
        assert (found.beats("a", "c"), found.beats("c", "a"), found.beats("a", "b")) == (True, False, False)

    def test_a_candidate_whose_only_victor_diverged_is_back(self) -> None:
        """A candidate that diverges later beats nobody."""
        beaten, other = [0.2, 0.211, 0.22], [0.25, 0.15, 0.24]
        ahead = {"a": [0.10, 0.11, 0.12], "b": beaten, "c": other}
        assert words(verdicts(ahead, looks(6))) == {"a": "tie", "b": "worse", "c": "tie"}
        later = {"a": [*ahead["a"], inf, inf, inf], "b": beaten, "c": [*other, 0.2, 0.21, 0.19]}
        assert words(verdicts(later, looks(6))) == {"a": "diverged", "b": "tie", "c": "tie"}

    def test_an_early_look_asks_for_more(self) -> None:
        """A difference that decides on three seeds of three does not yet decide at the first look of thirty seeds."""
        losses = {"a": [0.10, 0.12, 0.11], "b": [0.15, 0.18, 0.16]}
        assert words(verdicts(losses))["a"] == "winner"
        assert words(verdicts(losses, (3, 30)))["a"] == "tie"


def confirmed(means: Sequence[float], limit: int, rng: np.random.Generator) -> Verdicts:
    """Draw losses with these true means and unit noise, and add seeds as the search does."""
    schedule = looks(limit)
    drawn = np.array(means)[:, None] + rng.normal(size=(len(means), limit)) + rng.normal(size=limit)
    for look in schedule:
        found = verdicts({str(at): values[:look] for at, values in enumerate(drawn)}, schedule)
        if len(found.still_in) < 2:
            break
    return found


class TestSimulations:
    @pytest.mark.parametrize(("means", "limit"), [([0, 0], 6), ([0, 0, 8, 9, 9], 6), ([0, 0, 0], 10)])
    def test_a_tie_is_seldom_called_a_win(self, means: list[float], limit: int) -> None:
        """With ties at the top a winner is named in at most 5% of 600 searches (plus two standard errors)."""
        rng = np.random.default_rng(3)
        wins = [len(confirmed(means, limit, rng).still_in) == 1 for _ in range(600)]
        assert np.mean(wins) < 0.068

    def test_a_real_difference_is_found(self) -> None:
        """One and a half deviations apart with ten seeds: most searches name the better one rather than a tie."""
        rng = np.random.default_rng(4)
        found = [confirmed([0.0, 2.0], 10, rng) for _ in range(200)]
        assert np.mean([one.rows["0"].verdict == "winner" for one in found]) > 0.8

    def test_the_bounds_hold(self) -> None:
        """The truly best is among those still in, and nobody is further behind it than its bound, 19 times of 20."""
        rng, means = np.random.default_rng(5), [0.0, 0.5, 1.0, 4.0]
        found = [confirmed(means, 6, rng) for _ in range(400)]
        assert np.mean(["0" in one.still_in for one in found]) > 0.93
        held = [all(one.rows[str(at)].behind.high >= mean for at, mean in enumerate(means)) for one in found]
        assert np.mean(held) > 0.93


class TestSeedsNeeded:
    def test_it_is_where_the_t_test_first_reaches_the_level(self) -> None:
        """With a difference of one deviation a t test of n seeds has t = sqrt(n)."""
        expected = next(n for n in range(2, 100) if np.sqrt(n) > stats.t.ppf(0.975, n - 1))
        assert seeds_needed([1.0, 2.0, 0.0], [0.0, 0.0, 0.0]) == expected

    def test_equal_candidates_are_never_distinguished(self) -> None:
        """No number of seeds shows a difference of zero."""
        assert seeds_needed([0.1, 0.2], [0.2, 0.1]) == MOST_SEEDS + 1


class TestLooks:
    @pytest.mark.parametrize(
        ("limit", "expected"),
        [
            (1, (1,)),
            (2, (2,)),
            (4, (4,)),
            (5, (3, 5)),
            (6, (3, 6)),
            (8, (3, 8)),
            (10, (3, 6, 10)),
            (30, (3, 6, 12, 30)),
        ],
    )
    def test_batches_double_until_the_limit_is_near(self, limit: int, expected: tuple[int, ...]) -> None:
        """The first look is at three seeds; none comes just before the last."""
        assert looks(limit) == expected

    @given(st.integers(1, 1000))
    def test_the_whole_error_is_spent_by_the_last_look(self, limit: int) -> None:
        """Looks ascend to the limit; what is spent up to a look is the square of its share of the seeds."""
        schedule = looks(limit)
        assert list(schedule) == sorted(set(schedule))
        assert schedule[-1] == limit
        spent = np.cumsum([spent_at(look, schedule) for look in schedule])
        assert spent == pytest.approx((np.array(schedule) / limit) ** 2)

    def test_what_was_not_planned_is_refused(self) -> None:
        """A look that is not in the schedule has nothing to spend; without seeds there is nothing to look at."""
        with pytest.raises(ValueError, match="no look at 4 seeds, only at 3, 6"):
            spent_at(4, (3, 6))
        with pytest.raises(ValueError, match="received 0"):
            looks(0)

    @pytest.mark.parametrize("limit", [5, 12])
    def test_looking_often_does_not_inflate_the_error(self, limit: int) -> None:
        """Of 20,000 series of noise at most 5% are ever called a difference; a plain t test at each look calls more."""
        schedule, noise = looks(limit), np.random.default_rng(1).normal(size=(20_000, limit))
        called, plainly = np.zeros(20_000, bool), np.zeros(20_000, bool)
        for look in schedule:
            p = stats.ttest_1samp(noise[:, :look], 0, axis=1).pvalue
            called |= p < 0.05 * spent_at(look, schedule)
            plainly |= p < 0.05
        assert 0.035 < called.mean() < 0.0535  # 5% and two standard errors of it
        assert plainly.mean() > 0.07
