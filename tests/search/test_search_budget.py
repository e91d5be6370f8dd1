"""The budget: what it is spent on, and that it is not exceeded."""

from dataclasses import replace

import pytest

from pipeline.config import SearchOptions, validated
from pipeline.errors import InputError
from pipeline.results import RangeTestResult
from pipeline.rivals import USUAL
from pipeline.search import Plan, conduct, planned
from pipeline.search.budget import Sizes, sizes
from pipeline.stages.search import announced
from tests.search.surface import SCHEMES, Surface

STEPS_PER_EPOCH, EPOCHS = 90, 6

TESTED = RangeTestResult(
    verdict="ok",
    reason="",
    suggested_lr=0.1,
    lr_low=0.002,
    lr_high=2.0,
    suggestions={},
    seeds=(0,),
    optimizer="sgd",
    batch_size=32,
    lr_min=1e-5,
    lr_max=10.0,
    updates=STEPS_PER_EPOCH * EPOCHS // 2,
    seconds=30.0,
)
"""A range test that took half a full training."""


@pytest.mark.parametrize(
    ("suggested", "correction", "start"),
    [(0.1, 1.0, None), (0.1, 3.0, 0.3), (0.1, 0.5, 0.05), (0.1, 100.0, 2.0), (0.1, 0.001, 0.002), (None, 3.0, None)],
)
def test_an_earlier_answer_moves_the_start_within_the_interval(
    suggested: float | None, correction: float, start: float | None
) -> None:
    """Where the range test refused, there is nothing to correct."""
    test = TESTED.model_copy(update={"suggested_lr": suggested})
    plan = planned(validated(SearchOptions, {}), [test], lambda size: STEPS_PER_EPOCH, 100, correction=correction)
    assert plan.spaces[0].start_lr == (None if start is None else pytest.approx(start))


def plan_of(**options: object) -> Plan:
    """Return the plan for these options after the range test."""
    given = {"epochs": EPOCHS, "batch_size": "32", "schemes": ",".join(SCHEMES)} | options
    return planned(validated(SearchOptions, given), [TESTED], lambda batch_size: STEPS_PER_EPOCH, 100)


@pytest.mark.parametrize("trainings", [*range(1, 130), 1000])
def test_sizes_use_the_budget_and_keep_it(trainings: int) -> None:
    """A larger budget buys more trials, and no useful part of it is left over."""
    own = sizes(trainings + 0.7)
    assert own.trials >= 1
    assert own.trainings == trainings
    assert own.trials >= sizes(trainings / 2).trials - 2


@pytest.mark.parametrize(
    ("trainings", "expected"),
    [
        (2, Sizes(2, 1, 0, baselines=False)),
        (9, Sizes(5, 2, 2, baselines=False)),
        (22, Sizes(7, 2, 3, baselines=True)),
        (24, Sizes(9, 2, 3, baselines=True)),
        (27, Sizes(9, 3, 3, baselines=True)),
        (59, Sizes(23, 3, 6, baselines=True)),
    ],
)
def test_what_a_budget_is_spent_on(trainings: float, expected: Sizes) -> None:
    """A small budget is spent on the rate alone, a larger one on finalists too, then baselines, then more seeds."""
    assert sizes(trainings) == expected


def test_range_test_is_part_of_the_budget() -> None:
    """The search gets what the range test left of the budget and of the time."""
    plan = plan_of(budget=10, minutes=2)
    assert plan.trainings == 9.5
    assert plan.seconds == 90.0
    assert plan_of().trainings == 24.5


@pytest.mark.parametrize(
    ("options", "at_once", "said"),
    [
        ({}, 1, "24 min 00 s at the speed of the range test"),
        ({}, 8, "at least 3 min 00 s at the speed of the range test with 8 at a time"),
        ({"minutes": 2}, 8, "at least 1 min 30 s at the speed of the range test with 8 at a time"),
    ],
)
def test_how_long_it_takes_is_announced(options: dict[str, object], at_once: int, said: str) -> None:
    """Workers train side by side; how far they can be kept busy is not known before."""
    plan = replace(plan_of(**options), at_once=at_once)
    assert f"; {said}" in announced(plan, 25, [TESTED], lambda batch_size: STEPS_PER_EPOCH)


def test_given_sizes_are_kept_and_the_others_fit_in() -> None:
    """Sizes that are not set follow from what is left of the budget."""
    assert plan_of(trials=4).trials == 4
    assert plan_of(trials=20).sizes.trainings <= 24
    assert plan_of(confirm_seeds=2).confirm_seeds == 2
    assert plan_of(confirm_seeds=2, top_k=1).sizes == Sizes(16, 1, 2, baselines=True)
    assert plan_of(trials=2, top_k=1, confirm_seeds=2, budget=100).sizes == Sizes(2, 1, 2, baselines=True)
    assert plan_of(trials=2, top_k=1, confirm_seeds=2, budget=10).sizes == Sizes(2, 1, 0, baselines=False)


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"trials": 30}, "trials=30"),
        ({"trials": 20, "top_k": 3, "confirm_seeds": 5}, "trials=20, top_k=3, confirm_seeds=5"),
        ({"budget": 4, "optimizer": "sgd,adam", "batch_size": "32,64"}, "4 combinations of optimizer and batch size"),
    ],
)
def test_budget_that_cannot_be_kept_is_refused(options: dict[str, object], least: str) -> None:
    """One line says how much is needed, and for what."""
    with pytest.raises(InputError, match=f"^budget: received .* expected more than [0-9]+ full trainings for {least}$"):
        validated(SearchOptions, options)


def test_rivals_need_a_comparison() -> None:
    """With a budget that allows none they are refused, not left out in silence."""
    with pytest.raises(InputError, match=r"^rivals: received 'lion' with budget=3, expected a budget of 8 or more"):
        validated(SearchOptions, {"rivals": "lion", "budget": 3})
    assert [one.name for one in plan_of(rivals="lion", budget=8).opponents] == ["lion at 0.001"]


@pytest.mark.parametrize("budget", [3, 6, 10, 16, 25, 60])
def test_budget_is_kept(budget: float) -> None:
    """It is not exceeded whatever the seeds show, even if some trainings diverge."""
    plan = plan_of(budget=budget)
    for surface in (Surface(noise=0.05), Surface(noise=0.05, diverges_above=0.2)):
        result, _ = conduct(plan, surface)
        assert result.cost.trainings <= budget - 0.5 + 0.01
        assert result.winner.scheme in SCHEMES


def test_larger_budgets_know_more() -> None:
    """At 3 nothing is compared, at 10 finalists are, at 25 the baselines too, and at 30 the best constant rate."""
    small, medium, default, large = (conduct(plan_of(budget=b), Surface(noise=0.01))[0] for b in (3, 10, 25, 30))
    known = [[one.question for one in found.comparisons if one.over] for found in (small, medium, default, large)]
    assert known == [[], [], ["search"], ["decay", "search"]]
    assert small.reason.startswith("not compared: the budget allows none")
    assert [len(row.seeds) for row in medium.leaderboard] == [2, 2]
    assert medium.baselines == ()
    assert {baseline.name for baseline in default.baselines} == {one.name for one in USUAL}


def test_time_ends_a_search_too() -> None:
    """Each training takes half a second; when the next ones would take too long, the answer is what is known."""
    plan = plan_of(budget=25, minutes=0.55)
    result, trials = conduct(plan, Surface(noise=0.01))
    assert plan.seconds == pytest.approx(3.0)
    assert 1 <= len(trials) <= 6 < plan.trials
    assert result.winner.scheme == "cosine"
