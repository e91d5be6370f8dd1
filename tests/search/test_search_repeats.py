"""A search that is repeated: unchanged, after an interruption, and with more trials or batch sizes."""

from dataclasses import replace

import pytest

from pipeline.config import SamplerName
from tests.search.surface import OPTIMUM, SAMPLERS, SPACE, Surface, make_plan, run_trials


def test_same_seed_gives_the_same_search() -> None:
    """Every rate and parameter is the same; another seed gives other proposals."""
    plan = make_plan(trials=16)
    same, again, other = (run_trials(replace(plan, seed=seed), Surface(noise=0.01)) for seed in (0, 0, 50))
    assert same == again
    assert [trial.evaluation.candidate for trial in same] != [trial.evaluation.candidate for trial in other]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("error", "stop_at"), [(KeyboardInterrupt, 1), (RuntimeError, 5), (KeyboardInterrupt, 14)])
def test_interrupted_search_continues_as_if_it_had_not_stopped(
    sampler: SamplerName, error: type[BaseException], stop_at: int
) -> None:
    """The same trials with the same numbers, and no finished training is repeated."""
    plan, whole = make_plan(trials=20, sampler=sampler), Surface(noise=0.01)
    expected = run_trials(plan, whole)
    surface = Surface(noise=0.01, stop_at=stop_at, error=error)
    with pytest.raises(error):
        run_trials(plan, surface)
    assert run_trials(plan, surface) == expected
    assert surface.asked == whole.asked


@pytest.mark.parametrize("optimum", [OPTIMUM, 8.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_larger_number_of_trials_extends_the_search(sampler: SamplerName, optimum: float) -> None:
    """As if all trials had been planned at once, also where the best rate lies far off; nothing is trained twice."""
    plan, surface = make_plan(trials=4, sampler=sampler), Surface(noise=0.01, optimum=optimum, diverges_above=1e9)
    first = run_trials(plan, surface)
    more = run_trials(replace(plan, trials=25), surface)
    assert more[: len(first)] == first
    assert len(surface.asked) == len(more)


def test_another_batch_size_leaves_the_first_as_it_was() -> None:
    """All trainings of the search with the first alone are recalled."""
    surface = Surface(noise=0.01)
    alone = run_trials(make_plan(trials=3), surface)
    asked = len(surface.asked)
    both = run_trials(make_plan(trials=6, spaces=(SPACE, SPACE.model_copy(update={"batch_size": 64}))), surface)
    assert all(any(trial.evaluation == known.evaluation for trial in both) for known in alone)
    assert len(surface.asked) == 2 * asked
