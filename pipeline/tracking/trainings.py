"""Training runs: one child run for each training, written when it has ended, and read back to reuse it."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.entities import Param, Run, RunTag
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter

from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.tracking import integrity
from pipeline.tracking.metrics import training_metrics
from pipeline.tracking.store import RESULT, StageRun, Store

if TYPE_CHECKING:  # takes half a second, so only stages that draw import it
    from matplotlib.figure import Figure

CURVE = "lr_curve.csv"
WEIGHTS = "weights.npz"

Draw = Callable[[Evaluation, Training], "Figure"]

_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)
_SCALARS = ("history", "steps_per_epoch", "validation_steps", "diverged", "seconds", "examples", "test", "recomputed")
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
        _curve_frame(training).to_csv(run.folder / CURVE, index=False)
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
            self._store.client.log_batch(run_id, training_metrics(training, scores), _params(evaluation))
            write(Path(folder))
            self._store.client.log_artifacts(run_id, folder)
        return run_id

    def _draw_curve(self, folder: Path, evaluation: Evaluation, training: Training) -> None:
        # Minimal compression: every training waits for this file, and it is small anyway.
        self._draw(evaluation, training).savefig(folder / "lr_curve.png", pil_kwargs={"compress_level": 1})

    def _key(self, evaluation: Evaluation) -> str:
        return f"{self._context}-{evaluation.digest}"


def write_training(folder: Path, evaluation: Evaluation, training: Training) -> None:
    """Write question and answer: `lr_curve.csv`, `result.json`, and `weights.npz` if there are weights."""
    _curve_frame(training).to_csv(folder / CURVE, index=False)
    if training.weights is not None:
        np.savez(folder / WEIGHTS, allow_pickle=False, **{str(at): w for at, w in enumerate(training.weights)})
    described = {
        "evaluation": _EVALUATION.dump_python(evaluation, mode="json"),
        **{name: getattr(training, name) for name in _SCALARS},
    }
    integrity.write_text(folder / RESULT, json.dumps(described, indent=2, default=dict))


def read_training(folder: Path) -> Training:
    """Read a training from its artifacts, which must be intact."""
    frame, described = pd.read_csv(folder / CURVE), _described(folder)
    return Training(
        rates=frame["lr"].to_numpy(np.float32),
        losses=frame["loss"].to_numpy(np.float32),
        weights=_read_weights(folder / WEIGHTS),
        **{name: described[name] for name in _SCALARS},
    )


def read_evaluation(folder: Path) -> Evaluation:
    """Read the question that a training's artifacts answer."""
    return _EVALUATION.validate_python(_described(folder)["evaluation"])


def candidate_tags(candidate: Candidate) -> dict[str, str]:
    """Return the tags that show what a run trains with."""
    return {f"pipeline.{name}": str(getattr(candidate, name)) for name in ("scheme", "optimizer", "batch_size")}


def candidate_params(candidate: Candidate) -> dict[str, str]:
    """Return the parameters of a run that trains with a candidate; those of its scheme as `scheme.NAME`."""
    own = candidate.model_dump(exclude={"params"})
    params = {f"scheme.{name}": value for name, value in candidate.params.items()}
    return {name: repr(value) if isinstance(value, float) else str(value) for name, value in {**own, **params}.items()}


def _params(evaluation: Evaluation) -> list[Param]:
    own = {name: str(getattr(evaluation, name)) for name in ("epochs", "seed", "split")}
    return [Param(key, value) for key, value in {**candidate_params(evaluation.candidate), **own}.items()]


def _curve_frame(training: Training) -> pd.DataFrame:
    """Return the whole curve: step, epoch (passes begun before the update), lr, loss of the batch."""
    step = np.arange(len(training.rates))
    columns = {"step": step, "epoch": step / training.steps_per_epoch, "lr": training.rates, "loss": training.losses}
    return pd.DataFrame(columns)


def _described(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return described


def _read_weights(path: Path) -> list[Any] | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]
