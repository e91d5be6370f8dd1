"""Training runs: one child run for each training, written when it has ended, and read back to reuse it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from pipeline.evaluation import Evaluation, Training
from pipeline.tracking import integrity
from pipeline.tracking.metrics import training_metrics
from pipeline.tracking.store import StageRun, Store
from pipeline.tracking.trainings import (
    CURVE,
    candidate_tags,
    curve_frame,
    read_training,
    training_params,
    write_training,
)

if TYPE_CHECKING:  # takes half a second, so only stages that draw import it
    from matplotlib.figure import Figure

Draw = Callable[[Evaluation, Training], "Figure"]

_COPIED_TAGS = ("pipeline.stage", "pipeline.role")


@dataclass(frozen=True)
class Label:
    """How a training appears in the UI: the stage that its run is tagged with, its name, and what it was for."""

    stage: str
    name: str
    role: str


class TrainingLog:
    """Logs trainings as children of a stage's run, and finds those that were done before."""

    def __init__(self, store: Store, parent: StageRun, context: str, draw: Draw) -> None:
        """Start a log below `parent`; `context` is the key of all that the evaluations share: data, network, code."""
        self._store = store
        self._parent = parent
        self._context = context
        self._draw = draw
        self._known: dict[str, list[Run]] = {}

    def look_up(self) -> None:
        """Find the finished trainings with this context, whichever run they belong to."""
        self._known = self._store.trainings(self._context)

    def recall(self, evaluation: Evaluation) -> Training | None:
        """Return the known training for an evaluation, if any, and show it below this stage's run as well.

        A training of another run stays there, and a child tagged `pipeline.cached` stands for it. A training whose
        artifacts are damaged, or that holds less than is asked for, does not count.
        """
        for run in self._known.get(self._key(evaluation), ()):
            folder = self._artifacts(run)
            if folder is None:
                continue
            training = read_training(folder)
            if not training.answers(evaluation):
                continue
            if run.data.tags["mlflow.parentRunId"] != self._parent.run_id:
                self._stand_in(run, evaluation, training, folder)
            return training
        return None

    def log(self, evaluation: Evaluation, training: Training, label: Label) -> str:
        """Write one finished training and return the id of its run."""
        tags = {"pipeline.stage": label.stage, "pipeline.role": label.role}

        def write(folder: Path) -> None:
            write_training(folder, evaluation, training)
            self._draw_curve(folder, evaluation, training)
            integrity.write_manifest(folder)

        return self._log_run(label.name, evaluation, training, tags, write)

    def log_onto(self, run: StageRun, evaluation: Evaluation, training: Training, scores: Mapping[str, float]) -> None:
        """Also log a training on its stage's own run: the training whose model the stage keeps."""
        tags = [RunTag(key, value) for key, value in candidate_tags(evaluation.candidate).items()]
        self._store.client.log_batch(run.run_id, training_metrics(training, scores), tags=tags)
        curve_frame(training).to_csv(run.folder / CURVE, index=False)
        self._draw_curve(run.folder, evaluation, training)

    def _artifacts(self, run: Run) -> Path | None:
        """Return a folder with the artifacts of a training; None if any are missing or changed."""
        try:
            folder = self._store.folder(run.info.run_id)
        except (MlflowException, OSError):
            return None
        return folder if integrity.is_intact(folder) else None

    def _stand_in(self, run: Run, evaluation: Evaluation, training: Training, folder: Path) -> None:
        kept = {key: value for key, value in run.data.tags.items() if key in _COPIED_TAGS}
        tags = {**kept, "pipeline.cached": run.info.run_id}
        self._log_run(
            str(run.info.run_name), evaluation, training, tags,
            lambda copy: shutil.copytree(folder, copy, dirs_exist_ok=True),
        )  # fmt: skip

    def _log_run(
        self,
        name: str,
        evaluation: Evaluation,
        training: Training,
        tags: Mapping[str, str],
        write: Callable[[Path], object],
    ) -> str:
        described = {"pipeline.fingerprint": self._key(evaluation), **candidate_tags(evaluation.candidate), **tags}
        if training.diverged:
            described["pipeline.diverged"] = training.diverged
        started = time.time() - training.seconds
        run_id = self._store.create_child(name, self._parent, described, start=started)
        with self._store.ending(run_id), tempfile.TemporaryDirectory() as folder:
            scores = {f"test_{key}": value for key, value in (training.test or {}).items()}
            self._store.client.log_batch(run_id, training_metrics(training, scores), training_params(evaluation))
            write(Path(folder))
            self._store.client.log_artifacts(run_id, folder)
        return run_id

    def _draw_curve(self, folder: Path, evaluation: Evaluation, training: Training) -> None:
        # Minimal compression: every training waits for this file, and it is small anyway.
        self._draw(evaluation, training).savefig(folder / "lr_curve.png", pil_kwargs={"compress_level": 1})

    def _key(self, evaluation: Evaluation) -> str:
        return f"{self._context}-{evaluation.digest}"
