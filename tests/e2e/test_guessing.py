"""An answer that is no better than guessing says so first, and what to do about it helps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.results import TrainResult
from tests.e2e.project import Project

pytestmark = pytest.mark.slow

GIVEN: dict[str, Any] = {"data": "price.npz", "scheme": "constant", "initial_lr": 0.01, "optimizer": "adam", "seeds": 1}


def test_labels_far_out_of_scale(tmp_path: Path) -> None:
    """A price is not learnt in a few updates; with its labels scaled it is, and its errors stay in its own units."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    price = 457_000 + 10_000 * (x @ rng.normal(size=6)) + 5_000 * rng.normal(size=400)
    np.savez(tmp_path / "price.npz", x_train=x, y_train=price.astype(np.float32))
    project = Project(tmp_path)
    said = project.here("report", epochs=10, **GIVEN).stdout
    far = "the labels lie far from zero and one (mean 45"
    assert said.index("✓ prepare") < said.index(far) < said.index("✓ train")
    lost = "This is no better than predicting the mean of the training labels for every example: test loss "
    assert said.index(lost) < said.index("✓ train")
    page = (tmp_path / "reports" / "report.html").read_text(encoding="utf-8")
    assert page.index(lost) < page.index('<h1 class="headline" id="headline">')
    assert "scale_labels=true scales them for the training" in page
    said = project.here("report", epochs=10, scale_labels="true", **GIVEN).stdout
    assert lost not in said
    assert far not in said
    page = (tmp_path / "reports" / "report.html").read_text(encoding="utf-8")
    assert "The rate is for labels scaled to mean 0 and standard deviation 1 (minus 45" in page
    before, after = (_result(project, scaled) for scaled in ("False", "True"))
    assert before.guess is not None
    assert after.guess is not None
    assert (before.guess.beaten, after.guess.beaten) == (False, True)
    guessed = after.guess.loss
    assert guessed is not None
    assert before.guess.loss == guessed == pytest.approx(float(np.var(price)), rel=0.3)
    assert before.test_loss > 10 * guessed
    assert after.test_loss < guessed / 3
    model = project.artifacts(project.runs("train", status="FINISHED")[0]) / "model.keras"
    assert model.is_file()


def _result(project: Project, scaled: str) -> TrainResult:
    stage = [run for run in project.runs("train") if run.data.params.get("scale_labels", "").title() == scaled]
    return TrainResult.model_validate_json((project.artifacts(stage[0]) / "result.json").read_text(encoding="utf-8"))
