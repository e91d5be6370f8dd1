"""The runs of stages in the MLflow tracking store: starting, ending and finding them."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from pipeline.errors import InputError
from pipeline.files import write_text
from pipeline.redaction import redacted
from pipeline.results import RangeTestResult
from pipeline.tracking import integrity
from pipeline.tracking.failures import is_away
from pipeline.tracking.journal import journal_of_store
from pipeline.tracking.metrics import score_metrics, without_system
from pipeline.tracking.opening import open_store, usable_experiment
from pipeline.tracking.patience import last_word
from pipeline.tracking.processes import is_alive, never_started, this_process
from pipeline.tracking.views import furnish

RESULT = "result.json"
PROCESS = "pipeline.process"
_NOTE = "mlflow.note.content"
_CACHED = "pipeline.cached"
_ROLE = "pipeline.role"
_IDENTIFYING = (
    "pipeline.stage",
    "pipeline.fingerprint",
    "pipeline.experiment",
    "pipeline.scheme",
    "pipeline.optimizer",
)
"""Tags that a run copies from the run that it stands for."""

_FINISHED = "attributes.status = 'FINISHED'"
_PAGE = 1_000


@dataclass(frozen=True)
class Finished:
    """A finished run of a stage, with artifacts that are known to be intact."""

    run_id: str
    folder: Path
    fingerprint: str
    summary: str

    @property
    def result(self) -> str:
        """The text of `result.json`."""
        return (self.folder / RESULT).read_text(encoding="utf-8")


@dataclass(frozen=True)
class StageRun:
    """The run of the stage at work; the files in `folder` become its artifacts if the stage succeeds."""

    run_id: str
    experiment_id: str
    folder: Path


class Store:
    """The tracking store, as one process uses it."""

    def __init__(self, experiment_name: str) -> None:
        self.client = open_store()
        self.journal = journal_of_store()
        self._experiment_name = experiment_name

    @contextmanager
    def stage_run(
        self, stage: str, name: str, params: Mapping[str, object], *, system_metrics: bool = False
    ) -> Iterator[StageRun]:
        """Continue the run that `mlflow run` started for this process, or start a new one.

        It ends FINISHED, with its artifacts; KILLED when interrupted; FAILED on any other error.
        """
        begun_by_mlflow = "MLFLOW_RUN_ID" in os.environ
        if not begun_by_mlflow:
            mlflow.set_experiment(experiment_id=usable_experiment(self.client, self._experiment_name).experiment_id)
        own = {"pipeline.stage": stage, PROCESS: this_process()}  # from the start: what is killed now is found too
        logs = system_metrics or None  # None: MLflow's variable decides
        run = mlflow.start_run(run_name=None if begun_by_mlflow else name, tags=own, log_system_metrics=logs)
        # A nested project run takes its parent from the active run, not from this variable.
        os.environ.pop("MLFLOW_RUN_ID", None)
        with self.ending(run.info.run_id):
            furnish(self.client, self.client.get_experiment(run.info.experiment_id))
            known = {key: redacted(value) for key, value in run.data.tags.items()}  # MLflow tags the remote's address
            mlflow.set_tags({**known, "mlflow.runName": name})
            if not begun_by_mlflow:  # else MLflow logged the entry point's parameters itself, in its own quoting
                mlflow.log_params({key: value for key, value in params.items() if value is not None})
            with tempfile.TemporaryDirectory() as folder:
                yield (started := StageRun(run.info.run_id, run.info.experiment_id, Path(folder)))
                self.keep(started)

    @contextmanager
    def part_run(
        self, name: str, parent: StageRun, tags: Mapping[str, str], params: Mapping[str, object]
    ) -> Iterator[StageRun]:
        """Start a child run for part of a stage's work, which can be found by its fingerprint like a stage's.

        It ends FINISHED, with what was written to its folder as artifacts; KILLED when interrupted; FAILED otherwise.
        """
        run_id = self.create_child(name, parent, tags)
        self.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        with self.ending(run_id), tempfile.TemporaryDirectory() as folder:
            part = StageRun(run_id, parent.experiment_id, Path(folder))
            yield part
            self.keep(part)

    def keep(self, run: StageRun) -> None:
        """Make the files in a run's folder its artifacts, with their manifest."""
        integrity.write_manifest(run.folder)
        self.client.log_artifacts(run.run_id, str(run.folder))

    @contextmanager
    def ending(self, run_id: str, ended: float | None = None) -> Iterator[None]:
        """End a run with what is done for it: FINISHED, KILLED when interrupted, FAILED on any other error.

        `ended` is when the work on it ended, in seconds since the epoch, if it is not now.
        """
        try:
            yield
        except BaseException as error:
            with last_word():
                self._end(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
                if isinstance(error, InputError):
                    self.client.set_tag(run_id, _NOTE, redacted(str(error)))
            raise
        self._end(run_id, "FINISHED", ended)

    def _end(self, run_id: str, status: str, ended: float | None = None) -> None:
        active = mlflow.active_run()
        if active is not None and active.info.run_id == run_id:
            mlflow.end_run(status)
        else:
            self.client.set_terminated(run_id, status, None if ended is None else int(ended * 1000))

    def find(self, stage: str, fingerprint: str) -> Finished | None:
        """Return the newest finished run of a stage with this fingerprint and intact artifacts, if there is one."""
        same = f"tags.`pipeline.stage` = '{stage}' and tags.`pipeline.fingerprint` = '{fingerprint}'"
        for run in self.pages(f"{same} and {_FINISHED}"):
            if _CACHED not in run.data.tags and (finished := self._verified(run)) and self._has_its_trainings(run):
                return finished
        return None

    def get(self, run_id: str) -> Finished | None:
        """Return a finished run of a stage by its id; None if its artifacts are missing or changed."""
        return self._verified(self.client.get_run(run_id))

    def find_child(self, parent: StageRun, stage: str, status: str = "FINISHED") -> Finished | None:
        """Return the newest run of a stage below this one with this status and intact artifacts, or what it reused."""
        for run in self.pages(f"{_below(parent.run_id, stage)} and attributes.status = '{status}'"):
            source = run.data.tags.get(_CACHED)
            return self._verified(self.client.get_run(source) if source else run)
        return None

    def _verified(self, run: Run) -> Finished | None:
        folder, tags = self.intact(run.info.run_id), run.data.tags
        if folder is None:
            return None
        return Finished(run.info.run_id, folder, tags["pipeline.fingerprint"], tags.get(_NOTE, ""))

    def _has_its_trainings(self, run: Run) -> bool:
        """Return whether the trainings below a run are intact; those on a server are checked when they are read."""
        if urlsplit(run.info.artifact_uri).scheme not in ("", "file"):
            return True
        below = self.pages(f"tags.`mlflow.parentRunId` = '{run.info.run_id}' and {_FINISHED}")
        return all(self.intact(child.info.run_id) for child in below if _ROLE in child.data.tags)

    def folder(self, run_id: str) -> Path:
        """Return a local folder with the artifacts of a run: the store's own folder if the store is local."""
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id))

    def intact(self, run_id: str) -> Path | None:
        """Return a local folder with the artifacts of a run; None if any are missing or changed."""
        try:
            folder = self.folder(run_id)
        except (MlflowException, OSError) as error:
            if is_away(error):
                raise
            return None  # they were deleted
        return folder if integrity.is_intact(folder) else None

    def set_fingerprint(self, run: StageRun, fingerprint: str) -> None:
        """Tag a run with the fingerprint by which it can be found."""
        self.client.set_tag(run.run_id, "pipeline.fingerprint", fingerprint)

    def summarise(self, run: StageRun, summary: str) -> None:
        """Show the result of a run in the UI, in one sentence."""
        self.client.set_tag(run.run_id, _NOTE, summary)

    def rename(self, run: Finished | StageRun, name: str) -> None:
        """Give a run another name in the UI."""
        self.client.set_tag(run.run_id, "mlflow.runName", name)

    def show_sweep(self, run: StageRun, metrics: Sequence[Metric], result: RangeTestResult) -> None:
        """Show a sweep on the run of its range test."""
        tags = [RunTag(f"pipeline.{name}", str(getattr(result, name))) for name in ("optimizer", "batch_size")]
        self.client.log_batch(run.run_id, metrics, tags=tags)

    def show_scores(self, run: StageRun, scores: Mapping[str, float]) -> None:
        """Show scores on a run, so that the UI can compare runs by them."""
        self.client.log_batch(run.run_id, score_metrics(scores))

    def copy_metrics(self, source: Finished, run_id: str) -> None:
        """Show the last value of each of a run's metrics on another run too, but for those of the machine."""
        self.client.log_batch(run_id, score_metrics(without_system(self.client.get_run(source.run_id).data.metrics)))

    def mark_reused(self, run: StageRun, source: Finished) -> None:
        """Make the run of the stage at work stand for another run, with its result and a tag that names it."""
        self._refer(run.run_id, source)
        write_text(run.folder / RESULT, source.result)

    def log_reuse(self, name: str, source: Finished, parent: StageRun) -> None:
        """Write a child run that stands for another run, with the tags that identify it."""
        known = self.client.get_run(source.run_id).data.tags
        run_id = self.create_child(name, parent, {key: known[key] for key in _IDENTIFYING if key in known})
        self._refer(run_id, source)
        self.client.log_text(run_id, source.result, RESULT)
        self.client.set_terminated(run_id)

    def _refer(self, run_id: str, source: Finished) -> None:
        self.client.set_tag(run_id, _CACHED, source.run_id)
        self.client.set_tag(run_id, _NOTE, source.summary)
        self.copy_metrics(source, run_id)

    def end_dead_runs(self) -> None:
        """Mark runs KILLED if their process on this machine is gone: MLflow has no heartbeat."""
        for run in self.running():
            if self.is_dead(run):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def running(self) -> list[Run]:
        """Return the runs that have not ended."""
        return self.pages("attributes.status = 'RUNNING'")

    def is_dead(self, run: Run) -> bool:
        """Return whether the process of a run that has not ended was one of this machine, and is gone."""
        process = self.process(run)
        return not is_alive(process) if process else never_started(run)

    def process(self, run: Run) -> str:
        """Return the process that works on a run, or the one that started it if it has not yet tagged the run."""
        parent = run.data.tags.get("mlflow.parentRunId")
        if PROCESS in run.data.tags or parent is None:
            return str(run.data.tags.get(PROCESS, ""))
        return str(self.client.get_run(parent).data.tags.get(PROCESS, ""))

    def finished(self, stage: str = "%") -> list[Run]:
        """Return the finished runs of a stage, or of all, that have artifacts of their own, newest first."""
        runs = self.pages(f"tags.`pipeline.stage` LIKE '{stage}' and {_FINISHED}")
        return [run for run in runs if _CACHED not in run.data.tags]

    def trainings(self, pattern: str) -> dict[str, list[Run]]:
        """Return the finished trainings whose fingerprints match an SQL pattern, newest first, by fingerprint."""
        found: dict[str, list[Run]] = {}
        for run in self.pages(f"tags.`pipeline.fingerprint` LIKE '{pattern}' and {_FINISHED}"):
            if _CACHED not in run.data.tags:
                found.setdefault(run.data.tags["pipeline.fingerprint"], []).append(run)
        return found

    def children(self, run_id: str, stage: str) -> list[Run]:
        """Return the finished child runs of a stage, oldest first."""
        finished = self.pages(f"{_below(run_id, stage)} and {_FINISHED}")
        return sorted(finished, key=lambda run: int(run.info.start_time))

    def create_child(self, name: str, parent: StageRun, tags: Mapping[str, str], start: float | None = None) -> str:
        """Start a run below a stage's; `start` is when its work began, in seconds since the epoch."""
        run = self.client.create_run(
            parent.experiment_id,
            start_time=int((start or time.time()) * 1000),
            tags={"mlflow.parentRunId": parent.run_id, PROCESS: this_process(), **tags},
            run_name=name,
        )
        return str(run.info.run_id)

    def pages(self, query: str) -> list[Run]:
        """Return the matching runs of all experiments, newest first."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(experiments, query, max_results=_PAGE, page_token=token)
            found += page
            if not (token := page.token):
                return found


def _below(run_id: str, stage: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`pipeline.stage` = '{stage}'"
