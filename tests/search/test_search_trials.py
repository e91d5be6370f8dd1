"""The trials: which schemes get them, at which budgets, and from which rates."""

from collections import Counter
from math import inf, log10

import pytest

from pipeline.evaluation import Setting
from pipeline.search import budgets, conduct
from pipeline.search.plan import first_bounds
from tests.search.surface import FULL, OPTIMUM, SPACE, Surface, make_plan, run_trials


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "expected"),
    [
        (27, 1_000, (1, 3, 9)),
        (6, 150, (6 / 9, 2)),
        (6, 149, (2,)),
        (1, 1, (1 / 3,)),
        (2, 10_000, (2 / 27, 2 / 9, 2 / 3)),
    ],
)
def test_budgets_are_thirds_of_thirds(epochs: int, steps_per_epoch: int, expected: tuple[float, ...]) -> None:
    """Three at most; only the highest, always a third of the full one, may have fewer than 100 updates."""
    assert budgets(epochs, steps_per_epoch) == pytest.approx(expected)


def test_search_finds_the_neighbourhood_of_the_optimum() -> None:
    """The scheme with the lowest floor, within a quarter of a decade of the best rate, despite noise."""
    result, trials = conduct(make_plan(trials=30), Surface(noise=0.01))
    assert result.winner.scheme == "cosine"
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.25
    whole = [trial.outcome.loss for trial in trials if trial.evaluation.epochs == FULL]
    assert min(whole) < whole[0] - 0.02  # better than at the suggested rate


def test_first_scheme_brackets_the_best_rate_at_the_full_budget() -> None:
    """From the suggested rate in steps of 0.4 decades, larger ones first; the others start at the best of these."""
    trials = run_trials(make_plan(trials=6), Surface())
    first = [trial.evaluation for trial in trials if trial.number < 4]
    assert {(asked.candidate.scheme, asked.epochs) for asked in first} == {("cosine", FULL)}
    assert [asked.candidate.initial_lr for asked in first] == pytest.approx(
        [0.1, 0.1 * 10**0.4, 0.1 / 10**0.4, 0.1 / 10**0.8]
    )
    others = [trial.evaluation for trial in trials if trial.number >= 4]
    assert {asked.candidate.scheme for asked in others} == {"constant", "step"}
    assert all(abs(log10(asked.candidate.initial_lr / OPTIMUM)) < 0.15 for asked in others)


def test_search_moves_away_from_a_wrong_suggestion() -> None:
    """The suggested rate is more than a decade too low; every scheme moves away from it."""
    space = SPACE.model_copy(update={"suggested_lr": 0.004})
    result, trials = conduct(make_plan(spaces=(space,), trials=12, schemes=("constant", "cosine", "step")), Surface())
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.15
    starts = {trial.evaluation.candidate.scheme: trial.evaluation.candidate.initial_lr for trial in reversed(trials)}
    assert starts["cosine"] == 0.004
    assert abs(log10(starts["constant"] / OPTIMUM)) < 0.2
    assert abs(log10(starts["step"] / OPTIMUM)) < 0.2


def test_every_scheme_climbs_to_the_highest_budget_of_trials() -> None:
    """Each once, however slowly it starts, and all with one seed."""
    plan = make_plan(trials=6)
    result, trials = conduct(plan, Surface(slow=("constant",)))
    asked = [(t.evaluation.candidate.scheme, t.evaluation.epochs) for t in trials if t.number >= 4]
    assert asked == [(scheme, budget) for scheme in ("constant", "step") for budget in (*plan.budgets, plan.epochs)]
    assert {trial.evaluation.seed for trial in trials} == {10_000}
    assert result.trials == 6


def test_full_budget_is_for_the_best_at_the_highest_of_trials() -> None:
    """A scheme with `top_k` better ones goes no further."""
    schemes = ("cosine", "step", "constant", "exponential")
    floor = {"cosine": 0.1, "step": 0.3, "constant": 0.2, "exponential": 0.4}
    trials = run_trials(make_plan(schemes=schemes, trials=7, top_k=1), Surface(floor=floor))
    highest = {
        scheme: max(t.evaluation.epochs for t in trials if t.evaluation.candidate.scheme == scheme)
        for scheme in schemes
    }
    assert highest == {"cosine": FULL, "constant": FULL, "step": FULL, "exponential": FULL / 3}


def test_slow_starter_is_not_dropped() -> None:
    """It is far behind all others at a ninth of the budget, and wins at the full one."""
    floor = {"constant": 0.1, "cosine": 0.2, "step": -2.0}
    result, trials = conduct(make_plan(top_k=1), Surface(slow=("step",), floor=floor))
    lowest = {trial.evaluation.candidate.scheme: trial.outcome.loss for trial in trials if trial.evaluation.epochs < 1}
    assert max(lowest, key=lowest.__getitem__) == "step"
    assert result.winner.scheme == "step"


def test_about_a_third_of_the_trials_climb() -> None:
    """Those among the best third of their scheme so far, including the best of each scheme."""
    _, trials = conduct(make_plan(trials=60, schemes=("cosine", "step")), Surface(noise=0.02))
    climbed = [trial for trial in trials if trial.evaluation.epochs == FULL / 3]
    assert 10 <= len(climbed) <= 35
    for scheme in ("cosine", "step"):
        low = [trial for trial in trials if trial.evaluation.candidate.scheme == scheme and trial.evaluation.epochs < 1]
        assert min(low, key=lambda trial: trial.outcome.loss).number in {trial.number for trial in climbed}


def test_better_schemes_get_more_trials_and_none_starves() -> None:
    """The lower its loss, the more trials a scheme gets."""
    _, trials = conduct(make_plan(trials=40), Surface())
    numbers = Counter({(trial.number, trial.evaluation.candidate.scheme) for trial in trials})
    count = Counter(scheme for _, scheme in numbers)
    assert count["cosine"] > count["step"] > count["constant"] > 3
    assert sum(count.values()) == 40


def test_fewer_trials_than_schemes_try_the_first() -> None:
    """The others are named as untried, and the winner is one of those tried."""
    result, trials = conduct(make_plan(trials=5), Surface())
    assert next(trial.evaluation.candidate.scheme for trial in trials if trial.number == 4) == "constant"
    assert result.untried == ("step",)
    assert result.winner.scheme == "cosine"
    assert result.trials == 5


def test_diverged_trials_are_kept_with_their_reason() -> None:
    """They count as trials, have an infinite loss, get no further budget and cannot win."""
    result, trials = conduct(make_plan(trials=20), Surface(diverges_above=0.07))
    diverged = [trial for trial in trials if trial.outcome.diverged]
    assert {trial.outcome.diverged for trial in diverged} == {"loss is nan at update 3"}
    assert all(trial.outcome.loss == inf and trial.evaluation.candidate.initial_lr > 0.07 for trial in diverged)
    assert len(diverged) == len({trial.number for trial in diverged})
    assert result.diverged == len(diverged) > 2
    assert result.trials == 20
    assert result.winner.initial_lr <= 0.07


def test_several_optimizers_are_searched_together() -> None:
    """Each has its own starting rate and bounds; the leaderboard compares them all."""
    adam = SPACE.model_copy(update={"optimizer": "adam", "suggested_lr": 0.03, "lr_low": 0.01, "lr_high": 0.1})
    plan = make_plan(spaces=(SPACE, adam), trials=16, top_k=4)
    result, trials = conduct(plan, Surface(noise=0.02))
    starts = {
        (t.evaluation.candidate.optimizer, t.evaluation.candidate.scheme): t.evaluation.candidate.initial_lr
        for t in reversed(trials)
    }
    assert [starts[space.optimizer, "cosine"] for space in plan.spaces] == [0.1, 0.03]
    assert set(starts) == {(s.optimizer, scheme) for scheme in plan.schemes for s in plan.spaces}
    low, high = first_bounds(adam)
    assert all(
        low <= t.evaluation.candidate.initial_lr <= high for t in trials if t.evaluation.candidate.optimizer == "adam"
    )
    rows = [(row.optimizer, row.scheme) for row in result.leaderboard if row.initial_lr not in (0.001, 0.01)]
    assert {("sgd", "cosine"), ("adam", "cosine")} <= set(rows)
    assert len(rows) == len(set(rows)) == 4
    assert (result.winner.optimizer, result.winner.scheme) == ("sgd", "cosine")
    assert result.ties == ("adam cosine",)


def test_several_batch_sizes_are_searched_together() -> None:
    """With each optimizer, from their own rates; names show the batch size, and baselines have the first one."""
    spaces = tuple(
        SPACE.model_copy(update={"optimizer": optimizer, "batch_size": size, "suggested_lr": rate})
        for optimizer, size, rate in (("sgd", 32, 0.1), ("sgd", 128, 0.3), ("adam", 32, 0.03), ("adam", 128, 0.05))
    )
    plan = make_plan(spaces=spaces, trials=30, top_k=4)
    surface = Surface(by_batch_size={32: 0.2, 128: 0.0}, optimum=0.2)
    result, trials = conduct(plan, surface)
    starts = {
        (t.evaluation.candidate.scheme, *_setting(t.evaluation.candidate)): t.evaluation.candidate.initial_lr
        for t in reversed(trials)
    }
    assert [starts["cosine", *_setting(space)] for space in spaces] == [space.suggested_lr for space in spaces]
    assert set(starts) == {(scheme, *_setting(s)) for scheme in plan.schemes for s in spaces}
    assert (result.winner.batch_size, result.winner.scheme) == (128, "cosine")
    assert {row.batch_size for row in result.leaderboard if row.basin is None} == {32}
    assert [_setting(space) for space in result.spaces] == [_setting(space) for space in spaces]
    assert f"{result.winner.optimizer} batch=128 cosine" in result.reason
    assert result.untried == ()
    assert result.audits is not None
    assert result.audits.importance["batch size"] > 0


def test_untried_schemes_are_named() -> None:
    """In the result and in its reason."""
    plan = make_plan(trials=10, spaces=(SPACE, SPACE.model_copy(update={"batch_size": 64})))
    result, _ = conduct(plan, Surface())
    assert result.untried == ("batch=32 step", "batch=64 step")
    assert result.reason.endswith(
        "; 2 of 6 combinations of scheme, optimizer and batch size got no trial, so nothing is known about them"
    )


def _setting(of: Setting) -> tuple[str, int]:
    return of.optimizer, of.batch_size
