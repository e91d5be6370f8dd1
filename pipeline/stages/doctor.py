"""Command `doctor`: every check, and what becomes of what it finds. It is no stage, so it has no run of its own."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from tempfile import gettempdir

from pipeline import checkup, datasets, interruption, keras_settings
from pipeline.checkup import DoctorOptions, Finding, note
from pipeline.console import native_messages_hidden
from pipeline.errors import InputError, describe
from pipeline.loading import quick_imports
from pipeline.redaction import redacted
from pipeline.stages.context import REPORTS, SPLITS
from pipeline.tracking import Store, checks
from pipeline.tracking.failures import explained
from pipeline.tracking.opening import sqlite_file
from pipeline.tracking.processes import INSTALLED, PROJECT


@dataclass
class Subject:
    """What is looked at: the options, and the store, if it has not been found to be beyond use."""

    options: DoctorOptions
    has_store: bool = True

    @cached_property
    def store(self) -> Store | None:
        """The tracking store; None if there is none, or none that can be used."""
        return checks.usable_store() if self.has_store else None


Check = Callable[[Subject], Iterable[Finding]]


def _of_store(check: Callable[[Store], Iterable[Finding]]) -> Check:
    """Return a check that is left out where there is no store."""

    def checked(subject: Subject) -> Iterable[Finding]:
        return check(subject.store) if subject.store else [note("not looked at, since there is no store to be used")]

    return checked


def _keras(subject: Subject) -> Iterable[Finding]:
    findings = list(checkup.keras())
    with suppress(InputError), redirect_stderr(StringIO()):  # which are among the findings
        keras_settings.settle()
    return findings


def _folders(subject: Subject) -> Iterable[Finding]:
    file = sqlite_file()
    kept = [file.parent] if file else []
    try:
        temporary = gettempdir()
    except FileNotFoundError:  # where it can write to none; this one is only looked at
        temporary = os.environ.get("TMPDIR", "/tmp")  # nosec B108
    return checkup.folders([*kept, Path("mlruns"), REPORTS, Path(temporary)])


def _store(subject: Subject) -> Iterable[Finding]:
    findings = list(checks.store_itself())
    subject.has_store = all(finding.mend or not finding.wrong for finding in findings)  # a server is asked only once
    return findings


def _memory(subject: Subject) -> Iterable[Finding]:
    """Look at the data that were given, and at those that were prepared last."""
    data = subject.options.data
    held = {data: datasets.held_bytes(data)}
    if subject.store and (prepared := subject.store.finished("prepare")):
        last = prepared[0].info
        sizes = {file.path: int(file.file_size) for file in subject.store.client.list_artifacts(last.run_id)}
        held[f"the data of {last.run_name}"] = sizes.get(SPLITS, 0)
    return checkup.memory(held)


def _device(subject: Subject) -> Iterator[Finding]:
    """Say what trainings run on; TensorFlow is asked, so this shows too whether it can be loaded."""
    with native_messages_hidden(), quick_imports():
        from pipeline.training.network import BFLOAT16, FLOAT32, device_kind, native_bfloat16
    convolutions = f"{BFLOAT16} for networks with convolutions, {FLOAT32} for others" if native_bfloat16() else FLOAT32
    yield note(f"trainings run on the {device_kind()}; precision=auto means {convolutions}")


CHECKS: dict[str, Check] = {
    "environment": lambda subject: () if INSTALLED else checkup.environment(PROJECT),
    "mlflow run": lambda subject: checks.built_environment(),
    "keras": _keras,
    "folders": _folders,
    "temporary": lambda subject: checks.temporary_files(),
    "downloads": lambda subject: checkup.downloads(),
    "file store": lambda subject: checks.file_store(),
    "store": _store,
    "runs": _of_store(checks.unfinished_runs),
    "journal": _of_store(checks.waiting_trainings),
    "artifacts": _of_store(checks.artifacts),
    "memory": _memory,
    "device": _device,
    "champions": _of_store(checks.champions),
}
"""Name -> function that finds something, in order: whatever mends the store comes before what looks into it."""


def run(options: DoctorOptions) -> bool:
    """Print what each check finds, and mend it if asked to; return whether all is well in the end."""
    subject, left, mendable = Subject(options), 0, 0
    for name, check in CHECKS.items():
        interruption.check()
        for finding in _found(check, subject) or [note("nothing wrong")]:
            remedy = f"; to do: {finding.remedy}" if finding.remedy else ""
            _say("warn" if finding.wrong else "ok", name, finding.text + remedy)
            if finding.wrong and not (options.fix and _mended(name, finding)):
                left += 1
                mendable += finding.mend is not None
    if mendable and not options.fix:
        program = "lr-pipeline" if INSTALLED else "python -m pipeline"
        print(f"\n{mendable} of {left} faults can be mended: {program} doctor --fix")
    return left == 0


def _found(check: Check, subject: Subject) -> list[Finding]:
    """Return all that a check finds; a check that fails must not keep the others from being made."""
    try:
        return list(check(subject))
    except InputError as error:
        return [Finding(str(error))]
    except Exception as error:  # whatever is broken may raise anything
        return [Finding(f"cannot be looked at: {explained(error) or describe(error)}")]


def _mended(name: str, finding: Finding) -> bool:
    if finding.mend is None:
        return False
    try:
        finding.mend()
    except Exception as error:  # as above
        _say("warn", name, f"that could not be done: {explained(error) or describe(error)}")
        return False
    _say("fixed", name, f"{finding.remedy}: done")
    return True


def _say(mark: str, name: str, text: str) -> None:
    print(f"{mark:<5} {name:<11} {redacted(' '.join(text.split()))}", flush=True)
