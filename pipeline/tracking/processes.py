"""Which process works on a run or owns temporary files, and whether it is still there: MLflow has no heartbeat."""

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from mlflow.entities import Run

from pipeline.errors import refusal

_SOURCES = Path(__file__).resolve().parents[2]

INSTALLED = not (_SOURCES / "MLproject").is_file()
"""Whether this is an installed package, without the files of its project."""

PROJECT = Path.cwd() if INSTALLED else _SOURCES
"""The folder with the MLproject file, or of an installed package the working directory: where its commands meet."""

_CLOCK_STEP = 2.0
_TEMPORARY = "lr-pipeline-"


def this_process() -> str:
    """Return what tells this process from any other: host, number and time of creation."""
    process = psutil.Process()
    return f"{os.uname().nodename}:{process.pid}:{process.create_time():.0f}"


def is_alive(process: str) -> bool:
    """Return whether a process, as `this_process` named it, may still be at work."""
    if not is_of_this_host(process):
        return True  # it cannot be checked from here
    _, pid, created = process.rsplit(":", 2)
    try:
        found = psutil.Process(int(pid))
        # A killed process stays as a zombie until its parent waits for it. Creation times shift if the clock is
        # adjusted, but a process that reuses the number starts much later.
        lingers = found.status() == psutil.STATUS_ZOMBIE
        return not lingers and abs(float(found.create_time()) - float(created)) < _CLOCK_STEP
    except psutil.NoSuchProcess:
        return False


def is_of_this_host(process: str) -> bool:
    """Return whether a process, as `this_process` named it, is one of this machine."""
    return process.rsplit(":", 2)[0] == os.uname().nodename


def never_started(run: Run) -> bool:
    """Return whether `mlflow run` began a run of this project here, and was gone before its command named itself.

    Where that is wrong, as for a run that another machine began in a folder of the same name, no harm is done: its
    command makes it RUNNING again.
    """
    source = str(run.data.tags.get("mlflow.source.name", "")).removeprefix("file://").replace("#", "/")
    if "mlflow.project.entryPoint" not in run.data.tags or Path(source).resolve() != PROJECT:
        return False
    return not is_being_worked_on(run)


def is_being_worked_on(run: Run) -> bool:
    """Return whether a process of this machine may be at work on a run that `mlflow run` began."""
    begun = float(run.info.start_time) / 1000
    return any(_may_start(process, run.info.run_id, begun) for process in psutil.process_iter())


def _may_start(process: psutil.Process, run_id: str, begun: float) -> bool:
    """Return whether a process is the command of a run, or an `mlflow run` of this project that may have begun it."""
    try:
        if process.environ().get("MLFLOW_RUN_ID") == run_id:
            return True
        words = process.cmdline()
        if not {"mlflow", "run"} <= {Path(word).name for word in words}:
            return False
        here = any("://" in word or Path(process.cwd(), word).resolve() == PROJECT for word in words)
        return here and process.create_time() < begun + _CLOCK_STEP
    except psutil.Error:
        return False


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Keep this process's temporary files in a folder that is named after it and removed when it ends.

    MLflow leaves an empty folder behind for each project run, and a copy for each download from a server.
    """
    try:
        folder = tempfile.mkdtemp(prefix=f"{_TEMPORARY}{this_process().replace(':', '-')}-")
    except FileNotFoundError as error:  # how `tempfile` says that it can write nowhere
        raise refusal("temporary folder", error.strerror, "a folder with free space in TMPDIR") from error
    # Registered before libraries register the removal of what they put there, so it is done after that.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


def abandoned_folders() -> list[Path]:
    """Return the temporary folders of this project's processes that are gone."""
    named = re.compile(rf"{_TEMPORARY}(.+)-(\d+)-(\d+)-\w{{8}}")
    found = ((path, named.fullmatch(path.name)) for path in Path(tempfile.gettempdir()).iterdir())
    return [path for path, name in found if name and not is_alive(":".join(name.groups()))]
