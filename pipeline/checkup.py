"""What `doctor` looks at outside the tracking store: environment, folders, downloads, memory, Keras' settings."""

import gzip
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
from pydantic import Field

from pipeline import keras_settings
from pipeline.config import CommandOptions
from pipeline.errors import describe

_MIB = 2**20
LEAST_FREE = 512 * _MIB
"""Bytes of a disk below which a chain may not end: its database, artifacts and models take some ten MiB each."""

_LIBRARIES = 1024 * _MIB
_COPIES = 2
"""Memory of a training: that of the libraries, and of so many copies of the data (reports/performance.md)."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux tells what a container may use at most."""

_DOWNLOADS = ("mnist.npz", "fashion-mnist/*.gz", "cifar-10-binary.tar.gz")
"""What Keras downloads for the named data sets, straight into the place from which it is read."""

_STALLED = 60.0
"""Seconds without a new byte after which a download has ended."""


class DoctorOptions(CommandOptions):
    """Options of `doctor`, which is no stage."""

    subject: ClassVar[str] = "mending"

    fix: bool = Field(False, description="mend what can be mended")
    data: str = Field("mnist-5k", min_length=1, description="data for which there must be enough memory")


@dataclass(frozen=True)
class Finding:
    """Something that a check has found.

    Attributes:
        text: what is so, and where; if only the user can mend it, also how.
        remedy: what `mend` does.
        mend: mends it, and may raise anything.
        wrong: whether it must be mended, or is only good to know.

    """

    text: str
    remedy: str = ""
    mend: Callable[[], object] | None = None
    wrong: bool = True


def note(text: str) -> Finding:
    """Return something that is good to know, and not wrong."""
    return Finding(text, wrong=False)


def environment(project: Path) -> Iterator[Finding]:
    """Find out whether `make setup` was interrupted, or has to be done again."""
    folder, lock = project / ".venv", project / "requirements.lock"
    ready = folder / "ready"
    if not folder.is_dir():
        return
    if not ready.is_file():
        yield Finding(f"{folder} is half made: make setup")
    elif ready.stat().st_mtime < lock.stat().st_mtime:
        yield Finding(f"{folder} is older than {lock.name}: make setup")


def keras() -> Iterator[Finding]:
    """Find settings of Keras' that are overruled or refused."""
    if asked := keras_settings.other_backend():
        yield note(f"the backend {asked!r} of KERAS_BACKEND or keras.json is not used: trainings run on TensorFlow")
    for fault in keras_settings.unusable():
        yield Finding(str(fault))


def folders(paths: Iterable[Path]) -> Iterator[Finding]:
    """Find folders that cannot be written to, or whose disk is nearly full."""
    for folder in dict.fromkeys(map(nearest, paths)):
        free = shutil.disk_usage(folder).free
        if fault := unwritable(folder):
            yield Finding(f"{folder} {fault}: permit that, or move it away")
        elif free < LEAST_FREE:
            yield Finding(f"{folder} has {_in_mib(free)} left on its disk: free {_in_mib(LEAST_FREE)} at least")
        else:
            yield note(f"{folder} can be written to, and has {_in_mib(free)} left on its disk")


def nearest(path: Path) -> Path:
    """Return a path itself if it is there, else the first of the folders above it that is."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def unwritable(folder: Path) -> str:
    """Return why nothing can be written into an existing folder; "" if it can."""
    if not folder.is_dir():
        return "is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written to"


def downloads() -> Iterator[Finding]:
    """Find downloads of Keras' that were cut short; it looks itself only at those whose digest it knows."""
    folder = keras_settings.home() / "datasets"
    for path in sorted(path for pattern in _DOWNLOADS for path in folder.glob(pattern)):
        fault = _damage(path)
        if fault and time.time() - path.stat().st_mtime < _STALLED:
            yield note(f"{path} is not whole, but changed a moment ago: it may be on its way")
        elif fault:
            yield Finding(f"{path} is damaged ({fault})", "remove it; Keras downloads it again", path.unlink)


def _damage(path: Path) -> str:
    """Return why a compressed file cannot be read to its end; "" if it can."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
            return f"{broken} has changed" if broken else ""
        with gzip.open(path) as file:
            while file.read(_MIB):
                pass
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        return describe(error)
    return "" if path.stat().st_size else "it is empty"


def memory(held: Mapping[str, int]) -> Iterator[Finding]:
    """Find data for which there is too little memory; `held` are the bytes that each of them takes."""
    available = min([psutil.virtual_memory().available, *_limits()])
    for data, size in held.items():
        needed = _LIBRARIES + _COPIES * size
        if needed > available:
            yield Finding(
                f"{data}: trainings take about {_in_mib(needed)} of memory, and {_in_mib(available)} are there:"
                " end other programs, or use a smaller in_memory_mb with data that can be read as needed (docs/data.md)"
            )
        else:
            yield note(f"{data}: trainings take about {_in_mib(needed)} of memory; {_in_mib(available)} are there")


def _limits() -> Iterator[int]:
    for path in map(Path, _LIMITS):
        if path.is_file() and (text := path.read_text(encoding="utf-8").strip()).isdigit():
            yield int(text)


def _in_mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
