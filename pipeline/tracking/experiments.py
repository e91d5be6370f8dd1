"""Runs that a stage keeps for parts of its work: with children, results and artifacts of their own."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities import Metric, Param

from pipeline.tracking import files
from pipeline.tracking.store import StageRun, Store


@contextmanager
def part_run(
    store: Store, name: str, parent: StageRun, tags: Mapping[str, str], params: Mapping[str, object]
) -> Iterator[StageRun]:
    """A run below a stage's, which can be found by its fingerprint as a stage can.

    It ends FINISHED, with what was written to its folder as artifacts; KILLED when interrupted; FAILED otherwise.
    """
    run_id = store.create_child(name, parent, tags)
    store.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
    status = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield StageRun(run_id, parent.experiment_id, Path(folder))
            files.write_manifest(Path(folder))
            store.client.log_artifacts(run_id, folder)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        store.client.set_terminated(run_id, status)


def log_scores(store: Store, run: StageRun, scores: Mapping[str, float]) -> None:
    """Show scores on a run, where the UI compares runs by them."""
    now = int(time.time() * 1000)
    store.client.log_batch(run.run_id, metrics=[Metric(name, value, now, 0) for name, value in scores.items()])
