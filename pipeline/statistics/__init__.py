"""Which differences between trainings are real: intervals, comparisons with the best, ties, and the width of a basin.

A loss that is NaN or infinite is a diverged training, worse than any number: everywhere here it counts as `inf`.
docs/statistics.md explains the methods and gives their sources.
"""

from pipeline.statistics.basin import basin, decades, next_rate
from pipeline.statistics.best import MOST_SEEDS, Comparison, Verdict, Verdicts, seeds_needed, verdicts
from pipeline.statistics.intervals import Values, mean_interval, paired_difference, rank_correlation, seed_noise
from pipeline.statistics.looks import looks, spent_at

__all__ = [
    "MOST_SEEDS",
    "Comparison",
    "Values",
    "Verdict",
    "Verdicts",
    "basin",
    "decades",
    "looks",
    "mean_interval",
    "next_rate",
    "paired_difference",
    "rank_correlation",
    "seed_noise",
    "seeds_needed",
    "spent_at",
    "verdicts",
]
