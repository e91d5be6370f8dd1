"""What workers cost and gain on this machine: nothing simulated.

    python -m benchmarks.scale_workers overhead [--evaluations 1000] [--workers 2]
    python -m benchmarks.scale_workers throughput [--work NAME ...] [--rounds 3]

`overhead` asks for evaluations that train nothing: of two workers, by way of Dask, and of a function in this process.
`throughput` trains the same evaluations in this process, on one worker and on two, in turn, and compares the trainings
a minute. Each has trained once before, so that its network is built.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

from benchmarks.soak import busy
from pipeline import cluster, datasets
from pipeline.cluster import connection, working
from pipeline.config import RangeTestOptions
from pipeline.evaluation import Ask, Candidate, Evaluation, Training, answers
from pipeline.training import executor_for

COSINE = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=50, params={})


@dataclass(frozen=True)
class Work:
    """A network, its data and its trainings."""

    data: str
    model: str
    epochs: int
    trainings: int


WORK = {
    "digits": Work("digits", "mlp", 20, 20),
    "mnist-5k": Work("mnist-5k", "cnn", 2, 4),
    "long": Work("mnist-5k", "cnn", 36, 2),
}


def empty(job: cluster.Job, evaluation: Evaluation, *_: object) -> Training:
    """Answer in the place of a training, as a task of Dask's."""
    from distributed import get_worker

    worker = get_worker()
    worker.log_event(working.BEGUN, {"key": worker.get_current_task(), "worker": worker.address})
    return nothing(evaluation)


def nothing(evaluation: Evaluation) -> Training:
    """Return a training of usual size that was not made."""
    curve = np.zeros(1_000, np.float32)
    return Training(curve, curve, {"val_loss": (0.5,)}, 100, 100, "", 1e-3, 1_000)


def here(evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
    """Answer in this process."""
    for evaluation in evaluations:
        yield evaluation, nothing(evaluation)


def on_workers(work: Work, number: int, folder: Path) -> tuple[Ask, Ask]:
    """Return what trains in this process, and what trains on so many workers."""
    options = RangeTestOptions(data=work.data, model=work.model, epochs=work.epochs, workers=number)
    splits = datasets.split(datasets.load(work.data), 0)
    path = folder / f"{work.data}.npz"
    datasets.save(splits, path)
    executor = executor_for(options, splits)
    return executor.ask, cluster.workers_for(options, cluster.job_for(options, path, executor), print).ask


def overhead(evaluations: int, workers: int) -> None:
    """Print what an evaluation costs beyond its training."""
    asked = Evaluation(COSINE, 1, 0).spread(range(evaluations), 1)
    with tempfile.TemporaryDirectory() as folder:
        _, ask = on_workers(WORK["digits"], workers, Path(folder))
        trains, working.answer = working.answer, empty  # type: ignore[assignment]
        print("| asked of | ms an evaluation | of processor time, all processes |")
        print("| --- | --- | --- |")
        for name, own in (("a function in this process", here), (f"{workers} workers, by Dask", ask)):
            answers(own, Evaluation(COSINE, 2, 0).spread(range(20), 1))
            started, worked = time.perf_counter(), busy()
            answers(own, asked)
            spent = (time.perf_counter() - started, busy() - worked)
            print(f"| {name} | {' | '.join(f'{1e3 * one / evaluations:.2f}' for one in spent)} |", flush=True)
        working.answer = trains
        _end()


def throughput(names: Sequence[str], rounds: int) -> None:
    """Print the trainings a minute of this process, of one worker and of two."""
    print("| work | s a training | this process, trainings a minute | 1 worker, times that | 2 workers, times that |")
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        work, times = WORK[name], list[list[float]]()
        with tempfile.TemporaryDirectory() as folder:
            alone, one = on_workers(work, 1, Path(folder))
            _, two = on_workers(work, 2, Path(folder))
            for at in range(-1, rounds):
                row = []
                for ask in (alone, one, two):
                    asked = Evaluation(COSINE, work.epochs, 0).spread(range(work.trainings if at >= 0 else 2), 1)
                    started = time.perf_counter()
                    answers(ask, [replace(evaluation, seed=evaluation.seed + 100 * (at + 1)) for evaluation in asked])
                    row.append(time.perf_counter() - started)
                if at >= 0:
                    times.append(row)
            _end()
        own, *others = (median(column) for column in zip(*times, strict=True))
        ratios = " | ".join(f"{own / other:.2f}" for other in others)
        what = f"`{work.model}`, {work.data}, {work.epochs} epochs"
        each = own / work.trainings
        print(f"| {what} | {each:.2f} | {60 / each:.1f} | {ratios} |", flush=True)


def _end() -> None:
    for number in (1, 2):
        key = number, None
        if key in connection._open:
            connection._open.pop(key).close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is named first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    kinds = parser.add_subparsers(dest="what", required=True)
    one = kinds.add_parser("overhead")
    one.add_argument("--evaluations", type=int, default=1_000)
    one.add_argument("--workers", type=int, default=2)
    other = kinds.add_parser("throughput")
    other.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    other.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    load = psutil.getloadavg()[0]
    if options.what == "overhead":
        overhead(options.evaluations, options.workers)
    else:
        throughput(options.work, options.rounds)
    print(f"\n{os.cpu_count()} cores; load of the machine before: {load:.1f}.")


if __name__ == "__main__":
    main()
