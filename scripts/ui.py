"""Open MLflow's UI on the runs of this project: say where they are, then serve; `make ui` calls it."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

import mlflow
from mlflow.tracking import MlflowClient

from pipeline.config import PrepareOptions
from pipeline.config.layers import PREFIX
from pipeline.errors import InputError
from pipeline.redaction import redacted, take_credentials_out_of_uri
from pipeline.stages.context import PAGE
from pipeline.tracking.opening import open_store
from pipeline.tracking.views import artifact_page, furnish, trainings_page

_STORE = "MLFLOW_BACKEND_STORE_URI"
"""The variable by which MLflow's server learns of its store: on the command line all users would see a password."""


def main(arguments: Sequence[str]) -> int:
    """Print where trainings and newest report are, and become MLflow's server, unless there is one already."""
    given = _parser().parse_known_args(arguments)[0]
    take_credentials_out_of_uri()
    if given.backend_store_uri:
        os.environ["MLFLOW_TRACKING_URI"] = given.backend_store_uri
    try:
        client = open_store()
    except InputError as error:
        print(f"make ui: {redacted(str(error))}", file=sys.stderr)
        return 2
    uri = mlflow.get_tracking_uri()
    is_served = uri.startswith(("http://", "https://"))
    address = uri.rstrip("/") if is_served else f"http://{given.host}:{given.port}"
    print("", *places(client, _experiment_name(), address), "", sep="\n", flush=True)
    if not is_served:
        os.environ[_STORE] = uri
        os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *arguments])  # nosec B606
    return 0


def places(client: MlflowClient, experiment_name: str, address: str) -> Iterator[str]:
    """Yield a line for each page to open: the trainings, and the newest report."""
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        yield f"No runs yet in the experiment {experiment_name}: make run"
        return
    furnish(client, experiment)
    yield f"Trainings: {address}{trainings_page(experiment.experiment_id)}"
    newest = client.search_runs(
        [experiment.experiment_id],
        "tags.`pipeline.stage` = 'report' and attributes.status = 'FINISHED'",
        order_by=["attributes.end_time DESC"],
    )
    for run in newest:  # one that stands for an earlier one, or compares runs, has no such page
        if any(file.path == PAGE for file in client.list_artifacts(run.info.run_id)):
            yield f"Report:    {address}{artifact_page(experiment.experiment_id, run.info.run_id, PAGE)}"
            return


def _experiment_name() -> str:
    return os.environ.get(f"{PREFIX}EXPERIMENT_NAME") or PrepareOptions().experiment_name


def _parser() -> argparse.ArgumentParser:
    """Return a parser for those options of `mlflow ui` that say where it will be, and of what."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", "-h", default="127.0.0.1")
    parser.add_argument("--port", "-p", default=os.environ.get("MLFLOW_PORT", "5000"))
    parser.add_argument("--backend-store-uri", default=os.environ.get(_STORE))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
