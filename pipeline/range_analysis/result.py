"""A range test as a result that can be stored. Kept apart, because the analysis itself needs NumPy only."""

from collections.abc import Sequence

from pipeline.range_analysis.exploration import Exploration
from pipeline.results import RangeTestResult


def summarize(found: Exploration, seeds: Sequence[int], optimizer: str, seconds: float) -> RangeTestResult:
    """What to store of an exploration: the verdict and the rates, but not the curves."""
    analysis = found.analysis
    return RangeTestResult(
        verdict=analysis.verdict,
        reason=analysis.reason,
        suggested_lr=analysis.suggested_lr,
        lr_low=analysis.lr_low,
        lr_high=analysis.lr_high,
        suggestions=analysis.suggestions,
        divergence_lr=analysis.divergence_lr,
        seeds=tuple(seeds),
        optimizer=optimizer,
        updates=found.spent,
        seconds=seconds,
    )
