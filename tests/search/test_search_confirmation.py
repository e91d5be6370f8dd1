"""The confirmation: what is compared, on which seeds, and with what result."""

from dataclasses import replace
from math import inf

import pytest
from scipy import stats

from pipeline.evaluation import Evaluation, Training
from pipeline.search import BASELINES, Plan, Trial, conduct
from pipeline.search.confirmation import choose_finalists
from tests.search.surface import SCHEMES, SPACE, Surface, make_outcome, make_plan, make_training


def make_trials(*rows: tuple[str, float, float]) -> list[Trial]:
    """Return trials with these schemes, rates and losses."""
    plan = make_plan()
    asked = [(plan.trial(SPACE, scheme, rate, {}), loss) for scheme, rate, loss in rows]
    return [Trial(at, evaluation, make_outcome(loss)) for at, (evaluation, loss) in enumerate(asked)]


def confirmations(plan: Plan, surface: Surface) -> list[Evaluation]:
    """Return the evaluations at seeds of the confirmation."""
    return [evaluation for evaluation in surface.asked if evaluation.seed >= plan.seed + 20_000]


def test_finalists_are_the_best_of_distinct_schemes() -> None:
    """The best trial of each scheme, better schemes first; no more than asked for."""
    trials = make_trials(
        ("constant", 0.1, 0.5),
        ("cosine", 0.1, 0.4),
        ("cosine", 0.2, 0.1),
        ("cosine", 0.3, 0.2),
        ("step", 0.1, 0.3),
        ("step", 0.2, inf),
        ("linear", 0.1, inf),
    )
    chosen = [(finalist.candidate.scheme, finalist.candidate.initial_lr) for finalist in choose_finalists(trials, 10)]
    assert chosen == [("cosine", 0.2), ("step", 0.1), ("constant", 0.1)]
    assert [finalist.candidate.scheme for finalist in choose_finalists(trials, 2)] == ["cosine", "step"]


def test_of_equal_losses_the_simpler_scheme_leads() -> None:
    """A constant rate comes before a decay; within one scheme the earlier trial comes first."""
    trials = make_trials(("cosine", 0.1, 0.2), ("constant", 0.2, 0.2), ("constant", 0.1, 0.2))
    assert [(f.candidate.scheme, f.candidate.initial_lr) for f in choose_finalists(trials, 2)] == [
        ("constant", 0.2),
        ("cosine", 0.1),
    ]


def test_confirmation_uses_fresh_seeds_the_same_for_all() -> None:
    """Every candidate is trained once on each seed, at the full budget."""
    plan, surface = make_plan(seed=5), Surface(noise=0.01)
    result, trials = conduct(plan, surface)
    asked = confirmations(plan, surface)
    assert {evaluation.seed for evaluation in asked} == {20_005, 20_006, 20_007}
    assert {trial.evaluation.seed for trial in trials} == {10_005}
    assert {evaluation.epochs for evaluation in asked} == {plan.epochs}
    candidates = {replace(evaluation, seed=0).digest for evaluation in asked}
    assert len(candidates) == plan.top_k + len(BASELINES)
    assert len(asked) == len({evaluation.digest for evaluation in asked}) == len(candidates) * 3
    assert {row.seeds for row in result.leaderboard} == {(20_005, 20_006, 20_007)}


def test_seeds_are_added_while_the_result_is_unclear() -> None:
    """Up to the limit, for all candidates."""
    equal = dict.fromkeys(SCHEMES, 0.1)
    plan = make_plan(top_k=3, confirm_seeds=10)
    surface = Surface(noise=0.1, floor=equal, baseline={"adam": 0.1, "sgd": 0.1})
    result, _ = conduct(plan, surface)
    assert {row.seeds for row in result.leaderboard} == {plan.fresh_seeds}
    assert len(confirmations(plan, surface)) == 10 * 5


def test_no_seed_is_added_once_the_result_is_clear() -> None:
    """The first look is at three seeds; a clear winner there ends the confirmation."""
    plan, surface = make_plan(top_k=3, confirm_seeds=10), Surface(noise=1e-4)
    result, _ = conduct(plan, surface)
    assert {len(row.seeds) for row in result.leaderboard} == {3}
    assert result.leaderboard[0].verdict == "winner"
    assert "on 3 seeds" in result.reason


def test_every_finalist_has_a_basin_but_no_baseline() -> None:
    """The basin of the result is the winner's; its noise comes from trials on several seeds."""
    plan, surface = make_plan(top_k=3), Surface(noise=0.02)
    result, _ = conduct(plan, surface)
    rates = set(BASELINES.values())
    basins = {row.scheme: row.basin for row in result.leaderboard if (row.optimizer, row.initial_lr) not in rates}
    assert all(row.basin is None for row in result.leaderboard if (row.optimizer, row.initial_lr) in rates)
    assert set(basins) == set(SCHEMES)
    assert result.basin == basins[result.winner.scheme]
    assert result.basin.lr_low <= result.winner.initial_lr <= result.basin.lr_high
    assert 0.01 < result.basin.noise < 0.12


def test_gain_allows_for_the_choice_of_the_winner() -> None:
    """Its interval is SciPy's paired one, with 5% divided among baselines and finalists that may be the best."""
    plan, surface = make_plan(top_k=3, confirm_seeds=4), Surface(noise=0.1, floor=dict.fromkeys(SCHEMES, 0.1))
    result, _ = conduct(plan, surface)
    losses: dict[tuple[str, float], list[float]] = {}
    for evaluation, answer in zip(surface.asked, surface.answered(), strict=True):
        if evaluation.seed >= 20_000:
            losses.setdefault((evaluation.candidate.scheme, evaluation.candidate.initial_lr), []).append(
                answer.val_loss
            )
    may_win = len(result.ties) + 1
    assert may_win > 1
    ours = losses[result.winner.scheme, result.winner.initial_lr]
    test = stats.ttest_rel(losses["constant", 0.001], ours)
    expected = test.confidence_interval(1 - 0.05 / (2 * may_win))
    gain = result.baselines[0].gain
    assert (gain.low, gain.high, gain.level) == pytest.approx((expected.low, expected.high, 0.95), rel=1e-6)


def test_baselines_are_the_usual_constant_rates() -> None:
    """Adam at 0.001 and SGD at 0.01, whichever optimizer is searched."""
    plan, surface = make_plan(spaces=(SPACE.model_copy(update={"optimizer": "rmsprop"}),)), Surface()
    surface.baseline = {"adam": 0.6, "sgd": 0.5, "rmsprop": 0.4}
    result, _ = conduct(plan, surface)
    rows = {baseline.name: baseline.row for baseline in result.baselines}
    settings = {name: (row.optimizer, row.initial_lr, row.scheme, row.params) for name, row in rows.items()}
    assert settings == {
        "Adam at 0.001": ("adam", 0.001, "constant", {}),
        "SGD at 0.01": ("sgd", 0.01, "constant", {}),
    }
    assert result.winner.optimizer == "rmsprop"
    assert all(row in result.leaderboard for row in rows.values())


def test_gain_is_positive_where_the_winner_is_better() -> None:
    """The loss of the baseline minus that of the winner; for accuracy the reverse."""
    result, _ = conduct(make_plan(), Surface())
    best = result.leaderboard[0].val_loss.mean
    for baseline, loss in zip(result.baselines, (0.6, 0.5), strict=True):
        assert baseline.gain.mean == pytest.approx(loss - best)
        assert baseline.gain.mean > 0
        assert baseline.accuracy_gain is not None
        assert baseline.accuracy_gain.mean == pytest.approx((loss - best) / 10)


def test_gain_is_negative_where_the_baseline_is_better() -> None:
    """And the reason names the baseline; the winner is still the best scheme found."""
    result, _ = conduct(make_plan(), Surface(baseline={"adam": 0.01, "sgd": 0.9}))
    adam, sgd = result.baselines
    assert adam.gain.mean < 0 < sgd.gain.mean
    assert result.winner.scheme == "cosine"
    assert result.reason.startswith("every scheme is worse in validation loss than Adam at 0.001; cosine is the best")
    assert {row.verdict for row in result.leaderboard[1:]} == {"worse"}


def test_clear_winner_is_called_so() -> None:
    """Large differences and little noise: one winner, no ties, and all others behind it."""
    result, _ = conduct(make_plan(top_k=3), Surface(noise=1e-4))
    words = {(row.scheme, row.optimizer, row.initial_lr): row.verdict for row in result.leaderboard}
    assert list(words.values()) == ["winner", "worse", "worse", "worse", "worse"]
    assert result.leaderboard[0].scheme == result.winner.scheme == "cosine"
    assert result.leaderboard[0].initial_lr == result.winner.initial_lr
    assert result.ties == ()
    assert result.reason.startswith("cosine beat every other finalist and baseline in validation loss on 3 seeds")
    assert result.leaderboard[0].difference.mean == 0
    assert all(0 < row.difference.mean < row.difference.high for row in result.leaderboard[1:])
    assert [row.val_loss.mean for row in result.leaderboard] == sorted(row.val_loss.mean for row in result.leaderboard)


def test_schemes_that_the_seeds_do_not_distinguish_are_tied() -> None:
    """Equal floors and much noise: no winner, and the reason says so."""
    surface = Surface(noise=0.1, floor={"constant": 0.1, "cosine": 0.1, "step": 0.1})
    result, _ = conduct(make_plan(top_k=3), surface)
    verdicts = {row.scheme: row.verdict for row in result.leaderboard if row.initial_lr not in (0.001, 0.01)}
    assert set(verdicts.values()) == {"tie"}
    assert set(result.ties) == set(verdicts) - {result.winner.scheme}
    assert result.reason.startswith(f"3 seeds do not distinguish {result.winner.scheme} from ")


def test_finalist_that_diverges_on_a_seed_loses() -> None:
    """Even if its trial was the best."""

    class Unlucky(Surface):
        def train(self, evaluation: Evaluation) -> Training:
            unlucky = evaluation.candidate.scheme == "cosine" and evaluation.seed == 20_001
            return make_training(evaluation) if unlucky else super().train(evaluation)

    result, _ = conduct(make_plan(), Unlucky())
    assert result.winner.scheme == "step"
    (row,) = [row for row in result.leaderboard if row.scheme == "cosine"]
    assert row.verdict == "diverged"
    assert row.val_loss.mean == inf
    assert row.val_accuracy is None


def test_search_in_which_everything_diverges_still_ends() -> None:
    """The reason says so; the winner is the simplest scheme, and its basin has no width."""
    result, _ = conduct(make_plan(trials=8), Surface(diverges_above=0.0))
    assert result.diverged == result.trials == 8
    assert result.reason == "every finalist diverged on some seed"
    assert {row.verdict for row in result.leaderboard} == {"diverged"}
    assert result.basin.lr_low == result.basin.lr_high == result.winner.initial_lr
    assert result.winner.scheme == "constant"


def test_costs_are_the_sum_over_all_evaluations() -> None:
    """Trials, confirmation and basins; a diverged training counts for the epochs that it ran."""
    plan, surface = make_plan(trials=20), Surface(diverges_above=0.07)
    result, _ = conduct(plan, surface)
    assert result.cost.epochs == sum(training.epochs for training in surface.answered())
    assert result.cost.examples == sum(training.examples for training in surface.answered())
    assert result.cost.epochs < sum(evaluation.epochs for evaluation in surface.asked)
    assert result.cost.seconds >= sum(training.seconds for training in surface.answered())
