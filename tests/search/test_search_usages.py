"""Searches with optimizers that need no schedule, or no rate."""

import pytest

from pipeline.config import RangeTestOptions, SearchOptions
from pipeline.range_test import not_swept
from pipeline.results import RangeTestResult, Space
from pipeline.rivals import USUAL
from pipeline.search import conduct, planned
from tests.search.surface import SPACE, Surface, make_plan

FREE = SPACE.model_copy(update={"optimizer": "schedule_free_adamw"})
PRODIGY = Space(optimizer="prodigy", batch_size=32, suggested_lr=1.0, lr_low=1.0, lr_high=1.0)


def tried(surface: Surface, optimizer: str) -> set[tuple[object, ...]]:
    """Return scheme, warm-up and rate of all that was trained with an optimizer."""
    candidates = [evaluation.candidate for evaluation in surface.asked]
    return {(one.scheme, one.params.get("warmup"), one.initial_lr) for one in candidates if one.optimizer == optimizer}


@pytest.mark.parametrize("trials", [8, 24])
def test_each_optimizer_gets_the_schemes_that_suit_it(trials: int) -> None:
    """Beside one that takes any; also once a sampler proposes and varies parameters."""
    surface = Surface(noise=0.02)
    conduct(make_plan(spaces=(SPACE, FREE, PRODIGY), trials=trials), surface)
    assert {scheme for scheme, *_ in tried(surface, "sgd")} > {"cosine"}
    assert {(scheme, warmup) for scheme, warmup, _ in tried(surface, "schedule_free_adamw")} == {("constant", 0.05)}
    assert len(tried(surface, "schedule_free_adamw")) > 1
    assert tried(surface, "prodigy") <= {("constant", None, 1.0), ("cosine", None, 1.0)}


def test_a_rate_alone_is_found() -> None:
    """In a bracket and little more; the one finalist is compared with the baselines."""
    surface = Surface(noise=0.002, optimum=0.05)
    result, _ = conduct(make_plan(spaces=(FREE,), trials=9, top_k=1), surface)
    assert result.winner.scheme == "constant"
    assert result.winner.params == {"warmup": 0.05}
    assert result.winner.initial_lr == pytest.approx(0.05, rel=0.6)
    assert len(result.baselines) == len(USUAL)
    assert result.untried == ()


def test_an_estimated_rate_leaves_only_the_scheme_to_find() -> None:
    """It is never varied; there is nothing to suggest for other batch sizes."""
    surface = Surface(noise=0.02)
    result, _ = conduct(make_plan(spaces=(PRODIGY,), trials=20, transfer=True), surface)
    assert tried(surface, "prodigy") == {("constant", None, 1.0), ("cosine", None, 1.0)}
    assert (result.winner.scheme, result.winner.initial_lr) == ("cosine", 1.0)
    assert (result.basin.lr_low, result.basin.lr_high) == (1.0, 1.0)
    assert result.suggestions == ()


@pytest.mark.parametrize(("name", "low", "high"), [("prodigy", 1.0, 1.0), ("adafactor", 0.001, 0.1)])
def test_what_no_sweep_shows_is_given(name: str, low: float, high: float) -> None:
    """With the reason, at no cost; others are swept."""
    given = not_swept(RangeTestOptions(optimizer=name))
    assert given is not None
    assert (given.verdict, given.lr_low, given.lr_high, given.updates) == ("ok", low, high, 0)
    assert given.reason.startswith(f"{name} was not swept: ")
    assert not_swept(RangeTestOptions(optimizer="schedule_free_sgd")) is None


def test_no_more_finalists_than_there_are_combinations() -> None:
    """What a budget of 25 would spend on a second scheme is left over."""
    options = SearchOptions(optimizer="schedule_free_adamw")
    test = RangeTestResult(
        verdict="ok", reason="", suggested_lr=0.01, lr_low=0.001, lr_high=0.1, suggestions={}, seeds=(0,),
        optimizer=options.optimizer, batch_size=50, lr_min=1e-5, lr_max=10.0, updates=250, seconds=1.0,
    )  # fmt: skip
    plan = planned(options, [test], lambda batch_size: 100, 1000)
    assert (plan.top_k, plan.combinations) == (1, 1)
    assert plan.sizes.trainings == 9 + 3 * (1 + len(USUAL))
