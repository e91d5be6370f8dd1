"""`find` gives the numbers of `main`, since both are the same search."""

import pytest
from sklearn.datasets import load_digits

from pipeline import find
from pipeline.models import mlp
from pipeline.results import SearchResult
from tests.e2e.project import SMALL, Project

pytestmark = pytest.mark.slow


def test_find_answers_as_main_does(project: Project) -> None:
    """The same data, network and options: the same leaderboard to the last digit, and the same costs."""
    (run,) = project.runs("search", project.runs("main")[0].info.run_id)
    theirs = SearchResult.model_validate_json((project.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    bunch = load_digits()
    options = {name: value for name, value in SMALL.items() if name not in ("data", "model")}
    found = find(
        lambda input_shape, num_outputs: mlp(input_shape, num_outputs, "softmax"),
        (bunch.images.astype("uint8"), bunch.target),
        scale="auto",
        progress=False,
        **options,
    )
    assert found.search.leaderboard == theirs.leaderboard
    assert found.search.winner == theirs.winner
    assert found.search.cost.trainings == theirs.cost.trainings
