"""Answers may come in any order, late, or diverged: the result stays the same."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pipeline import range_test, search
from pipeline.range_test import Conducted
from pipeline.results import RangeTestResult
from tests.answering import DISORDERLY, PLAN, Descent, Executor, in_order, late
from tests.search.surface import SCHEMES, SPACE, Surface, make_evaluation, make_plan

disorderly = pytest.mark.parametrize("executor", DISORDERLY, ids=lambda executor: executor.__name__)

SEARCH = make_plan(
    spaces=tuple(SPACE.model_copy(update={"batch_size": size}) for size in (32, 64)),
    trials=24,
    top_k=3,
    confirm_seeds=10,
    transfer=True,
)
NEAR = Surface(
    noise=0.05,
    floor=dict.fromkeys(SCHEMES, 0.1),
    diverges_above=0.11,
    by_batch_size={64: 0.02},
    baseline={"adam": 0.2, "sgd": 0.15},
)
"""Schemes so near each other that a swapped answer would change what is asked next."""

SWEPT = {
    "within the sweep": Descent(),
    "beyond its lower edge": Descent(centre=1e-6, breaks_at=1e-4, best=1e-6),
    "where seeds disagree": Descent(shifted={0: 1e9, 2: 30.0}),
    "where all trainings diverge": Descent(best=1e-9),
}


@disorderly
def test_search_does_not_depend_on_the_order_of_answers(executor: Executor) -> None:
    """Trials, leaderboard, basins, audits, transfer and costs are equal to the last digit; some trainings diverge."""
    expected, trials = search.conduct(SEARCH, in_order(NEAR.train))
    found, again = search.conduct(SEARCH, executor(NEAR.train))
    assert any(trial.outcome.loss == inf for trial in trials)
    assert len(expected.leaderboard[0].seeds) > 3
    assert again == trials
    assert found.model_dump_json() == expected.model_dump_json()


@disorderly
@pytest.mark.parametrize("network", SWEPT.values(), ids=SWEPT)
def test_range_test_does_not_depend_on_the_order_of_answers(network: Descent, executor: Executor) -> None:
    """Rates, the losses in the order of the seeds, the verdict and the refinement are equal."""
    expected = range_test.conduct(PLAN, in_order(network.train))
    found = range_test.conduct(PLAN, executor(network.train))
    assert _timeless(found.result) == _timeless(expected.result)
    np.testing.assert_array_equal(found.found.losses, expected.found.losses)
    np.testing.assert_array_equal(found.found.rates, expected.found.rates)
    assert [training.losses.tolist() for training in found.sweeps] == [row.tolist() for row in _rows(expected)]


def test_the_range_tests_above_are_of_every_kind() -> None:
    """They include a plain answer, a widened sweep, added seeds and a refusal; in each some training diverges."""
    within, beyond, disagreeing, hopeless = (range_test.conduct(PLAN, in_order(one.train)) for one in SWEPT.values())
    assert within.result.lr_min == pytest.approx(PLAN.lr_min)
    assert within.result.seeds == PLAN.seeds[:1]
    assert beyond.result.lr_min < PLAN.lr_min / 2
    assert len(disagreeing.result.seeds) == len(PLAN.seeds) + 2
    assert [one.result.verdict for one in (within, beyond, hopeless)] == ["ok", "ok", "refused"]
    assert all(np.isnan(one.found.losses).any() for one in (within, beyond, disagreeing, hopeless))


@disorderly
def test_executors_differ_in_order_alone(executor: Executor) -> None:
    """Each answers every question, and all but the late one in another order."""
    questions = [replace(make_evaluation(), seed=seed) for seed in range(40)]
    answered = [evaluation for evaluation, _ in executor(NEAR.train)(questions)]
    assert sorted(answered, key=lambda evaluation: evaluation.seed) == questions
    assert (answered == questions) == (executor is late)


def _rows(done: Conducted) -> list[np.ndarray]:
    return [row[: training.losses.size] for row, training in zip(done.found.losses, done.sweeps, strict=True)]


def _timeless(result: RangeTestResult) -> RangeTestResult:
    refinement = result.refinement and result.refinement.model_copy(update={"seconds": 0.0})
    return result.model_copy(update={"seconds": 0.0, "refinement": refinement})
