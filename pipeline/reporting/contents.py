"""What a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.reporting.curves import Training
from pipeline.results import PrepareResult, RangeTestResult, SearchResult, TrainResult

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """The curves of a range test: `losses` of shape (seeds, updates), the others (updates,)."""

    rates: Floats
    losses: Floats
    median: Floats
    band_low: Floats
    band_high: Floats


@dataclass(frozen=True)
class Report:
    """Everything the report shows.

    Without a search (the user gave the scheme) `range_test`, `search`, `sweep` and `trials` are None. `range_tests` are
    those of every optimizer and batch size that was searched, and `range_test` is that of the winner's. `trainings` are
    the final trainings and the confirmation trainings of finalists and baselines. `costs` holds for each stage its
    name, wall seconds and passes over the training set. `generated` is an ISO time.
    """

    prepare: PrepareResult
    range_test: RangeTestResult | None
    range_tests: Sequence[RangeTestResult]
    search: SearchResult | None
    train: TrainResult
    sweep: Sweep | None
    trials: pd.DataFrame | None
    trainings: Sequence[Training]
    options: Mapping[str, object]
    environment: Mapping[str, str]
    costs: Sequence[tuple[str, float, float]]
    generated: str
    command: str
