"""Which differences between trainings are real: intervals, tests, comparisons with the best, and the width of a basin.

A loss that is NaN or infinite means that the training diverged. It counts as `inf`, worse than any number, everywhere
in this package. docs/statistics.md explains the methods and gives their sources.
"""

from pipeline.statistics.basin import basin, decades, next_rate
from pipeline.statistics.best import (
    MOST_SEEDS,
    Comparison,
    Round,
    Verdicts,
    looks,
    seeds_needed,
    share,
    spent_at,
    verdicts,
)
from pipeline.statistics.intervals import (
    Values,
    accuracy_interval,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    rank_correlation,
    seed_noise,
)
from pipeline.statistics.pairs import Pairs, moderated, rounding

__all__ = [
    "MOST_SEEDS",
    "Comparison",
    "Pairs",
    "Round",
    "Values",
    "Verdicts",
    "accuracy_interval",
    "basin",
    "decades",
    "holm",
    "looks",
    "mean_interval",
    "moderated",
    "next_rate",
    "p_value",
    "paired_difference",
    "rank_correlation",
    "rounding",
    "seed_noise",
    "seeds_needed",
    "share",
    "spent_at",
    "verdicts",
]
