"""Which differences between trainings are real: intervals, tests, comparisons with the best, and the width of a basin.

A loss that is NaN or infinite means that the training diverged. It counts as `inf`, worse than any number, everywhere
in this package. docs/statistics.md explains the methods and gives their sources.
"""

from pipeline.statistics.basin import basin, decades, next_rate
from pipeline.statistics.best import MOST_SEEDS, Comparison, Verdict, Verdicts, looks, seeds_needed, spent_at, verdicts
from pipeline.statistics.intervals import (
    Values,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    rank_correlation,
    seed_noise,
)

__all__ = [
    "MOST_SEEDS",
    "Comparison",
    "Values",
    "Verdict",
    "Verdicts",
    "basin",
    "decades",
    "holm",
    "looks",
    "mean_interval",
    "next_rate",
    "p_value",
    "paired_difference",
    "rank_correlation",
    "seed_noise",
    "seeds_needed",
    "spent_at",
    "verdicts",
]
