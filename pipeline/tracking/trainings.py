"""Trainings as files, and the tags and parameters that describe them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Param
from pydantic import TypeAdapter

from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.files import write_text
from pipeline.tracking.store import RESULT

CURVE = "lr_curve.csv"
WEIGHTS = "weights.npz"

_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)
_SCALARS = ("history", "steps_per_epoch", "validation_steps", "diverged", "seconds", "examples", "test", "recomputed")


def write_training(folder: Path, evaluation: Evaluation, training: Training) -> None:
    """Write question and answer: `lr_curve.csv`, `result.json`, and `weights.npz` if there are weights."""
    curve_frame(training).to_csv(folder / CURVE, index=False)
    if training.weights is not None:
        np.savez(folder / WEIGHTS, allow_pickle=False, **{str(at): w for at, w in enumerate(training.weights)})
    described = {
        "evaluation": _EVALUATION.dump_python(evaluation, mode="json"),
        **{name: getattr(training, name) for name in _SCALARS},
    }
    write_text(folder / RESULT, json.dumps(described, indent=2, default=dict))


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
    shown = [name for name in ("scheme", "optimizer", "batch_size", "weight_decay") if name in candidate.model_dump()]
    return {f"pipeline.{name}": str(getattr(candidate, name)) for name in shown}


def candidate_params(candidate: Candidate) -> dict[str, str]:
    """Return the parameters of a run that trains with a candidate; those of its scheme as `scheme.NAME`."""
    own = candidate.model_dump(exclude={"params"})
    params = {f"scheme.{name}": value for name, value in candidate.params.items()}
    return {name: repr(value) if isinstance(value, float) else str(value) for name, value in {**own, **params}.items()}


def training_params(evaluation: Evaluation) -> list[Param]:
    """Return the parameters of a training's run."""
    epochs = evaluation.epochs
    own = {name: str(getattr(evaluation, name)) for name in ("seed", "split")}
    own["epochs"] = str(int(epochs) if epochs == int(epochs) else epochs)
    return [Param(key, value) for key, value in {**candidate_params(evaluation.candidate), **own}.items()]


def curve_frame(training: Training) -> pd.DataFrame:
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
