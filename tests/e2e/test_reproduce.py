"""The articles' experiments, shortened, as a command conducts them."""

import json
import signal
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run

from pipeline.articles.table import EXPERIMENTS, seeds_of
from pipeline.config import ReproduceOptions
from tests.e2e.project import PATIENCE, Project, command

pytestmark = pytest.mark.slow

OF_A = [row.id for row in EXPERIMENTS.values() if row.article == "a" and row.rates_from == "article"]
ONE_SEED: dict[str, Any] = {"seeds": 1, "trials": 1, "budget": 8}
ALONE = {**ONE_SEED, "answers": "false"}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which article a's experiments have been run."""
    project = Project.copied_to(tmp_path_factory.mktemp("reproduced"))
    project.here("reproduce", article="a", **ALONE)
    return project


def stage_runs(project: Project) -> list[Run]:
    """Return the runs of the stage itself, oldest first."""
    return [run for run in project.runs("reproduce") if run.info.run_name.startswith("articles on")]


def experiments(project: Project, stage: Run) -> dict[str, Run]:
    """Return the runs of the experiments below a stage's, by id."""
    return {run.info.run_name.split()[0]: run for run in project.runs("reproduce", stage.info.run_id)}


def seeds(names: Iterable[str], asked: int = 1) -> int:
    """Count the trainings of experiments on so many seeds: some have more."""
    return sum(seeds_of(EXPERIMENTS[name], ReproduceOptions(seeds=asked)) for name in names)


def read(project: Project, run: Run) -> dict[str, Any]:
    """Return the result of a run."""
    return dict(json.loads((project.artifacts(run) / "result.json").read_text(encoding="utf-8")))


def trainings(project: Project) -> list[Run]:
    """Return all finished trainings."""
    finished = project.runs("reproduce", status="FINISHED")
    return [run for run in finished if run.data.tags.get("pipeline.role") == "experiment"]


def test_each_experiment_is_a_run_with_a_training_a_seed(reproduced: Project) -> None:
    """Its name, tags and note identify it; its metrics are means over the seeds."""
    (stage,) = stage_runs(reproduced)
    found = experiments(reproduced, stage)
    assert sorted(found) == OF_A
    for name, run in found.items():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.note.content"].startswith(EXPERIMENTS[name].claim)
        trained = reproduced.runs("reproduce", run.info.run_id)
        assert [one.data.params["seed"] for one in trained] == [str(seed) for seed in range(seeds([name]))]
        losses = [one.data.metrics["test_loss"] for one in trained]
        assert run.data.metrics["test_loss"] == pytest.approx(sum(losses) / len(losses))
        assert {"lr", "loss", "val_loss", "val_accuracy", "test_accuracy"} <= set(trained[0].data.metrics)
        history = pd.read_csv(reproduced.artifacts(run) / "history.csv")
        assert list(history["epoch"]) == [1, 2] * len(losses)


def test_page_lies_where_people_look_for_it(reproduced: Project) -> None:
    """Figures and result are beside it, and it shows the articles' rates."""
    folder = reproduced.folder / "reports" / "articles"
    for name in ("index.html", "README.md", "schemes_a.png", "losses_fixed.png", "losses_decay.png"):
        assert (folder / name).stat().st_size > 1_000
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in result["experiments"]] == OF_A
    assert result["printed_rates"][-1] == 0.031885575503110886
    assert not result["as_published"]
    assert "-P article=a" in (folder / "README.md").read_text(encoding="utf-8")


def test_same_command_reuses_everything(reproduced: Project) -> None:
    """There is one run that names the one it stands for, and nothing is trained."""
    first, done = stage_runs(reproduced)[0], len(trainings(reproduced))
    printed = reproduced.here("reproduce", article="a", **ALONE).stdout
    assert "reproduce    reused" in printed
    assert stage_runs(reproduced)[-1].data.tags["pipeline.cached"] == first.info.run_id
    assert len(trainings(reproduced)) == done


def test_more_seeds_train_the_new_ones_only(reproduced: Project) -> None:
    """The earlier trainings appear below the new experiments too."""
    done = len(trainings(reproduced))
    reproduced.here("reproduce", article="a", **ALONE | {"seeds": 2})
    new = trainings(reproduced)[done:]
    trained = [run for run in new if "pipeline.cached" not in run.data.tags]
    assert [int(run.data.params["seed"]) for run in trained] == [seeds([name]) for name in OF_A]
    assert len(new) == seeds(OF_A, 2)


@pytest.fixture(scope="module")
def interrupted(reproduced: Project) -> tuple[Project, dict[str, Run]]:
    """Return the project after both articles' experiments got SIGTERM, and those of the command that did."""
    process = reproduced.start(*command("reproduce", **ALONE))
    reproduced.wait_for_trainings(process, len(trainings(reproduced)) + 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "RUNNING" not in reproduced.statuses()
    return reproduced, experiments(reproduced, stage_runs(reproduced)[-1])


@pytest.fixture(scope="module")
def continued(interrupted: tuple[Project, dict[str, Run]]) -> Project:
    """Return the project after article b's experiments went on, with answers of ours."""
    project, _ = interrupted
    project.here("reproduce", article="b", **ONE_SEED)
    return project


def test_interrupted_experiments_go_on(continued: Project, interrupted: tuple[Project, dict[str, Run]]) -> None:
    """Article a's are reused when both articles run; no training of article b is repeated after SIGTERM.

    Shortened, S2 and S3 are identical: they share their trainings.
    """
    _, before = interrupted
    assert all("pipeline.cached" in before[name].data.tags for name in OF_A)
    found = experiments(continued, stage_runs(continued)[-1])
    assert sorted(found) == sorted(row.id for row in EXPERIMENTS.values() if row.article == "b")
    trained = [run for run in trainings(continued) if "pipeline.cached" not in run.data.tags]
    asked = Counter(run.data.tags["pipeline.fingerprint"] for run in trained)
    assert set(asked.values()) == {1}
    assert len(asked) == seeds(OF_A, 2) + seeds(found.keys() - {"S3"})


def test_answers_come_from_searches(continued: Project) -> None:
    """They get two more seeds than asked for; scheme and rate are those of the search.

    S2 and S3 share a search, but each is an experiment of its own.
    """
    stage = stage_runs(continued)[-1]
    searched = {run.info.run_name: run for run in continued.runs("search", stage.info.run_id)}
    assert {name.split()[0]: "pipeline.cached" in run.data.tags for name, run in searched.items()} == {
        "S2": False,
        "S3": True,
        "S4": False,
    }
    winner = read(continued, searched["S2 search sgd on digits"])["winner"]
    answers = {name: read(continued, run) for name, run in experiments(continued, stage).items()}
    for name in ("S2", "S3"):
        assert answers[name]["id"] == name
        assert len(answers[name]["scores"]) == 3
        candidate = answers[name]["candidate"]
        assert all(candidate[key] == winner[key] for key in ("scheme", "initial_lr", "params"))
    (found,) = (run for run in continued.runs("range_test", stage.info.run_id) if run.info.run_name.startswith("S2"))
    assert answers["B16"]["candidate"]["initial_lr"] == read(continued, found)["lr_high"]
    folder = continued.folder / "reports" / "articles"
    assert "**S4**" in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "range_test.png").stat().st_size > 1_000


def test_data_that_no_experiment_can_use_are_refused_before_any_search(reproduced: Project) -> None:
    """Data with values instead of classes are refused."""
    rows = [f"{number},{number % 7},{number / 4}" for number in range(60)]
    (reproduced.folder / "table.csv").write_text("\n".join(["p,q,target", *rows]), encoding="utf-8")
    searched = len(reproduced.runs("range_test"))
    (line,) = reproduced.here("reproduce", code=2, data="table.csv").stderr.splitlines()
    assert "expected classes" in line
    assert len(reproduced.runs("range_test")) == searched
