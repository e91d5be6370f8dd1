"""What one `python -m pipeline main` writes, and how later commands use it."""

import ast
import json
import re
import runpy
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from sklearn.datasets import load_digits

from pipeline import datasets, find
from pipeline.models import mlp
from pipeline.predictions import PREDICTIONS, STORED
from pipeline.results import RangeTestResult, SearchResult
from tests.e2e.project import SMALL, Project

pytestmark = pytest.mark.slow

STAGES = ("prepare", "range_test", "search", "train", "report")
CONFIRMED = (1 + 3) * 2  # the finalist and the three baselines, on two seeds each
EVALUATIONS = 3 + CONFIRMED  # with the trials before

ROLES = ("sweep", "refinement")
"""Roles of a range test's trainings."""


def only(project: Project, stage: str, parent: str | None = None) -> Run:
    """Return the oldest run of a stage: the one of the first command."""
    return project.runs(stage, parent)[0]


def result(project: Project, run: Run) -> dict[str, object]:
    """Return a run's result as another program would read it."""
    read: dict[str, object] = json.loads((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    return read


def trainings(project: Project) -> list[Run]:
    """Return the run of each training of the first command: those of the search, then the final ones."""
    search, train = (only(project, stage).info.run_id for stage in ("search", "train"))
    return [*project.runs("trial", search), *project.runs("train", train)]


def test_every_stage_is_a_finished_child_of_main(project: Project) -> None:
    """`main` has one child per stage; all of them finished, and none was reused."""
    main = only(project, "main")
    assert main.info.status == "FINISHED"
    assert main.info.run_name == "mlp on digits"
    for stage in STAGES:
        (run,) = project.runs(stage, main.info.run_id)
        assert run.info.status == "FINISHED"
        assert len(run.data.tags["pipeline.fingerprint"]) == 64
        assert "pipeline.cached" not in run.data.tags


def test_every_training_is_a_child_of_its_stage(project: Project) -> None:
    """There are as many as were asked for, and their names and tags are distinct."""
    runs = trainings(project)
    assert len(runs) - 2 == EVALUATIONS
    for run in runs:
        params, tags = run.data.params, run.data.tags
        assert run.info.status == "FINISHED"
        assert tags["pipeline.scheme"] == params["scheme"] in ("constant", "cosine")
        assert tags["pipeline.optimizer"] == params["optimizer"] in ("sgd", "adam", "adamw")
        assert run.info.run_name.startswith(f"{params['scheme']} lr={float(params['initial_lr']):.3g}")
        assert run.info.run_name.endswith(f"seed={params['seed']}")
    confirmations = [run for run in runs if run.data.tags.get("pipeline.role") == "confirmation"]
    assert len(confirmations) == CONFIRMED
    assert {run.data.params["seed"] for run in confirmations} == {"20000", "20001"}
    assert [run.data.params["seed"] for run in runs[-2:]] == ["0", "1"]


def test_every_training_logs_the_metrics_of_the_contract(project: Project) -> None:
    """And its data sets: the test set is opened by `train` only."""
    always = {
        *("lr", "loss", "accuracy", "val_loss", "val_accuracy", "epoch"),
        *("best_val_loss", "best_val_accuracy", "train_seconds", "examples_per_second"),
    }
    for run in trainings(project):
        tested = {"test_loss", "test_accuracy"} if run.data.tags["pipeline.stage"] == "train" else set()
        assert set(run.data.metrics) == always | tested
        parts = {tag.value for data in run.inputs.dataset_inputs for tag in data.tags}
        assert parts == {"training", "validation"} | ({"test"} if tested else set())
    means = result(project, only(project, "train"))
    finals = [run.data.metrics["test_loss"] for run in project.runs("train", only(project, "train").info.run_id)]
    assert means["test_loss"] == pytest.approx(np.mean(finals))
    assert only(project, "main").data.metrics["test_loss"] == means["test_loss"]
    drawn = project.client.get_metric_history(only(project, "train").info.run_id, "val_loss")
    assert len({point.step for point in drawn}) == len(drawn)


def test_every_training_keeps_its_whole_curve(project: Project) -> None:
    """There is one row per update, and the rates are those of the scheme."""
    for run in trainings(project):
        folder = project.artifacts(run)
        assert (folder / "lr_curve.png").stat().st_size > 1_000
        frame = pd.read_csv(folder / "lr_curve.csv")
        assert list(frame.columns) == ["step", "epoch", "lr", "loss"]
        assert list(frame["step"]) == list(range(round(22 * float(run.data.params["epochs"]))))  # 1,079 examples by 50
        peak, last, warm = frame["lr"].max(), frame["lr"].iloc[-1], run.data.params["optimizer"] == "adamw"
        assert peak == pytest.approx(float(run.data.params["initial_lr"]), rel=1e-2 if warm else 1e-6)
        assert last < peak / 50 if run.data.params["scheme"] == "cosine" else last == peak


@pytest.mark.parametrize(
    ("stage", "files", "keys"),
    [
        ("prepare", {"data.npz"}, {"digests", "train_examples", "input_shape"}),
        (
            "range_test",
            {"range_test.csv", "range_test.png", "refinement.png"},
            {"verdict", "reason", "suggested_lr", "lr_low", "lr_high", "suggestions", "seeds"},
        ),
        (
            "search",
            {"trials.csv", "leaderboard.csv"},
            {"winner", "leaderboard", "ties", "basin", "baselines", "cost"},
        ),
        (
            "train",
            {"model.keras", "schedule.json", "schedule.py", "predictions.json", "lr_curve.csv", "lr_curve.png"},
            {"test_loss", "test_accuracy", "test_accuracy_interval", "val_loss", "seeds", "winner"},
        ),
        ("report", {"report.html"}, {"report", "answer"}),
    ],
)
def test_stage_leaves_the_files_and_results_of_the_contract(
    project: Project, stage: str, files: set[str], keys: set[str]
) -> None:
    """They have the names that users' scripts rely on."""
    run = only(project, stage)
    assert {*files, "result.json", "manifest.json"} <= {file.name for file in project.artifacts(run).iterdir()}
    assert keys <= set(result(project, run))


def test_prepared_data_has_the_digests_it_says(project: Project) -> None:
    """The SHA-256 of every array in the file is in the result."""
    run = only(project, "prepare")
    splits = datasets.load_splits(project.artifacts(run) / "data.npz")
    assert datasets.digests(splits) == result(project, run)["digests"]


def test_range_test_is_refined_by_trainings_on_record(project: Project) -> None:
    """They are children of its run, start at the sweep's rate and are counted; the search starts at theirs."""
    run = only(project, "range_test")
    found = RangeTestResult.model_validate_json((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    refinement = found.refinement
    assert refinement is not None
    children = project.runs("trial", run.info.run_id)
    by_role = {role: [child for child in children if child.data.tags["pipeline.role"] == role] for role in ROLES}
    assert len(children) == sum(map(len, by_role.values()))
    assert [child.data.params["seed"] for child in by_role["sweep"]] == ["0"]
    assert sorted(float(child.data.params["initial_lr"]) for child in by_role["refinement"]) == sorted(
        t.lr for t in refinement.tried
    )
    assert refinement.start_lr == found.suggestions["landmarks"]
    assert found.suggested_lr == found.suggestions["refined"]
    assert found.updates - refinement.updates == 250
    assert refinement.updates <= 44 * refinement.cost  # 2 epochs of 22; what diverged cost less
    first = pd.read_csv(project.artifacts(only(project, "search")) / "trials.csv").iloc[0]
    assert first["initial_lr"] == pytest.approx(found.suggested_lr, rel=5e-3)  # three digits


def test_search_result_holds_together(project: Project) -> None:
    """The winner is the best scheme and lies in its basin; the costs are those of the trainings."""
    run = only(project, "search")
    found = json.loads((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    winner, basin, cost = found["winner"], found["basin"], found["cost"]
    assert basin["lr_low"] <= winner["initial_lr"] <= basin["lr_high"]
    assert [baseline["name"] for baseline in found["baselines"]] == ["Adam at 0.001", "SGD at 0.01", "AdamW recipe"]
    assert len(found["leaderboard"]) == 4
    assert set(winner) == {"scheme", "initial_lr", "optimizer", "batch_size", "params"}
    children = project.runs("trial", run.info.run_id)
    spent = [pd.read_csv(project.artifacts(child) / "lr_curve.csv") for child in children]
    assert cost["epochs"] == pytest.approx(sum(len(curve) / 22 for curve in spent))  # 1,079 examples by 50
    assert cost["examples"] == pytest.approx(cost["epochs"] * 1079, rel=0.01)  # the last batch of an epoch is short
    assert len(pd.read_csv(project.artifacts(run) / "trials.csv")) == 3


def test_report_lies_where_people_look_for_it(project: Project) -> None:
    """The page is the same in the store and under reports/, self-contained, with the answer that was printed."""
    page = (project.folder / "reports" / "report.html").read_text(encoding="utf-8")
    assert page == (project.artifacts(only(project, "report")) / "report.html").read_text(encoding="utf-8")
    assert "<script src" not in page
    assert "Adam at 0.001" in page


def test_commands_work_in_any_folder(tmp_path: Path) -> None:
    """Data, modules, store and reports are those of the working directory, in the stages that a command starts too."""
    (tmp_path / "own.csv").write_text("a,target\n" + "".join(f"{row},{row % 2}\n" for row in range(200)))
    (tmp_path / "own.py").write_text(
        "import keras\n\ndef network(shape, n):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(n, activation='softmax')])\n"
    )
    elsewhere = Project(tmp_path)
    elsewhere.here("train", apart=True, data="own.csv", model="own:network", scheme="linear", initial_lr=0.1)
    assert {run.info.status for run in elsewhere.runs("prepare") + elsewhere.runs("train")} == {"FINISHED"}
    assert "def learning_rates" in (tmp_path / "reports" / "schedule.py").read_text(encoding="utf-8")


def test_answer_is_printed_where_the_report_cannot_be_published(project: Project) -> None:
    """A line says so, and where the report is."""
    published, kept = project.folder / "reports", project.folder / "kept"
    published.rename(kept)
    published.write_text("in the way", encoding="utf-8")
    try:
        ended = project.here("main")
    finally:
        published.unlink()
        kept.rename(published)
    assert "initial learning rate" in ended.stdout
    assert re.search(r"^Schedule: .+schedule.py\nModel: models:/lr-pipeline-digits/\d+$", ended.stdout, re.MULTILINE)
    assert ended.stderr.startswith("lr-pipeline: cannot write reports (")
    (place,) = (line.removeprefix("Report: ") for line in ended.stdout.splitlines() if line.startswith("Report: "))
    assert Path(place).read_bytes() == (published / "report.html").read_bytes()


def test_answer_is_printed_where_the_report_cannot_be_made(project: Project) -> None:
    """The command fails all the same."""
    template = project.folder / "pipeline" / "reporting" / "report.html.j2"
    text = template.read_text(encoding="utf-8")
    template.write_text("{% nonsense %}", encoding="utf-8")
    try:
        ended = project.pipeline("main", code=1)
    finally:
        template.write_text(text, encoding="utf-8")
    assert "initial learning rate" in ended.stdout
    assert "Report: none" in ended.stdout


def test_exported_schedule_runs_without_the_project(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """`schedule.py` gives the rates of the training without importing this project."""
    artifacts = project.artifacts(only(project, "train"))
    source = (artifacts / "schedule.py").read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"keras", "numpy", "collections"}
    used = runpy.run_path(str(artifacts / "schedule.py"), run_name="__main__")["Schedule"]().rates
    rates = pd.read_csv(artifacts / "lr_curve.csv")["lr"].to_numpy(np.float32)
    assert f"of {len(rates)} updates" in capsys.readouterr().out
    np.testing.assert_allclose(used, rates, rtol=1e-6)


def test_logged_model_predicts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded by MLflow, it turns raw test images into probabilities that score as the result says for one seed."""
    monkeypatch.chdir(project.folder)
    mlflow.set_tracking_uri(f"sqlite:///{project.folder}/mlflow.db")
    try:
        (version,) = project.client.search_model_versions("name = 'lr-pipeline-digits'")
        model = mlflow.pyfunc.load_model(f"models:/lr-pipeline-digits/{version.version}")
    finally:
        mlflow.set_tracking_uri(None)
    splits = datasets.load_splits(project.artifacts(only(project, "prepare")) / "data.npz")
    predicted = model.predict(splits.x_test)
    assert list(predicted.columns) == [str(digit) for digit in range(10)]
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)
    accuracy = float(np.mean(predicted.to_numpy().argmax(axis=1) == splits.y_test))
    train = json.loads((project.artifacts(only(project, "train")) / "result.json").read_text(encoding="utf-8"))
    best = min(train["seeds"], key=lambda score: score["val_loss"])
    assert accuracy == pytest.approx(best["test_accuracy"], abs=1e-6)
    stored = (project.artifacts(only(project, "train")) / PREDICTIONS).read_text(encoding="utf-8")
    (kept,) = STORED.validate_json(stored)
    assert kept.correct / kept.examples == pytest.approx(accuracy)
    assert len(kept.hardest) == 12
    assert f"over {len(train['seeds'])} seeds" in version.description
    assert model.metadata.signature is not None
    assert model.input_example is not None


def test_same_command_reuses_everything(project: Project) -> None:
    """Each stage gets a run that names the one it stands for; no stage's process is started."""
    before = {run.info.run_id for stage in STAGES for run in project.runs(stage)}
    printed = project.here("main").stdout
    main = project.runs("main")[-1].info.run_id
    for stage in STAGES:
        (run,) = project.runs(stage, main)
        assert run.info.status == "FINISHED"
        assert run.data.tags["pipeline.cached"] in before
        assert "pipeline.process" in run.data.tags
        assert "mlflow.project.entryPoint" not in run.data.tags  # which MLflow puts on what it starts
        assert result(project, run) == result(project, only(project, stage))
        assert f"{stage:<11}  reused" in printed
    assert project.runs("trial", main) == []


def test_other_trials_run_only_what_depends_on_them(project: Project) -> None:
    """With one more trial, data and range test are reused; search, training and report run again."""
    project.here("main", trials=4)
    main = project.runs("main")[-1].info.run_id
    cached = {stage: "pipeline.cached" in project.runs(stage, main)[0].data.tags for stage in STAGES}
    assert cached == {"prepare": True, "range_test": True, "search": False, "train": False, "report": False}
    first, second = (
        pd.read_csv(project.artifacts(run) / "trials.csv")
        for run in (only(project, "search"), *project.runs("search", main))
    )
    pd.testing.assert_series_equal(first["val_loss"], second["val_loss"][:3])
    assert set(second["number"]) >= {0, 1, 2, 3}
    known, added = (project.runs("trial", project.runs("search", main)[0].info.run_id) for main in (None, main))
    before = {run.info.run_id: run.data.tags["pipeline.fingerprint"] for run in known}
    for run in added:
        stands_for = run.data.tags.get("pipeline.cached")
        assert (stands_for is None) == (run.data.tags["pipeline.fingerprint"] not in before.values())
        assert stands_for is None or before[stands_for] == run.data.tags["pipeline.fingerprint"]
    assert sum("pipeline.cached" in run.data.tags for run in added) >= 3


def test_experiment_says_what_was_found_last(project: Project) -> None:
    """Its note, which MLflow's UI shows above the runs, leads to report and model."""
    experiment = project.client.get_experiment_by_name("lr-pipeline")
    assert experiment is not None
    note = experiment.tags["mlflow.note.content"]
    assert note.startswith("**Newest answer:** ")
    assert "/artifacts/report.html" in note
    assert "[model](#/models/lr-pipeline-digits/versions/" in note


def test_fresh_runs_again(project: Project) -> None:
    """What is reused without `fresh` runs again with it; with the metrics of the machine, if they are asked for."""
    for fresh in (False, True):
        project.here("prepare", fresh=str(fresh).lower(), system_metrics=str(fresh).lower())
        run = project.runs("prepare")[-1]
        assert ("pipeline.cached" in run.data.tags) is not fresh
        assert ("system/cpu_utilization_percentage" in run.data.metrics) is fresh
        assert result(project, run) == result(project, only(project, "prepare"))


def test_stage_started_by_mlflow_is_found_again(project: Project) -> None:
    """The parameters of `mlflow run -e search` are the options of the chain's search, for which its run stands."""
    given = [part for name, value in SMALL.items() for part in ("-P", f"{name}={value}")]
    arguments = ("-e", "search", "--env-manager", "local", "--experiment-name", "lr-pipeline")
    project.run("mlflow", "run", ".", *arguments, *given)
    run = project.runs("search")[-1]
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.entryPoint"] == "search"
    assert run.data.tags["pipeline.cached"] == only(project, "search").info.run_id
    assert run.info.run_name == "search sgd on digits"
    for stage in ("prepare", "range_test", "trial"):
        assert project.runs(stage, run.info.run_id) == []
    assert run.data.params["epochs"] == "2"


def test_given_scheme_needs_no_search(project: Project) -> None:
    """It is trained as given, on reused data, though no search with these options has ever run."""
    given: dict[str, Any] = {"scheme": "step", "initial_lr": 0.05, "scheme_params": "drop_rate=0.3,drops=2"}
    project.here("train", **given, epochs=3, seeds=1, torch_schedule="true")
    run = project.runs("train")[-2]  # the newest but its own training
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.data.tags["pipeline.scheme"] == "step"
    assert [project.runs(stage, run.info.run_id) for stage in ("prepare", "range_test", "search")] == [[], [], []]
    assert len(project.runs("train", run.info.run_id)) == 1
    schedule = json.loads((project.artifacts(run) / "schedule.json").read_text(encoding="utf-8"))
    assert schedule["scheme"] == "step"
    assert schedule["initial_lr"] == 0.05
    assert schedule["params"] == {"drop_rate": 0.3, "drops": 2}
    rates = pd.read_csv(project.artifacts(run) / "lr_curve.csv")["lr"]
    assert sorted(set(rates.round(6)), reverse=True) == pytest.approx([0.05, 0.015, 0.0045], rel=1e-4)
    for_torch = runpy.run_path(str(project.artifacts(run) / "schedule_torch.py"))
    assert [for_torch["rate"](step) for step in range(len(rates))] == pytest.approx(rates.tolist(), rel=1e-6)


def test_models_of_different_objectives_compete_by_validation_loss(project: Project) -> None:
    """Losses of champion and challenger are paired by seed, whatever each was judged by."""
    project.here("train", scheme="constant", initial_lr=0.05, objective="val_accuracy")
    (train,) = (run for run in project.runs("train") if run.data.params.get("objective") == "val_accuracy")
    champion = str(result(project, train)["champion"])
    assert "version " in champion
    assert champion.endswith(("on 2 paired seeds", "on 2 paired seeds, which does not exclude zero"))


def test_several_batch_sizes_and_other_budgets(project: Project) -> None:
    """The new batch size gets a range test, trainings of the old one are reused, and names show the size."""
    said = project.here("search", batch_size="50,25", trials=2, transfer="true", batch_transfer="true").stdout
    assert "; beyond the budget, transfer up to 20 and batch transfer up to 12\n" in said  # transfer at 0.5 and 2 times
    run = project.runs("search")[-1]
    (added,) = project.runs("range_test", run.info.run_id)
    assert added.data.tags["pipeline.batch_size"] == "25"
    found = result(project, run)
    assert found["winner"]["batch_size"] in (25, 50)  # type: ignore[index]
    assert [space["batch_size"] for space in found["spaces"]] == [50, 25]  # type: ignore[attr-defined]
    assert found["untried"] == ["batch=50 constant", "batch=25 constant"]
    assert [row["epochs"] for row in found["transfer"]] == [1, 4]  # type: ignore[attr-defined]
    trained = project.runs("trial", run.info.run_id)
    assert sum(training.data.tags["pipeline.role"] == "transfer" for training in trained) <= 2 * 4 * 2
    smaller = found["winner"]["batch_size"] // 4  # type: ignore[index]
    assert found["further_batch_sizes"] == [smaller]  # the data are too few for a larger one
    at_smaller = [training for training in trained if training.data.tags["pipeline.role"] == "batch transfer"]
    assert [training.data.tags["pipeline.batch_size"] for training in at_smaller] == [str(smaller)] * 6
    for training in trained:
        size = training.data.tags["pipeline.batch_size"]
        assert training.data.params["batch_size"] == size
        frame = pd.read_csv(project.artifacts(training) / "lr_curve.csv")
        assert len(frame) == round(-(-1_079 // int(size)) * float(training.data.params["epochs"]))
        if "pipeline.cached" not in training.data.tags:
            assert training.info.run_name.startswith((f"batch={size} cosine lr=", f"batch={size} constant lr="))
    assert {"50"} == {t.data.tags["pipeline.batch_size"] for t in trained if "pipeline.cached" in t.data.tags}
    moved = [training for training in trained if training.data.tags["pipeline.role"] == "transfer"]
    assert {(t.data.params["epochs"], t.data.params["seed"]) for t in moved} == {
        *((epochs, seed) for epochs in ("1", "4") for seed in ("20000", "20001"))
    }


def test_wrong_input_found_in_a_stage_is_one_line_and_code_2(project: Project) -> None:
    """The stage's own process prints the error, and `main` adds nothing."""
    (project.folder / "broken.npz").write_bytes(b"no archive")
    ended = project.pipeline("main", code=2, data="broken.npz")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("lr-pipeline: ")
    assert "broken.npz" in line
    assert project.runs("main")[-1].info.status == project.runs("prepare")[-1].info.status == "FAILED"


def test_wrong_input_through_mlflow_is_that_line_too(project: Project) -> None:
    """MLflow itself ends with 1 and prints more; the line that names file and remedy appears once."""
    arguments = ("-e", "prepare", "--env-manager", "local", "--experiment-name", "lr-pipeline")
    ended = project.run("mlflow", "run", ".", *arguments, "-P", "data=missing.csv", code=1)
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("lr-pipeline: ")]
    assert "missing.csv" in line
    assert "accepted: " in line
    assert 'File "' not in ended.stderr.split("lr-pipeline: ")[0]


def test_find_answers_as_main_does(project: Project) -> None:
    """The same data, network and options: the same leaderboard to the last digit, and the same costs."""
    (run,) = project.runs("search", project.runs("main")[0].info.run_id)
    theirs = SearchResult.model_validate_json((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    bunch = load_digits()
    options = {name: value for name, value in SMALL.items() if name not in ("data", "model")}
    found = find(
        lambda input_shape, num_outputs: mlp(input_shape, num_outputs, "softmax"),
        (bunch.images.astype("uint8"), bunch.target),
        scale="auto",
        progress=False,
        **options,
    )
    assert found.search.leaderboard == theirs.leaderboard
    assert found.search.winner == theirs.winner
    assert found.search.cost.trainings == theirs.cost.trainings


def test_a_search_may_start_from_an_earlier_answer(project: Project) -> None:
    """It names that one; the same command finds its own run again, which is none of the earlier ones."""
    options: dict[str, Any] = {"history": "related", "seeds": 1, "schemes": "linear", "refine": "off", "epochs": 1}
    options |= {"budget": 4, "trials": 1, "confirm_seeds": "", "top_k": ""}
    first, said = only(project, "search"), project.here("search", **options).stdout
    assert "started from the earlier answer on digits (mlp, SGD, batches of 50, 2 epochs)" in said
    own = project.runs("search")[-1]
    assert own.data.tags["pipeline.history"] == first.info.run_id
    found: Any = result(project, own)
    assert found["history"]["run_id"] == first.info.run_id
    start = found["spaces"][0]["start_lr"] or found["spaces"][0]["suggested_lr"]
    assert float(f"{start:.3g}") == found["winner"]["initial_lr"]
    assert "reused" in project.here("search", **options).stdout
