"""The page that compares logged trainings: what it shows, and what it says cannot be compared."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.comparison import Comparison, Curve, LoggedRun, usual_name
from pipeline.reporting.comparison_page import render
from tests.reporting.page import Page


def curve(values: Sequence[float], steps: Sequence[int] | None = None) -> Curve:
    """Return a curve with a value for each step, by default from 0."""
    return Curve(np.array(steps or range(len(values))), np.array(values, np.float64))


THEIRS = LoggedRun(
    name="bold-fish",
    run_id="a" * 32,
    experiment="theirs",
    status="FINISHED",
    is_ours=False,
    params={"units": "64", "epochs": "3"},
    finals={"lr": 0.01, "val_loss": 0.5, "val_accuracy": 0.85, "test_loss": 0.55},
    curves={
        "lr": curve([0.1, 0.05, 0.01]),
        "val_loss": curve([0.9, 0.4, 0.5]),
        "val_accuracy": curve([0.7, 0.9, 0.85]),
    },
)
OURS = replace(
    THEIRS,
    name="cosine lr=0.1 seed=0",
    run_id="b" * 32,
    is_ours=True,
    params={"scheme": "cosine", "epochs": "2"},
    finals={"lr": 0.0, "val_loss": 0.3, "test_loss": 0.33},
    curves={"lr": curve([0.1, 0.07, 0.03, 0.0]), "val_loss": curve([0.6, 0.3], [1, 3])},
    epoch_at=curve([0.0, 0.5, 1.0, 1.5]),
    key="0123",
)


def compared(*runs: LoggedRun) -> Comparison:
    """Return a comparison at a fixed time."""
    return Comparison(runs, "2030-01-02T03:04:05+00:00")


def said(*runs: LoggedRun) -> str:
    """Return all remarks in one text."""
    return " ".join(compared(*runs).remarks())


def test_page_shows_curves_scores_and_what_differs() -> None:
    """It loads nothing from outside, and no text of a run is taken for HTML."""
    name = "<b>bold</b> & $fish"
    page = render(compared(OURS, replace(THEIRS, name=name)))
    read = Page(page)
    assert "http" not in page.replace("http-equiv", "")
    assert "<b>bold" not in page
    assert read.text("h2") == ["Curves", "Final and best values", "Parameters that differ", "Runs"]
    assert sum(tag == "svg" for tag, _ in read.tags) == 2 * len(("lr", "val_loss", "val_accuracy"))
    for shown in (name, "0.3", "best 0.4", "85.00%", "best 90.00%", "0.33", "0.55", "a" * 32, "another program"):
        assert shown in read.visible
    assert compared(OURS, THEIRS).differing == {"epochs": ("2", "3")}
    assert compared(OURS, THEIRS).lacking == {"scheme": ("cosine", ""), "units": ("", "64")}


def test_curves_share_an_axis() -> None:
    """Updates of this project and epochs of Keras as epochs; as steps, with a remark, where epochs are unknown."""
    both = compared(OURS, THEIRS)
    np.testing.assert_allclose(both.along(OURS, OURS.curves["val_loss"]), [0.5, 1.5])
    np.testing.assert_allclose(both.along(THEIRS, THEIRS.curves["val_loss"]), [1, 2, 3])
    assert "Each step of bold-fish is taken for an epoch." in said(OURS, THEIRS)
    every_batch = replace(THEIRS, name="by-batch", params={}, curves={"lr": curve([0.1] * 50)})
    np.testing.assert_allclose(compared(every_batch, OURS).along(OURS, OURS.curves["val_loss"]), [1, 3])
    assert "against steps as they were logged, as the epochs of these are unknown: by-batch." in said(OURS, every_batch)


@pytest.mark.parametrize(
    ("runs", "remark"),
    [
        ((OURS, replace(OURS, run_id="c" * 32)), "All were trained on the same data, with the same network, code"),
        ((OURS, replace(OURS, key="4567")), "are not the same for all, as their keys show"),
        ((OURS, THEIRS), "Not all have logged their data sets, so nothing shows that these are the same"),
        ((replace(THEIRS, data_sets=("a 12",)), THEIRS), "Not all have logged their data sets"),
        ((replace(THEIRS, data_sets=("a 12",)),) * 2, "All have logged the same data sets (a 12)"),
        (
            (replace(THEIRS, data_sets=("a 12",)), replace(THEIRS, name="other", data_sets=("b 34", "c 56"))),
            "losses and accuracies do not compare (bold-fish: a 12; other: b 34, c 56).",
        ),
        (
            (OURS, replace(THEIRS, status="RUNNING")),
            "bold-fish is RUNNING: its last values are not those of a finished",
        ),
        ((OURS, THEIRS), "No curve of val_accuracy: cosine lr=0.1 seed=0."),
        ((OURS, THEIRS), "Runs of this project log the training loss of single batches"),
    ],
)
def test_what_cannot_be_compared_is_said(runs: tuple[LoggedRun, ...], remark: str) -> None:
    """Whatever was logged, there is no verdict, since each run is a single training."""
    assert remark in said(*runs)
    assert said(*runs).startswith("Each run is one training, and how good it is depends on its seed too: nothing here")


@pytest.mark.parametrize(
    ("names", "usual"),
    [
        ({"learning_rate", "lr"}, "lr"),
        ({"accuracy", "acc", "sparse_categorical_accuracy", "binary_accuracy"}, "accuracy"),
        ({"val_accuracy", "val_acc", "val_categorical_accuracy"}, "val_accuracy"),
        ({"loss", "train_loss"}, "loss"),
    ],
)
def test_metrics_have_one_name(names: set[str], usual: str) -> None:
    """Whatever they were logged as."""
    assert {usual_name(name) for name in names} == {usual}
