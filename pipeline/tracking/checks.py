"""What `doctor` looks at in and around the tracking store."""

import importlib.metadata
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.entities import Run
from mlflow.utils.environment import _PythonEnv
from mlflow.utils.virtualenv import _get_mlflow_virtualenv_root, _get_virtualenv_name

from pipeline.checkup import Finding, note
from pipeline.errors import InputError, listed
from pipeline.tracking import integrity
from pipeline.tracking.delivery import Delivery
from pipeline.tracking.failures import explained
from pipeline.tracking.opening import open_store, sqlite_file
from pipeline.tracking.processes import (
    INSTALLED,
    PROJECT,
    abandoned_folders,
    is_being_worked_on,
    is_of_this_host,
    own_temporary_folder,
)
from pipeline.tracking.sqlite_store import damage, is_half_made
from pipeline.tracking.store import Store

_ENTRY_POINT = "mlflow.project.entryPoint"
_OLD = ".old"

_DAY = 24 * 3600.0
"""Seconds after which a run that `mlflow run` began elsewhere, and that names no process, is taken for abandoned."""

_HALF_HOUR = 1800.0
"""Seconds without a new package after which nobody is at work on an environment."""


def file_store() -> Iterator[Finding]:
    """Find the store of a former MLflow in ./mlruns, which makes MLflow overlook the SQLite file beside it."""
    if mlflow.is_tracking_uri_set():
        return
    folder = Path("mlruns").absolute()
    left = sorted(path for path in folder.glob("*/meta.yaml") if path.parent.name.isdigit())
    if not left:
        return
    text = f"{folder} holds runs of the former file store, so MLflow looks for runs there, not in mlflow.db;"
    text += f" to see them: mlflow migrate-filestore --source {folder.parent} --target sqlite:///former.db"
    if not folder.with_name("mlflow.db").exists():
        yield Finding(text)
        return

    def rename() -> None:
        for path in left:
            path.rename(path.with_name(path.name + _OLD))

    yield Finding(text, f"rename the meta.yaml of its experiments to meta.yaml{_OLD}", rename)


def store_itself() -> Iterator[Finding]:
    """Find out whether the tracking store can be opened and written to; nothing is made where there is none."""
    path = sqlite_file()
    try:
        if path is not None and is_half_made(path):
            yield Finding(f"{path} is a half-made store without runs", "set it aside and make a new one", open_store)
        elif path is not None and not path.exists():
            yield note(f"{path} is not there yet: the first command makes it")
        elif fault := path and damage(path):
            yield Finding(f"{path} is damaged ({fault}): put a copy of it back, or move it away")
        else:
            open_store()
            yield note(f"{mlflow.get_tracking_uri()} {'can be opened and written to' if path else 'answers'}")
    except InputError as error:
        yield Finding(str(error))
    except Exception as error:  # whatever SQLite and its drivers raise means this here
        yield Finding(explained(error, opening=True))


def usable_store() -> Store | None:
    """Return the tracking store; None if there is none yet, or none that can be used."""
    path = sqlite_file()
    try:
        return None if path is not None and (not path.exists() or is_half_made(path)) else Store("lr-pipeline")
    except Exception:  # `store_itself` says what it is
        return None


def unfinished_runs(store: Store) -> Iterator[Finding]:
    """Find runs that are RUNNING although nobody works on them.

    Runs that name their process are judged by it, others of this project's folder by whether a process here has their
    id. A run that `mlflow run` began somewhere else is taken for abandoned if no process here has its id and it is more
    than a day old. If it is still at work on another machine, its end there makes it FINISHED all the same.
    """
    for run in store.running():
        process, tags = store.process(run), run.data.tags
        age = time.time() - run.info.start_time / 1000
        begun = f"which `mlflow run` began {age / 3600:.1f} hours ago"
        if store.is_dead(run):
            reason = f"its process {process} is gone" if process else f"no process works on it, {begun}"
        elif not process and _ENTRY_POINT in tags and age > _DAY and not is_being_worked_on(run):
            reason = f"no process of this machine works on it, {begun}"
        else:
            yield note(f"{_named(run)} is left alone: {_whereabouts(process)}")
            continue
        yield Finding(
            f"{_named(run)} is RUNNING, but {reason}",
            "mark it KILLED",
            partial(store.client.set_terminated, run.info.run_id, "KILLED"),
        )


def _whereabouts(process: str) -> str:
    if not process:
        return "it names no process, and may be at work"
    if is_of_this_host(process):
        return f"process {process} is at work"
    return f"process {process} is one of another host, and may be at work"


def waiting_trainings(store: Store) -> Iterator[Finding]:
    """Find finished trainings that were not logged, since the store was away."""
    if waiting := len(store.journal.entries()):

        def log() -> None:
            Delivery(store, print).attempt()
            if left := len(store.journal.entries()):
                raise RuntimeError(f"{left} of {waiting} still wait")

        text = f"{waiting} finished trainings wait in {store.journal.waiting} to be logged"
        yield Finding(text, "log them, as the next command does", log)


def artifacts(store: Store) -> Iterator[Finding]:
    """Find finished runs whose artifacts are missing or do not match their manifest; nothing reuses such a run."""
    runs = store.finished()
    by_root: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_root[run.info.artifact_uri.rsplit("/", 2)[0]].append(run)
    for root, below in by_root.items():
        folder = _local(root)
        faults = [(run, fault) for run in below if (fault := _damage(store, run))]
        if not folder.is_dir() if folder else len(faults) == len(below):
            yield Finding(f"{folder or root} with the artifacts of {len(below)} runs is not there: put it back")
            continue
        for run, fault in faults:
            run_id = run.info.run_id
            remedy = f"delete the run, so that it is made again (back by: mlflow runs restore --run-id {run_id})"
            yield Finding(f"{_named(run)}: {fault}", remedy, partial(store.client.delete_run, run_id))
    yield note(f"{len(runs)} finished runs were looked at")


def champions(store: Store) -> Iterator[Finding]:
    """Find registered models whose champion cannot be loaded."""
    from pipeline.tracking.models import ALIAS, champions, why_unloadable  # loads TensorFlow

    for champion in champions(store.client):
        named = f"{champion.name} version {champion.version}, the {ALIAS},"
        with own_temporary_folder():  # for what has to be downloaded
            fault = why_unloadable(champion)
        folder = _local(store.client.get_model_version_download_uri(champion.name, champion.version))
        if not fault:
            yield note(f"{named} can be loaded")
        elif folder is None:
            yield Finding(f"{named} cannot be loaded ({fault}): look after the server, or take the alias from it")
        elif not folder.parents[2].is_dir():
            yield Finding(f"{named} cannot be loaded: {folder.parents[2]} is not there: put it back")
        else:
            yield Finding(
                f"{named} cannot be loaded ({fault})",
                f"take the alias {ALIAS} from it, so that the next model that is trained gets it",
                partial(store.client.delete_registered_model_alias, champion.name, ALIAS),
            )


def temporary_files() -> Iterator[Finding]:
    """Find what killed commands have left in the temporary folder."""
    left = abandoned_folders()
    if not left:
        return
    size = sum(file.lstat().st_size for folder in left for file in folder.rglob("*")) / 2**20
    names = listed((folder.name for folder in left), 5)

    def remove() -> None:
        for folder in left:
            shutil.rmtree(folder)

    yield Finding(f"{left[0].parent} holds {size:,.0f} MiB of killed commands: {names}", "remove them", remove)


def built_environment() -> Iterator[Finding]:
    """Find an environment that `mlflow run --env-manager uv` has built only in part, and would take as it is."""
    if INSTALLED or not (folder := built_folder()).is_dir():
        return
    sites = list(folder.glob("lib/python*/site-packages"))
    installed = importlib.metadata.distributions(path=[str(site) for site in sites])
    present = {_normal(found.name): found.version for found in installed}
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lock if "==" in line and ";" not in line]
    missing = [name for name, version in pins if present.get(_normal(name)) != version]
    if not missing:
        return
    newest = max(path.stat().st_mtime for path in (folder, *sites))
    if time.time() - newest < _HALF_HOUR:
        yield note(f"{folder} lacks {len(missing)} packages; it changed within half an hour and may be in the making")
        return
    yield Finding(
        f"{folder}, made by `mlflow run --env-manager uv`, lacks {listed(missing, 3)}",
        "remove it; MLflow makes it again",
        partial(shutil.rmtree, folder),
    )


def built_folder() -> Path:
    """Return where `mlflow run --env-manager uv` builds the environment of this project."""
    described = _PythonEnv.from_conda_yaml(str(PROJECT / "conda.yaml"))
    return Path(_get_mlflow_virtualenv_root(), _get_virtualenv_name(described, PROJECT))


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _named(run: Run) -> str:
    return f"run {run.info.run_name!r} ({run.info.run_id})"


def _local(uri: str) -> Path | None:
    """Return a folder of artifacts; None if it lies on a server or in a cloud."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path) if parts.scheme else uri) if parts.scheme in ("", "file") else None


def _damage(store: Store, run: Run) -> str:
    """Return what is wrong with a run's artifacts: on a server, only whether the manifest is missing."""
    if folder := _local(run.info.artifact_uri):
        return integrity.damage(folder)
    names = [file.path for file in store.client.list_artifacts(run.info.run_id)]
    return "" if integrity.MANIFEST in names else f"{integrity.MANIFEST} is missing"
