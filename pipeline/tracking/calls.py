"""The runs of a call from Python: below the user's own run, or in a store that the call names."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.entities import Param, Run
from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

from pipeline.errors import refusal
from pipeline.redaction import redacted
from pipeline.tracking.delivery import store_in_order
from pipeline.tracking.opening import usable_experiment
from pipeline.tracking.processes import this_process
from pipeline.tracking.store import PROCESS, StageRun, Store
from pipeline.tracking.views import furnish

Tracked = tuple[Store, StageRun]
"""A store, and the run below which a call tracks what it does; the files in its folder become artifacts."""


@contextmanager
def tracked(track: object, call: str, experiment_name: str, params: Mapping[str, object]) -> Iterator[Tracked | None]:
    """Yield where a call tracks its runs; the active run and experiment, and the tracking URI, stay the user's.

    Args:
        track: an MLflow run, which stays as active as it is; the URI of a store, which gets a run that is named
            after the call; or None, for no runs.
        call: the name of the function.
        experiment_name: where that run belongs.
        params: what is logged on it.

    Raises:
        InputError: if `track` is nothing of these, or the store cannot be used.

    """
    if track is None:
        yield None
    elif isinstance(track, Run):
        with _addresses_unprinted(), tempfile.TemporaryDirectory() as folder:
            store, own = (
                store_in_order(experiment_name),
                StageRun(track.info.run_id, track.info.experiment_id, Path(folder)),
            )
            yield store, own
            store.client.log_artifacts(own.run_id, folder)
    elif isinstance(track, str) and track:
        with _addresses_unprinted(), _tracking_uri(track):
            store = store_in_order(experiment_name)
            experiment = usable_experiment(store.client, experiment_name)
            furnish(store.client, experiment)
            tags = {"pipeline.stage": call, PROCESS: this_process()}
            run_id = store.client.create_run(experiment.experiment_id, tags=tags, run_name=call).info.run_id
            with store.ending(run_id), tempfile.TemporaryDirectory() as folder:
                store.client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])
                yield store, (own := StageRun(run_id, experiment.experiment_id, Path(folder)))
                store.keep(own)
    else:
        raise refusal("track", repr(track), "the URI of an MLflow store, an active run, or None")


@contextmanager
def _addresses_unprinted() -> Iterator[None]:
    """Keep MLflow from printing two lines for each of the many runs."""
    before = MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get_raw()
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set("true")
    try:
        yield
    finally:
        if before is None:
            MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.unset()
        else:
            MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(before)


@contextmanager
def _tracking_uri(uri: str) -> Iterator[None]:
    if redacted(uri) != uri:
        accepted = "it without, and MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        raise refusal("track", f"{redacted(uri)!r}, which holds a password", accepted)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
