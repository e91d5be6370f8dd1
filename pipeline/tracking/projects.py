"""Stages started as MLflow project runs, children of the active run."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import ExecutionException

from pipeline import interruption

EXIT_CODE = "pipeline.exit_code"
_HANDOVER = "LR_PIPELINE_HANDOVER"

PROJECT = Path(__file__).resolve().parents[2]
"""The folder with the MLproject file."""


class StageFailedError(RuntimeError):
    """A stage's process ended with this exit code, and has already printed the reason."""

    def __init__(self, stage: str, exit_code: int) -> None:
        super().__init__(f"{stage} failed")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Handover:
    """What a process passes to a stage that it starts, so that the stage need not look it up.

    Attributes:
        runs: the ids of the runs that the stage depends on, under its own keys for them.
        key: the fingerprint of the stage.

    """

    runs: Mapping[str, str]
    key: str


def take_handover() -> Handover | None:
    """Return and remove the handover from the process that started this one; None if a user started it."""
    text = os.environ.pop(_HANDOVER, None)
    return None if text is None else Handover(**json.loads(text))


def launch(stage: str, parameters: Mapping[str, object], experiment_id: str, known: Handover) -> None:
    """Run an entry point in a process of its own, in this environment; the active run becomes its parent.

    Raises:
        StageFailedError: if the stage fails.

    """
    os.environ[_HANDOVER] = json.dumps(asdict(known))
    # The entry points call `python`, which must be this interpreter, however this process was started.
    binaries = str(Path(sys.executable).parent)
    if not os.environ["PATH"].startswith(binaries):
        os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    try:
        with interruption.passed_on():
            mlflow.projects.run(
                str(PROJECT),
                stage,
                parameters={name: "" if value is None else str(value) for name, value in parameters.items()},
                experiment_id=experiment_id,
                env_manager="local",
            )
    except ExecutionException as error:
        if interruption.received() is not None:
            _mark_killed(experiment_id)
            raise KeyboardInterrupt from error
        raise StageFailedError(stage, _exit_code(stage)) from error
    except KeyboardInterrupt:
        _mark_killed(experiment_id)
        raise
    finally:
        os.environ.pop(_HANDOVER, None)


def _mark_killed(experiment_id: str) -> None:
    """Mark the interrupted stage KILLED: MLflow marks it FAILED if its process did not get to set the status itself."""
    parent = mlflow.active_run()
    assert parent is not None
    client = mlflow.MlflowClient()
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    for run in client.search_runs([experiment_id], query, max_results=1):
        if run.info.status != "FINISHED":
            client.set_terminated(run.info.run_id, "KILLED")


def _exit_code(stage: str) -> int:
    """Return the exit code of the stage that just failed, from the tag on its run: MLflow does not pass it on."""
    parent = mlflow.active_run()
    assert parent is not None
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.`pipeline.stage` = '{stage}'"
    runs = mlflow.MlflowClient().search_runs([parent.info.experiment_id], query, max_results=1)
    return int(runs[0].data.tags.get(EXIT_CODE, 1)) if runs else 1
