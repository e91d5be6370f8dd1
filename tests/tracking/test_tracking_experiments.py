"""Runs of parts of a stage's work."""

import pytest

from pipeline.tracking import Store
from pipeline.tracking.experiments import log_scores, part_run
from pipeline.tracking.integrity import write_text
from pipeline.tracking.store import RESULT


def test_part_can_be_found_as_a_stage_can(store: Store, fingerprint: str) -> None:
    """By its fingerprint, with its artifacts verified; its parent may still be at work."""
    tags = {"pipeline.stage": "reproduce", "pipeline.fingerprint": fingerprint}
    with store.stage_run("reproduce", "articles", {}) as stage:
        with part_run(store, "B1 Adam 0.001", stage, tags, {"epochs": 25}) as part:
            assert store.find("reproduce", fingerprint) is None
            write_text(part.folder / RESULT, "{}")
            log_scores(store, part, {"test_loss": 0.03})
        found = store.find("reproduce", fingerprint)
        assert found is not None
        assert (found.run_id, found.result) == (part.run_id, "{}")
    run = store.client.get_run(part.run_id)
    assert run.info.run_name == "B1 Adam 0.001"
    assert run.data.tags["mlflow.parentRunId"] == stage.run_id
    assert (run.data.params, run.data.metrics) == ({"epochs": "25"}, {"test_loss": 0.03})


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_part_that_does_not_end_well_cannot_be_found(
    store: Store, fingerprint: str, error: type[BaseException], status: str
) -> None:
    """It is marked as what became of it."""
    tags = {"pipeline.stage": "reproduce", "pipeline.fingerprint": fingerprint}
    with store.stage_run("reproduce", "articles", {}) as stage:
        with pytest.raises(error), part_run(store, "B1", stage, tags, {}):
            raise error
        assert store.find("reproduce", fingerprint) is None
        (run,) = store.client.search_runs([stage.experiment_id], f"tags.`mlflow.parentRunId` = '{stage.run_id}'")
    assert run.info.status == status
