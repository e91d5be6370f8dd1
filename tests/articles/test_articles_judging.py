"""Verdicts on the articles' claims, and that noise supports none."""

from math import inf

import pytest

from pipeline.articles.judging import judge, loss_difference
from pipeline.articles.table import EXPERIMENTS
from pipeline.results import SeedScore

CHANCE = 2.302585


def scores(*losses: float, accuracy: float = 0.99) -> tuple[SeedScore, ...]:
    """Return one score per seed."""
    return tuple(
        SeedScore(seed=seed, val_loss=loss, test_loss=loss, test_accuracy=accuracy + seed * 1e-4, train_seconds=1.0)
        for seed, loss in enumerate(losses)
    )


BASELINE = scores(0.030, 0.031, 0.029)


@pytest.mark.parametrize(
    ("name", "own", "verdict"),
    [
        ("B1", (0.03, 0.03), "supported"),
        ("B1", (CHANCE, 2.31), "not supported"),
        ("B1", (0.03, 2.31), "within noise"),
        ("B2", (2.32, inf), "supported"),
        ("B2", (0.03, 0.03), "not supported"),
        ("B2", (2.32, 0.03), "within noise"),
        ("B3", (0.045, 0.0465, 0.044), "supported"),
        ("B3", (0.020, 0.0215, 0.019), "not supported"),
        ("B3", (0.045, 0.02, 0.03), "within noise"),
        ("B6", (0.020, 0.0215, 0.019), "supported"),
        ("B6", (0.045, 0.0465, 0.044), "not supported"),
        ("B6", (0.02,), "within noise"),
        ("B6", (inf, 0.02, 0.02), "not supported"),
    ],
)
def test_verdict_follows_from_the_losses(name: str, own: tuple[float, ...], verdict: str) -> None:
    """Against guessing, or against the experiment that the claim compares with, seed by seed."""
    assert judge(EXPERIMENTS[name], {"B1": BASELINE, name: scores(*own)}, 10)[0] == verdict


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.9940, "supported"), (0.992, "not supported")])
def test_goal_must_be_cleared_by_the_whole_interval(accuracy: float, verdict: str) -> None:
    """Here the accuracies of seeds differ by 0.01 percentage points."""
    own = scores(0.02, 0.02, 0.02, accuracy=accuracy)
    found, remark = judge(EXPERIMENTS["S2"], {"S2": own}, 10)
    assert found == verdict
    assert f"{accuracy + 1e-4:.2%}" in remark


def test_one_seed_shows_nothing() -> None:
    """However good its result is."""
    assert judge(EXPERIMENTS["S2"], {"S2": scores(0.02, accuracy=0.999)}, 10)[0] == "within noise"


def test_comparison_needs_both_experiments() -> None:
    """With `article=a` article b's baseline is not trained."""
    assert judge(EXPERIMENTS["B6"], {"B6": BASELINE}, 10)[0] == "not run"


def test_comparison_stands_beside_other_verdicts() -> None:
    """The verdict is on the goal; the remark also gives the difference from the baseline."""
    own = {"S2": scores(0.02, 0.0205, 0.02, accuracy=0.994), "B1": BASELINE}
    verdict, remark = judge(EXPERIMENTS["S2"], own, 10)
    assert verdict == "supported"
    assert "; test loss -0.0098 (95% interval -0.0" in remark
    assert remark.endswith("against B1")


def test_differences_are_paired_on_common_seeds() -> None:
    """Only these count, although answers have more seeds than the baseline."""
    difference = loss_difference(scores(0.020, 0.021, 0.019, 9.0, 9.0), BASELINE)
    assert difference.mean == pytest.approx(-0.01)
    assert difference.low == pytest.approx(difference.high)
