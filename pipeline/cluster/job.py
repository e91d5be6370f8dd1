"""What a worker must know to train exactly as this process would, and how it tells that it would not."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import RUN_CONTROL, RangeTestOptions
from pipeline.fingerprints import model_digest, training_code
from pipeline.keras_settings import variables

if TYPE_CHECKING:  # a worker reads a job before it loads TensorFlow, which reads the job's settings as it starts
    from pipeline.training import InProcess

_OF_EVALUATIONS = frozenset(
    {"optimizer", "batch_size", "epochs", "budget", "seeds", "lr_min", "lr_max", "spacing", "refine", "seed", "data"}
)
"""Options that reach workers as evaluations, or by the data: they do not make another network."""


@dataclass(frozen=True)
class Job:
    """A network and its data, for any worker to train on.

    Attributes:
        options: how the network is built and trained.
        data: the file with the splits, as this machine has it.
        digest: the SHA-256 of that file.
        examples: how many examples it has to train on.
        facts: what affects the numbers of trainings, by name; a worker where one differs is refused.
        threads: TensorFlow's threads. Their number decides how sums are split, and so the last bits of every number.
        settings: environment variables that TensorFlow reads as it starts.

    """

    options: RangeTestOptions
    data: Path
    digest: str
    examples: int
    facts: Mapping[str, str]
    threads: int
    settings: Mapping[str, str]

    @property
    def key(self) -> str:
        """What tells jobs apart."""
        parts = f"{self.options.model_dump_json()} {self.digest} {sorted(self.facts.items())}"
        return hashlib.sha256(parts.encode()).hexdigest()


def job_for(options: RangeTestOptions, data: Path, executor: "InProcess") -> Job:
    """Return the description of what an executor of this process trains on.

    Args:
        options: those that the executor was set up with.
        data: the file with its splits.
        executor: that of this process.

    """
    chosen = set(RangeTestOptions.model_fields) - RUN_CONTROL - _OF_EVALUATIONS
    own = RangeTestOptions(**{name: getattr(options, name) for name in chosen})
    facts = {**code(own), **executor.conditions()}
    return Job(own, data.absolute(), digest_of(data), executor.examples, facts, threads(), variables())


def code(options: RangeTestOptions) -> dict[str, str]:
    """Return what identifies the code that trains here: that of this project, of packages, and the user's own."""
    return {**training_code(), "model": model_digest(options.model)}


def threads() -> int:
    """Return how many threads TensorFlow uses here for one operation."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores or 1


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
