"""Objectives other than validation loss: they decide everything, and are reported in their own sign."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pipeline.evaluation import Evaluation, Training
from pipeline.objective import Objective
from pipeline.results import SearchResult
from pipeline.search import Trial, conduct
from tests.search.surface import FLOOR, SCHEMES, Surface, make_plan, make_training

ACCURACY = Objective("val_accuracy", "max")
SHIFT = 3.0
"""The gain below at a loss of zero."""


class Gain(Surface):
    """A surface with a gain as its objective, higher where the loss is lower; validation loss is constant."""

    def train(self, evaluation: Evaluation) -> Training:
        """Return a training that ends with the gain, or diverges."""
        given = super().train(evaluation)
        return given if given.diverged else make_training(evaluation, val_loss=1.0, val_gain=SHIFT - given.val_loss)


def both(**surface: object) -> tuple[tuple[SearchResult, list[Trial]], tuple[SearchResult, list[Trial]]]:
    """Return a search that minimises the loss, and one that maximises the gain.

    Neither has a logarithm, since losses are below zero.
    """
    plan = make_plan(trials=16, top_k=3)
    levels = {"floor": {name: FLOOR[name] - SHIFT for name in SCHEMES}, "baseline": {"adam": -2.4, "sgd": -2.5}}
    minimised = conduct(plan, Surface(**levels, **surface))  # type: ignore[arg-type]
    maximised = conduct(replace(plan, objective=Objective("val_gain", "max")), Gain(**levels, **surface))  # type: ignore[arg-type]
    return minimised, maximised


def test_maximising_mirrors_minimising() -> None:
    """Trials, verdicts and gains over the baselines are the same; means and intervals are mirrored."""
    (one, trials), (other, mirrored) = both(noise=0.05, optimum=1.0, diverges_above=2.5)
    assert [trial.evaluation for trial in mirrored] == [trial.evaluation for trial in trials]
    assert (other.winner, other.ties, other.diverged) == (one.winner, one.ties, one.diverged)
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
    assert other.audits.seed_noise == pytest.approx(one.audits.seed_noise)


def test_the_best_comes_first() -> None:
    """The leaderboard starts with the highest mean if higher is better."""
    _, (result, _) = both(noise=1e-4)
    means = [row.objective.mean for row in result.leaderboard]
    assert means == sorted(means, reverse=True)
    assert result.leaderboard[0].verdict == "winner"
    assert all(baseline.gain.mean > 0 for baseline in result.baselines)


def test_the_objective_decides_where_validation_loss_disagrees() -> None:
    """The scheme with the lowest loss loses to the one with the highest accuracy."""

    class Contrary(Surface):
        def train(self, evaluation: Evaluation) -> Training:
            given = super().train(evaluation)
            accuracy = 1 - (1.0 if evaluation.candidate.scheme == "cosine" else 0.1) * given.val_loss
            return given if given.diverged else replace(given, history={**given.history, "val_accuracy": (accuracy,)})

    result, _ = conduct(
        make_plan(top_k=3, objective=ACCURACY),
        Contrary(noise=1e-4, floor={**dict.fromkeys(SCHEMES, 0.3), "cosine": 0.1}),
    )
    by_loss = min(result.leaderboard, key=lambda row: row.val_loss.mean)
    assert by_loss.scheme == "cosine"
    assert result.winner.scheme != "cosine"
    for row in result.leaderboard:
        assert row.objective.mean == pytest.approx(row.val_accuracy)
    for baseline in result.baselines:
        assert baseline.accuracy_gain is not None
        assert baseline.gain.mean == pytest.approx(baseline.accuracy_gain.mean)


def test_intervals_of_an_accuracy_end_where_it_does() -> None:
    """They stay within [0, 1] however noisy two seeds are, at other budgets too."""

    class Noisy(Surface):
        def train(self, evaluation: Evaluation) -> Training:
            accuracy = float(np.random.default_rng(evaluation.seed).uniform(0.05, 0.95))
            return replace(
                super().train(evaluation), diverged="", history={"val_loss": (1.0,), "val_accuracy": (accuracy,)}
            )

    plan = make_plan(top_k=2, confirm_seeds=2, objective=ACCURACY, transfer=True, resolution=0.01)
    result, _ = conduct(plan, Noisy(noise=1e-4))
    intervals = [(row.objective, row.difference) for row in result.leaderboard]
    intervals += [(row.objective, row.difference) for row in result.transfer]
    for objective, difference in intervals:
        assert 0 <= objective.low < objective.high <= 1
        assert 0 <= difference.high <= 1
    for baseline in result.baselines:
        assert baseline.accuracy_gain is not None
        for gain in (baseline.gain, baseline.accuracy_gain):
            assert -1 <= gain.low <= gain.mean <= gain.high <= 1


def test_what_diverged_is_worst_in_either_direction() -> None:
    """Its objective is minus infinity if higher is better, so it cannot win."""
    result, _ = conduct(make_plan(trials=4, objective=ACCURACY), Surface(diverges_above=0.0))
    assert {row.verdict for row in result.leaderboard} == {"diverged"}
    assert {row.objective.mean for row in result.leaderboard} == {-inf}
    assert set(result.basin.values) == {-inf}
