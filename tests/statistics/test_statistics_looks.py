"""When seeds are added, and what each look may spend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.statistics import looks, spent_at


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1, (1,)), (2, (2,)), (4, (4,)), (5, (3, 5)), (6, (3, 6)), (8, (3, 8)), (10, (3, 6, 10)), (30, (3, 6, 12, 30))],
)
def test_batches_double_until_the_limit_is_near(limit: int, expected: tuple[int, ...]) -> None:
    """The first look is at three seeds; none comes just before the last."""
    assert looks(limit) == expected


@given(st.integers(1, 1000))
def test_the_whole_error_is_spent_by_the_last_look(limit: int) -> None:
    """Looks rise to the limit, each spends something, and up to any of them it is the square of the share of seeds."""
    schedule = looks(limit)
    assert list(schedule) == sorted(set(schedule))
    assert schedule[-1] == limit
    spent = np.cumsum([spent_at(look, schedule) for look in schedule])
    assert spent == pytest.approx((np.array(schedule) / limit) ** 2)


def test_what_was_not_planned_is_refused() -> None:
    """A look that is not in the schedule has nothing to spend; without seeds there is nothing to look at."""
    with pytest.raises(ValueError, match="no look at 4 seeds, only at 3, 6"):
        spent_at(4, (3, 6))
    with pytest.raises(ValueError, match="received 0"):
        looks(0)


@pytest.mark.parametrize("limit", [5, 12])
def test_looking_often_does_not_inflate_the_error(limit: int) -> None:
    """Of 20,000 series of noise at most 5% are ever called a difference; a plain t test at each look calls more."""
    schedule, noise = looks(limit), np.random.default_rng(1).normal(size=(20_000, limit))
    called, plainly = np.zeros(20_000, bool), np.zeros(20_000, bool)
    for look in schedule:
        p = stats.ttest_1samp(noise[:, :look], 0, axis=1).pvalue
        called |= p < 0.05 * spent_at(look, schedule)
        plainly |= p < 0.05
    assert 0.035 < called.mean() < 0.0535  # 5% and two standard errors of it
    assert plainly.mean() > 0.07
