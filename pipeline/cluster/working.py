"""What runs on a worker: one training after another, on networks and data that it keeps in between."""

import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import interruption
from pipeline.config import RangeTestOptions
from pipeline.console import native_messages_hidden
from pipeline.errors import InputError, refusal
from pipeline.evaluation import Evaluation, Training
from pipeline.files import whole_file
from pipeline.keras_settings import settle
from pipeline.loading import quick_imports

if TYPE_CHECKING:  # they load TensorFlow, whose settings a job may still change
    from pipeline.cluster.job import Job
    from pipeline.training import InProcess

BEGUN = "lr-pipeline-begun"
"""The topic of Dask's events for tasks that a worker has begun, and again where it then begins to train."""

_KEPT = 4
"""Most networks with their data that a worker keeps."""

_executors: dict[str, "InProcess"] = {}

_loaded: dict[str, str] = {}
"""What identifies the code that this process has loaded, as its files were then."""


@dataclass(frozen=True)
class NoData:
    """The answer of a worker that does not have the job's data: the address to send them to."""

    worker: str


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the command: Dask calls this in the processes that the command starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def draw_apart() -> None:
    """Give Dask random numbers of its own.

    Its threads draw from Python's global generator, as when they estimate the size of a result, and so between the
    seeding of a network and its first layer.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("dask", "distributed", "tornado") and getattr(module, "random", None) is random:
            module.random = random.Random()  # type: ignore[attr-defined] # nosec B311 # no secrets


def answer(
    job: "Job", evaluation: Evaluation, local: int = 0, kept: tuple[Path, str, float] | None = None
) -> Training | NoData | None:
    """Train, as a task of Dask's.

    Args:
        job: what to train on.
        evaluation: what to train.
        local: how many workers of this machine the command has started; 0 if they are of a cluster.
        kept: folder, context and seconds of `Checkpoints`, if trainings keep their state.

    Returns:
        The training; None if `stop` ended it.

    Raises:
        InputError: if the training would not give the numbers that it gives in the process which asks.

    """
    from distributed import get_worker  # the process that asks needs this module too, not all of Dask

    worker = get_worker()
    begun = {"key": worker.get_current_task(), "worker": worker.address}
    try:
        worker.log_event(BEGUN, {**begun, "trains": False})
        if job.key not in _executors:
            path = _data(job, worker)
            if path is None:
                return NoData(worker.address)
            with _named(worker):
                _start_tensorflow(job, worker, local)
                while len(_executors) >= _KEPT:
                    del _executors[next(iter(_executors))]
                _executors[job.key] = _set_up(job, path)
        worker.log_event(BEGUN, {**begun, "trains": True})
        from pipeline.training import Checkpoints

        checkpoints = Checkpoints(*kept, tell=lambda line: None) if kept else None
        _, training = next(_executors[job.key].ask([evaluation], checkpoints=checkpoints))
    except interruption.Signalled:
        return None
    finally:
        interruption.take()
    return training


def keep(digest: str, content: bytes, dask_worker: Any) -> None:
    """Keep data in the worker's own folder."""
    with whole_file(_kept(digest, dask_worker)) as file:
        file.write(content)


def has(digest: str, dask_worker: Any) -> bool:
    """Return whether data are in the worker's own folder."""
    return _kept(digest, dask_worker).is_file()


async def stop(keys: list[str], dask_worker: Any) -> None:
    """End the training at work soon, if it belongs to one of these tasks; nobody waits for that."""
    if set(dask_worker.active_threads.values()).intersection(keys):
        interruption.stop()


def _kept(digest: str, worker: Any) -> Path:
    return Path(worker.local_directory) / f"{digest}.npz"


def _data(job: "Job", worker: Any) -> Path | None:
    """Return where the job's data are on this machine, if they are."""
    from pipeline.cluster.job import digest_of

    kept = _kept(job.digest, worker)
    if kept.is_file():
        return kept
    return job.data if job.data.is_file() and digest_of(job.data) == job.digest else None


@contextmanager
def _named(worker: Any) -> Iterator[None]:
    """Begin the line of a refusal with the worker that it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"worker {worker.address}: {error}") from error


def _start_tensorflow(job: "Job", worker: Any, local: int) -> None:
    """Load TensorFlow with the job's settings, or see that it was loaded with them."""
    draw_apart()
    if worker.state.nthreads > 1:
        raise refusal("threads", worker.state.nthreads, "one training at a time, as with dask worker --nthreads 1")
    if "tensorflow" not in sys.modules:
        os.environ.update(job.settings)
        settle(job.options.deterministic)
        if local:
            _take_share(int(worker.name), local)
    with native_messages_hidden(), quick_imports():
        threading = import_module("tensorflow").config.threading
    try:
        threading.set_intra_op_parallelism_threads(job.threads)
        threading.set_inter_op_parallelism_threads(job.threads)
    except RuntimeError as error:
        received = threading.get_intra_op_parallelism_threads()
        accepted = (
            f"{job.threads}, as where the command runs; they are chosen as the worker first trains: start it anew"
        )
        raise refusal("TensorFlow's threads", received, accepted) from error


def _take_share(number: int, workers: int) -> None:
    """Take one of this machine's GPUs, and some of its cores, which leaves the number of TensorFlow's threads alone."""
    if gpus := visible_gpus():
        if number >= len(gpus):
            raise refusal("workers", workers, f"at most {len(gpus)}, one for each GPU")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number]
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        first, last = (len(cores) * at // workers for at in (number, number + 1))
        os.sched_setaffinity(0, cores[first:last] or [cores[number % len(cores)]])


def visible_gpus() -> list[str]:
    """Return the numbers of this machine's GPUs that this process may use, without asking TensorFlow."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    return [path.name.removeprefix("nvidia") for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]


def _set_up(job: "Job", data: Path) -> "InProcess":
    """Return the executor for a job, where it trains as that of the process which asks."""
    _compare(loaded_code(job.options), job.facts)
    with quick_imports():
        from pipeline.datasets import load_splits
        from pipeline.training import executor_for

    executor = executor_for(job.options, load_splits(data))
    _compare(executor.conditions(), job.facts)
    return executor


def loaded_code(options: RangeTestOptions) -> dict[str, str]:
    """Return what identifies the code that trains here, for a process that has not loaded what was edited since."""
    from pipeline.cluster.job import code

    return {
        name: _loaded.setdefault(options.model if name == "model" else name, value)
        for name, value in code(options).items()
    }


def _compare(own: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for name, value in own.items():
        if value != expected[name]:
            accepted = f"{expected[name]!r}, as where the command runs; a worker keeps the code that it began with"
            raise refusal(name, repr(value), accepted)
