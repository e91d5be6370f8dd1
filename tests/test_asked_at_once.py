"""Independent evaluations are asked at once, so that an executor can train them in parallel."""

from dataclasses import replace
from itertools import pairwise

import pytest

from pipeline import range_test, search
from pipeline.evaluation import Evaluation
from pipeline.search import CONFIRM_SEED
from pipeline.statistics import looks
from tests.answering import PLAN, Descent
from tests.search.surface import BASELINE, FULL, SCHEMES, SPACE, Surface, make_plan

Batch = list[Evaluation]
LARGER = SPACE.model_copy(update={"batch_size": 64, "suggested_lr": 0.2})


def trial_batches(surface: Surface) -> list[Batch]:
    """Return what was asked before the confirmation."""
    first = next(at for at, batch in enumerate(surface.batches) if batch[0].seed >= CONFIRM_SEED)
    return surface.batches[:first]


def test_search_for_the_rate_in_all_spaces() -> None:
    """Every optimizer and batch size looks for its best rate at the same time; then a few candidates at a time."""
    surface = Surface(optimum=0.06)
    search.conduct(make_plan(spaces=(SPACE, LARGER), trials=14), surface)
    batches = trial_batches(surface)
    assert [(asked.candidate.batch_size, asked.candidate.initial_lr) for asked in batches[0]] == [(32, 0.1), (64, 0.2)]
    assert [len(batch) for batch in batches[:3]] == [2, 2, 2]
    assert {len(batch) for batch in batches[-2:-1]} == {3}


@pytest.fixture(scope="module")
def confirmed() -> tuple[search.Plan, list[Batch]]:
    """Return what is asked after the trials where nothing is clear, so that all seeds are used."""
    plan = make_plan(trials=12, top_k=3, confirm_seeds=10, transfer=True)
    surface = Surface(noise=0.1, floor=dict.fromkeys(SCHEMES, 0.1), baseline=dict.fromkeys(BASELINE, 0.1))
    search.conduct(plan, surface)
    return plan, surface.batches[len(trial_batches(surface)) :]


def test_seeds_of_all_candidates_at_each_look(confirmed: tuple[search.Plan, list[Batch]]) -> None:
    """Three finalists and three baselines: 3 seeds each, then for those that are not beaten 3 more, then the last 4."""
    plan, batches = confirmed
    names = [{asked.candidate.name for asked in batch} for batch in batches[: len(looks(10))]]
    assert len(names[0]) == 6
    assert names[0] >= names[1] >= names[2]
    assert len(names[2]) > 1
    for batch, (done, look) in zip(batches, pairwise((0, *looks(10))), strict=False):
        assert {asked.epochs for asked in batch} == {FULL}
        for asked in batch:
            same = [other.seed for other in batch if other.candidate == asked.candidate]
            assert same == list(plan.fresh_seeds[done:look])


def test_seeds_of_the_transfer(confirmed: tuple[search.Plan, list[Batch]]) -> None:
    """At each budget, the first look's seeds of all finalists are asked at once."""
    plan, batches = confirmed
    half = next(batch for batch in batches if batch[0].epochs == FULL / 2)
    assert sorted((asked.candidate.scheme, asked.seed) for asked in half) == [
        (scheme, seed) for scheme in sorted(SCHEMES) for seed in plan.fresh_seeds[:3]
    ]


def test_sweeps_of_all_seeds() -> None:
    """One is swept alone; the others if it gives no clear answer; two more if these disagree."""
    network = Descent(shifted={0: 1e9, 2: 30.0})
    range_test.conduct(PLAN, network)
    assert all(asked.is_sweep for batch in network.batches[:3] for asked in batch)
    assert [[asked.seed for asked in batch] for batch in network.batches[:3]] == [[0], [1, 2], [3, 4]]
    clear = Descent()
    range_test.conduct(PLAN, clear)
    assert [asked.seed for batch in clear.batches for asked in batch if asked.is_sweep] == [0]


def test_sweeps_between_wider_bounds() -> None:
    """The first seed is swept again."""
    network = Descent(centre=1e-6, breaks_at=1e-4)
    found = range_test.conduct(replace(PLAN, refine=None), network)
    assert [[asked.seed for asked in batch] for batch in network.batches] == [[0]] * 2
    assert network.batches[1][0].candidate.initial_lr == pytest.approx(found.result.lr_min)


def test_first_short_and_first_whole_trainings_of_a_refinement() -> None:
    """First three short ones around the sweep's rate, then two full ones; what follows depends on these."""
    network = Descent()
    found = range_test.conduct(PLAN, network).result.refinement
    assert found is not None
    trainings = [batch for batch in network.batches if not batch[0].is_sweep]
    start = found.start_lr
    rates = [asked.candidate.initial_lr for asked in trainings[0]]
    assert rates == pytest.approx([start, start / 10**0.5, start * 10**0.5])
    assert {asked.epochs for asked in trainings[0]} == {PLAN.epochs / 8}
    whole = next(batch for batch in trainings if batch[0].epochs == PLAN.epochs)
    assert len(whole) == 2
    assert whole[1].candidate.initial_lr == pytest.approx(whole[0].candidate.initial_lr / 10**0.5)
