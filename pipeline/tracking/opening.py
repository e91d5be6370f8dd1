"""How a process gets at the tracking store, and at the experiment that its runs belong to."""

import logging
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import sqlalchemy
from mlflow.entities import Experiment, LifecycleStage
from mlflow.environment_variables import MLFLOW_EXPERIMENT_ID
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.tracking import MlflowClient

from pipeline.checkup import nearest, unwritable
from pipeline.config.layers import EFFECTIVE, NEWEST
from pipeline.errors import InputError, refusal
from pipeline.tracking.failures import explained
from pipeline.tracking.patience import be_patient, first_request, say_that_servers_are_asked_again
from pipeline.tracking.processes import PROJECT
from pipeline.tracking.sqlite_store import ensure_store, sqlite_uri

_ARTIFACTS = "mlruns"


def open_store() -> MlflowClient:
    """Open MLflow's tracking store; a SQLite file is made where there is none.

    Raises:
        InputError: where it cannot be used, with what can be done about it.

    """
    say_that_servers_are_asked_again()
    be_patient()
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # else a traceback before that of the error
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)  # else four lines for each run
    try:
        _prepare(_tracking_uri())
        client = MlflowClient()
        with first_request():
            client.search_experiments(max_results=1)
    except InputError:
        raise
    except Exception as error:  # there is no list of what all stores and their drivers raise, and all of it means this
        raise InputError(explained(error, opening=True)) from error
    return client


def sqlite_file() -> Path | None:
    """Return the file of the tracking store, there or not; None if the store is no SQLite file."""
    uri = _tracking_uri()
    path = sqlalchemy.make_url(uri).database if uri.startswith("sqlite:") else None
    return None if path in (None, "", ":memory:") else Path(path).absolute()


def options_of(run: str, experiment_name: str) -> str:
    """Return the options of an earlier command, as its run keeps them.

    Args:
        run: the id of its run, or `newest`: that of the chain that finished last.
        experiment_name: where the newest is looked for, unless `mlflow run` has chosen an experiment.

    Raises:
        InputError: if there is no such run, or it does not keep them.

    """
    client, run_id = open_store(), run
    if run == NEWEST:
        own = MLFLOW_EXPERIMENT_ID.get()
        experiment = client.get_experiment(own) if own else client.get_experiment_by_name(experiment_name)
        found = experiment and client.search_runs(
            [experiment.experiment_id],
            "tags.`pipeline.stage` = 'main' and attributes.status = 'FINISHED'",
            order_by=["attributes.end_time DESC"],
            max_results=1,
        )
        if not found:
            raise refusal("run", f"{NEWEST!r}, but no chain has finished", "the id of a command's run")
        run_id = found[0].info.run_id
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{EFFECTIVE}"))
    except (MlflowException, OSError) as error:
        accepted = f"the id of a finished command's run, which has {EFFECTIVE}, or {NEWEST}"
        raise refusal("run", repr(run), accepted) from error


def usable_experiment(client: MlflowClient, name: str) -> Experiment:
    """Return the experiment of this name, which is made where there is none.

    Raises:
        InputError: where it was deleted, or its folder for artifacts cannot be written.

    """
    experiment = client.get_experiment_by_name(name) or _create_experiment(client, name)
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise refusal(
            f"experiment {name!r}",
            "one that was deleted",
            f"the same after `mlflow experiments restore --experiment-id {experiment.experiment_id}`, "
            "or another one by --experiment-name",
        )
    location = urlsplit(experiment.artifact_location)
    if location.scheme in ("", "file"):
        _refuse_unwritable(Path(unquote(location.path) if location.scheme else experiment.artifact_location))
    return experiment


def _create_experiment(client: MlflowClient, name: str) -> Experiment:
    """Create an experiment, or return the one that another process has created meanwhile."""
    uri = mlflow.get_tracking_uri()
    # MLflow's own default is a path that it reads as a URI: `#` and `%20` in it mean another folder.
    location = _artifacts() if uri.startswith("sqlite:") else None
    try:
        client.create_experiment(name, artifact_location=location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.get_experiment_by_name(name)


def _tracking_uri() -> str:
    """Return the URI of the store.

    MLflow's default is escaped. Where the folder's name needs that, MLflow also makes a folder of the escaped name.
    """
    uri = str(mlflow.get_tracking_uri())
    if not mlflow.is_tracking_uri_set() and uri.startswith("sqlite:") and Path.cwd() == PROJECT:
        uri = sqlite_uri(PROJECT / "mlflow.db")
        mlflow.set_tracking_uri(uri)
    return uri


def _prepare(uri: str) -> None:
    """Make a store usable, or raise whatever shows that it is not."""
    scheme = uri.partition(":")[0]
    if scheme == "sqlite":
        path = sqlite_file()
        if path is None:
            raise refusal("MLFLOW_TRACKING_URI", f"{uri!r}, which ends with each process", "the path of a file")
        ensure_store(path, _artifacts())
    elif scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        create_sqlalchemy_engine(uri).connect().close()  # MLflow would try for minutes
    elif (scheme == "file" or "://" not in uri) and scheme != "databricks" and not _file_store_allowed():
        raise refusal(
            "the tracking store",
            f"{uri!r}, the file store of old versions, which MLflow no longer supports",
            "sqlite:///mlflow.db in MLFLOW_TRACKING_URI, a server's address there, or the files moved: "
            "`mlflow migrate-filestore --help`",
        )


def _file_store_allowed() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")


def _artifacts() -> str:
    return (Path.cwd() / _ARTIFACTS).as_uri()


def _refuse_unwritable(folder: Path) -> None:
    """Refuse a folder for artifacts before anything is computed that would have to go there."""
    there = nearest(folder)
    if fault := unwritable(there):
        accepted = "a folder that can be written to; MLFLOW_TRACKING_URI chooses another store"
        raise refusal("the store's artifacts", f"{there}, which {fault}", accepted)
