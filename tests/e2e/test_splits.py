"""A search and its final trainings, spread over several splits of the data."""

from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow.entities import Run

from pipeline.datasets import load_splits
from pipeline.results import SearchResult, TrainResult
from tests.e2e.project import Project

pytestmark = pytest.mark.slow


def test_seeds_are_spread_over_splits(tmp_path: Path) -> None:
    """The same for all candidates; final trainings too, and the model is one of the prepared split."""
    project = Project(tmp_path)
    project.here("train", splits=3, confirm_seeds=3, seeds=4, refine="off")
    (prepare,), (search,) = (project.runs(stage, status="FINISHED") for stage in ("prepare", "search"))
    train, *finals = project.runs("train", status="FINISHED")

    def splits_of(runs: list[Run]) -> list[int]:
        return [int(run.data.params["split"]) for run in runs]

    by_role = {role: [r for r in project.runs("trial") if r.data.tags["pipeline.role"] == role] for role in ROLES}
    assert set(splits_of(by_role["sweep"])) == set(splits_of(by_role["trial"])) == {0}
    confirmed = by_role["confirmation"]
    assert {(r.data.params["seed"], r.data.params["split"]) for r in confirmed} == {
        (str(20_000 + at), str(at)) for at in range(3)
    }
    assert sorted(splits_of(confirmed)) == sorted([0, 1, 2] * (len(confirmed) // 3))
    assert all(("split" in str(r.info.run_name)) == (r.data.params["split"] != "0") for r in confirmed)
    assert sorted(splits_of(finals)) == [0, 0, 1, 2]

    found = SearchResult.model_validate_json((project.artifacts(search) / "result.json").read_text(encoding="utf-8"))
    result = TrainResult.model_validate_json((project.artifacts(train) / "result.json").read_text(encoding="utf-8"))
    assert (found.splits, result.splits) == (3, 3)
    assert [(score.seed, score.split) for score in result.seeds] == [(0, 0), (1, 1), (2, 2), (3, 0)]

    model = keras.models.load_model(project.artifacts(train) / "model.keras")
    data = load_splits(project.artifacts(prepare) / "data.npz")
    loss = -np.log(model.predict(data.x_val, verbose=0)[np.arange(len(data.y_val)), data.y_val]).mean()
    assert loss == pytest.approx(min(score.val_loss for score in result.seeds if score.split == 0), rel=1e-4)


ROLES = ("sweep", "trial", "confirmation")
