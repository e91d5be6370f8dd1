"""The trials: which schemes get them, at which rates, and when they end."""

from math import inf, log10

import pytest

from pipeline.evaluation import Setting
from pipeline.rivals import USUAL
from pipeline.search import conduct
from pipeline.search.allocation import AT_ONCE, MODELLED
from pipeline.search.plan import BRACKET, CONFIRM_SEED, bounds
from pipeline.statistics.best import FIRST_LOOK
from tests.search.surface import FULL, OPTIMUM, SCHEMES, SPACE, Surface, make_plan, run_trials


def test_search_finds_the_neighbourhood_of_the_optimum() -> None:
    """The scheme with the lowest floor, within a quarter of a decade of the best rate, despite noise."""
    result, _ = conduct(make_plan(trials=14), Surface(noise=0.01))
    assert result.winner.scheme == "cosine"
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.25


def test_first_scheme_brackets_the_best_rate() -> None:
    """From the suggested rate in steps of 0.4 decades, larger ones first; what follows lies between these."""
    trials = run_trials(make_plan(trials=9), Surface())
    first, others = trials[:4], trials[4:]
    assert {trial.evaluation.candidate.scheme for trial in first} == {"cosine"}
    assert [trial.evaluation.candidate.initial_lr for trial in first] == pytest.approx(
        [0.1, 0.1 * 10**0.4, 0.1 / 10**0.4, 0.1 / 10**0.8], rel=0.01
    )
    assert {trial.evaluation.candidate.scheme for trial in others} == {"constant", "cosine", "step"}
    assert all(abs(log10(trial.evaluation.candidate.initial_lr / OPTIMUM)) < 0.4 for trial in others)


def test_bracket_is_divided_once_below_a_rate_that_diverges() -> None:
    """A third of the way from the best rate, since the optimum may lie next to a cliff."""
    trials = run_trials(make_plan(trials=9), Surface(diverges_above=0.2))
    rates = [trial.evaluation.candidate.initial_lr for trial in trials]
    assert rates[:4] == pytest.approx([0.1, 0.1 * 10**0.4, 0.1 * 10 ** (0.4 / 3), 0.1 / 10**0.4], rel=0.01)


def test_every_trial_has_full_length_and_a_seed_of_its_own() -> None:
    """No two trials share a seed, so no lucky seed is chosen."""
    _, trials = conduct(make_plan(trials=9, seed=5), Surface())
    assert {trial.evaluation.epochs for trial in trials} == {FULL}
    assert [trial.evaluation.seed for trial in trials] == [10_005 + at for at in range(9)]
    assert [trial.number for trial in trials] == list(range(9))


def test_search_moves_away_from_a_wrong_suggestion() -> None:
    """The suggested rate is more than a decade too low; every scheme starts near the best one."""
    space = SPACE.model_copy(update={"suggested_lr": 0.004})
    result, trials = conduct(make_plan(spaces=(space,), trials=12), Surface())
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.2
    starts = {trial.evaluation.candidate.scheme: trial.evaluation.candidate.initial_lr for trial in reversed(trials)}
    assert starts["cosine"] == 0.004
    assert abs(log10(starts["constant"] / OPTIMUM)) < 0.4
    assert abs(log10(starts["step"] / OPTIMUM)) < 0.4


def test_a_start_that_misleads_shuts_nothing_out() -> None:
    """The bracket begins where an earlier answer points, and moves on from there as ever."""
    space = SPACE.model_copy(update={"start_lr": 0.004})
    result, trials = conduct(make_plan(spaces=(space,), trials=12), Surface())
    assert trials[0].evaluation.candidate.initial_lr == 0.004
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.2


def test_wide_interval_is_bracketed_in_wider_steps() -> None:
    """After a refusal the whole sweep is to be searched; the optimum is three decades from its middle."""
    space = SPACE.model_copy(update={"suggested_lr": 0.01, "lr_low": 1e-5, "lr_high": 10.0})
    trials = run_trials(make_plan(spaces=(space,), trials=BRACKET), Surface(optimum=1e-5))
    rates = [trial.evaluation.candidate.initial_lr for trial in trials]
    assert min(rates) < 1e-4
    assert rates[2] / rates[3] == pytest.approx(10**0.75, rel=0.01)


def test_bad_scheme_gets_few_trials() -> None:
    """If one scheme is clearly worse, the others get most of the trials."""
    trials = run_trials(make_plan(trials=MODELLED), Surface(floor={"cosine": 0.1, "step": 0.11, "constant": 5.0}))
    assert sum(trial.evaluation.candidate.scheme == "constant" for trial in trials) < MODELLED // 3


def test_one_lucky_training_does_not_decide() -> None:
    """One seed at one rate is far too good; the finalist lies where all other trials point."""

    class Lucky(Surface):
        def loss(self, evaluation: object) -> float:
            given = super().loss(evaluation)  # type: ignore[arg-type]
            return given - 0.1 if evaluation.seed == 10_001 else given  # type: ignore[attr-defined]

    result, trials = conduct(make_plan(trials=12, schemes=("cosine",), top_k=1), Lucky(noise=0.01))
    lucky = next(trial for trial in trials if trial.evaluation.seed == 10_001)
    assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.15
    assert result.winner.initial_lr < lucky.evaluation.candidate.initial_lr


def test_trials_end_where_nothing_can_be_gained() -> None:
    """The surface is flat beyond noise: no number of trials would show more."""

    class Flat(Surface):
        def loss(self, evaluation: object) -> float:
            return 1.0 + 0.3 * super().loss(evaluation)  # type: ignore[arg-type]

    flat = Flat(noise=0.3, floor=dict.fromkeys(("constant", "cosine", "step"), 0.1))
    assert len(run_trials(make_plan(trials=100), flat)) < 100


def test_tolerance_ends_them_sooner() -> None:
    """The tolerance is a share of the loss that does not matter."""
    exact, tolerant = (len(run_trials(make_plan(trials=40, tolerance=t), Surface(noise=0.002))) for t in (0.0, 0.5))
    assert tolerant < exact


def test_trials_end_where_no_more_can_be_afforded() -> None:
    """Of the trials that are requested at once, only as many run as the budget allows."""
    from pipeline.search.allocation import run_trials as afforded

    surface = Surface()
    trials = afforded(make_plan(trials=20), surface.evaluate, lambda more: len(surface.asked) + len(more) <= 6)
    assert len(trials) == 6


def test_the_first_trial_is_always_made() -> None:
    """There is an answer whatever the budget."""
    result, trials = conduct(make_plan(trainings=0.0), Surface())
    assert len(trials) == 1
    assert (result.winner.scheme, result.winner.initial_lr) == ("cosine", 0.1)
    assert result.reason.startswith("not compared: ")


def test_fewer_trials_than_schemes_try_the_first() -> None:
    """The others are named as untried, and the winner is one of those tried."""
    result, _ = conduct(make_plan(trials=5), Surface())
    assert result.untried
    assert set(result.untried) <= {"constant", "step"}
    assert result.winner.scheme == "cosine"
    assert result.trials == 5


def test_diverged_trials_are_kept_with_their_reason() -> None:
    """They count as trials, have an infinite loss, and cannot win."""
    result, trials = conduct(make_plan(trials=12), Surface(diverges_above=0.11))
    diverged = [trial for trial in trials if trial.outcome.diverged]
    assert {trial.outcome.diverged for trial in diverged} == {"loss is nan at update 3"}
    assert all(trial.outcome.loss == inf and trial.evaluation.candidate.initial_lr > 0.11 for trial in diverged)
    assert result.diverged == len(diverged) > 0
    assert result.winner.initial_lr <= 0.11


def test_several_optimizers_are_searched_together() -> None:
    """Each has its own starting rate and its own best one; the leaderboard compares them all."""
    adam = SPACE.model_copy(update={"optimizer": "adam", "suggested_lr": 0.03, "lr_low": 0.01, "lr_high": 0.1})
    plan = make_plan(spaces=(SPACE, adam), trials=20, top_k=4)
    result, trials = conduct(plan, Surface(noise=0.02))
    starts = {
        (t.evaluation.candidate.optimizer, t.evaluation.candidate.scheme): t.evaluation.candidate.initial_lr
        for t in reversed(trials)
    }
    assert [starts[space.optimizer, "cosine"] for space in plan.spaces] == [0.1, 0.03]
    rows = [(row.optimizer, row.scheme) for row in result.leaderboard if row.initial_lr not in (0.001, 0.01)]
    assert {("sgd", "cosine"), ("adam", "cosine")} <= set(rows)
    assert len(rows) == len(set(rows)) == 4
    assert result.winner.scheme == "cosine"
    assert f"{ {'sgd': 'adam', 'adam': 'sgd'}[result.winner.optimizer] } cosine" in result.ties


def test_several_batch_sizes_are_searched_together() -> None:
    """With each optimizer, from their own rates; names show the batch size, and baselines have the first one."""
    spaces = tuple(
        SPACE.model_copy(update={"optimizer": optimizer, "batch_size": size, "suggested_lr": rate})
        for optimizer, size, rate in (("sgd", 32, 0.1), ("sgd", 128, 0.3), ("adam", 32, 0.03), ("adam", 128, 0.05))
    )
    plan = make_plan(spaces=spaces, trials=30, top_k=4)
    result, trials = conduct(plan, Surface(by_batch_size={32: 0.2, 128: 0.0}, optimum=0.2))
    starts = {
        (t.evaluation.candidate.scheme, *_setting(t.evaluation.candidate)): t.evaluation.candidate.initial_lr
        for t in reversed(trials)
    }
    assert [starts["cosine", *_setting(space)] for space in spaces] == [space.suggested_lr for space in spaces]
    assert (result.winner.batch_size, result.winner.scheme) == (128, "cosine")
    assert {row.batch_size for row in result.leaderboard if row.basin is None} == {32}
    assert [_setting(space) for space in result.spaces] == [_setting(space) for space in spaces]
    assert f"{result.winner.optimizer} batch=128 cosine" in result.reason
    assert result.audits is not None
    assert result.audits.importance["batch size"] > 0


def test_trials_that_do_not_depend_on_each_other_are_asked_at_once() -> None:
    """A bracket in each space; then a few candidates between two fits."""
    surface = Surface()
    spaces = (SPACE, SPACE.model_copy(update={"batch_size": 64, "suggested_lr": 0.2}))
    run_trials(make_plan(spaces=spaces, trials=20), surface)
    assert [asked.candidate.batch_size for asked in surface.batches[0]] == [32, 64]
    assert {len(batch) for batch in surface.batches[-3:-1]} == {AT_ONCE}


def test_as_many_are_asked_as_can_run_at_once() -> None:
    """A bracket takes two steps at the same time; then each scheme is tried before any is tried again."""
    surface = Surface()
    run_trials(make_plan(trials=43, at_once=8), surface)
    assert [asked.candidate.initial_lr for asked in surface.batches[0]] == [0.1, 0.251]
    assert {len(batch) for batch in surface.batches[3:-1]} == {8}
    modelled = surface.batches[3 : 3 + (MODELLED - 4) // 8]
    assert [{asked.candidate.scheme for asked in batch[:3]} for batch in modelled] == [set(SCHEMES)] * len(modelled)


def test_few_trials_are_not_all_chosen_before_anything_is_known() -> None:
    """At most a quarter of them or three are asked at once, however many could run, and one or two that are left."""
    for at_once, trials, expected in (
        (1, 9, [1, 1, 1, 1, AT_ONCE, 2]),
        (4, 9, [2, 1, 1, AT_ONCE, 2]),
        (16, 9, [2, 1, 1, AT_ONCE + 2]),
        (16, 24, [2, 1, 1, 6, 6, 8]),
    ):
        surface = Surface(noise=0.02)
        run_trials(make_plan(trials=trials, at_once=at_once), surface)
        assert [len(batch) for batch in surface.batches] == expected


def test_asking_many_at_once_finds_the_same_optimum() -> None:
    """The surface takes those still to run as it expects them: they spread out rather than crowd."""
    for at_once in (1, 4, 8, 16):
        result, trials = conduct(make_plan(trials=24, at_once=at_once), Surface(noise=0.02))
        assert result.winner.scheme == "cosine"
        assert abs(log10(result.winner.initial_lr / OPTIMUM)) < 0.25
        assert len(trials) <= 24


def test_workers_that_would_be_idle_train_the_baselines() -> None:
    """What the confirmation needs in any case is trained beside the trials, once, and changes nothing."""
    surfaces = Surface(noise=0.02), Surface(noise=0.02)
    plans = [make_plan(trials=10, at_once=at_once) for at_once in (2, 16)]  # of which the trials are the same
    (few, _), (many, _) = map(conduct, plans, surfaces)
    of_baselines = [one for one in surfaces[1].batches[0] if one.seed >= CONFIRM_SEED]
    assert len(of_baselines) == len(USUAL) * FIRST_LOOK
    assert [one.epochs for one in of_baselines] == [FULL] * len(of_baselines)
    assert [len(batch) for batch in surfaces[1].batches[1:]] == [1, 1, AT_ONCE, AT_ONCE, 2 * FIRST_LOOK]
    for at_once, surface in zip((2, 16), surfaces, strict=True):
        assert len({one.digest for one in surface.asked}) == sum(map(len, surface.batches)), at_once
    assert {one.digest for one in surfaces[0].asked} == {one.digest for one in surfaces[1].asked}
    assert many.leaderboard == few.leaderboard
    assert many.audits == few.audits


def test_time_is_that_on_the_clock() -> None:
    """Trainings of half a second: in three seconds, one process makes six, and four workers four times as many."""
    alone, together = (conduct(make_plan(seconds=3.0, at_once=number), Surface())[0] for number in (1, 4))
    assert alone.reason.startswith("not compared: no budget or time was left")
    assert together.baselines
    assert together.cost.trainings == 21
    assert together.cost.seconds == pytest.approx(21 * 0.5 / 4, abs=0.5)


def test_untried_schemes_are_named() -> None:
    """In the result and in its reason."""
    plan = make_plan(trials=8, spaces=(SPACE, SPACE.model_copy(update={"batch_size": 64})))
    result, _ = conduct(plan, Surface())
    assert set(result.untried) == {f"batch={size} {name}" for size in (32, 64) for name in ("step", "constant")}
    assert result.reason.endswith(
        "; 4 of 6 combinations of scheme, optimizer and batch size got no trial, so nothing is known about them"
    )


def test_bounds_of_samplers_include_every_rate_tried() -> None:
    """They are the range test's interval widened by a factor of 2, and further if a rate outside was tried."""
    assert bounds(SPACE, ()) == (0.001, 4.0)
    trials = run_trials(make_plan(spaces=(SPACE.model_copy(update={"suggested_lr": 0.0004}),), trials=1), Surface())
    assert bounds(SPACE, trials) == (0.0004, 4.0)


def _setting(of: Setting) -> tuple[str, int]:
    return of.optimizer, of.batch_size
