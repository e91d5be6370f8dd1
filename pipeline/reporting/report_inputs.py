"""The inputs of the report: results and curves of all stages, and the leaderboard made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.datasets.arrays import PrepareResult
from pipeline.evaluation import Candidate, setting_prefix
from pipeline.predictions import Predictions
from pipeline.reporting import wording
from pipeline.reporting.training_figures import NamedTraining
from pipeline.results import LeaderboardRow, RangeTestResult, SearchResult, TrainResult
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
class StageRun:
    """A run of a stage in the tracking store: its id, and where MLflow's UI shows it, "" without a server."""

    stage: str
    run_id: str
    page: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that the report shows.

    Attributes:
        range_test: that of the winner's optimizer and batch size. Like `search`, `sweep` and `trials` it is None if the
            user gave the scheme, so that there was no search.
        range_tests: one for each optimizer and batch size that was searched.
        trainings: the confirmation trainings of finalists and baselines, or the final ones if there was no search.
        costs: the name, wall seconds and passes over the training set of each stage.
        origins: the layer that each option is from that is no default; None where nobody can say.
        runs: those that the report is made of.
        predictions: of each output of the model that is kept, for the test set.
        code: the schedule as Keras code, with the call of its optimizer; "" before the final training.
        generated: an ISO time.
        interrupted: whether the chain was interrupted, so that this is its answer so far. Then `train` may be None.

    """

    prepare: PrepareResult
    range_test: RangeTestResult | None
    range_tests: Sequence[RangeTestResult]
    search: SearchResult | None
    train: TrainResult | None
    sweep: Sweep | None
    trials: pd.DataFrame | None
    trainings: Sequence[NamedTraining]
    options: Mapping[str, object]
    environment: Mapping[str, str]
    costs: Sequence[tuple[str, float, float]]
    generated: str
    command: str
    origins: Mapping[str, str] | None = None
    runs: Sequence[StageRun] = ()
    predictions: Sequence[Predictions] = ()
    code: str = ""
    interrupted: bool = False

    @property
    def winner(self) -> Candidate:
        """What to train with."""
        return answered(self.search, self.train)

    @property
    def lr_multipliers(self) -> Mapping[str, float]:
        """The factors by which the model scales the rates of its layers, by name; empty without any."""
        found = self.train or self.search
        return found.lr_multipliers if found else {}


def answered(search: SearchResult | None, train: TrainResult | None) -> Candidate:
    """Return the winner of the search, or what was trained without one; one of both is given."""
    found = train or search
    if found is None:
        raise ValueError("answered: received neither a search nor a training, expected one of them")
    return found.winner


def read_sweep(folder: Path) -> Sweep | None:
    """Read the curves of a range test from its `range_test.csv`; None if nothing was swept."""
    if not (file := folder / "range_test.csv").is_file():
        return None
    frame = pd.read_csv(file)
    return Sweep(
        rates=frame["lr"].to_numpy(np.float64),
        losses=frame.filter(like="loss_seed_").to_numpy(np.float64).T,
        median=frame["median"].to_numpy(np.float64),
        band_low=frame["band_low"].to_numpy(np.float64),
        band_high=frame["band_high"].to_numpy(np.float64),
    )


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard."""

    label: str
    role: Literal["winner", "finalist", "baseline"]
    row: LeaderboardRow

    @property
    def standing(self) -> str:
        """The verdict; among tied finalists, the one to train with is marked."""
        if not self.row.seeds:
            return "not compared"
        if self.role == "winner" and self.row.verdict in ("tie", "equivalent"):
            return f"{self.row.verdict}, chosen"
        return self.row.verdict

    @property
    def diverged(self) -> bool:
        """Whether the candidate diverged, so that it has no mean."""
        return not isfinite(self.row.objective.mean)


def entries(search: SearchResult) -> tuple[Entry, ...]:
    """Return finalists and baselines by their mean objective, the best first and diverged ones last.

    A baseline that is also in the leaderboard of the search appears once, under its own name.
    """
    baselines = {_key(baseline.row): baseline for baseline in search.baselines}
    found = {_key(row): _finalist(row, search) for row in search.leaderboard}
    for key, baseline in baselines.items():
        if key not in found or found[key].role != "winner":
            found[key] = Entry(baseline.name, "baseline", baseline.row)
    oriented = search.objective.oriented
    return tuple(sorted(found.values(), key=lambda e: inf if e.diverged else oriented(e.row.objective.mean)))


def _finalist(row: LeaderboardRow, search: SearchResult) -> Entry:
    wins = _key(row) == _key(search.winner)
    label = f"{setting_prefix(row, search.spaces)}{wording.scheme(row.scheme)} {wording.number(row.initial_lr)}"
    return Entry(f"{label}{row.decay_suffix}", "winner" if wins else "finalist", row)


def _key(row: Candidate) -> tuple[object, ...]:
    params = repr(sorted(row.params.items()))
    return row.scheme, row.initial_lr, row.optimizer, row.batch_size, row.weight_decay, params
