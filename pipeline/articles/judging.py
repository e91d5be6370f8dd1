"""Verdicts on the articles' claims, judged by our trainings over the whole table at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log

import numpy as np

from pipeline.articles.experiment import ClaimVerdict, Experiment
from pipeline.results import Interval, SeedScore
from pipeline.statistics import holm, mean_interval, p_value, paired_difference

_ERROR = 0.05
"""The probability that chance alone makes one or more verdicts of a table wrong."""

_NEAR_GUESSING, _FAR_FROM_GUESSING = 0.9, 0.5
"""Test losses as fractions of that of guessing: above the first a network is stuck, below the second it has learnt."""

Scores = Mapping[str, Sequence[SeedScore]]


@dataclass(frozen=True)
class Judgement:
    """A verdict on a claim, and the figures behind it in a sentence."""

    verdict: ClaimVerdict
    remark: str


@dataclass(frozen=True)
class _Test:
    """A t test of a claim: its two-sided p value, the effect (positive if it supports the claim), and the seeds."""

    p: float
    effect: float
    seeds: int


def judge(experiments: Sequence[Experiment], scores: Scores, classes: int) -> dict[str, Judgement]:
    """Judge the claims of all experiments together.

    A claim of a difference in test loss ("worse", "better") is decided by a paired t test on the seeds that both
    experiments have, a claim of a test accuracy ("above") by a t test of its mean. The p values are adjusted for the
    number of tests (Holm 1979), so that all their verdicts hold together at 95%. A claim that its adjusted test does
    not decide is within noise. If one side of a comparison diverged, it is the worse one, without a test.

    Args:
        experiments: Those that were run.
        scores: The scores of each experiment by id, one per seed.
        classes: The number of classes, which gives the loss of guessing.

    Returns:
        The judgement on each experiment's claim, by id.

    """
    tests = {row.id: test for row in experiments if (test := _test(row, scores)) is not None}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    return {
        row.id: _judgement(row, scores, classes, tests.get(row.id), adjusted.get(row.id, 1.0)) for row in experiments
    }


def loss_difference(own: Sequence[SeedScore], other: Sequence[SeedScore]) -> Interval:
    """Return own test loss minus the other's, over the seeds that both have (positive: own is worse)."""
    return paired_difference(*_paired(own, other))


def _paired(own: Sequence[SeedScore], other: Sequence[SeedScore]) -> tuple[list[float], list[float]]:
    ours, theirs = ({score.seed: score.test_loss for score in side} for side in (own, other))
    common = [seed for seed in ours if seed in theirs]
    return [ours[seed] for seed in common], [theirs[seed] for seed in common]


def _test(experiment: Experiment, scores: Scores) -> _Test | None:
    """Return the test that decides the claim, or None if it is decided without one."""
    own, check = scores[experiment.id], experiment.check
    if check.kind == "above":
        accuracies = _accuracies(own)
        return _Test(p_value(accuracies, check.accuracy), float(np.mean(accuracies)) - check.accuracy, len(own))
    if check.kind not in ("worse", "better") or check.than not in scores:
        return None
    ours, theirs = map(np.array, _paired(own, scores[check.than]))
    if not np.isfinite([ours, theirs]).all():
        return None
    differences, sign = ours - theirs, 1 if check.kind == "worse" else -1
    return _Test(p_value(differences), sign * float(differences.mean()), len(differences))


def _judgement(experiment: Experiment, scores: Scores, classes: int, test: _Test | None, adjusted: float) -> Judgement:
    own, check = scores[experiment.id], experiment.check
    difference = loss_difference(own, scores[check.than]) if check.than in scores else None
    compared = f"test loss {_signed(difference)} against {check.than}" if difference else ""
    if check.kind in ("worse", "better"):
        if difference is None:
            return Judgement("not run", f"{check.than}, which it is compared with, was not run")
        if test is None:
            worse, better = difference.low > 0, difference.high < 0
            return Judgement(_verdict(worse, better) if check.kind == "worse" else _verdict(better, worse), compared)
        return Judgement(_tested(test, adjusted), f"{compared}{_adjusted(test, adjusted)}")
    if test is not None:
        verdict, remark = _tested(test, adjusted), f"{_accuracy(own)}{_adjusted(test, adjusted)}"
    else:
        verdict, remark = _against_guessing(check.kind == "stuck", own, classes)
    return Judgement(verdict, f"{remark}; {compared}" if compared else remark)


def _tested(test: _Test, adjusted: float) -> ClaimVerdict:
    rejected = adjusted < _ERROR
    return _verdict(rejected and test.effect > 0, rejected and test.effect < 0)


def _against_guessing(stuck: bool, own: Sequence[SeedScore], classes: int) -> tuple[ClaimVerdict, str]:
    guessing = log(classes)
    losses = [score.test_loss if isfinite(score.test_loss) else inf for score in own]
    near = min(losses) >= _NEAR_GUESSING * guessing
    far = max(losses) <= _FAR_FROM_GUESSING * guessing
    remark = f"test loss {min(losses):.4g} to {max(losses):.4g}, where guessing has {guessing:.4g}"
    return (_verdict(near, far) if stuck else _verdict(far, near)), remark


def _verdict(holds: bool, fails: bool) -> ClaimVerdict:
    if holds:
        return "supported"
    return "not supported" if fails else "within noise"


def _accuracies(own: Sequence[SeedScore]) -> list[float]:
    return [score.test_accuracy or 0.0 for score in own]


def _accuracy(own: Sequence[SeedScore]) -> str:
    mean = mean_interval(_accuracies(own))
    interval = f"95% interval {mean.low:.2%} to {mean.high:.2%}" if isfinite(mean.low) else "one seed"
    return f"test accuracy {mean.mean:.2%} ({interval})"


def _signed(difference: Interval) -> str:
    if not isfinite(difference.mean):
        return "not comparable, as one of them diverged"
    interval = f"95% interval {difference.low:+.4f} to {difference.high:+.4f}"
    return f"{difference.mean:+.4f} ({interval if isfinite(difference.low) else 'one seed'})"


def _adjusted(test: _Test, p: float) -> str:
    """Format an adjusted p value; empty for one seed, which tests nothing."""
    if test.seeds < 2:
        return ""
    return ", adjusted p < 0.001" if p < 0.001 else f", adjusted p = {p:.2g}"
