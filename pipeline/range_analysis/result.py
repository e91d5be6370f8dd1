"""A range test as a result that can be stored. Kept apart, because the analysis itself needs NumPy only."""

from collections.abc import Sequence
from dataclasses import asdict

from pipeline.range_analysis.exploration import Exploration
from pipeline.range_analysis.refinement import Refinement
from pipeline.results import FittedValley, RangeTestResult, RefinementResult, TriedRate


def summarize(found: Exploration, optimizer: str, batch_size: int, seconds: float) -> RangeTestResult:
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
        seeds=found.seeds,
        optimizer=optimizer,
        batch_size=batch_size,
        updates=found.spent,
        seconds=seconds,
    )


def with_refinement(
    swept: RangeTestResult,
    found: Refinement,
    *,
    scheme: str,
    start: float,
    seeds: Sequence[int],
    updates: int,
    seconds: float,
) -> RangeTestResult:
    """Let trainings decide: their rate and interval replace those of the sweep, also where it had refused.

    The interval ends where the sweep diverged, unless whole trainings did not even there. Where all of them diverged
    there is no rate to trust, and the verdict is "refused".
    """
    refinement = RefinementResult(
        scheme=scheme,
        start_lr=start,
        seeds=tuple(seeds),
        tried=tuple(TriedRate(**asdict(tried)) for tried in found.tried),
        fit=FittedValley(**asdict(found.fit)) if found.fit else None,
        cost=found.cost,
        updates=updates,
        seconds=seconds,
    )
    suggested, high, divergence = found.suggested_lr, found.lr_high, swept.divergence_lr
    if suggested and high and divergence and suggested < divergence:
        high = min(high, divergence)
    said = f"moved the rate from {start:.3g} to {suggested:.3g}" if suggested else "diverged at every rate"
    return swept.model_copy(
        update={
            "verdict": "ok" if suggested else "refused",
            "reason": f"{swept.reason} {_trainings(found)} {said}.",
            "suggested_lr": suggested,
            "lr_low": found.lr_low,
            "lr_high": high,
            "suggestions": {**swept.suggestions, "refined": suggested} if suggested else {},
            "updates": swept.updates + updates,
            "seconds": swept.seconds + seconds,
            "refinement": refinement,
        }
    )


def _trainings(found: Refinement) -> str:
    whole = sum(tried.share == 1 for tried in found.tried)
    return f"{len(found.tried) - whole} short and {whole} whole trainings"
