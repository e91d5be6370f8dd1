"""The confirmation: what is compared, on which seeds, with what result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, log10

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import Evaluation, Training
from pipeline.objective import Objective
from pipeline.rivals import USUAL
from pipeline.search import Plan, Trial, candidate, conduct
from pipeline.search.allocation import finalists
from pipeline.search.confirmation import Confirmation, confirm, train_on_seeds
from pipeline.search.plan import Outcome
from pipeline.search.surface import Cell
from tests.search.surface import (
    BASELINE,
    OPTIMUM,
    SCHEMES,
    SPACE,
    Surface,
    make_evaluation,
    make_outcome,
    make_plan,
    make_training,
)


def make_trials(*rows: tuple[str, float, float]) -> list[Trial]:
    """Return trials with these schemes, rates and losses."""
    plan = make_plan()
    return [
        Trial(at, Evaluation(candidate(SPACE, scheme, rate), plan.epochs, at), make_outcome(loss))
        for at, (scheme, rate, loss) in enumerate(rows)
    ]


def confirmations(plan: Plan, surface: Surface) -> list[Evaluation]:
    """Return the evaluations on seeds of the confirmation."""
    return [evaluation for evaluation in surface.asked if evaluation.seed >= plan.seed + 20_000]


def test_finalists_are_the_best_of_distinct_schemes() -> None:
    """One of each scheme, better schemes first; at most as many as requested, and none that was not tried."""
    trials = make_trials(
        *(("cosine", rate, 0.1 + 0.1 * abs(at)) for at, rate in ((-1, 0.03), (0, 0.1), (1, 0.3))),
        ("constant", 0.1, 0.5),
        ("step", 0.1, 0.3),
        ("linear", 0.1, inf),
    )
    chosen = [cell.candidate for cell in finalists(make_plan(top_k=10), trials)]
    assert [one.scheme for one in chosen] == ["cosine", "step", "constant"]
    assert chosen[0].initial_lr == pytest.approx(0.1, rel=0.3)
    assert [cell.candidate.scheme for cell in finalists(make_plan(top_k=2), trials)] == ["cosine", "step"]


def test_confirmation_uses_fresh_seeds_the_same_for_all() -> None:
    """Every candidate is trained once on each seed, at the full budget."""
    plan, surface = make_plan(seed=5), Surface(noise=0.01)
    result, trials = conduct(plan, surface)
    asked = confirmations(plan, surface)
    assert {evaluation.seed for evaluation in asked} == {20_005, 20_006, 20_007}
    assert not {trial.evaluation.seed for trial in trials} & {evaluation.seed for evaluation in asked}
    assert {evaluation.epochs for evaluation in asked} == {plan.epochs}
    candidates = {replace(evaluation, seed=0).digest for evaluation in asked}
    assert len(candidates) == plan.top_k + len(USUAL)
    assert len(asked) == len({evaluation.digest for evaluation in asked}) == len(candidates) * 3
    assert {row.seeds for row in result.leaderboard} == {(20_005, 20_006, 20_007)}


@pytest.mark.parametrize(("splits", "expected"), [(1, {0}), (2, {0, 1}), (3, {0, 1, 2}), (9, {0, 1, 2})])
def test_seeds_are_spread_over_splits(splits: int, expected: set[int]) -> None:
    """A seed has the same split for every candidate, also at other budgets; trials are on the prepared one."""
    plan, surface = make_plan(splits=splits, transfer=True), Surface(noise=0.01)
    result, trials = conduct(plan, surface)
    assert {trial.evaluation.split for trial in trials} == {0}
    asked = confirmations(plan, surface)
    assert {one.split for one in asked} == expected
    assert {(one.seed, one.split) for one in asked} == {(20_000 + at, at % splits) for at in range(3)}
    assert {one.epochs for one in asked} == {plan.epochs, plan.epochs / 2, plan.epochs * 2}
    assert result.splits == splits


def test_seeds_are_added_while_the_result_is_unclear() -> None:
    """All candidates get more seeds, up to the limit."""
    equal = dict.fromkeys(("linear", "cosine", "step"), 0.1)
    plan = make_plan(schemes=tuple(equal), top_k=3, confirm_seeds=10, seed=1)
    surface = Surface(noise=0.1, floor=equal, baseline=dict.fromkeys(BASELINE, 0.1))
    result, _ = conduct(plan, surface)
    assert {row.seeds for row in result.leaderboard} == {plan.fresh_seeds}
    assert len(confirmations(plan, surface)) == 10 * 6


def test_a_beaten_candidate_is_trained_no_further() -> None:
    """Nor is a beaten baseline; its row has the seeds of the look at which it left, and a bound."""
    plan = make_plan(trials=14, top_k=3, confirm_seeds=6)
    surface = Surface(noise=0.01, floor={"cosine": 0.1, "step": 0.1, "constant": 3.0})
    result, _ = conduct(plan, surface)
    seeds = {row.verdict: len(row.seeds) for row in result.leaderboard}
    assert seeds == {"tie": 6, "worse": 3}
    assert len(confirmations(plan, surface)) == 2 * 6 + 4 * 3
    assert all(row.difference.mean < row.difference.high < inf for row in result.leaderboard)
    assert all(baseline.gain.low > 0 for baseline in result.baselines)


def test_a_beaten_candidate_catches_up_if_its_only_victor_diverges() -> None:
    """It is trained on the seeds that it missed, since a candidate that diverges beats nobody."""
    losses = {"victor": [0.10, 0.11, 0.12, inf], "beaten": [0.20, 0.211, 0.22], "noisy": [0.25, 0.15, 0.24]}
    rest = {"victor": [inf, inf], "beaten": [0.2, 0.21, 0.19], "noisy": [0.2, 0.21, 0.19]}
    asked: list[tuple[str, int]] = []

    def evaluate(evaluations: Sequence[Evaluation]) -> list[Outcome]:
        names = [(str(one.candidate.params["name"]), one.seed) for one in evaluations]
        asked.extend(names)
        return [make_outcome([*losses[name], *rest[name]][seed]) for name, seed in names]

    candidates = {name: make_evaluation(params={"name": name}) for name in losses}
    outcomes = train_on_seeds(candidates, evaluate, range(6), 1.0)
    assert [name for name, seed in asked if seed < 3] == ["victor"] * 3 + ["beaten"] * 3 + ["noisy"] * 3
    assert {name for name, seed in asked[9:15]} == {"victor", "noisy"}
    assert asked[15:] == [("beaten", seed) for seed in (3, 4, 5)]
    assert {name: len(group) for name, group in outcomes.items()} == dict.fromkeys(losses, 6)


@pytest.mark.parametrize("limit", [1, 2])
def test_few_seeds_are_enough_for_an_answer(limit: int) -> None:
    """With one seed everything is a tie without a bound."""
    plan, surface = make_plan(trials=14, top_k=3, confirm_seeds=limit), Surface(noise=0.01)
    result, _ = conduct(plan, surface)
    assert {len(row.seeds) for row in result.leaderboard} == {limit}
    if limit == 1:
        assert {row.verdict for row in result.leaderboard} == {"tie"}
        assert result.leaderboard[0].difference.high == inf
        assert "one seed shows no spread" in result.reason
        assert (result.baselines[0].gain.low, result.baselines[0].gain.high) == (-inf, inf)


def confirmed(losses: Mapping[str, Sequence[float]], **options: object) -> Confirmation:
    """Confirm candidates that end with these losses, one per seed; names of baselines begin with a capital.

    Baselines have another optimizer than what was searched.
    """
    plan = make_plan(confirm_seeds=max(map(len, losses.values())), **options)

    def evaluate(evaluations: Sequence[Evaluation]) -> list[Outcome]:
        known = [(losses[str(one.candidate.params["name"])], one.seed - plan.fresh_seeds[0]) for one in evaluations]
        return [make_outcome(row[at]) for row, at in known]

    optimizer = {True: "sgd", False: "adam"}
    candidates = {name: make_evaluation(params={"name": name}, optimizer=optimizer[name.islower()]) for name in losses}
    finalists = {name: Cell(one.candidate, 0.0, 0.0) for name, one in candidates.items() if name.islower()}
    rest = {name: one for name, one in candidates.items() if name not in finalists}
    return confirm(plan, finalists, rest, (), evaluate)


STORY = {"clear": [0.30, 0.31, 0.305], "noisy": [0.20, 0.40, 0.28], "Adam": [0.340, 0.352, 0.344]}
"""Only "clear" beats Adam; "noisy" has the lower mean, and is tied with both."""


def test_the_chosen_one_beat_the_baselines_that_are_called_worse() -> None:
    """If any finalist beat them: leaderboard and gain agree."""
    found = confirmed(STORY)
    assert {name: row.verdict for name, row in found.rows.items()} == {"clear": "tie", "noisy": "tie", "Adam": "worse"}
    assert found.winner == "clear"
    assert "clear is chosen because it alone of the tied schemes beat Adam" in found.reason
    assert found.baselines[0].gain.low >= 0


def test_gains_and_verdicts_never_contradict_each_other() -> None:
    """Over random confirmations: a gain excludes zero exactly where one beat the other, and so fits both verdicts."""
    rng, seen = np.random.default_rng(1), set()
    for _ in range(150):
        means = {"a": 0.0, "b": rng.choice([0.0, 1.0]), "Adam": rng.choice([-1.0, 1.0, 3.0]), "Sgd": 2.0}
        found = confirmed({name: (10 + mean + rng.normal(size=6)).tolist() for name, mean in means.items()})
        own = found.rows[found.winner]
        for baseline in found.baselines:
            better, worse = baseline.gain.low >= 0, baseline.gain.high <= 0
            seen.add((own.verdict, baseline.row.verdict, better, worse))
            assert not better or baseline.row.verdict == "worse"
            assert not worse or own.verdict == "worse"
            assert own.verdict != "winner" or better
            assert baseline.row.verdict != "winner" or own.verdict == "worse"
    assert len(seen) > 4


def test_steps_of_an_accuracy_make_no_winner() -> None:
    """One example of 360 more on each of three seeds is a tie, in the objective and in the gain."""
    found = confirmed(
        {"a": [-350 / 360] * 3, "Adam": [-349 / 360] * 3},
        objective=Objective("val_accuracy", "max"),
        resolution=1 / 360,
    )
    assert {row.verdict for row in found.rows.values()} == {"tie"}
    gain = found.baselines[0].gain
    assert gain.low < 0 < gain.high < inf


def test_no_seed_is_added_once_the_result_is_clear() -> None:
    """The first look is at three seeds; a clear winner there ends the confirmation."""
    plan, surface = make_plan(top_k=3, confirm_seeds=10), Surface(noise=1e-4)
    result, _ = conduct(plan, surface)
    assert {len(row.seeds) for row in result.leaderboard} == {3}
    assert result.leaderboard[0].verdict == "winner"
    assert "on 3 seeds" in result.reason


def test_every_finalist_has_a_basin_but_no_baseline() -> None:
    """The basin of the result is the winner's, and holds its rate."""
    plan, surface = make_plan(trials=14, top_k=3), Surface(noise=0.02)
    result, _ = conduct(plan, surface)
    rates = {(one.optimizer, one.initial_lr) for one in USUAL}
    basins = {row.scheme: row.basin for row in result.leaderboard if (row.optimizer, row.initial_lr) not in rates}
    assert all(row.basin is None for row in result.leaderboard if (row.optimizer, row.initial_lr) in rates)
    assert set(basins) == set(SCHEMES)
    assert result.basin == basins[result.winner.scheme]
    assert result.basin.lr_low <= result.winner.initial_lr <= result.basin.lr_high
    assert 0.001 < result.basin.noise < 0.12


@pytest.mark.parametrize("seed", range(6))
def test_leaderboard_and_gain_agree_on_baselines(seed: int) -> None:
    """A baseline that the chosen one beat is worse, with a gain above zero; one that may be the best is not."""
    surface = Surface(noise=0.1, floor=dict.fromkeys(SCHEMES, 0.4), baseline={"adam": 0.5, "sgd": 0.9})
    result, _ = conduct(make_plan(trials=8, confirm_seeds=4, seed=seed), surface)
    (winner,) = [row for row in result.leaderboard if row.only == result.winner]
    assert winner.verdict in ("winner", "tie")
    for baseline in result.baselines:
        assert (baseline.gain.low >= 0) == (baseline.row.verdict == "worse")


def test_gain_allows_for_the_choice_of_the_winner() -> None:
    """Its interval is SciPy's paired one, with 5% divided among baselines and finalists that may be the best."""
    losses = {"a": [0.30, 0.31, 0.305], "b": [0.31, 0.30, 0.307], "Adam": [0.9, 0.97, 0.93]}
    found = confirmed(losses)
    assert len(found.ties) == 1
    expected = stats.ttest_rel(losses["Adam"], losses[found.winner]).confidence_interval(1 - 0.05 / 2)
    gain = found.baselines[0].gain
    assert (gain.low, gain.high, gain.level) == pytest.approx((expected.low, expected.high, 0.95), rel=1e-6)


def test_baselines_are_what_people_use_without_a_search() -> None:
    """Adam at 0.001, SGD at 0.01 and the AdamW recipe, whichever optimizer is searched."""
    plan, surface = make_plan(spaces=(SPACE.model_copy(update={"optimizer": "rmsprop"}),)), Surface()
    surface.baseline = {"rmsprop": 0.4}
    result, _ = conduct(plan, surface)
    rows = {baseline.name: baseline.row for baseline in result.baselines}
    settings = {name: (row.optimizer, row.initial_lr, row.scheme, row.params) for name, row in rows.items()}
    assert settings == {
        "Adam at 0.001": ("adam", 0.001, "constant", {}),
        "SGD at 0.01": ("sgd", 0.01, "constant", {}),
        "AdamW recipe": ("adamw", 0.001, "cosine", {"warmup": 0.05}),
    }
    assert result.winner.optimizer == "rmsprop"
    assert all(row in result.leaderboard for row in rows.values())


def test_gain_is_positive_where_the_winner_is_better() -> None:
    """The loss of the baseline minus that of the winner; for accuracy the reverse."""
    result, _ = conduct(make_plan(), Surface())
    best = result.leaderboard[0].val_loss.mean
    for baseline, loss in zip(result.baselines, BASELINE.values(), strict=True):
        assert baseline.gain.mean == pytest.approx(loss - best)
        assert baseline.gain.mean > 0
        assert baseline.accuracy_gain is not None
        assert baseline.accuracy_gain.mean == pytest.approx((loss - best) / 10)


def test_gain_is_negative_where_the_baseline_is_better() -> None:
    """And the reason names the baseline; the winner is still the best scheme found."""
    result, _ = conduct(make_plan(), Surface(noise=1e-4, baseline={"adam": 0.01, "sgd": 0.9}))
    adam, sgd, recipe = result.baselines
    assert adam.gain.mean < 0 < sgd.gain.mean
    assert recipe.gain.mean > 0
    assert result.winner.scheme == "cosine"
    assert result.reason.startswith("every scheme is worse in validation loss than Adam at 0.001; cosine is the best")
    assert {row.verdict for row in result.leaderboard[1:]} == {"worse"}


def test_a_baseline_that_beats_every_scheme_is_the_answer_if_its_optimizer_was_searched() -> None:
    """It is no baseline of itself, has a basin, and is compared at other budgets too."""
    result, _ = conduct(make_plan(transfer=True), Surface(noise=1e-4, baseline={"adam": 0.9, "sgd": 0.01}))
    assert (result.winner.scheme, result.winner.initial_lr, result.ties) == ("constant", 0.01, ())
    assert [baseline.name for baseline in result.baselines] == ["Adam at 0.001", "AdamW recipe"]
    assert result.leaderboard[0].only == result.winner
    assert result.leaderboard[0].verdict == "winner"
    assert 0.01 in result.basin.rates
    assert {row.verdict for row in result.transfer} == {"winner"}


def test_clear_winner_is_called_so() -> None:
    """Large differences and little noise: one winner, no ties, and all others behind it."""
    result, _ = conduct(make_plan(trials=16, top_k=3), Surface(noise=1e-4))
    words = {(row.scheme, row.optimizer, row.initial_lr): row.verdict for row in result.leaderboard}
    assert list(words.values()) == ["winner", *["worse"] * 5]
    assert result.leaderboard[0].scheme == result.winner.scheme == "cosine"
    assert result.leaderboard[0].initial_lr == result.winner.initial_lr
    assert result.ties == ()
    assert result.reason.startswith("cosine beat every other finalist and baseline in validation loss on 3 seeds")
    assert result.leaderboard[0].difference.mean == 0
    assert all(0 < row.difference.mean < row.difference.high for row in result.leaderboard[1:])
    assert [row.val_loss.mean for row in result.leaderboard] == sorted(row.val_loss.mean for row in result.leaderboard)


def test_schemes_that_the_seeds_do_not_distinguish_are_tied() -> None:
    """Equal floors and much noise: no winner, and the reason says so."""
    surface = Surface(noise=0.1, floor={"constant": 0.4, "cosine": 0.4, "step": 0.4})
    result, _ = conduct(make_plan(trials=14, top_k=3), surface)
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
    (row,) = [row for row in result.leaderboard if (row.scheme, row.optimizer) == ("cosine", "sgd")]
    assert row.verdict == "diverged"
    assert row.val_loss.mean == inf
    assert row.val_accuracy is None


def test_search_in_which_everything_diverges_still_ends() -> None:
    """The reason says so; the lowest rate wins, and its basin has no width."""
    result, _ = conduct(make_plan(trials=8), Surface(diverges_above=0.0))
    assert result.diverged == result.trials == 6
    assert result.reason.startswith("every finalist diverged on some seed; 2 of 3 schemes got no trial")
    assert {row.verdict for row in result.leaderboard} == {"diverged"}
    assert result.basin.lr_low == result.basin.lr_high == result.winner.initial_lr
    assert result.winner.scheme == "cosine"
    assert result.winner.initial_lr == pytest.approx(result.lr_low)


def test_costs_are_the_sum_over_all_evaluations() -> None:
    """Trials and confirmation; a diverged training counts for the epochs that it ran."""
    plan, surface = make_plan(trials=12), Surface(diverges_above=0.11)
    result, _ = conduct(plan, surface)
    assert result.cost.epochs == sum(training.epochs for training in surface.answered())
    assert result.cost.examples == sum(training.examples for training in surface.answered())
    assert result.cost.epochs < sum(evaluation.epochs for evaluation in surface.asked)
    assert result.cost.trainings == pytest.approx(result.cost.epochs / plan.epochs)
    assert result.cost.seconds >= sum(training.seconds for training in surface.answered())


def test_without_seeds_the_trials_answer() -> None:
    """Nothing is compared and the reason says so; the loss is the one that they predict, with its uncertainty."""
    surface = Surface(noise=0.002)
    result, trials = conduct(make_plan(trials=7, confirm_seeds=0, baselines=False), surface)
    assert len(surface.asked) == len(trials)
    (row,) = result.leaderboard
    assert (row.verdict, row.seeds) == ("tie", ())
    assert row.objective.low < 0.1 + log10(row.initial_lr / OPTIMUM) ** 2 < row.objective.high
    assert (result.baselines, result.ties) == ((), ())
    assert result.reason.startswith("not compared: the budget allows none; 7 trainings suggest it")


def test_confirmation_ends_where_no_more_can_be_afforded() -> None:
    """After the look that still fitted; with less than one, nothing is compared."""
    equal = Surface(noise=0.1, floor=dict.fromkeys(SCHEMES, 0.1), baseline=dict.fromkeys(BASELINE, 0.1))
    plan = make_plan(top_k=3, confirm_seeds=10, trainings=6 + 6 * 3 + 5)
    result, trials = conduct(plan, equal)
    assert len(trials) <= 6
    assert {len(row.seeds) for row in result.leaderboard} == {3}
    assert result.cost.trainings <= plan.trainings
    less, _ = conduct(replace(plan, trainings=8), equal)
    assert less.reason.startswith("not compared: no budget or time was left; ")
