import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from math import inf
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline.reporting import figures
from pipeline.reporting.figures import Training
from pipeline.reporting.html import Report
from pipeline.reporting.style import MUTED, NARROW, PALETTE, WIDE
from pipeline.results import Interval, RangeTestResult


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _draws(figure: Figure) -> bool:
    target = BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue().startswith(b"\x89PNG")


def _range_test(report: Report, result: RangeTestResult | None = None, width: float = WIDE) -> Figure:
    sweep, result = report.sweep, result or report.range_test
    assert sweep is not None
    assert result is not None
    return figures.range_test(
        sweep.rates,
        sweep.losses,
        result,
        median=sweep.median,
        band_low=sweep.band_low,
        band_high=sweep.band_high,
        width=width,
    )


def test_importing_figures_loads_no_framework() -> None:
    """They are drawn in processes that have no need of any."""
    code = "import sys, pipeline.reporting.html; print({'tensorflow', 'keras', 'mlflow', 'optuna'} & {*sys.modules})"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_lr_curve_shows_each_rate_and_the_loss(report: Report) -> None:
    """Rate above, raw and smoothed loss below, both against epochs."""
    training = report.trainings[0]
    figure = figures.lr_curve(training)
    rate, loss = figure.axes
    (line,) = rate.get_lines()
    assert np.asarray(line.get_ydata()) == pytest.approx(training.lr)
    assert np.asarray(line.get_xdata())[-1] == pytest.approx(6 - 1 / 64)
    assert rate.get_title(loc="left") == "cosine lr=0.0562 seed=100"
    raw, smoothed = (np.asarray(drawn.get_ydata()) for drawn in loss.get_lines())
    assert raw == pytest.approx(training.batch_loss)
    assert np.abs(np.diff(np.log(smoothed))).mean() < 0.3 * np.abs(np.diff(np.log(raw))).mean()
    assert loss.get_yscale() == "log"
    assert loss.get_xlabel() == "epoch"


def test_long_trainings_are_thinned(report: Report) -> None:
    """A hundred thousand updates draw as fast as a thousand."""
    long = replace(report.trainings[0], lr=np.geomspace(1, 0.01, 100_000), batch_loss=np.ones(100_000))
    figure = figures.lr_curve(long)
    assert max(np.size(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()) <= 1000


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_a_diverged_training_still_draws(report: Report, seen: int) -> None:
    """Fewer losses than rates, the last not finite."""
    losses = np.append(np.ones(seen), np.nan)
    figure = figures.lr_curve(replace(report.trainings[0], batch_loss=losses))
    assert np.size(figure.axes[1].get_lines()[0].get_ydata()) == seen
    assert _draws(figure)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", ["$", "$x$", r"$\frac{$ \$", "<b>&", "数据"])
def test_any_name_can_be_drawn(report: Report, name: str) -> None:
    """A dollar sign starts no formula; a letter that the font lacks is a box, not an error."""
    assert _draws(figures.lr_curve(replace(report.trainings[0], name=name)))


def test_range_test_marks_what_was_read_off(report: Report) -> None:
    """Logarithmic axes, every seed and the median, every suggestion by name, the interval and the divergence."""
    figure = _range_test(report)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    texts = _texts(figure)
    assert {"suggested 0.0562", "steepest 0.0125", "valley 0.0316", "minimum 0.45"} <= set(texts)
    assert not any("minimum tenth" in text for text in texts)
    assert _legend(figure) == ["each seed, raw", "median of seeds, smoothed", "interval to search", "diverges"]
    raw = [line for line in axes.get_lines() if line.get_label() == "each seed, raw"]
    assert len(raw) == 3
    diamonds = [line for line in axes.get_lines() if line.get_marker() == "D"]
    assert [np.asarray(line.get_xdata()).item() for line in diamonds] == [0.0562]


def test_range_test_shows_the_descent_not_the_explosion(report: Report) -> None:
    """The last finite loss is hundreds of times the first; the axis ends just above the first."""
    (axes,) = _range_test(report).axes
    assert report.sweep is not None
    low, high = axes.get_ylim()
    assert np.nanmax(report.sweep.losses) > 230
    assert 2.3 < high < 4
    assert low < 0.36


def test_refinement_shows_what_was_tried_and_the_fit(report: Report) -> None:
    """Short and whole trainings, where they started, the fit and the interval; the suggestion stands on the fit."""
    assert report.range_test is not None
    figure = figures.refinement(report.range_test)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log",
        "initial learning rate",
        "validation loss",
    )
    names = ["interval to search", "start, from the sweep", "short training", "diverged", "whole training"]
    assert _legend(figure) == [*names, "fit to whole trainings"]
    points = {str(line.get_label()): np.asarray(line.get_xdata(), float).tolist() for line in axes.get_lines()}
    assert points["short training"] == [0.178, 0.0562]
    assert points["diverged"] == [0.562]
    assert points["whole training"] == [0.178, 0.0562, 0.0178]
    (diamond,) = (line for line in axes.get_lines() if line.get_marker() == "D")
    assert np.asarray(diamond.get_ydata()).item() == pytest.approx(0.36, rel=1e-3)
    assert "suggested 0.0562" in _texts(figure)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("loss", [0.3, -0.5, np.inf])
def test_refinement_draws_whatever_came_out(report: Report, loss: float, width: float) -> None:
    """No fit, a loss that is negative, or nothing but divergence."""
    assert report.range_test is not None
    refinement = report.range_test.refinement
    assert refinement is not None
    tried = tuple(each.model_copy(update={"val_loss": loss}) for each in refinement.tried)
    nothing = {"suggested_lr": None, "lr_low": None, "lr_high": None, "verdict": "refused"} if loss == np.inf else {}
    changed = refinement.model_copy(update={"tried": tried, "fit": None})
    result = report.range_test.model_copy(update={"refinement": changed, **nothing})
    assert _draws(figures.refinement(result, width=width))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_of_suggestions_do_not_overlap(report: Report, width: float) -> None:
    """Nor does one label stand in the way of another's line."""
    assert report.range_test is not None
    near = {"a": 0.05, "b": 0.052, "c": 0.054, "steepest_descent": 0.2, "d": 0.3}
    figure = _range_test(report, report.range_test.model_copy(update={"suggestions": near}), width)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    assert len(boxes) == 6
    names = list(boxes)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            assert not boxes[name].overlaps(boxes[other]), (name, other)
            crossed = boxes[other].x0 < boxes[name].x1 < boxes[other].x1 and boxes[other].y1 < boxes[name].y0
            assert not crossed, (name, other)


def test_a_refused_range_test_suggests_nothing(report: Report) -> None:
    """The curves are shown, without an interval and without marks."""
    assert report.range_test is not None
    refused = {"verdict": "refused", "suggested_lr": None, "lr_low": None, "lr_high": None}
    figure = _range_test(report, report.range_test.model_copy(update=refused))
    assert "No rate suggested" in _texts(figure)
    assert not figure.axes[0].texts
    assert "interval to search" not in _legend(figure)


def test_a_range_test_without_a_finite_loss_draws(report: Report) -> None:
    """Nothing to see is not an error."""
    assert report.sweep is not None
    assert report.range_test is not None
    nothing = np.full_like(report.sweep.median, np.nan)
    refused = report.range_test.model_copy(update={"verdict": "refused", "suggested_lr": None, "divergence_lr": None})
    figure = figures.range_test(
        report.sweep.rates,
        nothing[None],
        refused,
        median=nothing,
        band_low=nothing,
        band_high=nothing,
    )
    assert _draws(figure)


def test_lr_curves_draw_one_line_a_series(report: Report) -> None:
    """Seeds share their curve; the winner comes first and stands out; baselines have no colour."""
    (axes,) = figures.lr_curves(report.trainings).axes
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
    lines = figures.lr_curves([first, second]).axes[0].get_lines()
    assert lines[0].get_color() == lines[1].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_trials_are_left_out_of_the_comparison(report: Report) -> None:
    """Their budget is another."""
    trial = replace(report.trainings[0], role="trial")
    assert not figures.lr_curves([trial]).axes[0].get_lines()
    assert not figures.loss_curves([trial]).axes[0].get_lines()


def test_loss_curves_show_mean_and_range_over_seeds(report: Report) -> None:
    """One panel for training, one for validation."""
    figure = figures.loss_curves(report.trainings)
    train, validation = figure.axes
    assert (train.get_title(loc="left"), validation.get_title(loc="left")) == ("Training loss", "Validation loss")
    losses = np.array([t.history["val_loss"] for t in report.trainings if t.role == "winner"])
    assert np.asarray(validation.get_lines()[0].get_ydata()) == pytest.approx(losses.mean(axis=0))
    band = np.asarray(validation.collections[0].get_paths()[0].vertices)[:, 1]
    assert (band.min(), band.max()) == pytest.approx((losses.min(), losses.max()))
    assert len(train.get_lines()) == len(validation.get_lines()) == 5


def test_loss_curves_end_where_the_first_seed_does(report: Report) -> None:
    """A mean over fewer seeds would jump; a diverged epoch has no loss."""

    def ended(training: Training, losses: list[float]) -> Training:
        return replace(training, history={"loss": losses, "val_loss": losses})

    first, second, *_ = report.trainings
    figure = figures.loss_curves([ended(first, [3.0, 2.0, 1.0]), ended(second, [3.0, 4.0, inf])])
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()).tolist() == [3, 3]


def test_leaderboard_is_a_forest_plot(report: Report) -> None:
    """Best at the top, each interval from end to end, standing in words."""
    assert report.search is not None
    figure = figures.leaderboard(report.search)
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["cosine 0.0562", "one cycle 0.1", "SGD at 0.01", "exponential 0.0316", "Adam at 0.001"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert [text.get_text() for text in axes.texts] == ["tie, chosen", "tie", "tie", "worse", "worse"]
    intervals = [line for line in axes.get_lines() if np.size(line.get_xdata()) == 2][:5]
    assert np.asarray(intervals[0].get_xdata()) == pytest.approx([0.9 * 0.0571, 1.1 * 0.0571])
    points = [line for line in axes.get_lines() if np.size(line.get_xdata()) == 1]
    assert [line.get_color() == MUTED for line in points] == [False, False, True, False, True]
    assert axes.get_xlabel() == "validation loss"


def test_on_a_phone_the_standing_is_under_the_name(report: Report) -> None:
    """There is no room beside the plot."""
    assert report.search is not None
    (axes,) = figures.leaderboard(report.search, width=NARROW).axes
    assert axes.get_yticklabels()[0].get_text() == "cosine 0.0562\ntie, chosen"
    assert not axes.texts


def test_leaderboard_with_a_diverged_and_a_hopeless_row(report: Report) -> None:
    """Neither takes the room that the others need."""
    assert report.search is not None
    best, second, *_ = report.search.leaderboard
    lost = best.model_copy(
        update={"scheme": "step", "objective": Interval(mean=inf, low=inf, high=inf), "verdict": "diverged"}
    )
    hopeless = second.model_copy(update={"scheme": "linear", "objective": Interval(mean=2.3, low=2.2, high=2.4)})
    wide = second.model_copy(update={"scheme": "sqrt", "objective": Interval(mean=0.06, low=-1, high=1.1)})
    rows = (best, lost, hopeless, wide)
    figure = figures.leaderboard(report.search.model_copy(update={"leaderboard": rows, "baselines": ()}))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert 0.005 < axes.get_xlim()[0] < 0.05
    assert axes.texts[-1].get_text() == "diverged"
    assert _draws(figure)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_basin_for_each_finalist(report: Report, width: float) -> None:
    """The best first, on the same axes: losses with a band of noise, the range within noise, and the rate chosen."""
    assert report.search is not None
    figure = figures.basins(report.search, width=width)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["cosine 0.0562: 0.7 decades", "one cycle 0.1: 0.4 decades", "exponential 0.0316: 0.9 decades"]
    assert len({axes.get_ylim() for axes in figure.axes}) == len({axes.get_xlim() for axes in figure.axes}) == 1
    first = figure.axes[0]
    assert first.get_xscale() == "log"
    (curve,) = [line for line in first.get_lines() if np.size(line.get_xdata()) == 5]
    assert np.asarray(curve.get_ydata()) == pytest.approx(report.search.basin.values)
    (band,) = first.collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert heights.min() == pytest.approx(min(report.search.basin.values) - report.search.basin.noise)
    assert _draws(figure)


def test_rates_of_a_basin_that_diverged_are_crosses(report: Report) -> None:
    """At the top edge; the rest is drawn as ever."""
    assert report.search is not None
    best, *rest = report.search.leaderboard
    assert best.basin is not None
    lost = best.basin.model_copy(update={"values": (*best.basin.values[:-1], inf)})
    rows = (best.model_copy(update={"basin": lost}), *rest)
    figure = figures.basins(report.search.model_copy(update={"leaderboard": rows}))
    (crosses,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert np.size(crosses.get_xdata()) == 1
    assert _draws(figure)


def test_trials_on_two_logarithmic_axes(report: Report) -> None:
    """A marker and colour for each scheme; diverged ones at the top edge, wherever the axis ends."""
    assert report.trials is not None
    figure = figures.trials(report.trials)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert _legend(figure) == ["cosine", "one cycle", "exponential", "step", "constant", "diverged"]
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert sum(np.size(line.get_xdata()) for line in crosses) == 2
    assert all(line.get_transform() == axes.get_xaxis_transform() for line in crosses)
    assert all((np.asarray(line.get_ydata()) == 1).all() for line in crosses)
    points = [line for line in axes.get_lines() if line.get_marker() != "x"]
    assert sum(np.size(line.get_xdata()) for line in points) == 18
    assert len({(line.get_color(), line.get_marker()) for line in points}) == 5


def test_trials_that_all_diverged_draw(report: Report) -> None:
    """There is no loss to scale by."""
    assert report.trials is not None
    figure = figures.trials(report.trials.assign(val_loss=np.nan))
    assert _draws(figure)
    assert sum(np.size(line.get_xdata()) for line in figure.axes[0].get_lines() if line.get_marker() == "x") == 20


def test_a_trial_marked_diverged_is_no_point_even_with_a_loss(report: Report) -> None:
    """The loss it had when it was stopped says nothing."""
    assert report.trials is not None
    figure = figures.trials(report.trials.assign(state="DIVERGED", val_loss=1.0))
    assert sum(np.size(line.get_xdata()) for line in figure.axes[0].get_lines() if line.get_marker() == "x") == 20


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_trials_of_each_optimizer_and_batch_size_have_a_panel(report: Report, width: float) -> None:
    """With one legend and the same axes; every trial is in the panel of its own."""
    assert report.trials is not None
    several = report.trials.assign(optimizer=["sgd", "adam"] * 10, batch_size=[50] * 10 + [128] * 10)
    figure = figures.trials(several, width=width)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        *("sgd batch=50", "adam batch=50", "sgd batch=128", "adam batch=128"),
    ]
    drawn = [sum(np.size(line.get_xdata()) for line in axes.get_lines()) for axes in figure.axes]
    assert drawn == [5, 5, 5, 5]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert _draws(figure)


def test_long_names_of_basins_stand_above_their_width(report: Report) -> None:
    """So that neighbouring titles do not run into each other."""
    assert report.search is not None
    spaces = tuple(report.search.spaces[0].model_copy(update={"batch_size": size}) for size in (50, 128))
    titles = [
        [axes.get_title(loc="left") for axes in figures.basins(search).axes]
        for search in (report.search, report.search.model_copy(update={"spaces": spaces}))
    ]
    assert titles[0][2] == "exponential 0.0316: 0.9 decades"
    assert titles[1][2] == "batch=50 exponential 0.0316\n0.9 decades"


def test_figures_of_the_search_show_the_objective(maximised: Report) -> None:
    """By its name and in its sign; what diverged stands at the bottom edge, where the worst is."""
    assert maximised.search is not None
    assert maximised.trials is not None
    (board,) = figures.leaderboard(maximised.search).axes
    assert board.get_xlabel() == "validation gain"
    assert board.get_yticklabels()[0].get_text() == "cosine 0.0562"
    basin = figures.basins(maximised.search).axes[0]
    assert basin.get_ylabel() == "validation gain"
    (trials,) = figures.trials(maximised.trials, maximised.search.objective).axes
    assert trials.get_ylabel() == "validation gain"
    crosses = [line for line in trials.get_lines() if line.get_marker() == "x"]
    assert sum(np.size(line.get_xdata()) for line in crosses) == 2
    assert all((np.asarray(line.get_ydata()) == 0).all() for line in crosses)
