"""The results of all stages: the models behind every `result.json`."""

from pipeline.results.batch_scaling import BatchScaling, RateSuggestion, ScaledRate
from pipeline.results.common import Cost, Guess, Interval, Result
from pipeline.results.range_test import RangeTestResult, Refinement, Tried, Valley
from pipeline.results.search import (
    Audits,
    Baseline,
    Basin,
    Comparison,
    History,
    LeaderboardRow,
    Question,
    SearchResult,
    Space,
    Transfer,
    Verdict,
)
from pipeline.results.train import ReportResult, SeedScore, TrainResult

__all__ = [
    "Audits",
    "Baseline",
    "Basin",
    "BatchScaling",
    "Comparison",
    "Cost",
    "Guess",
    "History",
    "Interval",
    "LeaderboardRow",
    "Question",
    "RangeTestResult",
    "RateSuggestion",
    "Refinement",
    "ReportResult",
    "Result",
    "ScaledRate",
    "SearchResult",
    "SeedScore",
    "Space",
    "TrainResult",
    "Transfer",
    "Tried",
    "Valley",
    "Verdict",
]
