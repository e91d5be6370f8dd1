"""The inputs of the report: the results and curves of all stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets.arrays import PrepareResult
from pipeline.reporting.training_figures import NamedTraining
from pipeline.results import RangeTestResult, SearchResult, TrainResult
from pipeline.schedules import Array


@dataclass(frozen=True)
class Sweep:
    """The curves of a range test; `losses` has the shape (seeds, updates), the others (updates,)."""

    rates: Array
    losses: Array
    median: Array
    band_low: Array
    band_high: Array


@dataclass(frozen=True)
class Report:
    """Everything that the report shows.

    Attributes:
        range_test: that of the winner's optimizer and batch size. Like `search`, `sweep` and `trials` it is None if the
            user gave the scheme, so that there was no search.
        range_tests: one for each optimizer and batch size that was searched.
        trainings: the confirmation trainings of finalists and baselines, or the final ones if there was no search.
        costs: the name, wall seconds and passes over the training set of each stage.
        generated: an ISO time.

    """

    prepare: PrepareResult
    range_test: RangeTestResult | None
    range_tests: Sequence[RangeTestResult]
    search: SearchResult | None
    train: TrainResult
    sweep: Sweep | None
    trials: pd.DataFrame | None
    trainings: Sequence[NamedTraining]
    options: Mapping[str, object]
    environment: Mapping[str, str]
    costs: Sequence[tuple[str, float, float]]
    generated: str
    command: str


def read_sweep(folder: Path) -> Sweep:
    """Read the curves of a range test from its `range_test.csv`."""
    frame = pd.read_csv(folder / "range_test.csv")
    return Sweep(
        rates=frame["lr"].to_numpy(np.float64),
        losses=frame.filter(like="loss_seed_").to_numpy(np.float64).T,
        median=frame["median"].to_numpy(np.float64),
        band_low=frame["band_low"].to_numpy(np.float64),
        band_high=frame["band_high"].to_numpy(np.float64),
    )
