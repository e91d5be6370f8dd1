"""Refinement by trainings, on valleys with known bottoms, without any network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_test import explore
from pipeline.range_test.exploration import BOUNDS
from pipeline.range_test.refinement import (
    SHORT,
    SHORT_TRAININGS,
    WHOLE_TRAININGS,
    Ending,
    misled,
    refine,
    short_share,
    starting_rate,
)
from pipeline.results import Refinement
from tests.range_test.curves import descent, ending, measured, trained


class KnownValley:
    """Trainings whose best rate is known: `best` when whole, `moves` decades higher for every halving; counts them.

    The loss climbs by `curvature` per squared decade, and is NaN above `breaks_at`.
    """

    def __init__(self, best: float, curvature: float, moves: float = 0.0, breaks_at: float = np.inf) -> None:
        self.best, self.curvature, self.moves, self.breaks_at = best, curvature, moves, breaks_at
        self.asked: list[tuple[float, int, float]] = []

    def __call__(self, asked: Sequence[tuple[float, int, float]]) -> list[Ending]:
        self.asked += asked
        return [ending(self.loss(rate, share)) for rate, _, share in asked]

    def loss(self, rate: float, share: float) -> float:
        """Return how such a training ends."""
        best = self.best * 10 ** (-self.moves * np.log2(share))
        loss = 0.1 / share * np.exp(self.curvature * np.log10(rate / best) ** 2)
        return float(loss) if rate < self.breaks_at else np.nan


def assert_bounded(found: Refinement, train: KnownValley, seeds: int = 1) -> None:
    """Check that no more trainings were made than promised, and that all were counted."""
    assert found.cost == pytest.approx(sum(share for _, _, share in train.asked))
    assert found.cost <= seeds * (SHORT_TRAININGS * SHORT + WHOLE_TRAININGS) == 5 * seeds
    assert len(found.tried) * seeds == len(train.asked)


class TestRefine:
    @given(st.floats(-2.4, 2.4), st.floats(0.1, 3.0))
    def test_it_finds_the_bottom_of_a_parabola(self, off: float, curvature: float) -> None:
        """From up to 2.4 decades away to an eighth of one, as it interpolates between short trainings."""
        train = KnownValley(1e-2, curvature)
        found = refine(train, 1e-2 * 10**off)
        assert abs(np.log10(found.suggested_lr / 1e-2)) < 1 / 8 + 1e-6  # type: ignore[operator]
        assert found.lr_low < 1e-2 < found.lr_high  # type: ignore[operator]
        assert_bounded(found, train)

    @given(st.floats(-0.3, 0.7), st.floats(0.5, 3.0), st.floats(0.0, 0.4))
    def test_it_finds_a_bottom_that_moves_down_when_trainings_grow_longer(
        self, off: float, curvature: float, moves: float
    ) -> None:
        """As where a network overfits: by up to 0.4 decades for every doubling."""
        train = KnownValley(1e-2, curvature, moves)
        found = refine(train, 1e-2 * 10**off)
        assert found.suggested_lr is not None
        assert abs(np.log10(found.suggested_lr / 1e-2)) < 0.3
        assert found.lr_low < 1e-2 < found.lr_high  # type: ignore[operator]
        assert_bounded(found, train)

    def test_the_fit_is_the_parabola_that_whole_trainings_lie_on(self) -> None:
        """Two steps down from the start, so that both sides of the best are known."""
        found = refine(KnownValley(1e-2, 0.8, moves=0.25), 1e-2 * 10**0.8)
        assert found.fit is not None
        assert (found.fit.lr, found.fit.val_loss, found.fit.curvature) == pytest.approx((1e-2, 0.1, 0.8))
        assert found.suggested_lr == found.fit.lr

    def test_short_trainings_alone_would_be_wrong_there(self) -> None:
        """Their best rate is 1.2 decades higher, and that is where the whole trainings begin."""
        train = KnownValley(1e-2, 1.0, moves=0.4)
        refine(train, 1e-1)
        wholes = [rate for rate, _, share in train.asked if share == 1]
        assert np.log10(wholes[0] / 1e-2) == pytest.approx(1.2)
        assert wholes == sorted(wholes, reverse=True)

    def test_three_short_and_two_whole_trainings_where_the_start_was_right(self) -> None:
        """For each seed, and on the same seeds at every rate."""
        train = KnownValley(1e-2, 1.0)
        found = refine(train, 1e-2, seeds=(3, 4))
        assert [tried.share for tried in found.tried] == [SHORT] * 3 + [1.0] * 2
        assert [seed for _, seed, _ in train.asked] == [3, 4] * 5
        assert found.cost == 2 * (3 * SHORT + 2)
        assert_bounded(found, train, seeds=2)

    def test_the_loss_is_the_mean_over_seeds(self) -> None:
        """Inf where one of them diverged."""
        train = trained(lambda rate, seed, share: 1.0 + seed if rate < 0.02 else [1.0, np.nan][seed])
        found = refine(train, 1e-2, seeds=(0, 1))
        assert {tried.val_loss for tried in found.tried} == {1.5, np.inf}

    def test_it_goes_down_where_the_start_diverges(self) -> None:
        """NaN compares with nothing, and is worse than everything; the interval ends below what diverged."""
        train = KnownValley(1e-1, 1.0, breaks_at=2e-2)
        found = refine(train, 1.0)
        assert found.suggested_lr < 2e-2  # type: ignore[operator]
        assert found.lr_high < min(tried.lr for tried in found.tried if np.isinf(tried.val_loss))  # type: ignore[operator]
        assert_bounded(found, train)

    def test_where_all_above_diverges_it_looks_once_more_just_below_the_best(self) -> None:
        """Two finite points are no valley: the third lies between them."""
        train = KnownValley(10**-2.2, 1.0, breaks_at=10**-1.9)
        found = refine(train, 1e-2)
        wholes = [float(np.log10(tried.lr)) for tried in found.tried if tried.share == 1]
        assert wholes == pytest.approx([-2.0, -2.5, -2.25])
        assert found.suggested_lr == pytest.approx(10**-2.2)
        assert_bounded(found, train)

    def test_a_valley_too_far_away_is_followed_as_far_as_promised(self) -> None:
        """At the cost of five whole trainings, and with the rate reached as the answer."""
        train = KnownValley(1e-9, 0.5)
        found = refine(train, 1.0)
        assert found.cost == 5
        assert found.suggested_lr < 10**-3.9  # type: ignore[operator]
        assert_bounded(found, train)

    def test_where_all_diverges_there_is_no_answer(self) -> None:
        """Nor are more trainings spent than promised."""
        train = KnownValley(1e-2, 1.0, breaks_at=0.0)
        found = refine(train, 1.0)
        assert (found.suggested_lr, found.lr_low, found.lr_high, found.fit) == (None, None, None, None)
        assert_bounded(found, train)

    @given(st.dictionaries(st.integers(-9, 9), st.floats(-5, 5) | st.just(np.nan)), st.floats(0.01, 1.0))
    def test_any_losses_give_an_answer_near_what_was_tried(self, losses: dict[int, float], short: float) -> None:
        """Noise, negative losses, divergence anywhere: never an exception, never a rate that nobody tried nearby."""

        def train(rate: float, seed: int, share: float) -> float:
            return losses.get(round(2 * np.log10(rate)), 1.0)

        found = refine(trained(train), 1.0, short=short)
        whole = [tried.lr for tried in found.tried if tried.share == 1]
        if found.suggested_lr is None:
            assert all(tried.val_loss == np.inf for tried in found.tried if tried.share == 1)
            return
        assert min(abs(np.log10(found.suggested_lr / rate)) for rate in whole) < 0.26
        assert found.lr_low < found.suggested_lr <= found.lr_high  # type: ignore[operator]

    @pytest.mark.parametrize("start", [0.0, -1.0, np.nan, np.inf])
    def test_a_start_must_be_a_rate(self, start: float) -> None:
        """Refused by name."""
        with pytest.raises(InputError, match="start"):
            refine(KnownValley(1e-2, 1.0), start)

    def test_short_trainings_are_long_enough_to_say_something(self) -> None:
        """An eighth, but at least 50 updates, where a training has so many."""
        assert [short_share(updates) for updates in (4_000, 200, 50, 10)] == [SHORT, 0.25, 1.0, 1.0]


class TestStart:
    def test_it_is_the_middle_seed_where_they_disagree(self) -> None:
        """Five seeds, two of them far off: no answer of the sweep, but a start. A flat sweep gives none."""
        centres = (1e5, 1.2e-3, 1e-1, 1e-3, 1.1e-3)
        differing = measured(lambda rates, seed: descent(rates, centres[seed], 30 * centres[seed]))
        found = explore(differing, range(3), 1e-6, 10, 250, widenings=0)
        assert (found.analysis.verdict, found.analysis.suggested_lr) == ("refused", None)
        own = [rate for rate in found.analysis.seed_suggestions if rate is not None]
        assert len(own) == 4
        assert starting_rate(found.analysis) == pytest.approx(np.sqrt(np.prod(sorted(own)[1:3])))
        still = measured(lambda rates, seed: np.full(rates.size, 2.3))
        flat = explore(still, (0,), *BOUNDS["adam"], 250, widenings=0)
        assert starting_rate(flat.analysis) is None


class TestMisled:
    @pytest.mark.parametrize(
        ("endings", "expected"),
        [
            ([Ending(2.3, 0.2, 2.3), Ending(2.31, 1.5, 2.3)], True),
            ([Ending(8.0, 0.2, 2.3), Ending(2.29, 1.5, 2.3), Ending(np.inf, np.inf, 9.0)], True),
            ([Ending(0.9, 0.2, 2.3), Ending(2.2, 1.5, 2.3)], False),
            ([Ending(0.5, 0.9, 2.3)], False),
            ([Ending(2.2, 2.2, 2.3)], False),
            ([Ending(np.inf, np.inf, 2.3)], False),
            ([Ending(-1.5, -2.0, -1.0)], False),
        ],
        ids=["at chance", "worse than chance", "overfits", "dropout", "nothing learnt", "diverged", "below zero"],
    )
    def test_it_is_where_validation_shows_nothing_of_what_is_learnt(self, endings: Any, expected: bool) -> None:
        """Not where it is lower than the training loss, or where there is nothing to show."""
        assert misled(endings) == expected

    @pytest.mark.parametrize("wholes", [True, False])
    def test_the_training_loss_is_followed_instead(self, wholes: bool) -> None:
        """At those lengths where validation is stuck, from a start at which nothing is learnt yet."""
        valley = KnownValley(1e-2, 0.8)

        def train(asked: Sequence[tuple[float, int, float]]) -> list[Ending]:
            found = []
            for rate, _, share in asked:
                stuck = share < 1 or wholes
                loss = valley.loss(rate, share)
                found.append(Ending(2.3 if stuck else loss, loss if stuck else 1.0, start_loss=2.3))
            return found

        found = refine(train, 2e-3)
        assert found.suggested_lr == pytest.approx(1e-2, rel=0.35)
        assert {tried.share for tried in found.tried if tried.judged_by == "train_loss"} == {SHORT, *([1.0] * wholes)}
        assert {tried.val_loss for tried in found.tried if tried.share < 1} == {2.3}
