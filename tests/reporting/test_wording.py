from collections.abc import Mapping
from math import inf, nan

import pytest

from pipeline.reporting import wording
from pipeline.results import Interval
from pipeline.schedules import Value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.031622776, "0.0316"),
        (0.1, "0.1"),
        (1e-05, "1e-5"),
        (-0.0019, "-0.0019"),
        (12345.6, "12346"),
        (2.5e6, "2.5e6"),
        (0.0, "0"),
        (nan, "n/a"),
        (inf, "n/a"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Three significant digits, exponents unpadded."""
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (47.6, "48 s"), (59.7, "1 min 00 s"), (192, "3 min 12 s"), (3720, "1 h 02 min"), (nan, "n/a")],
)
def test_durations(seconds: float, text: str) -> None:
    """The two largest units that matter."""
    assert wording.seconds(seconds) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.0094, "+0.94"), (-0.002, "-0.20"), (-0.00001, "0.00"), (inf, "n/a")])
def test_accuracy_points(fraction: float, text: str) -> None:
    """Always signed, and never a negative zero."""
    assert wording.points(fraction) == text


def test_a_reason_is_a_sentence_with_schemes_in_words() -> None:
    """Names of options are left as they are typed."""
    reason = "one_cycle is chosen; exp_range got no trial; good rates may lie beyond those tried (lr_min, lr_max)"
    assert wording.sentence(reason) == (
        "One cycle is chosen; exp range got no trial; good rates may lie beyond those tried (lr_min, lr_max)."
    )


def test_an_interval_of_one_seed_is_unbounded() -> None:
    """Infinite bounds are words, not numbers."""
    assert wording.span(Interval(mean=1, low=-inf, high=inf)) == "unbounded"
    assert wording.span(Interval(mean=1, low=0.5, high=1.5)) == "0.5 to 1.5"


@pytest.mark.parametrize(
    ("mean", "high", "text"),
    [(0.0, 0.0, "best"), (0.0, 0.005, "0, at most 0.005"), (0.1, inf, "0.1, unbounded"), (inf, inf, "n/a")],
)
def test_how_far_behind(mean: float, high: float, text: str) -> None:
    """The winner is the best; a tie is behind by no more than a bound."""
    assert wording.behind(Interval(mean=mean, low=0, high=high)) == text


def test_the_level_of_a_corrected_interval_is_shown() -> None:
    """98.33%, not rounded to 95%."""
    assert wording.level(Interval(mean=0, low=0, high=0, level=1 - 0.05 / 3)) == "98.3%"


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(names: list[str], text: str) -> None:
    """Names join to a phrase."""
    assert wording.listed(names) == text


def test_parameters() -> None:
    """Floats are shortened; whole numbers, words and flags stay as they are."""
    values: Mapping[str, Value] = {"decay_rate": 0.66666666, "steps": 3, "by": "epoch", "staircase": True}
    assert wording.params(values) == "decay_rate=0.667, steps=3, by=epoch, staircase=True"


def test_counts() -> None:
    """One seed, three seeds."""
    assert [wording.count(n, "seed") for n in (1, 3, 12_000)] == ["1 seed", "3 seeds", "12,000 seeds"]
