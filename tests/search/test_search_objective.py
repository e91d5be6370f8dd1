"""Another objective than validation loss: everything is decided by it, and told in its own sign."""

from dataclasses import replace
from math import inf

import pytest

from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import SearchResult
from pipeline.search import Outcome, Trial
from pipeline.search.basins import measure_basin
from tests.search.conftest import OPTIMUM, SCHEMES, Ask, Surface, make_plan

ACCURACY = Objective("val_accuracy", "max")
SHIFT = 3.0
"""What the gain below is at a loss of zero."""


class Gain(Surface):
    """A surface whose objective is a gain: the higher the lower the loss is. Validation loss itself says nothing."""

    def _answer(self, evaluation: Evaluation) -> Outcome:
        given = super()._answer(evaluation)
        useless = 1.0 if given.val_loss < inf else inf
        return replace(given, loss=given.loss - SHIFT if given.loss < inf else inf, val_loss=useless)


def both(ask: Ask, **surface: object) -> tuple[tuple[SearchResult, list[Trial]], tuple[SearchResult, list[Trial]]]:
    """Give the search that minimises the loss, and the one that maximises the gain."""
    plan = make_plan(trials=16, top_k=3)
    minimised = ask(plan, Surface(**surface))  # type: ignore[arg-type]
    return minimised, ask(replace(plan, objective=Objective("val_gain", "max")), Gain(**surface))  # type: ignore[arg-type]


def test_maximising_is_minimising_in_a_mirror(ask: Ask) -> None:
    """The same trials, verdicts and gains over the baselines; means and intervals are turned over."""
    (one, trials), (other, mirrored) = both(ask, noise=0.05, optimum=1.0, diverges_above=2.5)
    assert [trial.evaluation for trial in mirrored] == [trial.evaluation for trial in trials]
    assert (other.winner, other.ties, other.widened, other.diverged) == (
        one.winner,
        one.ties,
        one.widened,
        one.diverged,
    )
    assert other.reason == one.reason.replace("validation loss", "validation gain")
    assert (other.objective.metric, other.objective.direction) == ("val_gain", "max")
    for row, same in zip(other.leaderboard, one.leaderboard, strict=True):
        assert (row.scheme, row.verdict, row.seeds) == (same.scheme, same.verdict, same.seeds)
        bounds = (SHIFT - same.objective.mean, SHIFT - same.objective.high, SHIFT - same.objective.low)
        assert (row.objective.mean, row.objective.low, row.objective.high) == pytest.approx(bounds)
        assert (row.difference.mean, row.difference.high) == pytest.approx((same.difference.mean, same.difference.high))
        assert same.objective == same.val_loss
        assert row.val_loss.mean == 1.0
    for baseline, same_one in zip(other.baselines, one.baselines, strict=True):
        assert (baseline.gain.mean, baseline.gain.low) == pytest.approx((same_one.gain.mean, same_one.gain.low))
    assert other.audits is not None
    assert one.audits is not None
    assert other.audits.agreement == one.audits.agreement
    assert other.audits.seed_noise == pytest.approx(one.audits.seed_noise)


def test_the_best_comes_first(ask: Ask) -> None:
    """Where more is better that is the highest mean."""
    _, (result, _) = both(ask, noise=1e-4)
    means = [row.objective.mean for row in result.leaderboard]
    assert means == sorted(means, reverse=True)
    assert result.leaderboard[0].verdict == "winner"
    assert all(baseline.gain.mean > 0 for baseline in result.baselines)


def test_the_objective_decides_where_validation_loss_disagrees(ask: Ask) -> None:
    """The scheme with the lowest loss loses to the one with the highest accuracy."""

    class Contrary(Surface):
        def _answer(self, evaluation: Evaluation) -> Outcome:
            given = super()._answer(evaluation)
            accuracy = 1 - (1.0 if evaluation.scheme == "cosine" else 0.1) * given.loss
            return replace(given, loss=-accuracy, val_accuracy=accuracy)

    result, _ = ask(
        make_plan(top_k=3, objective=ACCURACY),
        Contrary(noise=1e-4, floor={**dict.fromkeys(SCHEMES, 0.3), "cosine": 0.1}),
    )
    by_loss = min(result.leaderboard, key=lambda row: row.val_loss.mean)
    assert by_loss.scheme == "cosine"
    assert result.winner.scheme != "cosine"
    for row in result.leaderboard:
        assert row.objective.mean == pytest.approx(row.val_accuracy)
    for baseline in result.baselines:
        assert baseline.gain == baseline.accuracy_gain


def test_a_basin_is_told_in_the_objective_s_sign() -> None:
    """The rates and edges are those that the losses give."""
    surface, centre = Surface(), Evaluation("sgd", "cosine", OPTIMUM, {}, 2, 10_000, 50)
    one, other = (measure_basin(centre, [], surface, 0.04, objective) for objective in (VAL_LOSS, ACCURACY))
    assert other.values == tuple(-value for value in one.values)
    assert other.model_copy(update={"values": one.values}) == one


def test_what_diverged_is_worst_in_either_direction(ask: Ask) -> None:
    """Minus infinity where more is better, and it wins nothing."""
    result, _ = ask(make_plan(trials=4, objective=ACCURACY), Surface(diverges_above=0.0))
    assert {row.verdict for row in result.leaderboard} == {"diverged"}
    assert {row.objective.mean for row in result.leaderboard} == {-inf}
    assert set(result.basin.values) == {-inf}
