import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation import Candidate, Evaluation
from pipeline.reporting import style
from pipeline.reporting.report_inputs import Report
from pipeline.reporting.style import PALETTE
from pipeline.reporting.training_figures import NamedTraining, loss_curves, lr_curve, lr_curves
from tests.reporting.page import Page

EVALUATION = Evaluation(
    Candidate(scheme="cosine", initial_lr=0.0562, optimizer="sgd", batch_size=50, params={}), epochs=6, seed=100
)


def test_importing_figures_loads_no_framework() -> None:
    """Neither do the page and the answer: the process that renders them needs none."""
    heavy = {"tensorflow", "keras", "mlflow", "optuna"}
    code = f"import sys, pipeline.reporting.report_page; print({heavy} & {{*sys.modules}})"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_lr_curve_shows_each_rate_and_the_loss(report: Report) -> None:
    """Rate above, raw and smoothed loss below, both against epochs."""
    training = report.trainings[0].training
    figure = lr_curve(EVALUATION, training)
    rate, loss = figure.axes
    (line,) = rate.get_lines()
    assert np.asarray(line.get_ydata()) == pytest.approx(training.rates)
    assert np.asarray(line.get_xdata())[-1] == pytest.approx(6 - 1 / 64)
    assert rate.get_title(loc="left") == "cosine lr=0.0562 seed=100"
    raw, smoothed = (np.asarray(drawn.get_ydata()) for drawn in loss.get_lines())
    assert raw == pytest.approx(training.losses)
    assert np.abs(np.diff(np.log(smoothed))).mean() < 0.3 * np.abs(np.diff(np.log(raw))).mean()
    assert loss.get_yscale() == "log"
    assert loss.get_xlabel() == "epoch"


def test_long_trainings_are_thinned(report: Report) -> None:
    """A hundred thousand updates draw as fast as a thousand."""
    rates, losses = np.geomspace(1, 0.01, 100_000, dtype=np.float32), np.ones(100_000, np.float32)
    figure = lr_curve(EVALUATION, replace(report.trainings[0].training, rates=rates, losses=losses))
    sizes = [np.size(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()]
    assert len(sizes) == 3
    assert 500 < min(sizes) <= max(sizes) <= 1000


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_a_diverged_training_still_draws(report: Report, seen: int) -> None:
    """The finite losses are drawn at their updates, below all rates."""
    training = report.trainings[0].training
    losses = np.append(np.linspace(2, 1, seen), np.nan).astype(np.float32)
    figure = lr_curve(EVALUATION, replace(training, losses=losses))
    figure.draw_without_rendering()
    rate, loss = figure.axes
    assert np.asarray(rate.get_lines()[0].get_ydata()) == pytest.approx(training.rates)
    raw = loss.get_lines()[0]
    assert np.asarray(raw.get_ydata()) == pytest.approx(np.linspace(2, 1, seen))
    assert np.asarray(raw.get_xdata()) == pytest.approx(np.arange(seen) / 64)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", ["$", "$x$", r"$\frac{$ \$", "<b>&", "数据"])
def test_any_name_can_be_drawn(report: Report, name: str) -> None:
    """It is written letter by letter: a dollar sign starts no formula, and what looks like markup is text."""
    training = report.trainings[0].training
    single = lr_curve(EVALUATION.trying(scheme=name), training)
    assert f"{name} lr=0.0562 seed=100" in Page(style.inline(single, "a", "words")).visible
    several = lr_curves([replace(report.trainings[0], name=name)])
    assert f"{name} (winner)" in Page(style.inline(several, "b", "words")).visible


def test_lr_curves_draw_one_line_per_series(report: Report) -> None:
    """Seeds share their curve; the winner comes first and stands out; baselines have no colour."""
    (axes,) = lr_curves(report.trainings).axes
    labels = [str(line.get_label()) for line in axes.get_lines()]
    assert labels == [
        "cosine lr=0.0562 (winner)",
        "one cycle lr=0.1",
        "exponential lr=0.0316",
        "Adam at 0.001",
        "SGD at 0.01",
    ]
    widths = [line.get_linewidth() for line in axes.get_lines()]
    assert widths[0] > max(widths[1:])
    assert [line.get_color() in PALETTE.values() for line in axes.get_lines()] == [True, True, True, False, False]
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 0.001 < 0.1 < high


def test_two_rates_of_one_scheme_differ_in_their_dashes(report: Report) -> None:
    """They share the scheme's colour."""
    first = report.trainings[0]
    second = replace(first, name="cosine lr=0.01 seed=100", role="finalist")
    lines = lr_curves([first, second]).axes[0].get_lines()
    assert lines[0].get_color() == lines[1].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_trials_are_left_out_of_the_comparison(report: Report) -> None:
    """They have another budget."""
    trial = replace(report.trainings[0], role="trial")
    assert not lr_curves([trial]).axes[0].get_lines()
    assert not loss_curves([trial]).axes[0].get_lines()


def test_loss_curves_show_mean_and_range_over_seeds(report: Report) -> None:
    """One panel for training, one for validation."""
    figure = loss_curves(report.trainings)
    train, validation = figure.axes
    assert (train.get_title(loc="left"), validation.get_title(loc="left")) == ("Training loss", "Validation loss")
    losses = np.array([t.training.history["val_loss"] for t in report.trainings if t.role == "winner"])
    assert np.asarray(validation.get_lines()[0].get_ydata()) == pytest.approx(losses.mean(axis=0))
    band = np.asarray(validation.collections[0].get_paths()[0].vertices)[:, 1]
    assert (band.min(), band.max()) == pytest.approx((losses.min(), losses.max()))
    assert len(train.get_lines()) == len(validation.get_lines()) == 5


def test_loss_curves_end_where_the_first_seed_does(report: Report) -> None:
    """A mean over fewer seeds would jump; a diverged epoch has no loss."""

    def ended(named: NamedTraining, losses: list[float]) -> NamedTraining:
        return replace(named, training=replace(named.training, history={"loss": losses, "val_loss": losses}))

    first, second, *_ = report.trainings
    figure = loss_curves([ended(first, [3.0, 2.0, 1.0]), ended(second, [3.0, 4.0, inf])])
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()).tolist() == [3, 3]
