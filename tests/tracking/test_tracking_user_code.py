"""User code that uses MLflow for itself: this project's runs go on."""

from collections.abc import Callable

import mlflow
import pytest

from pipeline.containment import contained
from pipeline.tracking import Store

CHANGES: dict[str, Callable[[], object]] = {
    "leaves a run open": lambda: mlflow.start_run(nested=True),
    "ends the active run": mlflow.end_run,
    "takes another store": lambda: mlflow.set_tracking_uri("sqlite:///other.db"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_active_run_and_the_store_are_put_back(store: Store, change: str) -> None:
    """Runs that it leaves open are ended, and one that it ended goes on."""
    uri = mlflow.get_tracking_uri()
    with mlflow.start_run() as ours:
        with contained():
            CHANGES[change]()
        assert mlflow.get_tracking_uri() == uri
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == ours.info.run_id
        assert store.client.get_run(ours.info.run_id).info.status == "RUNNING"
    running = mlflow.search_runs(search_all_experiments=True, filter_string="attributes.status = 'RUNNING'")
    assert len(running) == 0
