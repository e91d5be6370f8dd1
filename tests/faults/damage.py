"""Files that are cut short or gone when a command is run again. Each fault is real."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.e2e.project import Project
from tests.faults.disturbed import Bench, Outcome, expect_none_running, expect_same_answer, repeated


def artifacts_deleted(bench: Bench, chance: Random) -> Outcome:
    """Delete all artifacts and keep the database: everything is made again."""
    project = bench.finished()
    shutil.rmtree(project.folder / "mlruns")
    return _made_again(bench, project)


def _made_again(bench: Bench, project: Project) -> Outcome:
    before = repeated(project.client)
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client) - before)


def damaged(stage: str, role: str, file: str, size: int | None) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: a file of a training is cut short, or gone, and its stage has to ask for it again."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        (own,) = (run for run in project.runs(stage, status="FINISHED") if "pipeline.role" not in run.data.tags)
        _cut(project.artifacts(own) / "result.json", 10)
        trainings = project.runs(stage if stage == "train" else "trial", own.info.run_id)
        mine = [run for run in trainings if run.data.tags["pipeline.role"] == role]
        _cut(project.artifacts(chance.choice(mine)) / file, size)
        return _made_again(bench, project)

    return strike


def _cut(path: Path, size: int | None) -> None:
    """Cut a file to so many bytes, or delete it."""
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)


def result_cut(stage: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: the result of a stage is cut short; no training of it is lost by that."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        (own,) = (run for run in project.runs(stage, status="FINISHED") if "pipeline.role" not in run.data.tags)
        _cut(project.artifacts(own) / "result.json", 10)
        return _made_again(bench, project)

    return strike


def champion_gone(bench: Bench, chance: Random) -> Outcome:
    """Delete the champion's files: the next model is registered, and becomes champion."""
    project = bench.finished()
    (model,) = project.client.search_registered_models()
    version = project.client.get_model_version_by_alias(model.name, "champion")
    folders = {path.parent for path in (project.folder / "mlruns").rglob("MLmodel")}
    for folder in folders:
        shutil.rmtree(folder)
    project.run(*bench.command, "--seeds", "2")
    later = project.client.get_model_version_by_alias(model.name, "champion")
    assert int(later.version) > int(version.version), "the lost champion stayed"
    expect_none_running(project.client)
    return Outcome(repeated=repeated(project.client))
