"""Statistics that show which differences between trainings are real: intervals, tests, comparisons with the best.

A loss that is NaN or infinite means that the training diverged. It counts as `inf`, worse than any number, everywhere
in this package. docs/statistics.md explains the methods and gives their sources.
"""

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
    "holm",
    "looks",
    "mean_interval",
    "moderated",
    "p_value",
    "paired_difference",
    "rounding",
    "seed_noise",
    "seeds_needed",
    "share",
    "spent_at",
    "verdicts",
]
