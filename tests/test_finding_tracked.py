"""`find` with `track`: runs as those of the stages."""

from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from pipeline import find
from pipeline.config import SearchOptions
from pipeline.errors import InputError
from pipeline.stages.history import Searched, of_network
from tests.test_finding import LEAST, X, Y, compiled

QUICK: dict[str, Any] = LEAST | {"trials": 2, "schemes": "cosine"}


pytestmark = pytest.mark.usefixtures("own_store")


def runs(uri: str, below: str) -> dict[str, list[Run]]:
    """Return the runs below a run, by stage."""
    client = mlflow.MlflowClient(uri)
    found: dict[str, list[Run]] = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{below}'"):
            found.setdefault(run.data.tags["pipeline.stage"], []).append(run)
    return found


def earlier_search(ratio: float) -> str:
    """Leave a finished search on the network in the store in use, and return the id of its run."""
    client, model = mlflow.MlflowClient(), compiled()
    about = of_network(SearchOptions(optimizer="adam"), model).model_copy(update={"ratio": ratio})
    tags = {"pipeline.stage": "search", "pipeline.searched": about.model_dump_json()}
    run_id: str = client.create_run("0", tags=tags).info.run_id
    client.set_terminated(run_id)
    return run_id


def test_below_the_active_run(tmp_path: Path) -> None:
    """It stays active; range test and search are its children, with their trainings below and their artifacts.

    The search starts from an earlier answer there on a network of the same layers, whatever Keras calls it.
    """
    uri = f"sqlite:///{tmp_path}/mine.db"
    earlier = earlier_search(ratio=1.5625)
    with mlflow.start_run(experiment_id="0") as active:
        answer = find(compiled(), (X, Y), track=mlflow.active_run(), history="related", **QUICK)
        assert mlflow.active_run().info.run_id == active.info.run_id
        mlflow.log_metric("mine", 1.0)
    client = mlflow.MlflowClient(uri)
    assert client.get_run(active.info.run_id).info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(active.info.run_id)] == ["report.html"]
    children = runs(uri, active.info.run_id)
    assert {stage: len(found) for stage, found in children.items()} == {"range_test": 1, "search": 1}
    (search,) = children["search"]
    assert search.info.status == "FINISHED"
    assert {"result.json", "leaderboard.csv", "trials.csv"} <= {
        file.path for file in client.list_artifacts(search.info.run_id)
    }
    trainings = runs(uri, search.info.run_id)["trial"]
    assert len(trainings) >= answer.search.trials
    assert answer.search.history is not None
    assert (answer.search.history.run_id, answer.search.history.correction) == (earlier, 1.25)
    assert "The search started from the earlier answer on your data (a network of Dense, Adam, batches" in str(answer)
    assert search.data.tags["pipeline.history"] == earlier
    known = Searched.model_validate_json(search.data.tags["pipeline.searched"])
    assert known.ratio == answer.winner.initial_lr / answer.search.spaces[0].suggested_lr
    assert {"lr", "loss", "val_loss"} <= trainings[0].data.metrics.keys()


def test_in_a_store_that_is_named(tmp_path: Path) -> None:
    """The tracking URI in use stays, and the answer is the one without runs; rates of layers are shown and used."""
    before = mlflow.get_tracking_uri()
    uri = f"sqlite:///{tmp_path}/other.db"
    model = compiled()
    model.lr_multipliers = {"dense*": 0.5, model.layers[0].name: 0}
    tracked, untracked = (find(model, (X, Y), track=track, **QUICK) for track in (uri, None))
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    assert not (tmp_path / "mine.db").exists()
    client = mlflow.MlflowClient(uri)
    (own,) = client.search_runs(
        [client.get_experiment_by_name("lr-pipeline").experiment_id], "tags.`pipeline.stage` = 'find'"
    )
    assert own.info.status == "FINISHED"
    below = runs(uri, own.info.run_id)
    assert set(below) == {"range_test", "search"}
    assert tracked.leaderboard.equals(untracked.leaderboard)
    first = model.layers[0].name
    logged = {one.data.params["lr_multipliers"] for one in (own, *below["range_test"], *below["search"])}
    assert logged == {f"dense*=0.5,{first}=0.0"}
    assert f"The model's layers train at multiples of the rate: dense*=0.5, {first}=0." in str(tracked)
    assert "optimizer=with_lr_multipliers(keras.optimizers.Adam(learning_rate=Schedule()" in tracked._report.code
    other = keras.models.clone_model(model)
    tracked.compile(other)
    before_fit = other.get_weights()
    other.fit(X, Y, batch_size=100, verbose=0)
    moved = [not np.array_equal(*pair) for pair in zip(before_fit, other.get_weights(), strict=True)]
    assert moved == [False, False, True, True]


@pytest.mark.parametrize("track", [True, "", "https://me:secret@example.org"])
def test_anything_else_is_refused(track: object) -> None:
    """In a line that holds no password."""
    with pytest.raises(InputError, match=r"^track: ") as refused:
        find(compiled(), (X, Y), track=track, **QUICK)
    assert "secret" not in str(refused.value)
