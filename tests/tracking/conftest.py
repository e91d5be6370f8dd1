"""A real tracking store in a folder of its own."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow.entities import Run

from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.files import write_text
from pipeline.tracking import Label, StageRun, Store, TrainingLog
from pipeline.tracking.store import RESULT

_fingerprints = (f"{number:064x}" for number in count())


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return MLflow's default store, SQLite and ./mlruns, in a temporary working directory."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        yield Store("lr-pipeline")
        mlflow.set_tracking_uri(None)


@pytest.fixture
def fingerprint() -> str:
    """Return a fingerprint that no other test uses."""
    return next(_fingerprints)


Finish = Callable[[str, str], StageRun]


@pytest.fixture
def finish(store: Store) -> Finish:
    """Return a function of name and fingerprint that runs a stage to its end and returns its run."""

    def run(stage: str, fingerprint: str) -> StageRun:
        with store.stage_run(stage, f"{stage} on digits", {"data": "digits"}) as stage_run:
            store.set_fingerprint(stage_run, fingerprint)
            store.summarise(stage_run, f"summary of {fingerprint[-4:]}")
            write_text(stage_run.folder / RESULT, f'{{"stage": "{stage}"}}')
            write_text(stage_run.folder / "deep" / "more.txt", "more")
        return stage_run

    return run


def draw(evaluation: Evaluation, training: Training) -> Figure:
    """Draw an almost empty figure."""
    return Figure()


def make_log(store: Store, parent: StageRun, context: str) -> TrainingLog:
    """Return a log of trainings below `parent`."""
    return TrainingLog(store, parent, context, draw)


CANDIDATE = Candidate(
    scheme="step", initial_lr=0.03, optimizer="sgd", batch_size=50, params={"drop_rate": 0.5, "drops": 2}
)
QUESTION = Evaluation(CANDIDATE, 3, 10_000)


def make_training(updates: int = 1_200, diverged: str = "") -> Training:
    """Return a training of three epochs with arbitrary float32 values; a diverged one ends in NaN."""
    chance = np.random.default_rng(updates)
    rates = np.exp(chance.uniform(-60, 20, updates)).astype(np.float32)
    losses = chance.normal(1, 0.3, updates).astype(np.float32)
    losses[:3] = np.array([1e-45, np.finfo(np.float32).max, 1 / 3], np.float32)
    if diverged:
        losses[-1] = np.nan
    parts = 3
    history = {
        "loss": [0.9, 0.5, float("nan") if diverged else 0.3],
        "accuracy": [0.6, 0.8, 0.9],
        "val_loss": [1.0, 0.4, float("nan") if diverged else 0.45],
        "val_accuracy": [0.5, 0.85, 0.83],
    }
    return Training(rates, losses, history, updates // parts, updates // parts, diverged, 2.5, 5_000)


def artifacts(store: Store, run_id: str) -> Path:
    """Return the folder with the artifacts of a run."""
    return store.folder(run_id)


TRIAL = Label("trial", QUESTION.name, "trial")


def logged(store: Store, log: TrainingLog, training: Training, label: Label = TRIAL) -> str:
    """Log a training and return the id of its run."""
    before = {run.info.run_id for run in finished(store)}
    log.log(QUESTION, training, label)
    (new,) = {run.info.run_id for run in finished(store)} - before
    return str(new)


def finished(store: Store) -> list[Run]:
    """Return all finished trainings."""
    return [run for runs in store.trainings("%").values() for run in runs]
