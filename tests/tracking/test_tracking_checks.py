"""What `doctor` finds in a store, and what becomes of it when that is mended."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest

from pipeline.checkup import Finding
from pipeline.tracking import Store, checks
from pipeline.tracking.models import ALIAS, Scores, log_model, register
from pipeline.tracking.processes import PROJECT
from tests.tracking.conftest import Finish, logged, make_log, make_training

HOUR = 3600.0
PROCESS = "pipeline.process"
ENTRY_POINT = "mlflow.project.entryPoint"


def about(findings: Iterator[Finding], run_id: str) -> Finding:
    """Return the one finding about a run."""
    (found,) = (finding for finding in findings if run_id in finding.text)
    return found


@pytest.fixture
def begin(store: Store) -> Iterator[Callable[..., str]]:
    """Give a function of age in hours and tags that begins a run, which ends with the test."""
    experiment = store.client.get_experiment_by_name("begun")
    experiment_id = experiment.experiment_id if experiment else store.client.create_experiment("begun")
    begun = []

    def run(hours: float, **tags: str) -> str:
        start = int((time.time() - hours * HOUR) * 1000)
        begun.append(str(store.client.create_run(experiment_id, start_time=start, tags=tags).info.run_id))
        return begun[-1]

    yield run
    for run_id in begun:
        store.client.set_terminated(run_id)


def status(store: Store, run_id: str) -> str:
    """Return the status of a run."""
    return str(store.client.get_run(run_id).info.status)


@pytest.mark.parametrize(
    ("hours", "tags", "said"),
    [
        (0.0, {PROCESS: f"{os.uname().nodename}:999999999:1000000000"}, "process .* is gone"),
        (25.0, {ENTRY_POINT: "train", "mlflow.source.name": str(PROJECT)}, "no process works on it"),
        (25.0, {ENTRY_POINT: "train", "mlflow.source.name": "https://example.org/lr"}, "began 25.0 hours ago"),
    ],
    ids=["process gone", "begun here", "begun elsewhere and old"],
)
def test_run_that_nobody_works_on(
    hours: float, tags: dict[str, str], said: str, store: Store, begin: Callable[..., str]
) -> None:
    """It is marked KILLED; the line says how that was decided."""
    run_id = begin(hours, **tags)
    found = about(checks.unfinished_runs(store), run_id)
    assert found.wrong
    assert re.search(said, found.text)
    assert status(store, run_id) == "RUNNING"
    assert found.mend is not None
    found.mend()
    assert status(store, run_id) == "KILLED"


@pytest.mark.parametrize(
    ("hours", "tags", "said"),
    [
        (99.0, {PROCESS: "elsewhere:1:1000000000"}, "one of another host"),
        (23.0, {ENTRY_POINT: "train", "mlflow.source.name": "https://example.org/lr"}, "names no process"),
        (99.0, {"mlflow.source.name": "notebook.ipynb"}, "names no process"),
    ],
    ids=["another host", "begun elsewhere", "no project"],
)
def test_run_that_may_be_at_work(
    hours: float, tags: dict[str, str], said: str, store: Store, begin: Callable[..., str]
) -> None:
    """It is left alone, and a line says so."""
    found = about(checks.unfinished_runs(store), begin(hours, **tags))
    assert (found.wrong, found.mend) == (False, None)
    assert said in found.text


def test_run_whose_command_is_at_work(store: Store, begin: Callable[..., str]) -> None:
    """However old it is, and whoever began it."""
    run_id = begin(99.0, **{ENTRY_POINT: "train", "mlflow.source.name": "https://example.org/lr"})
    code = "import sys; sys.stdin.read()"
    environment = os.environ | {"MLFLOW_RUN_ID": run_id}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE) as process:
        assert not about(checks.unfinished_runs(store), run_id).wrong
        process.communicate()
    assert about(checks.unfinished_runs(store), run_id).wrong


def test_runs_with_damaged_artifacts(store: Store, finish: Finish, fingerprint: str) -> None:
    """Of stages and of trainings: deleted, so that they are made again, and restored by MLflow if need be."""
    stage, whole = (finish("prepare", fingerprint).run_id for _ in range(2))
    with store.stage_run("search", "search", {}) as parent:
        training = logged(store, make_log(store, parent, fingerprint), make_training())
    assert all(run_id not in finding.text for run_id in (stage, training, whole) for finding in checks.artifacts(store))
    (store.folder(stage) / "deep" / "more.txt").unlink()
    with (store.folder(training) / "lr_curve.csv").open("a", encoding="utf-8") as file:
        file.write("1,2,3,4")
    for run_id, said in ((stage, "deep/more.txt is missing"), (training, "lr_curve.csv has changed")):
        found = about(checks.artifacts(store), run_id)
        assert said in found.text
        assert found.mend is not None
        found.mend()
        assert all(run_id not in finding.text for finding in checks.artifacts(store))
        assert store.client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert store.client.get_run(whole).info.lifecycle_stage == "active"


def test_artifacts_that_were_moved_away_altogether(store: Store, finish: Finish, fingerprint: str) -> None:
    """No run is deleted for that: they may come back."""
    root = store.folder(finish("prepare", fingerprint).run_id).parents[1]
    away = root.with_name("away")
    shutil.move(root, away)
    try:
        found = [finding for finding in checks.artifacts(store) if finding.wrong and str(root) in finding.text]
        assert [(finding.mend, "put it back" in finding.text) for finding in found] == [(None, True)]
    finally:
        shutil.move(away, root)


def test_champion_that_cannot_be_loaded(store: Store) -> None:
    """Without the alias, the next model becomes champion."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with store.stage_run("train", "train", {}):
        uri = log_model(model, np.zeros((1, 2), np.float32))
    registered, _ = register(uri, "checked", Scores({}, {0: 0.1, 1: 0.2}))
    name = registered.partition(" ")[0]
    found = about(checks.champions(store), name)
    assert not found.wrong
    (file,) = Path(mlflow.artifacts.download_artifacts(uri)).rglob("*.keras")
    root = file.parents[5]
    shutil.move(root, root.with_name("away"))
    try:
        found = about(checks.champions(store), name)
        assert (found.wrong, found.mend, f"{root} is not there" in found.text) == (True, None, True)
    finally:
        shutil.move(root.with_name("away"), root)
    file.write_bytes(file.read_bytes()[:1000])
    found = about(checks.champions(store), name)
    assert found.wrong
    assert found.mend is not None
    found.mend()
    assert ALIAS not in store.client.get_registered_model(name).aliases
    assert register(uri, "checked", Scores({}, {0: 0.3, 1: 0.4}))[1] == "there was no loadable champion"
