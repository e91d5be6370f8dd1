"""What hundreds of trainings in one process leave behind: memory, open files, and slower work.

    python -m benchmarks.soak [--trainings 500] [--every 50] [--server]

Trains `mlp` on digits, each time at another rate and from another seed, and logs each training, on a SQLite store or on
an MLflow server on loopback. A row of the table has what the process holds, and processor time, the server's included:
medians since the row before of a training and of its logging, then opening the store as each command does, and finding
all trainings.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
import psutil

from pipeline import datasets
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.models import builder
from pipeline.reporting.training_figures import lr_curve
from pipeline.tracking import Label, Store, TrainingLog
from pipeline.training import InProcess, Problem

BATCH, EPOCHS, CONTEXT = 32, 5, "soak"
_PATIENCE = 120.0
"""Seconds for a server to answer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for every so many trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trainings", type=int, default=500)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--server", action="store_true", help="log to an MLflow server instead of a SQLite file")
    options = parser.parse_args(arguments)
    print("| trainings | memory, MiB | open files | a training, ms | its logging, ms | opening, ms | finding all, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with store(options.server):
        soak(options.trainings, options.every)


def soak(trainings: int, every: int) -> None:
    """Train and log, and print a row after every so many trainings."""
    splits = datasets.split(datasets.load("digits"), seed=0)
    build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executor, store = InProcess(Problem(build, splits, momentum=0.9, precision="float32")), Store(CONTEXT)
    with store.stage_run("search", CONTEXT, {}) as run:
        log, seconds = TrainingLog(store, run, CONTEXT, lr_curve), []
        for count in range(1, trainings + 1):
            rate = 0.01 + 0.04 * count / trainings
            cosine = Candidate(scheme="cosine", initial_lr=rate, optimizer="sgd", batch_size=BATCH, params={})
            asked = Evaluation(cosine, EPOCHS, count)
            started = busy()
            (training,) = answers(executor.ask, [asked])
            trained = busy()
            log.log(asked, training, Label("trial", asked.name, "trial"))
            seconds.append((trained - started, busy() - trained))
            if count % every == 0:
                process = psutil.Process()
                taken = [median(part) for part in zip(*seconds, strict=True)]
                taken += [_each(lambda: Store(CONTEXT).end_dead_runs()), _each(lambda: store.trainings(CONTEXT))]
                held = f"{process.memory_info().rss / 2**20:.0f} | {process.num_fds()}"
                print(f"| {count} | {held} | {' | '.join(f'{1e3 * one:.0f}' for one in taken)} |", flush=True)
                seconds.clear()


def _each(work: Callable[[], object], times: int = 10) -> float:
    started = busy()
    for _ in range(times):
        work()
    return (busy() - started) / times


def busy() -> float:
    """Return the processor time of this process and of those it has started, which other work does not lengthen."""
    others = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return time.process_time() + float(sum(one.user + one.system for one in others))


@contextmanager
def store(server: bool) -> Iterator[None]:
    """Work in a new folder, where the store is made, and the server's too."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        process = _served() if server else None
        try:
            yield
        finally:
            os.chdir(before)
            if process is not None:
                end(process)


def _served() -> subprocess.Popen[bytes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", address.rpartition(":")[2]]
    variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _PATIENCE
    while not _listens(address):
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            sys.exit("the server does not answer")
        time.sleep(0.2)
    mlflow.set_tracking_uri(address)
    return process


def _listens(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with those that it has started."""
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    process.wait()


if __name__ == "__main__":
    main()
