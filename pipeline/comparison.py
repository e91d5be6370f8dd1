"""What is known of trainings that any program has logged, and what can be compared of them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.objective import usual_direction
from pipeline.schedules import Array

LR = "lr"
"""The name under which a learning rate is compared, whatever it was logged as."""

_NAMES = {"learning_rate": LR, "train_loss": "loss", "acc": "accuracy", "val_acc": "val_accuracy"}
_KINDS_OF_ACCURACY = re.compile(r"^(val_)?(sparse_categorical|categorical|binary)_accuracy$")

_FIRST = ("loss", "val_loss", "accuracy", "val_accuracy")


def usual_name(metric: str) -> str:
    """Return the usual name of a metric: Keras and those who log by hand have several for the same."""
    plain = _KINDS_OF_ACCURACY.sub(lambda match: f"{match[1] or ''}accuracy", metric)
    return _NAMES.get(plain, plain)


@dataclass(frozen=True)
class Curve:
    """A metric's history: int64[n] steps, ascending and each once, and float64[n] values."""

    steps: Array
    values: Array


@dataclass(frozen=True)
class LoggedRun:
    """A training as its run in MLflow shows it.

    Attributes:
        name: the run's name, made unique among those that are compared.
        run_id: its id.
        experiment: the name of its experiment.
        status: as in MLflow: FINISHED, RUNNING, FAILED or KILLED.
        is_ours: whether this project has made it.
        params: its parameters; for a training of a stage also those of the stage.
        finals: the last value of each metric.
        curves: the metrics with a history of at least two steps, and `lr` even if it was logged once, by `usual_name`.
        epoch_at: the history of its metric `epoch`, if it has one.
        data_sets: name and digest of each data set that it has logged.
        key: equal for trainings of this project on the same data, with the same network, code and versions.

    """

    name: str
    run_id: str
    experiment: str
    status: str
    is_ours: bool
    params: Mapping[str, str]
    finals: Mapping[str, float]
    curves: Mapping[str, Curve]
    epoch_at: Curve | None = None
    data_sets: tuple[str, ...] = ()
    key: str = ""

    @cached_property
    def steps_are_epochs(self) -> bool:
        """Whether it seems to have logged once an epoch: no more steps than its `epochs`, or a validation at each."""
        steps = np.unique(np.concatenate([curve.steps for curve in self.curves.values()]))
        if steps[-1] < _number(self.params.get("epochs")):
            return True
        validated = [curve for name, curve in self.curves.items() if name.startswith("val_")]
        in_a_row = steps[0] in (0, 1) and steps.size == steps[-1] - steps[0] + 1
        return bool(validated and in_a_row and all(curve.steps.size == steps.size for curve in validated))

    @property
    def knows_epochs(self) -> bool:
        """Whether its epochs are known: it logged `epoch` too, or one step for each."""
        return self.epoch_at is not None or self.steps_are_epochs

    def epochs_of(self, curve: Curve) -> Array:
        """Return the epoch of each step, given that they are known: passes over the training set so far."""
        if self.epoch_at is None:
            first = min(int(one.steps[0]) for one in self.curves.values())
            return curve.steps + (1.0 if first == 0 else 0.0)
        return np.interp(curve.steps, self.epoch_at.steps, self.epoch_at.values)

    def best(self, metric: str) -> float | None:
        """Return the best value of a curve; None if there is none, or its name does not show which is better."""
        curve, direction = self.curves.get(metric), usual_direction(metric)
        values = curve.values[np.isfinite(curve.values)] if curve else np.array([])
        if direction is None or not values.size:
            return None
        return float(values.max() if direction == "max" else values.min())


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Comparison:
    """Trainings side by side."""

    runs: tuple[LoggedRun, ...]
    generated: str

    @cached_property
    def in_epochs(self) -> bool:
        """Whether curves can be drawn against epochs; otherwise against steps as they were logged."""
        return all(run.knows_epochs for run in self.runs)

    def along(self, run: LoggedRun, curve: Curve) -> Array:
        """Return where a curve's points lie on the axis that all runs share."""
        return run.epochs_of(curve) if self.in_epochs else np.asarray(curve.steps, np.float64)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics with curves, without the rate, in the order in which to show them."""
        names = {name for run in self.runs for name in run.curves} - {LR}
        rest = sorted(names - set(_FIRST), key=lambda name: (name.removeprefix("val_"), name))
        return (*(name for name in _FIRST if name in names), *rest)

    @cached_property
    def differing(self) -> dict[str, tuple[str, ...]]:
        """The parameters that were logged with different values: that of each run, empty where it logged none."""
        return {name: row for name, row in self._params.items() if len(set(row) - {""}) > 1}

    @cached_property
    def lacking(self) -> dict[str, tuple[str, ...]]:
        """The parameters that some runs have not logged, and all others with the same value."""
        return {name: row for name, row in self._params.items() if "" in row and len(set(row) - {""}) == 1}

    @cached_property
    def _params(self) -> dict[str, tuple[str, ...]]:
        names = sorted({name for run in self.runs for name in run.params})
        return {name: tuple(run.params.get(name, "").strip("'") for run in self.runs) for name in names}

    @cached_property
    def scores(self) -> dict[str, tuple[float | None, ...]]:
        """The metrics without curves that several runs have, such as `test_loss`: the value of each run."""
        drawn = {LR, "epoch", *self.metrics, *(f"best_{name}" for name in self.metrics)}
        names = sorted({name for run in self.runs for name in run.finals} - drawn)
        rows = {name: tuple(run.finals.get(name) for run in self.runs) for name in names}
        return {name: row for name, row in rows.items() if sum(value is not None for value in row) > 1}

    def remarks(self) -> Iterator[str]:
        """Yield what can be compared and what cannot."""
        yield (
            "Each run is one training, and how good it is depends on its seed too: nothing here shows that one is"
            " better than another. A search compares candidates on several seeds, the same for all, and says how sure"
            " that is."
        )
        yield _on_data(self.runs)
        if len({run.is_ours for run in self.runs}) > 1:
            yield (
                "Runs of this project log the training loss of single batches, Keras' callbacks its mean over an epoch:"
                " compare it only roughly."
            )
        if self.in_epochs and (guessed := [run.name for run in self.runs if run.epoch_at is None]):
            yield f"Each step of {', '.join(guessed)} is taken for an epoch."
        if not self.in_epochs:
            unknown = ", ".join(run.name for run in self.runs if not run.knows_epochs)
            yield f"Curves are drawn against steps as they were logged, as the epochs of these are unknown: {unknown}."
        for run in self.runs:
            if run.status != "FINISHED":
                yield f"{run.name} is {run.status}: its last values are not those of a finished training."
        for metric in self.metrics:
            if without := [run.name for run in self.runs if metric not in run.curves]:
                yield f"No curve of {metric}: {', '.join(without)}."


def _on_data(runs: Sequence[LoggedRun]) -> str:
    """Say whether the runs were trained on the same data, as far as that is known."""
    keys, logged = {run.key for run in runs}, {run.data_sets for run in runs}
    if len(keys) == 1 and "" not in keys:
        return "All were trained on the same data, with the same network, code and versions, as their keys show."
    if "" not in keys:
        return "Data, network, code or versions are not the same for all, as their keys show; see what differs below."
    if () in logged:
        return (
            "Not all have logged their data sets, so nothing shows that these are the same: losses and accuracies"
            " compare only on the same training and validation data, and losses only if the loss function is the same."
        )
    if len(logged) == 1:
        same = ", ".join(*logged)
        return f"All have logged the same data sets ({same}); losses compare if the loss function is the same too."
    found = "; ".join(f"{run.name}: {', '.join(run.data_sets)}" for run in runs)
    return f"They have logged different data sets, on which losses and accuracies do not compare ({found})."
