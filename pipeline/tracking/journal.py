"""The journal: finished trainings that the tracking store does not have yet, and claims on those at work.

    waiting/TIME-KEY/record.json    what the run of a training is to show
    waiting/TIME-KEY/artifacts      its artifacts, with their manifest
    claims/KEY                      locked while a process trains; holds when the training last got somewhere

Every command in the project's folder that uses the same store shares it.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import mlflow
from pydantic import TypeAdapter

from pipeline.files import whole_folder
from pipeline.redaction import redacted
from pipeline.tracking import integrity
from pipeline.tracking.locks import locked, try_lock
from pipeline.tracking.opening import sqlite_file
from pipeline.tracking.processes import PROJECT

NAME = ".lr-pipeline"
"""The folder of the journals, one for each store."""

_PATIENCE = 10.0
"""Seconds to wait for another process that logs."""

_FORGOTTEN = 7 * 86_400.0
"""Seconds after which a claim, or what a killed process left half written, is removed: no command runs that long."""


@dataclass(frozen=True)
class Record:
    """What the run of a training is to show besides the training itself.

    Attributes:
        key: the fingerprint of the training.
        parent: the id of the stage's run.
        experiment: the id of its experiment.
        ended: when the training was made, in seconds since the epoch.
        cached: the id of the run that this one stands for, "" if that is still to be logged; None for the original.

    """

    name: str
    key: str
    parent: str
    experiment: str
    tags: Mapping[str, str]
    ended: float
    cached: str | None = None


_RECORD = TypeAdapter(Record)


@dataclass(frozen=True)
class Entry:
    """A training in the journal."""

    folder: Path

    @property
    def artifacts(self) -> Path:
        """The artifacts of its run."""
        return self.folder / "artifacts"

    def read(self) -> Record | None:
        """Return its record; None if anything of the entry is missing or changed."""
        try:
            record = _RECORD.validate_json((self.folder / "record.json").read_bytes())
        except (OSError, ValueError):
            return None
        return record if integrity.is_intact(self.artifacts) else None


@dataclass(frozen=True)
class Claim:
    """The right to make a training, which ends with its process; `made` is that of the journal."""

    file: IO[bytes]
    made: int

    def release(self) -> None:
        """Let others have it."""
        self.file.close()


class Journal:
    """The journal of one store; its folders are made when they are first needed.

    Attributes:
        waiting: the folder of what waits.
        is_only: whether all commands that use the store share this journal, so that it knows of every training.

    """

    def __init__(self, folder: Path, *, is_only: bool = True) -> None:
        self.waiting = folder / "waiting"
        self.is_only = is_only
        self._claims = folder / "claims"

    def add(self, record: Record, write: Callable[[Path], object]) -> Entry:
        """Put a training on disk, whole; `write` writes its artifacts to a folder, without the manifest."""
        entry = Entry(self.waiting / f"{time.time_ns()}-{_hashed(record.key)}")
        with whole_folder(entry.folder) as folder:
            artifacts = Entry(folder).artifacts
            artifacts.mkdir()
            write(artifacts)
            integrity.write_manifest(artifacts)
            (folder / "record.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
        return entry

    def entries(self, key: str = "") -> list[Entry]:
        """Return what waits, or what waits of one training, oldest first."""
        pattern = f"[0-9]*-{_hashed(key) if key else '*'}"
        return [Entry(folder) for folder in sorted(self.waiting.glob(pattern))]

    def remove(self, entry: Entry) -> None:
        """Remove an entry, at once for those who look."""
        gone = entry.folder.with_name(f".{entry.folder.name}.gone")
        with suppress(FileNotFoundError):  # another process was faster
            entry.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def being_logged(self) -> Iterator[bool]:
        """Keep other processes from logging what waits; gives False if one of them goes on doing so."""
        self.waiting.mkdir(parents=True, exist_ok=True)
        with locked(self.waiting, _PATIENCE) as held:
            yield held

    def claim(self, key: str) -> Claim | None:
        """Return the right to make a training, or None if another process has it."""
        self._claims.mkdir(parents=True, exist_ok=True)
        file = (self._claims / _hashed(key)).open("ab")
        if not try_lock(file.fileno()):
            file.close()
            return None
        return Claim(file, self.made(key))

    def mark(self, key: str) -> None:
        """Say that a training has got into the journal, or from there into the store: look for it again."""
        self._claims.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._claims / _hashed(key), os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, f"{time.time_ns():020d}".encode(), 0)  # at once, so that nobody reads half of it
        finally:
            os.close(descriptor)

    def made(self, key: str) -> int:
        """Return when a training was last marked, in nanoseconds since the epoch; 0 for never."""
        try:
            return int((self._claims / _hashed(key)).read_bytes())
        except (OSError, ValueError):
            return 0

    def tidy(self) -> None:
        """Remove what is of no use to any command at work."""
        for path in (*self._claims.glob("*"), *self.waiting.glob(".*")):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGOTTEN:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def journal_of_store() -> Journal:
    """Return the journal of the tracking store in use: beside its file or, for a server, in the project's folder."""
    if file := sqlite_file():
        return Journal(file.parent / NAME / file.name)
    name = re.sub(r"[^\w.-]+", "-", redacted(mlflow.get_tracking_uri())).strip("-")
    return Journal(PROJECT / NAME / name, is_only=False)


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
