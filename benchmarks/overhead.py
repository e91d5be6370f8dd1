"""Time that the chain and its tracking cost beyond computing.

    python -m benchmarks.overhead chain [--runs 3] [--stage main] [OPTIONS OF THE STAGE]
    python -m benchmarks.overhead logging [--data mnist-5k] [--model cnn] [--epochs 2] [--pairs 10]

`chain` runs the whole chain in an empty copy of the project, then again with everything to reuse. Computing is the time
of all sweeps and trainings; the rest of the wall time is the overhead: processes, imports, tracking, finding what can
be reused. Without options it is a small search on digits.

`logging` runs the same trainings with and without logging in turn, as the search logs a trial, on MLflow's own SQLite
store. Nothing is logged while a training runs, so the cost is the difference between the total times.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from mlflow.tracking import MlflowClient

from pipeline.evaluation import Candidate, Evaluation, answers

ROOT = Path(__file__).resolve().parents[1]
FILES = ("MLproject", "conda.yaml", "requirements.lock")
SMALL = (
    "--data digits --model mlp --epochs 3 --schemes constant,cosine --trials 3 --top-k 2 --confirm-seeds 2 --seeds 2"
)


def chain(arguments: Sequence[str]) -> None:
    """Print the seconds to the help text, and the chain's wall time, computing and overhead."""
    parser = argparse.ArgumentParser(prog="overhead chain", description=chain.__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stage", default="main", help="another stage; the stages before it run too")
    options, given = parser.parse_known_args(arguments)
    given = given or SMALL.split()
    helps = [_seconds([sys.executable, "-m", "pipeline", "--help"], ROOT) for _ in range(1 + options.runs)]
    print(f"python -m pipeline --help: median {median(helps):.2f} s of {len(helps)}")
    print(f"{options.stage} {' '.join(given)}, runs: {options.runs}")
    cold, cached = [], []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            project = _copy(Path(folder))
            command = [sys.executable, "-m", "pipeline", options.stage, *given]
            wall = _seconds(command, project)
            computing = _computing(project)
            cold.append(wall - computing)
            cached.append(_seconds(command, project))
            print(f"  cold: {wall:.1f} s, of which computing {computing:.1f} s, overhead {cold[-1]:.1f} s", end="; ")
            print(f"cached: {cached[-1]:.1f} s", flush=True)
    print(f"median overhead: cold {median(cold):.1f} s, cached {median(cached):.1f} s")


def _copy(folder: Path) -> Path:
    """Copy the project with its byte code, like a folder in which it has been used before."""
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    shutil.copytree(ROOT / "pipeline", folder / "pipeline")
    return folder


def _seconds(command: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def _computing(project: Path) -> float:
    """Return the seconds of all sweeps and trainings, read from their runs."""
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    stages = {run.info.run_id: run.data.tags["pipeline.stage"] for run in runs}
    seconds = 0.0
    for run in runs:
        if stages.get(run.data.tags.get("mlflow.parentRunId", "")) in ("search", "train"):
            seconds += run.data.metrics["train_seconds"]
        if stages[run.info.run_id] == "range_test":
            result = Path(run.info.artifact_uri.removeprefix("file://")) / "result.json"
            seconds += json.loads(result.read_text(encoding="utf-8"))["seconds"]
    return seconds


def logging(arguments: Sequence[str]) -> None:
    """Train in pairs and print how much longer the logged training took."""
    parser = argparse.ArgumentParser(prog="overhead logging", description=logging.__doc__)
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args(arguments)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where the store is made
        try:
            alone, logged, calls = _in_pairs(options)
        finally:
            os.chdir(before)
    added = logged - alone
    print(
        f"{options.model} on {options.data}, batch {options.batch_size}, {options.epochs} epochs, {options.pairs} pairs"
    )
    print(f"  without logging {np.median(alone):.2f} s, with it {np.median(logged):.2f} s")
    print(f"  added: median {np.median(added):+.3f} s, {added.min():+.3f} to {added.max():+.3f}")
    print(f"  of which in the logging call: median {np.median(calls):.3f} s, at most {calls.max():.3f} s")
    print(f"  share of a training: {np.median(calls / alone):.1%}")


def _in_pairs(options: argparse.Namespace) -> np.ndarray:
    """Return three rows of seconds, one column per pair: a training alone, one with logging, and its logging alone."""
    from pipeline import datasets
    from pipeline.models import builder
    from pipeline.reporting.training_figures import lr_curve
    from pipeline.tracking import Label, Store, TrainingLog
    from pipeline.training import InProcess, Problem

    splits = datasets.split(datasets.load(options.data), seed=0)
    build = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executor, store = InProcess(Problem(build, splits, momentum=0.9, precision="float32")), Store("benchmark")
    cosine = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=options.batch_size, params={})
    gc.freeze()  # as a stage does once its libraries are loaded
    rows = []
    with store.stage_run("search", "benchmark", {}) as run:
        log = TrainingLog(store, run, "benchmark", lr_curve)
        for seed in (0, *range(options.pairs)):  # the first pair only traces
            asked = Evaluation(cosine, options.epochs, seed)
            started = time.perf_counter()
            answers(executor.ask, [asked])
            between = time.perf_counter()
            (training,) = answers(executor.ask, [asked])
            trained = time.perf_counter()
            log.log(asked, training, Label("trial", asked.name, "trial"))
            ended = time.perf_counter()
            rows.append((between - started, ended - between, ended - trained))
    return np.array(rows[1:]).T


MEASURED = {"chain": chain, "logging": logging}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chain or the logging."""
    what, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or [""]
    if what not in MEASURED:
        sys.exit(f"received {what or 'nothing'}, expected {' or '.join(MEASURED)} first\n{__doc__}")
    MEASURED[what](rest)


if __name__ == "__main__":
    main()
