"""How finished trainings get from the journal into the tracking store: in order, each once, late if need be."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from mlflow.entities import DatasetInput, Run

from pipeline import interruption
from pipeline.errors import InputError, describe
from pipeline.tracking.data_sets import data_sets
from pipeline.tracking.failures import explained, may_pass
from pipeline.tracking.journal import Entry, Record
from pipeline.tracking.metrics import training_metrics
from pipeline.tracking.patience import one_attempt
from pipeline.tracking.store import StageRun, Store
from pipeline.tracking.trainings import candidate_tags, read_evaluation, read_training, training_params

_ANSWER, _UPLOAD = 5, 60
"""Seconds in which a server must answer a request, and take a file after it has answered."""

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
"""Seconds until a store that took nothing is tried again; the pause doubles each time."""

_PATIENCE = 12.0
"""Seconds that a stage without anything left to train waits for the store."""


def store_in_order(experiment_name: str) -> Store:
    """Open the store, end the runs of commands that are gone, and log the trainings that they left in the journal."""
    store = Store(experiment_name)
    store.end_dead_runs()
    delivery = Delivery(store, lambda line: print(f"lr-pipeline: {line}", file=sys.stderr))
    if waiting := len(store.journal.entries()):
        delivery.attempt()
        logged = waiting - len(store.journal.entries())
        print(f"lr-pipeline: trainings that waited in the journal are logged ({logged} of {waiting})", file=sys.stderr)
    return store


class Delivery:
    """Logs what waits in the journal; a store that is away holds nothing up."""

    def __init__(self, store: Store, note: Callable[[str], object]) -> None:
        """Log into `store`, and tell by `note` when it is away, when it is back, and what it refuses."""
        self._store = store
        self._journal = store.journal
        self._note = note
        self._untried: set[Path] = set()
        self._refused: set[Path] = set()
        self._failure: Exception | None = None
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._data_sets: dict[str, list[DatasetInput]] = {}

    @property
    def waiting(self) -> int:
        """How many trainings wait for a store that is away."""
        return len(self._journal.entries()) if self._failure else 0

    def add(self, record: Record, write: Callable[[Path], object]) -> None:
        """Put a training on disk, to be logged by the next attempt."""
        self._untried.add(self._journal.add(record, write).folder)

    def look(self, key: str) -> dict[str, list[Run]]:
        """Return what the store has of a training; nothing while it is away."""
        if time.monotonic() < self._not_before:
            return {}
        try:
            with one_attempt(_ANSWER):
                return self._store.trainings(key)
        except Exception as error:
            if not may_pass(error):
                raise
            self._put_off(error)
            return {}

    def attempt(self, parent: str = "") -> None:
        """Log all that waits, unless the store was found away a short time ago; below `parent` nothing is refused."""
        if time.monotonic() >= self._not_before and (entries := self._journal.entries()):
            with self._journal.being_logged() as held:
                if held and self._deliver_all(parent) and self._failure:
                    self._note(f"the tracking store is back: trainings that waited are logged ({len(entries)})")
                    self._failure, self._pause = None, _FIRST_PAUSE

    def finish(self, parent: str, answer: str) -> None:
        """See that all trainings below a stage's run are logged, before the stage writes what it has found.

        Args:
            parent: the id of the stage's run.
            answer: what the stage has found, in a line, to be shown if it cannot be written.

        Raises:
            InputError: if the store stays away, with what waits and how to continue.

        """
        deadline = time.monotonic() + _PATIENCE
        while waiting := [entry for entry in self._journal.entries() if _is_below(entry, parent)]:
            self._not_before = 0.0
            self.attempt(parent)
            if self._failure and time.monotonic() > deadline:
                self._note(answer)
                place, why = self._journal.waiting, explained(self._failure) or describe(self._failure)
                raise InputError(f"trainings wait in {place} to be logged ({len(waiting)}): {why}") from self._failure
            if self._failure:
                interruption.check()
                time.sleep(min(_FIRST_PAUSE, max(deadline - time.monotonic(), 0)))

    def _deliver_all(self, parent: str) -> bool:
        for entry in self._journal.entries():
            try:
                self._deliver(entry, parent)
            except Exception as error:
                if not may_pass(error):
                    raise
                self._put_off(error)
                return False
        return True

    def _put_off(self, error: Exception) -> None:
        if self._failure is None:
            why = (explained(error) or describe(error)).partition(": ")[0]
            self._note(f"{why}: trainings go on, and wait in {self._journal.waiting} to be logged")
        self._failure = error
        self._not_before, self._pause = time.monotonic() + self._pause, min(2 * self._pause, _LONGEST_PAUSE)

    def _deliver(self, entry: Entry, parent: str) -> None:
        record = entry.read()
        if record is None:
            self._note(f"{entry.folder} is damaged: removed; its training is made again when it is needed")
        else:
            try:
                self._log(entry, record)
            except Exception as error:
                if may_pass(error) or record.parent == parent:
                    raise
                if entry.folder not in self._refused:
                    self._refused.add(entry.folder)
                    self._note(
                        f"training {record.name} cannot be logged ({describe(error)}): it stays in {entry.folder}"
                    )
                return
            self._journal.mark(record.key)
        self._journal.remove(entry)

    def _log(self, entry: Entry, record: Record) -> None:
        """Write the run of a training; where that was tried before, complete what was begun."""
        client = self._store.client
        evaluation, training = read_evaluation(entry.artifacts), read_training(entry.artifacts)
        tags = {"pipeline.fingerprint": record.key, **candidate_tags(evaluation.candidate), **record.tags}
        if training.diverged:
            tags["pipeline.diverged"] = training.diverged
        scores = {f"test_{key}": value for key, value in (training.test or {}).items()}
        metrics, params = training_metrics(training, scores, record.ended), training_params(evaluation)
        started = record.ended - training.seconds
        untried = entry.folder in self._untried
        self._untried.discard(entry.folder)
        with one_attempt(_ANSWER):
            if record.cached is not None and (original := record.cached or self._original(record)):
                tags["pipeline.cached"] = original
            run_id = "" if untried else self._begun(record, started)
            if not run_id:
                parent = StageRun(record.parent, record.experiment, entry.folder)
                run_id = self._store.create_child(record.name, parent, tags, started)
            with self._store.ending(run_id, record.ended):
                client.log_batch(run_id, metrics, params)
                if data := self._data_sets_of(record.parent):
                    client.log_inputs(run_id, datasets=data)
                with one_attempt(_UPLOAD):
                    client.log_artifacts(run_id, str(entry.artifacts))

    def _data_sets_of(self, run_id: str) -> list[DatasetInput]:
        """Return the data sets of a stage's run, which are those of its trainings."""
        if run_id not in self._data_sets:
            self._data_sets[run_id] = data_sets(self._store.client, run_id)
        return self._data_sets[run_id]

    def _begun(self, record: Record, started: float) -> str:
        """Return the id of the run that an earlier attempt has begun, "" if there is none."""
        below = f"tags.`mlflow.parentRunId` = '{record.parent}' and tags.`pipeline.fingerprint` = '{record.key}'"
        runs = self._store.pages(f"{below} and attributes.start_time = {int(started * 1000)}")
        return next((str(run.info.run_id) for run in runs), "")

    def _original(self, record: Record) -> str:
        """Return the id of the run that a training has in the store under another parent, "" if it has none."""
        runs = self._store.trainings(record.key).get(record.key, ())
        return next((run.info.run_id for run in runs if run.data.tags["mlflow.parentRunId"] != record.parent), "")


def _is_below(entry: Entry, parent: str) -> bool:
    record = entry.read()
    return record is not None and record.parent == parent
