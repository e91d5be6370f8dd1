"""Trainings in other processes, at the same time: those of this machine, or the workers of a Dask cluster.

Dask starts and connects the processes, moves questions and answers, and runs again what a lost worker had at work. It
is loaded only where it is asked for.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.cluster.job import Job, job_for
from pipeline.config import PrepareOptions
from pipeline.errors import refusal

if TYPE_CHECKING:
    from pipeline.cluster.executor import Workers

__all__ = ["Job", "job_for", "workers_for"]


def workers_for(options: PrepareOptions, job: Job, note: Callable[[str], object]) -> "Workers":
    """Return the executor that `workers` or `scheduler` ask for.

    Raises:
        InputError: if Dask is not installed, or the scheduler cannot be reached.

    """
    if find_spec("distributed") is None:
        asked = f"workers={options.workers}" if options.scheduler is None else f"scheduler={options.scheduler}"
        raise refusal("workers and scheduler need Dask", asked, "them after pip install '.[scale]' in a clone")
    from pipeline.cluster.connection import connected  # loads Dask
    from pipeline.cluster.executor import Workers

    limit = 60 * options.training_minutes if options.training_minutes is not None else None
    return Workers(connected(options, note), job, note, limit)
