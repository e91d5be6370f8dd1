"""Stages started as processes of their own, children of the active run: by MLflow, from a project's folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mlflow
from mlflow.entities import Param, SourceType
from mlflow.projects.backend.loader import load_backend
from mlflow.projects.submitted_run import LocalSubmittedRun
from mlflow.projects.utils import (
    PROJECT_BUILD_IMAGE,
    PROJECT_DOCKER_ARGS,
    PROJECT_DOCKER_AUTH,
    PROJECT_ENV_MANAGER,
    PROJECT_STORAGE_DIR,
    PROJECT_SYNCHRONOUS,
    get_run_env_vars,
)
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from pipeline import interruption
from pipeline.tracking.patience import last_word
from pipeline.tracking.processes import INSTALLED, PROJECT, is_alive, this_process

_BY_SIGNAL = 128
_UNTOLD = {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
"""Signals that nobody sends to a command on purpose to end it."""


class StageFailedError(RuntimeError):
    """A stage's process ended with this exit code, and has printed the reason unless `reason` holds it."""

    def __init__(self, stage: str, exit_code: int, reason: str = "") -> None:
        super().__init__(reason or f"{stage} failed")
        self.stage = stage
        self.exit_code = exit_code
        self.reason = reason


@dataclass(frozen=True)
class Handover:
    """What a process passes to a stage that it starts, so that the stage need not look it up.

    Attributes:
        runs: the ids of the runs that the stage depends on, under its own keys for them.
        key: the fingerprint of the stage.
        waiting: the process that waits for the stage.
        folder: the working directory, which paths and modules of the user's are relative to: MLflow starts the stage in
            the project's.

    """

    runs: Mapping[str, str]
    key: str
    waiting: str = field(default_factory=this_process)
    folder: str = field(default_factory=os.getcwd)


def take_handover() -> Handover | None:
    """Return and remove the handover from the process that started this one; None if a user started it.

    The working directory becomes that of the process that started this one.

    Raises:
        Signalled: if that process was gone before this one could watch it.

    """
    text = os.environ.pop(interruption.HANDOVER, None)
    if text is None:
        return None
    handover = Handover(**json.loads(text))
    if not is_alive(handover.waiting):
        raise interruption.Signalled
    os.chdir(handover.folder)
    return handover


def launch(stage: str, parameters: Mapping[str, object], experiment_id: str, known: Handover) -> None:
    """Run a stage in a process of its own, in this environment; the active run becomes its parent.

    Raises:
        StageFailedError: if the stage fails.

    """
    given = {name: "" if value is None else str(value) for name, value in parameters.items()}
    os.environ[interruption.HANDOVER] = json.dumps(asdict(known))
    try:
        submitted = (_start_installed if INSTALLED else _start)(stage, given, experiment_id)
    finally:
        os.environ.pop(interruption.HANDOVER, None)
    try:
        with interruption.passed_on():
            code = submitted.command_proc.wait()
    except KeyboardInterrupt:
        submitted.cancel()
        _end_run(submitted.run_id, "KILLED")
        raise
    if code == 0:
        return
    if interruption.received() is not None:
        _end_run(submitted.run_id, "KILLED")
        raise KeyboardInterrupt
    _end_run(submitted.run_id, "FAILED")
    raise StageFailedError(stage, *_told(stage, code))


def _start(stage: str, given: Mapping[str, str], experiment_id: str) -> LocalSubmittedRun:
    """Begin a project run by MLflow's backend itself: `mlflow.projects.run` would keep the exit code to itself."""
    # The entry points call `python`, which must be this interpreter, however this process was started.
    binaries = str(Path(sys.executable).parent)
    if not os.environ["PATH"].startswith(binaries):
        os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    config = {PROJECT_SYNCHRONOUS: True, PROJECT_ENV_MANAGER: "local", PROJECT_BUILD_IMAGE: False}
    config |= dict.fromkeys((PROJECT_DOCKER_ARGS, PROJECT_DOCKER_AUTH, PROJECT_STORAGE_DIR))
    return load_backend("local").run(
        os.path.relpath(PROJECT),  # MLflow takes `#` in a path for the beginning of a URI's fragment
        stage,
        given,
        None,
        config,
        mlflow.get_tracking_uri(),
        experiment_id,
    )


def _start_installed(stage: str, given: Mapping[str, str], experiment_id: str) -> LocalSubmittedRun:
    """Begin what the entry point would be: MLflow's backend would run it in the folder of the installed package."""
    client, parent = mlflow.MlflowClient(), mlflow.active_run()
    tags = {
        MLFLOW_USER: parent.data.tags.get(MLFLOW_USER, ""),
        MLFLOW_PARENT_RUN_ID: parent.info.run_id,
        MLFLOW_PROJECT_ENTRY_POINT: stage,
        MLFLOW_SOURCE_NAME: str(PROJECT),
        MLFLOW_SOURCE_TYPE: SourceType.to_string(SourceType.PROJECT),
    }
    run = client.create_run(experiment_id, tags=tags)
    client.log_batch(run.info.run_id, params=[Param(*each) for each in given.items()])
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    return LocalSubmittedRun(
        run.info.run_id,
        subprocess.Popen(  # -P: a folder named `pipeline` in the working directory is not this package
            [sys.executable, "-P", "-m", "pipeline", stage, *flags],
            env={**os.environ, **get_run_env_vars(run.info.run_id, experiment_id)},
        ),
    )


def _told(stage: str, code: int) -> tuple[int, str]:
    """Return the exit code to end with, and what is left to say about a process that ended with `code`."""
    killed = -code if code < 0 else code - _BY_SIGNAL
    if killed not in set(signal.Signals):
        return code if code > 0 else _BY_SIGNAL - code, ""
    memory = ", as the system does where memory runs out" if killed == signal.SIGKILL else ""
    name = signal.Signals(killed).name
    reason = f"{stage}: its process was ended by {name}{memory}; run the same command again to continue"
    return (1 if killed in _UNTOLD else _BY_SIGNAL + killed), reason


def _end_run(run_id: str, status: str) -> None:
    """End the run of a process that is gone, unless it has done so itself."""
    with last_word():
        client = mlflow.MlflowClient()
        if client.get_run(run_id).info.status in ("RUNNING", "FAILED"):
            client.set_terminated(run_id, status)
