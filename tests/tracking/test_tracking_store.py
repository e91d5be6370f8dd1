"""Stage runs: how they end, and which of them are found again."""

import json
import os
import shutil
import signal
import subprocess
import sys

import mlflow
import psutil
import pytest

from pipeline.errors import InputError
from pipeline.files import write_text
from pipeline.tracking import Store
from pipeline.tracking.integrity import is_intact
from pipeline.tracking.store import RESULT
from pipeline.tracking.views import TRAININGS
from tests.e2e.project import ROOT
from tests.tracking.conftest import Finish

PROCESS = "pipeline.process"


def test_stage_that_ends_well_is_finished_with_its_artifacts(store: Store, finish: Finish, fingerprint: str) -> None:
    """The run has files at any depth, manifest, tags, name and parameters; no run stays active."""
    run_id = finish("prepare", fingerprint).run_id
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "prepare on digits"
    assert run.data.tags["pipeline.stage"] == "prepare"
    assert run.data.tags["pipeline.fingerprint"] == fingerprint
    assert run.data.params == {"data": "digits"}
    folder = store.folder(run_id)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        *(RESULT, "deep/more.txt", "manifest.json"),
    }
    assert is_intact(folder)
    assert mlflow.active_run() is None


@pytest.mark.parametrize(
    ("error", "status", "tags"),
    [
        (KeyboardInterrupt(), "KILLED", {}),
        (RuntimeError("bug"), "FAILED", {}),
        (SystemExit(3), "FAILED", {}),
        (InputError("data: gone"), "FAILED", {"mlflow.note.content": "data: gone"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_stage_that_fails_says_how(store: Store, error: BaseException, status: str, tags: dict[str, str]) -> None:
    """The error propagates; nothing unfinished becomes an artifact."""
    with pytest.raises(type(error)), store.stage_run("prepare", "prepare", {}) as stage_run:  # noqa: PT012 - the run is the subject
        write_text(stage_run.folder / RESULT, "half")
        raise error
    run = store.client.get_run(stage_run.run_id)
    assert run.info.status == status
    assert tags.items() <= run.data.tags.items()
    assert ("mlflow.note.content" in run.data.tags) is bool(tags)
    assert store.client.list_artifacts(stage_run.run_id) == []
    assert mlflow.active_run() is None


def test_run_that_mlflow_began_is_continued(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its id and MLflow's parameters; processes started from here do not inherit the id."""
    experiment = mlflow.set_experiment("lr-pipeline").experiment_id
    begun = store.client.create_run(experiment, run_name="fancy-cat-1")
    store.client.log_param(begun.info.run_id, "data", "'a b'")
    monkeypatch.setenv("MLFLOW_RUN_ID", begun.info.run_id)
    with store.stage_run("prepare", "prepare a b", {"data": "a b"}) as stage_run:
        assert "MLFLOW_RUN_ID" not in os.environ
    run = store.client.get_run(stage_run.run_id)
    assert run.info.run_id == begun.info.run_id
    assert run.info.experiment_id == stage_run.experiment_id == experiment
    assert run.data.params == {"data": "'a b'"}
    assert run.info.run_name == "prepare a b"
    assert len(store.client.get_experiment(experiment).tags) == 2


def test_experiment_keeps_the_view_that_its_users_have_made_of_ours(store: Store) -> None:
    """Whoever begins the run, its experiment gets what MLflow's UI needs; what users change stays."""
    mine = f"mlflow.sharedViewState.{TRAININGS}"
    with store.stage_run("prepare", "prepare", {}) as stage_run:
        tags = store.client.get_experiment(stage_run.experiment_id).tags
        assert json.loads(json.loads(tags[mine])["state"])["orderByKey"] == "metrics.`val_loss`"
        assert tags["mlflow.experimentKind"] == "custom_model_development"
    store.client.set_experiment_tag(stage_run.experiment_id, mine, "theirs")
    with store.stage_run("prepare", "prepare", {}):
        assert store.client.get_experiment(stage_run.experiment_id).tags[mine] == "theirs"


def test_parameters_that_were_not_given_are_not_logged(store: Store) -> None:
    """A parameter that is None is not logged."""
    with store.stage_run("train", "train", {"scheme": None, "epochs": 3}) as stage_run:
        pass
    assert store.client.get_run(stage_run.run_id).data.params == {"epochs": "3"}


def test_newest_finished_run_with_the_fingerprint_is_found(store: Store, finish: Finish, fingerprint: str) -> None:
    """Older or failed runs, and those of other stages or fingerprints, are not returned."""
    assert store.find("prepare", fingerprint) is None
    finish("prepare", fingerprint)
    newest = finish("prepare", fingerprint)
    finish("search", fingerprint)
    finish("prepare", "f" * 63 + "0")
    with pytest.raises(RuntimeError), store.stage_run("prepare", "prepare", {}) as failed:  # noqa: PT012 - the run is the subject
        store.set_fingerprint(failed, fingerprint)
        raise RuntimeError
    found = store.find("prepare", fingerprint)
    assert found is not None
    assert found.run_id == newest.run_id
    assert found.fingerprint == fingerprint
    assert found.result == '{"stage": "prepare"}'
    assert found.summary == f"summary of {fingerprint[-4:]}"


@pytest.mark.parametrize("damage", ["changed", "one deleted", "all deleted"])
def test_run_whose_artifacts_were_touched_is_not_found(
    damage: str, store: Store, finish: Finish, fingerprint: str
) -> None:
    """An older intact run is found instead, or none."""
    older, newer = finish("prepare", fingerprint), finish("prepare", fingerprint)
    for damaged, left in ((newer, older.run_id), (older, None)):
        folder = store.folder(damaged.run_id)
        if damage == "changed":
            (folder / RESULT).write_text("{}", encoding="utf-8")
        elif damage == "one deleted":
            (folder / "deep" / "more.txt").unlink()
        else:
            shutil.rmtree(folder)
        found = store.find("prepare", fingerprint)
        assert (found.run_id if found else None) == left


def test_run_that_reused_another_stands_for_it(store: Store, finish: Finish, fingerprint: str) -> None:
    """It has the same result and a tag that leads to the original, and is never found itself."""
    original = finish("prepare", fingerprint)
    store.client.log_metric(original.run_id, "val_loss", 0.25)
    store.client.set_tag(original.run_id, "pipeline.scheme", "cosine")
    source = store.find("prepare", fingerprint)
    assert source is not None
    with store.stage_run("main", "main", {}) as main:
        store.log_reuse("prepare again", source, main)
        below = store.find_child(main, "prepare")
    with store.stage_run("prepare", "prepare alone", {}) as alone:
        store.set_fingerprint(alone, fingerprint)
        store.mark_reused(alone, source)
    again = store.find("prepare", fingerprint)
    assert below is not None
    assert again is not None
    assert below.run_id == again.run_id == original.run_id
    (child,) = store.children(main.run_id, "prepare")
    assert child.data.tags["pipeline.scheme"] == "cosine"
    for run_id in (child.info.run_id, alone.run_id):
        run = store.client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["pipeline.cached"] == original.run_id
        assert run.data.tags["pipeline.fingerprint"] == fingerprint
        assert run.data.metrics == {"val_loss": 0.25}
        assert (store.folder(run_id) / RESULT).read_text(encoding="utf-8") == '{"stage": "prepare"}'


def test_children_come_oldest_first_and_only_finished_ones(store: Store) -> None:
    """Only children of the requested stage are returned, whenever they were written."""
    with store.stage_run("search", "search", {}) as parent:
        trial = {"pipeline.stage": "trial"}
        ids = [store.create_child(name, parent, trial, start) for name, start in (("b", 2e9), ("a", 1e9))]
        running = store.create_child("c", parent, {"pipeline.stage": "trial"})
        other = store.create_child("d", parent, {"pipeline.stage": "prepare"})
        for run_id in (*ids, other):
            store.client.set_terminated(run_id)
        assert [run.info.run_name for run in store.children(parent.run_id, "trial")] == ["a", "b"]
        store.client.set_terminated(running)


def test_sweep_ends_what_dead_processes_left_running(store: Store) -> None:
    """Zombies and children without a process tag are included; what is or may be alive is left alone."""
    child = [sys.executable, "-c", "import time; time.sleep(600)"]
    alive, dead, zombie = (subprocess.Popen(child) for _ in range(3))
    try:
        tags = {
            one.pid: f"{os.uname().nodename}:{one.pid}:{psutil.Process(one.pid).create_time():.0f}"
            for one in (alive, dead, zombie)
        }
        dead.kill()
        dead.wait()
        zombie.kill()
        while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        experiment = store.client.create_experiment("swept")

        def begin(**tags: str) -> str:
            return str(store.client.create_run(experiment, tags=tags).info.run_id)

        of_dead = begin(**{PROCESS: tags[dead.pid]})
        expected = {
            begin(**{PROCESS: tags[alive.pid]}): "RUNNING",
            of_dead: "KILLED",
            begin(**{PROCESS: tags[zombie.pid]}): "KILLED",
            begin(**{PROCESS: tags[alive.pid].rsplit(":", 1)[0] + ":1000000000"}): "KILLED",  # the number was reused
            begin(**{PROCESS: "elsewhere:1:1000000000"}): "RUNNING",
            begin(**{"mlflow.parentRunId": of_dead}): "KILLED",
            begin(): "RUNNING",
        }
        store.end_dead_runs()
        store.end_dead_runs()
        assert {run_id: store.client.get_run(run_id).info.status for run_id in expected} == expected
        for run_id in expected:
            store.client.set_terminated(run_id)
    finally:
        for one in (alive, zombie):
            one.kill()
            one.wait()


KILLED = """
import os, signal
from mlflow.tracking import MlflowClient
from pipeline.tracking import Store

begin = MlflowClient.create_run

def and_die(*arguments, **options):
    begin(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

MlflowClient.create_run = and_die
with Store("killed").stage_run("train", "train on digits", {}):
    pass
"""


def test_sweep_ends_the_run_of_a_command_that_was_killed_as_it_began_it(store: Store) -> None:
    """A run names its process from its first moment on."""
    variables = {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **variables})
    assert ended.returncode == -signal.SIGKILL
    experiment = store.client.get_experiment_by_name("killed").experiment_id
    store.end_dead_runs()
    assert [run.info.status for run in store.client.search_runs([experiment])] == ["KILLED"]


def test_sweep_leaves_the_own_runs_alone(store: Store) -> None:
    """The stage at work and the training it is writing stay RUNNING."""
    with store.stage_run("search", "search", {}) as parent:
        child = store.create_child("child", parent, {})
        store.end_dead_runs()
        for run_id in (parent.run_id, child):
            assert store.client.get_run(run_id).info.status == "RUNNING"
        store.client.set_terminated(child)


def test_part_can_be_found_as_a_stage_can(store: Store, fingerprint: str) -> None:
    """It is found by its fingerprint, with intact artifacts, even while its parent is at work."""
    tags = {"pipeline.stage": "reproduce", "pipeline.fingerprint": fingerprint}
    with store.stage_run("reproduce", "articles", {}) as stage:
        with store.part_run("B1 Adam 0.001", stage, tags, {"epochs": 25}) as part:
            assert store.find("reproduce", fingerprint) is None
            write_text(part.folder / RESULT, "{}")
            store.show_scores(part, {"test_loss": 0.03})
        found = store.find("reproduce", fingerprint)
        assert found is not None
        assert (found.run_id, found.result) == (part.run_id, "{}")
    run = store.client.get_run(part.run_id)
    assert run.info.run_name == "B1 Adam 0.001"
    assert run.data.tags["mlflow.parentRunId"] == stage.run_id
    assert (run.data.params, run.data.metrics) == ({"epochs": "25"}, {"test_loss": 0.03})


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_part_that_does_not_end_well_cannot_be_found(
    store: Store, fingerprint: str, error: type[BaseException], status: str
) -> None:
    """It is marked KILLED or FAILED."""
    tags = {"pipeline.stage": "reproduce", "pipeline.fingerprint": fingerprint}
    with store.stage_run("reproduce", "articles", {}) as stage:
        with pytest.raises(error), store.part_run("B1", stage, tags, {}):
            raise error
        assert store.find("reproduce", fingerprint) is None
        (run,) = store.client.search_runs([stage.experiment_id], f"tags.`mlflow.parentRunId` = '{stage.run_id}'")
    assert run.info.status == status


def test_metrics_of_the_machine_stay_with_their_run(store: Store, finish: Finish, fingerprint: str) -> None:
    """A run that stands for another one shows its results, but not how busy the machine was."""
    source = finish("train", fingerprint).run_id
    store.client.log_metric(source, "val_loss", 0.5)
    store.client.log_metric(source, "system/cpu_utilization_percentage", 90.0)
    copy = finish("main", fingerprint).run_id
    found = store.get(source)
    assert found is not None
    store.copy_metrics(found, copy)
    assert store.client.get_run(copy).data.metrics == {"val_loss": 0.5}
