"""Training runs: one child run for each training, written when the training has ended and read back for reports."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.evaluation import Evaluation, Training
from pipeline.tracking import files
from pipeline.tracking.store import RESULT, StageRun, Store

if TYPE_CHECKING:  # half a second, which only the stages that draw should pay
    from matplotlib.figure import Figure

CURVE = "lr_curve.csv"
_POINTS = 150
"""Points of a metric in MLflow, whose charts sample what is longer; the whole curve is in the file."""
_BATCH = 1_000

Draw = Callable[[Evaluation, Training], "Figure"]


class TrainingLog:
    """Logs trainings as children of a stage's run, and recognises those that have been done before."""

    def __init__(self, store: Store, parent: StageRun, context: str, draw: Draw) -> None:
        """`context` is a digest of all that the evaluations share: data, network, code."""
        self._store = store
        self._client: MlflowClient = store.client
        self._parent = parent
        self._context = context
        self._draw = draw
        self._kept: dict[str, Run] = {}

    def keep(self) -> None:
        """Look for finished trainings with this context, of whatever run."""
        self._kept = self._store.trainings(self._context)

    def recall(self, evaluation: Evaluation) -> Path | None:
        """The artifacts of this training if one is known, which becomes a child of this stage's run too.

        That of an interrupted run moves here; that of another run stays, and a child tagged `pipeline.cached` stands
        for it.
        """
        run = self._kept.get(self._fingerprint(evaluation))
        if run is None:
            return None
        try:
            folder = self._store.folder(run.info.run_id)
        except (MlflowException, OSError):  # its artifacts were deleted
            return None
        if not self._store.adopt(run, self._parent):
            self._stand_in(run, evaluation, folder)
        return folder

    def _stand_in(self, run: Run, evaluation: Evaluation, folder: Path) -> None:
        kept = {key: value for key, value in run.data.tags.items() if key in ("pipeline.stage", "pipeline.role")}
        self._log_run(
            str(run.info.run_name),
            evaluation,
            read_training(folder),
            {**kept, "pipeline.cached": run.info.run_id},
            read_metrics(folder),
            lambda copy: shutil.copytree(folder, copy, dirs_exist_ok=True),
        )

    def log(
        self,
        stage: str,
        evaluation: Evaluation,
        training: Training,
        *,
        name: str = "",
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        save: Callable[[Path], object] | None = None,
    ) -> str:
        """Write one finished training; returns its run's id.

        `name` is the run's, else the evaluation's; `metrics` are scores beyond those of the training itself; `save`
        adds files to its artifacts.
        """
        scores = metrics or {}

        def write(folder: Path) -> None:
            self._write_artifacts(folder, evaluation, training, scores)
            if save is not None:
                save(folder)

        own = {"pipeline.stage": stage, **(tags or {})}
        return self._log_run(name or evaluation.name, evaluation, training, own, scores, write)

    def _log_run(
        self,
        name: str,
        evaluation: Evaluation,
        training: Training,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        write: Callable[[Path], object],
    ) -> str:
        described = {
            "pipeline.fingerprint": self._fingerprint(evaluation),
            "pipeline.scheme": evaluation.scheme,
            "pipeline.optimizer": evaluation.optimizer,
            "pipeline.batch_size": str(evaluation.batch_size),
        }
        started = time.time() - training.seconds
        run_id = self._store.create_child(name, self._parent, {**described, **tags}, start=started)
        status = "KILLED"
        try:
            self._log_points(run_id, training, metrics, _params(evaluation), _outcome_tags(training))
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder))
                self._client.log_artifacts(run_id, folder)
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            self._client.set_terminated(run_id, status)
        return run_id

    def log_onto(self, run: StageRun, evaluation: Evaluation, training: Training, metrics: Mapping[str, float]) -> None:
        """Show a training on its stage's own run as well: the one whose model the stage keeps."""
        self._log_points(run.run_id, training, metrics)
        self._client.set_tag(run.run_id, "pipeline.scheme", evaluation.scheme)
        self._client.set_tag(run.run_id, "pipeline.optimizer", evaluation.optimizer)
        self._client.set_tag(run.run_id, "pipeline.batch_size", str(evaluation.batch_size))
        self._write_curve(run.folder, evaluation, training)

    def _log_points(
        self,
        run_id: str,
        training: Training,
        extra: Mapping[str, float],
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        points = [*_curve_points(training), *_epoch_points(training), *_final_points(training, extra)]
        self._client.log_batch(run_id, points[:_BATCH], params, tags)
        for start in range(_BATCH, len(points), _BATCH):
            self._client.log_batch(run_id, points[start : start + _BATCH])

    def _write_curve(self, folder: Path, evaluation: Evaluation, training: Training) -> None:
        curve_frame(training).to_csv(folder / CURVE, index=False)
        # The least compression: every training waits for this file, and it is small anyway.
        self._draw(evaluation, training).savefig(folder / "lr_curve.png", pil_kwargs={"compress_level": 1})

    def _write_artifacts(
        self, folder: Path, evaluation: Evaluation, training: Training, metrics: Mapping[str, float]
    ) -> None:
        self._write_curve(folder, evaluation, training)
        described = {
            "evaluation": {**vars(evaluation), "params": dict(evaluation.params)},
            "history": dict(training.history),
            "steps_per_epoch": training.steps_per_epoch,
            "validation_steps": training.validation_steps,
            "diverged": training.diverged,
            "seconds": training.seconds,
            "examples": training.examples,
            "metrics": dict(metrics),
        }
        files.write_text(folder / RESULT, json.dumps(described, indent=2))

    def _fingerprint(self, evaluation: Evaluation) -> str:
        return f"{self._context}-{evaluation.digest}"


def curve_frame(training: Training) -> pd.DataFrame:
    """The whole curve: step, epoch (passes begun before the update), lr, loss of the batch."""
    step = np.arange(len(training.rates))
    columns = {"step": step, "epoch": step / training.steps_per_epoch, "lr": training.rates, "loss": training.losses}
    return pd.DataFrame(columns)


def read_training(folder: Path) -> Training:
    """A training as its artifacts tell it."""
    frame = pd.read_csv(folder / CURVE)
    described = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return Training(
        rates=frame["lr"].to_numpy(np.float32),
        losses=frame["loss"].to_numpy(np.float32),
        **{key: described[key] for key in _SCALARS},
    )


def read_evaluation(folder: Path) -> Evaluation:
    """The question that a training's artifacts answer."""
    return Evaluation(**json.loads((folder / RESULT).read_text(encoding="utf-8"))["evaluation"])


def read_metrics(folder: Path) -> dict[str, float]:
    """The scores that were logged with a training."""
    metrics: dict[str, float] = json.loads((folder / RESULT).read_text(encoding="utf-8"))["metrics"]
    return metrics


_SCALARS = ("history", "steps_per_epoch", "validation_steps", "diverged", "seconds", "examples")


def _thinned(length: int) -> Sequence[int]:
    """At most `_POINTS` positions, evenly spread, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round())] if length else []


def _curve_points(training: Training) -> Iterator[Metric]:
    now = int(time.time() * 1000)
    for step in _thinned(len(training.rates)):
        yield Metric("lr", float(training.rates[step]), now, step)
        yield Metric("loss", float(training.losses[step]), now, step)
        yield Metric("epoch", step / training.steps_per_epoch, now, step)


def _epoch_points(training: Training) -> Iterator[Metric]:
    """Metrics of each validation, at the last update before it."""
    now = int(time.time() * 1000)
    for name, values in training.history.items():
        if name == "loss":  # the running mean of an epoch, where `loss` is each batch's own
            continue
        for i, value in enumerate(values):
            yield Metric(name, float(value), now, min((i + 1) * training.validation_steps, len(training.rates)) - 1)


def _final_points(training: Training, extra: Mapping[str, float]) -> Iterator[Metric]:
    now, step = int(time.time() * 1000), max(len(training.rates) - 1, 0)
    found = {f"best_{name}": training.best(name) for name in training.history if name.startswith("val_")}
    timing = {
        "train_seconds": training.seconds,
        "examples_per_second": training.examples / max(training.seconds, 1e-9),
    }
    for name, value in {**found, **timing, **extra}.items():
        if value is not None:
            yield Metric(name, float(value), now, step)


def _params(evaluation: Evaluation) -> list[Param]:
    own = {
        "optimizer": evaluation.optimizer,
        "scheme": evaluation.scheme,
        "initial_lr": repr(evaluation.initial_lr),
        "batch_size": str(evaluation.batch_size),
        "epochs": str(evaluation.epochs),
        "seed": str(evaluation.seed),
    }
    return [Param(key, value) for key, value in own.items()] + [
        Param(f"scheme.{key}", str(value)) for key, value in evaluation.params.items()
    ]


def _outcome_tags(training: Training) -> list[RunTag]:
    return [RunTag("pipeline.diverged", training.diverged)] if training.diverged else []
