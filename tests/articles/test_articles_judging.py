"""Verdicts on claims: what the seeds show, judged over the whole table."""

from dataclasses import replace
from math import inf

import pytest
from scipy import stats

from pipeline.articles.experiment import Check, ClaimVerdict
from pipeline.articles.judging import Judgement, judge, loss_difference
from pipeline.articles.table import EXPERIMENTS
from pipeline.results import SeedScore
from pipeline.statistics import mean_interval

CHANCE = 2.302585


def scores(*losses: float, accuracy: float = 0.99) -> tuple[SeedScore, ...]:
    """Return one score per seed."""
    return tuple(
        SeedScore(seed=seed, val_loss=loss, test_loss=loss, test_accuracy=accuracy + seed * 1e-4, train_seconds=1.0)
        for seed, loss in enumerate(losses)
    )


def judge_alone(name: str, **found: tuple[SeedScore, ...]) -> Judgement:
    """Return the judgement on one claim as the only one of the table."""
    return judge([EXPERIMENTS[name]], found, 10)[name]


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
        ("B3", (inf, 0.02, 0.02), "supported"),
        ("B6", (0.020, 0.0215, 0.019), "supported"),
        ("B6", (0.045, 0.0465, 0.044), "not supported"),
        ("B6", (0.02,), "within noise"),
        ("B6", (inf, 0.02, 0.02), "not supported"),
    ],
)
def test_verdict_follows_from_the_losses(name: str, own: tuple[float, ...], verdict: str) -> None:
    """Against guessing, or against the experiment that the claim compares with, seed by seed."""
    found = {"B1": BASELINE, name: scores(*own)}
    assert judge_alone(name, **found).verdict == verdict


@pytest.mark.parametrize(
    ("own", "than", "verdict"),
    [
        ((0.03, 0.03), (inf, 0.02), "supported"),
        ((0.03, inf), (0.02, 0.02), "not supported"),
        ((0.03, inf), (inf, 0.02), "within noise"),
    ],
)
def test_a_diverged_side_is_the_worse_one(
    own: tuple[float, ...], than: tuple[float, ...], verdict: ClaimVerdict
) -> None:
    """There is nothing to test; if both sides diverged, nothing is known."""
    judgement = judge_alone("B6", B1=scores(*than), B6=scores(*own))
    assert judgement == Judgement(verdict, "test loss not comparable, as one of them diverged against B1")


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.9940, "supported"), (0.992, "not supported")])
def test_goal_must_be_cleared_by_the_whole_interval(accuracy: float, verdict: str) -> None:
    """Seeds lie 0.01 points apart here."""
    judgement = judge_alone("S2", S2=scores(0.02, 0.02, 0.02, accuracy=accuracy))
    assert judgement.verdict == verdict
    assert f"{accuracy + 1e-4:.2%}" in judgement.remark


def test_one_seed_shows_nothing() -> None:
    """However good it looks."""
    judgement = judge_alone("S2", S2=scores(0.02, accuracy=0.999))
    assert judgement == Judgement("within noise", "test accuracy 99.90% (one seed)")


def test_comparison_without_the_other_is_not_made() -> None:
    """With `article=a` nothing is known of article b's baseline."""
    assert judge_alone("B6", B6=BASELINE).verdict == "not run"


def test_comparison_stands_beside_other_verdicts() -> None:
    """Whether or not a goal is reached, the remark also compares with the baseline."""
    judgement = judge_alone("S2", S2=scores(0.02, 0.0205, 0.02, accuracy=0.994), B1=BASELINE)
    assert judgement.verdict == "supported"
    assert "; test loss -0.0098 (95% interval -0.0" in judgement.remark
    assert judgement.remark.endswith("against B1")


def test_differences_are_paired_on_common_seeds() -> None:
    """Answers have more seeds than what they are compared with."""
    difference = loss_difference(scores(0.020, 0.021, 0.019, 9.0, 9.0), BASELINE)
    assert difference.mean == pytest.approx(-0.01)
    assert difference.low == pytest.approx(difference.high)


BETTER = Check("better", than="B1")
DIFFERENCES = (0.010, 0.013, 0.004, 0.011)
P = float(stats.ttest_1samp(DIFFERENCES, 0.0).pvalue)  # about 0.016: below 5%, but not below 5% / 4


def better_by(*differences: float) -> tuple[SeedScore, ...]:
    """Return scores whose losses lie below 0.1 by these differences."""
    return scores(*(0.1 - difference for difference in differences))


class TestTheWholeTable:
    """Rows named T0, T1, ... that claim to beat a baseline with the loss 0.1 on each seed."""

    def judged(self, *rows: tuple[float, ...], check: Check = BETTER) -> list[Judgement]:
        """Return the judgements on rows that lie below the baseline by these differences."""
        experiments = [replace(EXPERIMENTS["B6"], id=f"T{at}", check=check) for at in range(len(rows))]
        found = {f"T{at}": better_by(*row) for at, row in enumerate(rows)} | {"B1": better_by(0.0, 0.0, 0.0, 0.0)}
        return list(judge(experiments, found, 10).values())

    def test_a_single_claim_is_judged_by_its_95_percent_interval(self) -> None:
        """With only one test there is nothing to adjust for: shifted by its bound, the verdict changes."""
        low = mean_interval(DIFFERENCES).low
        for shift, verdict in ((0.999 * low, "supported"), (1.001 * low, "within noise")):
            (judgement,) = self.judged(tuple(difference - shift for difference in DIFFERENCES))
            assert judgement.verdict == verdict
            assert judgement.remark.endswith(", adjusted p = 0.05")

    def test_the_same_claim_among_three_that_show_nothing_is_within_noise(self) -> None:
        """Its p value counts four times, though its own interval excludes zero."""
        noise = (0.01, -0.01, 0.02, -0.02)
        assert P < 0.05 < 4 * P
        first, *others = self.judged(DIFFERENCES, noise, noise, noise)
        assert [first.verdict, *(other.verdict for other in others)] == ["within noise"] * 4
        assert first.remark.endswith(f"against B1, adjusted p = {4 * P:.2g}")

    def test_claims_that_are_decided_leave_the_error_to_the_rest(self) -> None:
        """Holm: two clear rows at 1/4 and 1/3 of the error leave 1/2 for the third, where 1/4 would not do."""
        clear, noise = (0.010, 0.0101, 0.0102, 0.0101), (0.01, -0.01, 0.02, -0.02)
        assert 0.05 / 4 < P < 0.05 / 2
        verdicts = [judgement.verdict for judgement in self.judged(noise, DIFFERENCES, clear, clear)]
        assert verdicts == ["within noise", "supported", "supported", "supported"]

    def test_a_rejected_claim_of_the_opposite_is_not_supported(self) -> None:
        """The tests are two-sided."""
        (judgement,) = self.judged(DIFFERENCES, check=Check("worse", than="B1"))
        assert judgement.verdict == "not supported"

    def test_claims_without_a_test_do_not_count(self) -> None:
        """Neither those against guessing nor those that a divergence decides."""
        found = {"T": better_by(*DIFFERENCES), "B1": better_by(0.0, 0.0, 0.0, 0.0)}
        lost = {f"D{at}": scores(inf, 0.1, 0.1, 0.1) for at in range(9)}
        rows = [replace(EXPERIMENTS["B6"], id=name) for name in ("T", *lost)]
        judged = judge([*rows, EXPERIMENTS["B1"]], found | lost, 10)
        assert judged["T"].verdict == "supported"
        assert judged["D0"].verdict == "not supported"
        assert judged["B1"].verdict == "supported"
