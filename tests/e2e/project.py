"""A copy of the project in a folder of its own, used as a user would: by commands and the tracking store."""

import atexit
import compileall
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import mlflow
import psutil
from mlflow.entities import Param, Run
from mlflow.tracking import MlflowClient

from pipeline import chain, cli
from pipeline.config import Layered, validated
from pipeline.stages import table
from pipeline.tracking import projects
from pipeline.tracking.sqlite_store import ensure_store
from tests.bad_input.harness import own_signals

ROOT = Path(__file__).resolve().parents[2]
FILES = ("MLproject", "conda.yaml", "requirements.lock")

SMALL = {
    "data": "digits",
    "model": "mlp",
    "epochs": "2",
    "refine": "cosine",
    "budget": "60",
    "trials": "3",
    "confirm_seeds": "2",
    "seeds": "2",
    "top_k": "1",
    "schemes": "constant,cosine",
}
"""The options of the smallest meaningful search."""

PATIENCE = 600.0
"""Seconds after which a command that is still running has failed."""


@dataclass(frozen=True)
class Project:
    """The commands of a copied project, and their results in its tracking store.

    `generation` counts how often the folder was put back: MLflow would go on reading the file that was there before.
    """

    folder: Path
    generation: int = 0

    @classmethod
    def copied_to(cls, folder: Path) -> "Project":
        """Copy what a user gets, with its byte code, without runs and reports."""
        _compile_once()
        for file in FILES:
            shutil.copy(ROOT / file, folder)
        shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("*.pyc.*"))
        return cls(folder)

    @property
    def client(self) -> MlflowClient:
        """Return an MLflow client of the default store in the folder."""
        again = f"?timeout={60 + self.generation}" if self.generation else ""
        return MlflowClient(f"sqlite:///{self.folder}/mlflow.db{again}")

    def start(self, *command: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command as in a user's shell with the environment activated, and these variables set."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON", "PYTEST"))}
        environment = {
            **kept,
            **(variables or {}),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(
        self, *command: str, code: int = 0, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        process = self.start(*command, variables=variables)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, f"{command} ended with {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(command, code, out, err)

    def pipeline(self, stage: str, code: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
        """Run `python -m pipeline STAGE` with the small options, overridden by `options`."""
        return self.run(*command(stage, **options), code=code)

    def here(
        self, stage: str, code: int = 0, store: str = "", apart: bool = False, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Do as `pipeline`, but in this process, with the stages that the command starts; it need not be a copy.

        For what is not about processes: each spends some five seconds on imports. `store` is the URI of another store.
        With `apart`, the stages have processes of their own all the same, whose output is not in what is returned.
        """
        arguments, out, err = command(stage, **options)[3:], io.StringIO(), io.StringIO()
        if not store and not any(self.folder.glob("*mlflow*")):
            shutil.copy(_empty_store(), self.folder / "mlflow.db")
        with (
            _at_work_in(self.folder, store or f"sqlite:///{self.folder}/mlflow.db", apart),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            ended = cli.main(arguments)
        assert ended == code, f"{arguments} ended with {ended}\n{out.getvalue()}\n{err.getvalue()}"
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def runs(self, stage: str, parent: str | None = None, status: str | None = None) -> list[Run]:
        """Return the runs of a stage, oldest first."""
        experiment = self.client.get_experiment_by_name("lr-pipeline")
        if experiment is None:
            return []
        found = self.client.search_runs([experiment.experiment_id], f"tags.`pipeline.stage` = '{stage}'")
        return [
            run
            for run in reversed(found)
            if status in (None, run.info.status) and parent in (None, run.data.tags.get("mlflow.parentRunId"))
        ]

    def statuses(self) -> set[str]:
        """Return the statuses of all runs in the store."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return {run.info.status for run in self.client.search_runs(experiments)}

    def artifacts(self, run: Run) -> Path:
        """Return the folder with a run's artifacts."""
        return Path(run.info.artifact_uri.removeprefix("file://"))

    def wait_for_trainings(self, process: subprocess.Popen[str], count: int) -> None:
        """Wait, like `wait_for_trials`, until so many trainings of the articles' experiments have finished."""
        self._wait(process, count, ("experiment",))

    def wait_for_trials(self, process: subprocess.Popen[str], count: int) -> None:
        """Wait until so many trainings of searches have finished, while the process is at work on them.

        The database is only read: MLflow's client would help set up the store, which two must not do at once.
        """
        self._wait(process, count, ("trial", "confirmation"))

    def _wait(self, process: subprocess.Popen[str], count: int, roles: Sequence[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._finished_trainings(roles) < count:
            assert process.poll() is None, f"ended before it could be interrupted:\n{process.communicate()}"
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _finished_trainings(self, roles: Sequence[str]) -> int:
        query = f"""SELECT COUNT(*) FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'pipeline.role'
            AND tags.value IN ({", ".join("?" * len(roles))}) AND runs.status = 'FINISHED'"""
        try:
            with closing(sqlite3.connect(f"file:{self.folder}/mlflow.db?mode=ro", uri=True)) as database:
                return int(database.execute(query, roles).fetchone()[0])
        except sqlite3.OperationalError:  # not set up yet
            return 0


@cache
def _compile_once() -> None:
    """Leave byte code beside the sources: without it the first commands in each copy compile for seconds.

    It is written under another name, `*.pyc.*`, and renamed, so that others who read it see all of it or nothing.
    """
    compileall.compile_dir(ROOT / "pipeline", quiet=2)


@cache
def _empty_store() -> Path:
    """Return a store in which nothing has run: to set one up takes MLflow a second."""
    path = Path(tempfile.mkdtemp()) / "mlflow.db"
    atexit.register(shutil.rmtree, path.parent)
    ensure_store(path, "mlruns")
    return path


def command(stage: str, **options: object) -> Sequence[str]:
    """Return the command line of a stage with those small options that it knows, overridden by `options`."""
    known = cli.COMMANDS[stage][0].model_fields
    given = {name: value for name, value in SMALL.items() if name in known} | options
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    return ("python", "-m", "pipeline", stage, *flags)


@contextmanager
def _at_work_in(folder: Path, store: str, apart: bool) -> Iterator[None]:
    """Let commands in this process use a folder and a store, and leave no settings behind."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    mlflow.set_tracking_uri(None)
    with (
        chdir(folder),
        own_signals(),
        patch.dict(
            os.environ,
            kept | {"MLFLOW_TRACKING_URI": store, "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.01"},
            clear=True,
        ),
        patch.object(projects, "_start", projects._start if apart else _start_here),
    ):
        table._source_digest.cache_clear()  # kept for the one command that a process is for
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)
            for name in [name for name, module in sys.modules.items() if _lies_in(folder, module)]:
                del sys.modules[name]


def _lies_in(folder: Path, module: ModuleType) -> bool:
    return Path(getattr(module, "__file__", None) or "").is_relative_to(folder)


def _start_here(stage: str, given: Mapping[str, str], experiment_id: str) -> SimpleNamespace:
    """Run a stage below the active run to its end, in a thread, since MLflow keeps an active run for each."""
    tags = {"mlflow.parentRunId": mlflow.active_run().info.run_id, "mlflow.project.entryPoint": stage}
    run_id = MlflowClient().create_run(experiment_id, tags=tags).info.run_id
    MlflowClient().log_batch(run_id, params=[Param(*each) for each in given.items()])
    os.environ["MLFLOW_RUN_ID"] = run_id
    handed_over = Layered(validated(cli.COMMANDS[stage][0], given), {})
    with ThreadPoolExecutor(1) as thread:
        thread.submit(chain.run_stage, stage, handed_over).result()
    return SimpleNamespace(run_id=run_id, command_proc=SimpleNamespace(wait=lambda: 0))


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a command and everything it started at once, as a power cut would."""
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in tree:
        one.send_signal(signal.SIGSTOP)  # so that none of them sees another die
    for one in tree:
        one.kill()
    process.communicate(timeout=PATIENCE)
    psutil.wait_procs(tree, timeout=PATIENCE)
