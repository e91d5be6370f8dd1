"""`make ui` says where to look before the server starts."""

import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from pipeline.tracking import Store
from pipeline.tracking.views import artifact_page, note_newest, trainings_page
from scripts import ui

ADDRESS = "http://127.0.0.1:5001"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return an empty store in a folder of its own."""
    folder = tmp_path_factory.mktemp("ui")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        yield Store("answers")
        mlflow.set_tracking_uri(None)


def reported(store: Store, page: str) -> str:
    """Return the id of a finished run of the stage `report` that has written a page."""
    with store.stage_run("report", "report", {}) as run:
        Path(run.folder / page).write_text("<p>", encoding="utf-8")
    return run.run_id


def test_trainings_and_newest_report_are_named(store: Store) -> None:
    """What reused a report, or compares runs, has no such page."""
    assert list(ui.places(store.client, "answers", ADDRESS)) == ["No runs yet in the experiment answers: make run"]
    reported(store, "report.html")
    newest = reported(store, "report.html")
    reported(store, "comparison.html")
    experiment = store.client.get_experiment_by_name("answers").experiment_id
    assert list(ui.places(store.client, "answers", ADDRESS)) == [
        f"Trainings: {ADDRESS}{trainings_page(experiment)}",
        f"Report:    {ADDRESS}{artifact_page(experiment, newest, 'report.html')}",
    ]


def test_server_gets_options_and_store(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address that is printed is its own; a password in that of the store stays off the command line."""
    reported(store, "report.html")
    started: list[list[str]] = []
    monkeypatch.setenv("LR_PIPELINE_EXPERIMENT_NAME", "answers")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")
    monkeypatch.setattr(os, "execv", lambda path, arguments: started.append(arguments[1:]))
    assert ui.main(["--host", "127.0.0.1", "-p", "5001", "--workers", "1"]) == 0
    assert f"Trainings: {ADDRESS}/#/experiments/" in capsys.readouterr().out
    assert started == [["-m", "mlflow", "ui", "--host", "127.0.0.1", "-p", "5001", "--workers", "1"]]
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == mlflow.get_tracking_uri()


def test_note_of_the_experiment_has_the_newest_answer(store: Store) -> None:
    """It is replaced by the next one, unless somebody has written another."""
    client: MlflowClient = store.client
    experiment = client.create_experiment("noted")
    for answer, model in (("Train SGD.", None), ("Train Adam.", "lr-pipeline-my data version 3")):
        note_newest(client, experiment, answer, artifact_page(experiment, "0a", "report.html"), model)
        note = client.get_experiment(experiment).tags["mlflow.note.content"]
        assert note.startswith(f"**Newest answer:** {answer} [report](#/experiments/{experiment}/runs/0a/artifacts/")
    assert note.endswith(", [model](#/models/lr-pipeline-my%20data/versions/3)")
    client.set_experiment_tag(experiment, "mlflow.note.content", "Ours")
    note_newest(client, experiment, "Train SGD.", artifact_page(experiment, "0b", "report.html"), None)
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "Ours"
