"""Whether our trainings bear an article's claim out."""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, log

from pipeline.articles.experiment import Experiment
from pipeline.results import ClaimVerdict, Interval, SeedScore
from pipeline.statistics import mean_interval, paired_difference

_NEAR_GUESSING, _FAR_FROM_GUESSING = 0.9, 0.5
"""Test losses, in that of guessing: from the one a network counts as stuck, up to the other as having learnt."""


def judge(experiment: Experiment, scores: Mapping[str, Sequence[SeedScore]], classes: int) -> tuple[ClaimVerdict, str]:
    """Return a verdict on the experiment's claim, and the figures behind it in a sentence.

    `scores` holds those of every experiment that was run, by id. Comparisons are made seed by seed on the seeds that
    both experiments have, at 95%; where the interval of the difference includes zero, the noise is larger than the
    difference, and the claim neither holds nor fails.
    """
    own, check = scores[experiment.id], experiment.check
    difference = loss_difference(own, scores[check.than]) if check.than in scores else None
    beside = f"test loss {_signed(difference)} against {check.than}" if difference else ""
    if check.kind in ("worse", "better"):
        if difference is None:
            return "not run", f"{check.than}, which it is compared with, was not run"
        sign = 1 if check.kind == "worse" else -1
        low, high = sorted((sign * difference.low, sign * difference.high))
        return _verdict(low > 0, high < 0), beside
    if check.kind == "above":
        verdict, remark = _above(own, check.accuracy)
    else:
        verdict, remark = _against_guessing(check.kind == "stuck", own, classes)
    return verdict, f"{remark}; {beside}" if beside else remark


def loss_difference(own: Sequence[SeedScore], other: Sequence[SeedScore]) -> Interval:
    """Return own test loss minus the other's, over the seeds that both have (positive: own is worse)."""
    ours, theirs = ({score.seed: score.test_loss for score in side} for side in (own, other))
    common = [seed for seed in ours if seed in theirs]
    return paired_difference([ours[seed] for seed in common], [theirs[seed] for seed in common])


def _against_guessing(stuck: bool, own: Sequence[SeedScore], classes: int) -> tuple[ClaimVerdict, str]:
    guessing = log(classes)
    losses = [score.test_loss if isfinite(score.test_loss) else inf for score in own]
    near = min(losses) >= _NEAR_GUESSING * guessing
    far = max(losses) <= _FAR_FROM_GUESSING * guessing
    remark = f"test loss {min(losses):.4g} to {max(losses):.4g}, where guessing has {guessing:.4g}"
    return (_verdict(near, far) if stuck else _verdict(far, near)), remark


def _above(own: Sequence[SeedScore], accuracy: float) -> tuple[ClaimVerdict, str]:
    mean = mean_interval([score.test_accuracy or 0.0 for score in own])
    remark = f"test accuracy {mean.mean:.2%}" + (
        f" (95% interval {mean.low:.2%} to {mean.high:.2%})" if isfinite(mean.low) else " (one seed)"
    )
    return _verdict(mean.low > accuracy, mean.high < accuracy), remark


def _verdict(holds: bool, fails: bool) -> ClaimVerdict:
    if holds:
        return "supported"
    return "not supported" if fails else "within noise"


def _signed(difference: Interval) -> str:
    if not isfinite(difference.mean):
        return "not comparable, as one of them diverged"
    interval = f"95% interval {difference.low:+.4f} to {difference.high:+.4f}"
    return f"{difference.mean:+.4f} ({interval if isfinite(difference.low) else 'one seed'})"
