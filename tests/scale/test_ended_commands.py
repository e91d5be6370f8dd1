"""A command that is interrupted or killed takes its workers with it, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.e2e.project import Project
from tests.e2e.project import command as words
from tests.scale.processes import ROOT

pytestmark = pytest.mark.slow

GIVEN: dict[str, Any] = {"epochs": 40, "seeds": 4, "scheme": "cosine", "initial_lr": 0.05, "precision": "float32"}


def start(folder: Path) -> subprocess.Popen[str]:
    """Start the command in a folder with a store of its own, as the first process of a terminal's group."""
    return subprocess.Popen(
        [sys.executable, *words("train", **GIVEN, workers=2, verbose="true")[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def until_trained(command: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait for the line about the next training, and return the processes below the command."""
    assert command.stdout is not None
    assert any("seed=" in line for line in command.stdout)
    below: list[psutil.Process] = psutil.Process(command.pid).children(recursive=True)
    assert len(below) >= 2
    return below


def end(below: list[psutil.Process], within: float) -> bool:
    """Return whether processes end within some seconds; nobody may be there to take note of it."""

    def at_work(process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            return bool(process.status() != psutil.STATUS_ZOMBIE)
        return False

    deadline = time.monotonic() + within
    while any(map(at_work, below)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(at_work, below))


def test_an_ended_command_leaves_no_worker_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C reaches the workers too and ends all within seconds, by one line; SIGKILL leaves no worker either."""
    Project(tmp_path).here("prepare")
    command = start(tmp_path)
    below = until_trained(command)
    begun = time.monotonic()
    os.killpg(command.pid, signal.SIGINT)
    said, _ = command.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert command.returncode == 130
    assert said.count("interrupted; run the same command again to continue") == 1
    assert "Traceback" not in said
    assert end(below, within=1)

    command = start(tmp_path)
    below = until_trained(command)
    command.kill()
    assert end(below, within=5)

    Project(tmp_path).here("train", **GIVEN)  # without workers, which change nothing about trainings
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'lr-pipeline'")
    runs = client.search_runs([experiment.experiment_id], "tags.`pipeline.role` = 'final'")
    made = [run.info.run_name for run in runs if "pipeline.cached" not in run.data.tags]
    assert sorted(made) == [f"cosine lr=0.05 seed={seed}" for seed in range(4)]
