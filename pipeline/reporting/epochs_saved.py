"""How many epochs the winner saves: where it passes the loss that a baseline ends with, on the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pipeline.objective import Objective
from pipeline.reporting import wording
from pipeline.reporting.training_figures import NamedTraining


@dataclass(frozen=True)
class Passing:
    """When the winner passes what a baseline ends with, seed by seed.

    Attributes:
        epochs: the epoch of the winner's first validation that is at least as good, of the seeds on which there is one.
        seeds: on how many seeds both were trained to their end.
        budget: the epochs of a whole training.

    """

    epochs: tuple[float, ...]
    seeds: int
    budget: float

    @property
    def text(self) -> str:
        """The epoch in words, as the median and the range over seeds."""
        if not self.epochs:
            return f"on none of {wording.count(self.seeds, 'seed')}"
        low, middle, high = (_epoch(value) for value in (min(self.epochs), median(self.epochs), max(self.epochs)))
        seeds = f"{len(self.epochs)} of {self.seeds} seeds" if len(self.epochs) < self.seeds else f"{self.seeds} seeds"
        spread = f"on {seeds}" if low == high else f"median of {seeds}, {low} to {high}"
        return f"after epoch {middle} of {_epoch(self.budget)}, {spread if self.seeds > 1 else 'on one seed'}"


def passing(trainings: Sequence[NamedTraining], baseline: str, objective: Objective) -> Passing | None:
    """Compare the winner's trainings with those of a baseline that had the same seeds; None if no two can be compared.

    Args:
        trainings: those at the full budget, of all candidates.
        baseline: its name.
        objective: what the search minimised or maximised; its values are in the trainings' histories.

    """
    ends = {
        named.seed: objective.oriented(end)
        for named in trainings
        if named.role == "baseline" and named.series == baseline
        if (end := named.training.final(objective.metric)) is not None
    }
    pairs = [(named, ends[named.seed]) for named in trainings if named.role == "winner" and named.seed in ends]
    if not pairs:
        return None
    reached = [_passed(named, end, objective) for named, end in pairs]
    budget = max(named.training.epochs for named, _ in pairs)
    return Passing(tuple(epoch for epoch in reached if epoch is not None), len(pairs), budget)


def _passed(named: NamedTraining, end: float, objective: Objective) -> float | None:
    training = named.training
    values = enumerate(training.history.get(objective.metric, ()), start=1)
    first = next((at for at, value in values if objective.oriented(value) <= end), None)
    return None if first is None else first * training.validation_steps / training.steps_per_epoch


def _epoch(value: float) -> str:
    return wording.number(value)
