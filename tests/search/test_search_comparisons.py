"""The questions answered beside "which is best": what a decay is worth, and what the search is worth."""

from dataclasses import replace

import pytest

from pipeline.results import Comparison, SearchResult
from pipeline.rivals import RECIPE, parse_rivals
from pipeline.search import conduct
from tests.search.surface import BASELINE, FLOOR, Surface, make_plan

PLAN = make_plan(trials=10, top_k=3)


def answers(result: SearchResult) -> dict[str, Comparison]:
    """Return the comparisons of a search by question."""
    return {one.question: one for one in result.comparisons}


def test_what_a_decay_is_worth() -> None:
    """The best constant rate is a finalist, of the same optimizer, on the same seeds, though nothing speaks for it."""
    result, trials = conduct(
        replace(PLAN, schemes=("linear", *PLAN.schemes)), Surface(noise=1e-3, floor={**FLOOR, "linear": 0.2})
    )
    assert "constant" not in {trial.evaluation.candidate.scheme for trial in trials}
    found = answers(result)["decay"]
    assert found.name == result.winner.scheme == "cosine"
    assert found.over is not None
    row = found.over.row
    assert (row.scheme, row.optimizer, row.seeds) == ("constant", "sgd", result.leaderboard[0].seeds)
    assert row.initial_lr == pytest.approx(result.winner.initial_lr * 10**-0.25, rel=0.2)
    assert found.over.gain.mean == pytest.approx(row.val_loss.mean - result.leaderboard[0].val_loss.mean)
    assert (found.over.gain.low > 0, row.verdict) == (True, "worse")


def test_a_constant_rate_that_is_best() -> None:
    """A decay is worth less than nothing then, whichever decay is the best of the others."""
    result, _ = conduct(PLAN, Surface(noise=1e-3, floor={"constant": 0.05, "cosine": 0.3, "step": 0.4}))
    assert result.winner.scheme == "constant"
    found = answers(result)["decay"]
    assert found.name == "cosine"
    assert found.over is not None
    assert found.over.gain.high < 0
    assert found.over.row.only == result.winner


def test_a_default_rate_may_be_the_best_constant_one() -> None:
    """If it is of the searched optimizer; the gain is that of the answer over this baseline."""
    result, _ = conduct(PLAN, Surface(noise=1e-3, baseline={**BASELINE, "sgd": 0.12}))
    assert answers(result)["decay"].over in result.baselines
    assert answers(result)["decay"].over == next(one for one in result.baselines if one.name == "SGD at 0.01")


def test_what_the_search_is_worth() -> None:
    """It is the gain of the answer over the recipe."""
    result, _ = conduct(PLAN, Surface(noise=1e-3))
    found = answers(result)["search"]
    assert found.over == next(one for one in result.baselines if one.name == RECIPE)
    assert found.over.gain.low > 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"top_k": 2}, "that takes three finalists, or a budget of 30"),
        ({"schemes": ("cosine", "step", "linear")}, "the constant scheme was not searched"),
        ({"schemes": ("constant",), "top_k": 1}, "no finalist decays"),
        ({"confirm_seeds": 0}, "nothing was compared"),
    ],
)
def test_why_it_is_not_known(changes: dict[str, object], why: str) -> None:
    """Nothing is compared with a rate that nobody searched for, nor with another optimizer's."""
    result, _ = conduct(
        make_plan(**{"trials": 10, "top_k": 3, **changes}), Surface(noise=1e-3, floor={**FLOOR, "linear": 0.2})
    )
    assert (answers(result)["decay"].over, answers(result)["decay"].unknown) == (None, why)


def test_rivals_cost_trainings_beyond_the_budget() -> None:
    """They change neither the trials nor the finalists, and are compared on the same seeds."""
    rivals = parse_rivals("lion:step:0.01,nadam")
    surface = Surface(noise=1e-3, baseline={**BASELINE, "nadam": 0.5})
    without, trials = conduct(replace(PLAN, trainings=10 + 6 * 3), surface)
    with_them, same = conduct(replace(PLAN, trainings=10 + 6 * 3, rivals=rivals), surface)
    assert trials == same
    assert with_them.cost.trainings == pytest.approx(without.cost.trainings + len(rivals) * 3)
    assert [one.name for one in with_them.baselines][3:] == ["lion step at 0.01", "nadam at 0.001"]
    rows = {(row.scheme, row.optimizer): row.seeds for row in with_them.leaderboard}
    assert rows["step", "lion"] == rows["constant", "nadam"] == rows["cosine", "sgd"]
