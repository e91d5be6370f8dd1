"""The trials: what is proposed, and that an interrupted search goes on as it would have."""

from collections import Counter
from math import inf, log10

import optuna
import pytest

from pipeline import search
from pipeline.schedules import SCHEMES, Choice
from pipeline.search.study import run_trials
from tests.search.conftest import OPTIMUM, Ask, Surface, make_plan

SEARCHABLE = tuple(name for name, scheme in SCHEMES.items() if scheme.searchable)


def test_search_finds_the_neighbourhood_of_the_optimum(ask: Ask) -> None:
    """Of the scheme with the lowest floor, within a quarter of a decade of the best rate, in spite of noise."""
    result, trials = ask(make_plan(trials=30), Surface(noise=0.01))
    assert result.winner.scheme == "cosine"
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.25
    first = min(trial.outcome.val_loss for trial in trials[:3])
    assert min(trial.outcome.val_loss for trial in trials) < first - 0.02  # better than its warm start


def test_more_than_chance_looks_near_the_optimum() -> None:
    """Later trials lie nearer to it than the random ones at the beginning."""
    trials = run_trials(make_plan(trials=31, schemes=("cosine",)), Surface(), "sqlite://", "study")
    distance = [abs(log10(trial.evaluation.initial_lr / OPTIMUM)) for trial in trials]
    assert sum(distance[21:]) < 0.6 * sum(distance[1:11])


@pytest.mark.parametrize("scheme", SEARCHABLE)
def test_every_scheme_starts_with_its_defaults_at_the_suggested_rate(scheme: str) -> None:
    """And with nothing that the search does not vary; the next trial varies all that it does."""
    surface = Surface(floor={scheme: 0.1})
    first, second, third = run_trials(make_plan(schemes=(scheme,), trials=3), surface, "sqlite://", "study")
    searched = {p.name: p for p in SCHEMES[scheme].parameters if p.search is not None}
    assert first.evaluation.initial_lr == 0.1
    assert first.evaluation.params == {name: parameter.default for name, parameter in searched.items()}
    assert len({trial.evaluation.initial_lr for trial in (first, second, third)}) == 3
    for trial in (second, third):
        assert set(trial.evaluation.params) == set(searched)
        for name, value in trial.evaluation.params.items():
            domain = searched[name].search
            assert domain is not None
            assert type(value) is type(searched[name].default)
            if isinstance(domain, Choice):
                assert value in domain.options
            else:
                assert domain.low <= float(value) <= domain.high


def test_schemes_are_warmed_up_in_order(ask: Ask) -> None:
    """One trial each before any other; all at one seed and the compressed budget, within the widened bounds."""
    plan = make_plan()
    _, trials = ask(plan, Surface())
    assert [trial.evaluation.scheme for trial in trials[:3]] == list(plan.schemes)
    assert {trial.evaluation.initial_lr for trial in trials[:3]} == {plan.suggested_lr}
    assert {trial.evaluation.seed for trial in trials} == {10_000}
    assert {trial.evaluation.epochs for trial in trials} == {plan.trial_epochs}
    assert all(0.001 <= trial.evaluation.initial_lr <= 4.0 for trial in trials)
    assert [trial.number for trial in trials] == list(range(6))


def test_fewer_trials_than_schemes_try_the_first(ask: Ask) -> None:
    """The rest of the table is not tried, and the answer is among what was."""
    result, trials = ask(make_plan(trials=2), Surface())
    assert [trial.evaluation.scheme for trial in trials] == ["constant", "cosine"]
    assert result.winner.scheme == "cosine"
    assert result.trials == 2


def test_same_seed_gives_the_same_search() -> None:
    """Every rate and parameter; another seed looks elsewhere after the warm starts."""
    same, again, other = (
        run_trials(make_plan(trials=12, seed=seed), Surface(noise=0.01), "sqlite://", "study") for seed in (0, 0, 50)
    )
    assert same == again
    assert [t.evaluation.initial_lr for t in same[:3]] == [t.evaluation.initial_lr for t in other[:3]]
    assert {t.evaluation.initial_lr for t in same[3:]}.isdisjoint(t.evaluation.initial_lr for t in other[3:])


@pytest.mark.parametrize(("error", "stop_at"), [(KeyboardInterrupt, 1), (RuntimeError, 5), (KeyboardInterrupt, 11)])
def test_interrupted_search_goes_on_as_it_would_have(error: type[BaseException], stop_at: int, storage: str) -> None:
    """The same trials with the same numbers as one that never stopped, and no finished training asked again."""
    plan, whole = make_plan(trials=12), Surface(noise=0.01)
    expected = run_trials(plan, whole, "sqlite://", "study")
    surface = Surface(noise=0.01, stop_at=stop_at, error=error)
    with pytest.raises(error):
        run_trials(plan, surface, storage, "study")
    assert run_trials(plan, surface, storage, "study") == expected
    assert surface.asked == whole.asked


def test_search_interrupted_again_and_again_goes_on_too(storage: str) -> None:
    """At every trial once; a process that died before it took its first trial leaves no second one behind."""
    plan, whole = make_plan(trials=5), Surface()
    expected = run_trials(plan, whole, "sqlite://", "study")
    surface = Surface()
    for at in range(5):
        surface.stop_at = at
        with pytest.raises(KeyboardInterrupt):
            run_trials(plan, surface, storage, "study")
        if at < 3:  # dies between queueing a warm start and taking it
            study = optuna.load_study(study_name="study", storage=storage)
            study.enqueue_trial({"scheme": plan.schemes[at], "initial_lr": 0.1} | dict(_defaults(plan.schemes[at])))
    assert run_trials(plan, surface, storage, "study") == expected
    assert surface.asked == whole.asked


def _defaults(scheme: str) -> list[tuple[str, object]]:
    return [(f"{scheme}.{p.name}", p.default) for p in SCHEMES[scheme].parameters if p.search is not None]


def test_interrupted_confirmation_repeats_no_trial(ask: Ask) -> None:
    """The study holds all trials by then: asked again are trainings of the confirmation only; the answer is whole."""
    plan, whole = make_plan(), Surface(noise=0.01)
    surface = Surface(noise=0.01, stop_at=8)
    with pytest.raises(KeyboardInterrupt):
        ask(plan, surface)
    result, _ = ask(plan, surface)
    expected, _ = search.run(plan, whole, "sqlite://", "study")
    same = {"seconds": 0.0}
    assert result.model_copy(update={"cost": result.cost.model_copy(update=same)}) == expected.model_copy(
        update={"cost": expected.cost.model_copy(update=same)}
    )
    again = Counter(evaluation.digest for evaluation in surface.asked)
    trials = [evaluation for evaluation in surface.asked if evaluation.seed == 10_000 and evaluation.epochs == 2]
    assert all(again[evaluation.digest] == 1 for evaluation in trials)
    assert result.cost.seconds >= 0.5 * len(whole.asked)  # what the first process spent counts too


def test_larger_number_of_trials_extends_the_study(storage: str) -> None:
    """As if it had been asked for at once; a smaller one takes the first of them."""
    surface = Surface()
    first = run_trials(make_plan(trials=2), surface, storage, "study")
    more = run_trials(make_plan(trials=12), surface, storage, "study")
    assert more[:2] == first
    assert more == run_trials(make_plan(trials=12), Surface(), "sqlite://", "study")
    assert len(surface.asked) == 12
    assert run_trials(make_plan(trials=5), surface, storage, "study") == more[:5]
    assert len(surface.asked) == 12


def test_diverged_trials_are_kept_with_their_reason(ask: Ask) -> None:
    """They count as trials and as diverged, their loss is infinite, and they win nothing."""
    result, trials = ask(make_plan(trials=20), Surface(diverges_above=0.07))
    diverged = [trial for trial in trials if trial.outcome.diverged]
    assert {trial.outcome.diverged for trial in diverged} == {"loss is nan at update 3"}
    assert all(trial.outcome.val_loss == inf and trial.evaluation.initial_lr > 0.07 for trial in diverged)
    assert result.diverged == len(diverged) > 2
    assert result.trials == 20
    assert result.winner.initial_lr <= 0.07
