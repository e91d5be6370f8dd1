"""A tiny chain that faults disturb, what must be the same afterwards, and what came of a fault."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.tracking.integrity import is_intact
from tests.e2e.project import PATIENCE, Project, command

TINY = {
    "data": "digits",
    "model": "mlp",
    "epochs": "1",
    "refine": "off",
    "budget": "20",
    "trials": "2",
    "confirm_seeds": "2",
    "seeds": "1",
    "top_k": "1",
    "schemes": "constant,cosine",
}
"""The options of a search that takes seconds, confirmation included."""

STAGES = ("prepare", "range_test", "search", "train", "report")
PREPARE = command("prepare")
HERE = ("--env-manager", "local", "--experiment-name", "lr-pipeline")
PREPARE_BY_MLFLOW = ("mlflow", "run", ".", "-e", "prepare", *HERE, "-P", "data=digits")

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        lost: what was not as it must be; "" if everything was.
        repeated: how many finished trainings were made again.
        seconds: until the line that says what happened, or None where no process was left to say it.

    """

    lost: str = ""
    repeated: int = 0
    seconds: float | None = None


class Bench:
    """Projects to disturb, and the answer of one that nothing has disturbed.

    Attributes:
        command: the command that is disturbed.
        by_mlflow: the same by `mlflow run`.
        seconds: how long it took to begin its first stage, under "main", and each stage's process then.
        answer: what it must find.

    """

    def __init__(self, folder: Path, entry_point: str = "main", options: Mapping[str, str] = TINY) -> None:
        """Run the command undisturbed."""
        given = [part for name, value in options.items() for part in ("-P", f"{name}={value}")]
        self.command = command(entry_point, **options)
        self.by_mlflow = ("mlflow", "run", ".", "-e", entry_point, *HERE, *given)
        self.folder = folder
        self._numbers = count()
        self._reference, self._kept = folder / "reference", folder / "kept"
        project = self.fresh("reference")
        self.seconds = _lifetimes(project.start(*self.command))
        self.answer = answer(project.client)
        shutil.copytree(self._reference, self._kept)

    def fresh(self, name: str = "") -> Project:
        """Return a project in which nothing has been run."""
        folder = self.folder / (name or f"project-{next(self._numbers)}")
        folder.mkdir()
        return Project.copied_to(folder)

    def finished(self) -> Project:
        """Return the undisturbed project as it was at its end; where it lies is part of its store."""
        shutil.rmtree(self._reference)
        shutil.copytree(self._kept, self._reference)
        return Project(self._reference, 1 + next(self._numbers))


def stage_process(process: subprocess.Popen[str], stages: Sequence[str]) -> psutil.Process | None:
    """Return the process of a stage below a command, if it is there."""
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            line = child.cmdline()
            if "pipeline" in line and line[line.index("pipeline") + 1] in stages:
                return child
    except psutil.NoSuchProcess:
        pass
    return None


def wait_for(process: subprocess.Popen[str], stage: str, seconds: float = 0.0) -> None:
    """Wait until a command has begun a stage, or a later one, and for so many seconds more."""
    deadline = time.monotonic() + PATIENCE
    while stage_process(process, STAGES[STAGES.index(stage) :]) is None:
        assert process.poll() is None, f"ended before {stage}: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)


def _lifetimes(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return how long a command was at work before its first stage, and how long each stage's process was there."""
    begun, seen = time.monotonic(), dict[str, tuple[float, float]]()
    while process.poll() is None:
        for stage in STAGES:
            if stage_process(process, (stage,)):
                now = time.monotonic()
                seen[stage] = (seen.get(stage, (now, now))[0], now)
        time.sleep(0.05)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return {"main": seen["prepare"][0] - begun} | {stage: last - first for stage, (first, last) in seen.items()}


_TABLES = {"range_test": ("range_test.csv",), "search": ("trials.csv", "leaderboard.csv")}
_RESULTS = ("winner", "baselines", "suggested_lr", "test_loss", "val_loss")


def answer(client: MlflowClient) -> Answer:
    """Return what must be the same to the last digit, however often the chain was disturbed: results and curves.

    Only what is intact counts: what a fault has damaged must have been made again.
    """
    runs, found = _runs(client), dict[str, Any]()
    stages = [run for run in _made(runs) if "pipeline.role" not in run.data.tags]
    intact = {
        run.data.tags.get("pipeline.stage"): folder for run in reversed(stages) if (folder := _folder(client, run))
    }
    for stage, folder in intact.items():
        for file in _TABLES.get(stage, ()):
            found[f"{stage}/{file}"] = pd.read_csv(folder / file).drop(columns="seconds", errors="ignore").to_csv()
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found |= {f"{stage}/{key}": result[key] for key in _RESULTS if key in result}
    for run in _trainings(runs):
        if folder := _folder(client, run):
            found[run.data.tags["pipeline.fingerprint"]] = (folder / "lr_curve.csv").read_bytes()
    return found


def repeated(client: MlflowClient) -> int:
    """Return how many finished trainings were made again."""
    made = Counter(run.data.tags["pipeline.fingerprint"] for run in _trainings(_runs(client)))
    return sum(made.values()) - len(made)


def _runs(client: MlflowClient) -> list[Run]:
    """Return all runs, newest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, max_results=5_000))


def _made(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.info.status == "FINISHED" and "pipeline.cached" not in run.data.tags]


def _trainings(runs: Sequence[Run]) -> list[Run]:
    return [run for run in _made(runs) if "pipeline.role" in run.data.tags]


def _folder(client: MlflowClient, run: Run) -> Path | None:
    """Return the artifacts of a run; None if any are missing or changed."""
    try:
        folder = Path(download_artifacts(run_id=run.info.run_id, tracking_uri=client.tracking_uri))
    except (MlflowException, OSError):
        return None
    return folder if is_intact(folder) else None


def expect_same_answer(bench: Bench, client: MlflowClient) -> None:
    """Raise AssertionError unless the newest answer is the undisturbed one, and no run is left RUNNING."""
    found = answer(client)
    different = [key for key in {*found, *bench.answer} if found.get(key) != bench.answer.get(key)]
    assert not different, f"other than undisturbed: {', '.join(sorted(different)[:3])}"
    expect_none_running(client)


def expect_none_running(client: MlflowClient) -> None:
    """Raise AssertionError if a run is left RUNNING."""
    running = [run.info.run_name for run in _runs(client) if run.info.status == "RUNNING"]
    assert not running, f"still RUNNING: {', '.join(running)}"


def ended(process: subprocess.Popen[str], code: int | Sequence[int], since: float) -> tuple[str, float]:
    """Wait for a command and everything below it to end, and check its code.

    Returns:
        the one line that it must have left on standard error, and the seconds since it could know.

    """
    out, err = process.communicate(timeout=PATIENCE)  # returns once nobody holds the pipes any more
    seconds = time.monotonic() - since
    assert "Traceback" not in out + err, f"a traceback: {err[-300:]}"
    codes = (code,) if isinstance(code, int) else code
    assert process.returncode in codes, f"code {process.returncode}, not {codes}: {err[-300:]}"
    lines = [line for line in err.splitlines() if line.startswith("lr-pipeline: ") and not _is_news(line)]
    assert len(lines) == (process.returncode > 0), f"{len(lines)} lines: {err[-500:]}"
    return (lines[-1] if lines else ""), seconds


def _is_news(line: str) -> bool:
    """Return whether a line says that something goes on, rather than why the command ended."""
    return "asked again" in line or "are logged" in line


def as_owner() -> Sequence[str]:
    """Return what lets root write only what its owner may; nothing for others."""
    if os.geteuid() != 0:
        return ()
    capabilities = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
