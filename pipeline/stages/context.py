"""The context of a stage: its options, the earlier stages, the run to write to, command and machine."""

import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.config import RUN_CONTROL, PrepareOptions
from pipeline.console import Status
from pipeline.datasets import PrepareResult, Splits, load_splits
from pipeline.fingerprints import model_digest
from pipeline.results import RangeTestResult, SearchResult, TrainResult
from pipeline.tracking import Finished, StageRun, Store
from pipeline.tracking.processes import INSTALLED

Options = TypeVar("Options", bound=PrepareOptions)

SPLITS = "data.npz"
"""The artifact of `prepare` that holds the split data."""

COLUMNS = "columns.skops"
"""The artifact of `prepare` that turns rows of a table, as they were given, into inputs."""

REPORTS = Path("reports")
"""The folder of the newest report, in the working directory."""

PAGE = "report.html"
"""The report's file, there and among the artifacts."""

CODE = "schedule.py"
"""The schedule found as Keras code, there and among the artifacts."""

OPTIMIZER_FILES = ("schedule_free.py", "prodigy.py", "lr_multipliers.py")
"""The files beside it that it needs if the optimizer is this project's own, or layers have their own rates."""

ORIGINS = "pipeline.origins"
"""The tag of a command's run that says from which layer each option is that is no default, as JSON."""

ARTICLES = REPORTS / "articles"
"""The folder of the newest page on the articles' experiments."""


@dataclass(frozen=True)
class Upstream:
    """The finished runs of the stages that this one depends on."""

    runs: Mapping[str, Finished]

    @property
    def prepare(self) -> PrepareResult:
        """The result of `prepare`."""
        return PrepareResult.model_validate_json(self.runs["prepare"].result)

    @cached_property
    def splits(self) -> Splits:
        """The split data, loaded once."""
        return load_splits(self.folder("prepare") / SPLITS)

    @property
    def range_tests(self) -> dict[str, RangeTestResult]:
        """The results of `range_test`, one for each optimizer with each batch size, by the key of their run."""
        runs = {key: run for key, run in self.runs.items() if key.partition(" ")[0] == "range_test"}
        return {key: RangeTestResult.model_validate_json(run.result) for key, run in runs.items()}

    @property
    def search(self) -> SearchResult | None:
        """The result of `search`, if this stage depends on one."""
        run = self.runs.get("search")
        return SearchResult.model_validate_json(run.result) if run else None

    @property
    def train(self) -> TrainResult | None:
        """The result of `train`, if it has run."""
        run = self.runs.get("train")
        return TrainResult.model_validate_json(run.result) if run else None

    def behind(self, answer: str) -> tuple[RangeTestResult, SearchResult]:
        """Return the range test and the search behind an answer of `reproduce`."""
        found, searched = self.runs[f"{answer}/range_test"].result, self.runs[f"{answer}/search"].result
        return RangeTestResult.model_validate_json(found), SearchResult.model_validate_json(searched)

    def folder(self, stage: str) -> Path:
        """Return the folder with the artifacts of a stage."""
        return self.runs[stage].folder


@dataclass(frozen=True)
class Context(Generic[Options]):
    """The options of a stage, the stages before it, and the run that takes the results.

    `fingerprint` identifies the work: equal fingerprints mean equal results.
    """

    options: Options
    upstream: Upstream
    fingerprint: str
    run: StageRun
    store: Store
    status: Status


def inputs(options: PrepareOptions, runs: Mapping[str, Finished]) -> dict[str, str]:
    """Return the digests of the prepared data and of the user's model, where there are any."""
    data = PrepareResult.model_validate_json(runs["prepare"].result).digests if "prepare" in runs else {}
    return {**data, "model": model_digest(getattr(options, "model", ""), getattr(options, "model_args", ""))}


_PACKAGES = ("tensorflow", "keras", "optuna", "mlflow", "scikit-learn", "numpy", "pandas")


def environment() -> dict[str, str]:
    """Return the version of each package, and the machine."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    return {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}, "machine": machine}


def command(options: PrepareOptions, entry_point: str = "main") -> str:
    """Return the command that produces the same page, with every option that differs from its default."""
    default = type(options)()
    given = options.model_dump(exclude=set(RUN_CONTROL))
    changed = {name: _text(value) for name, value in given.items() if value != getattr(default, name)}
    if INSTALLED:
        flags = (part for name, value in changed.items() for part in (f"--{name.replace('_', '-')}", value))
        return shlex.join(["lr-pipeline", entry_point, *flags])
    entry = [] if entry_point == "main" else ["-e", entry_point]
    parameters = (part for name, value in changed.items() for part in ("-P", f"{name}={value}"))
    return shlex.join(["mlflow", "run", ".", *entry, "--env-manager", "local", *parameters])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
