from math import inf

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.reporting.report_inputs import Report
from pipeline.reporting.search_figures import basins, leaderboard, trials
from pipeline.reporting.style import MUTED, NARROW, WIDE
from pipeline.results import Interval


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_leaderboard_is_a_forest_plot(report: Report) -> None:
    """The best at the top, each interval from end to end, and the verdict in words."""
    assert report.search is not None
    figure = leaderboard(report.search)
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
    (axes,) = leaderboard(report.search, width=NARROW).axes
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
    figure = leaderboard(report.search.model_copy(update={"leaderboard": rows, "baselines": ()}))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert 0.005 < axes.get_xlim()[0] < 0.05
    assert axes.texts[-1].get_text() == "diverged"
    points = [line for line in axes.get_lines() if np.size(line.get_xdata()) == 1]
    assert [np.asarray(line.get_xdata()).item() for line in points] == [0.0571, 0.06, 2.3]
    figure.draw_without_rendering()


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_basin_for_each_finalist(report: Report, width: float) -> None:
    """The best first, on the same axes: losses with a band of noise, the range within noise, and the rate chosen."""
    assert report.search is not None
    figure = basins(report.search, width=width)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["cosine 0.0562: 0.7 decades", "one cycle 0.1: 0.4 decades", "exponential 0.0316: 0.9 decades"]
    assert len({axes.get_ylim() for axes in figure.axes}) == len({axes.get_xlim() for axes in figure.axes}) == 1
    first = figure.axes[0]
    assert first.get_xscale() == "log"
    (curve,) = [line for line in first.get_lines() if np.size(line.get_xdata()) == 5]
    assert np.asarray(curve.get_ydata()) == pytest.approx(report.search.basin.values)
    assert np.asarray(curve.get_xdata()) == pytest.approx(report.search.basin.rates)
    (shaded,) = [patch for patch in first.patches if isinstance(patch, Rectangle)]
    bounds = (shaded.get_x(), shaded.get_x() + shaded.get_width())
    assert bounds == pytest.approx((report.search.basin.lr_low, report.search.basin.lr_high))
    (band,) = first.collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert heights.min() == pytest.approx(min(report.search.basin.values) - report.search.basin.noise)
    assert heights.max() == pytest.approx(max(report.search.basin.values) + report.search.basin.noise)


def test_rates_of_a_basin_that_diverged_are_crosses(report: Report) -> None:
    """At the top edge; the other rates are drawn as usual."""
    assert report.search is not None
    best, *rest = report.search.leaderboard
    assert best.basin is not None
    lost = best.basin.model_copy(update={"values": (*best.basin.values[:-1], inf)})
    rows = (best.model_copy(update={"basin": lost}), *rest)
    figure = basins(report.search.model_copy(update={"leaderboard": rows}))
    (crosses,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert np.asarray(crosses.get_xdata()) == pytest.approx([lost.rates[-1]])
    assert np.asarray(crosses.get_ydata()).tolist() == [1.0]
    (curve,) = [line for line in figure.axes[0].get_lines() if np.size(line.get_xdata()) == 4]
    assert np.asarray(curve.get_ydata()) == pytest.approx(lost.values[:-1])


def test_trials_on_two_logarithmic_axes(report: Report) -> None:
    """A marker and colour for each scheme; diverged ones at the top edge, wherever the axis ends."""
    assert report.trials is not None
    figure = trials(report.trials)
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


@pytest.mark.parametrize(("state", "loss"), [("complete", np.nan), ("DIVERGED", 1.0)])
def test_trials_that_all_diverged_are_crosses(report: Report, state: str, loss: float) -> None:
    """Each at its rate on the top edge, also if the trial had a loss when it was stopped."""
    assert report.trials is not None
    figure = trials(report.trials.assign(state=state, val_loss=loss))
    figure.draw_without_rendering()
    drawn = [line for line in figure.axes[0].get_lines() if np.size(line.get_xdata())]
    assert {line.get_marker() for line in drawn} == {"x"}
    rates = np.concatenate([np.asarray(line.get_xdata()) for line in drawn])
    assert sorted(rates) == pytest.approx(sorted(report.trials["initial_lr"]))
    assert {float(y) for line in drawn for y in np.asarray(line.get_ydata())} == {1.0}


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_trials_of_each_optimizer_and_batch_size_have_a_panel(report: Report, width: float) -> None:
    """With one legend and the same axes; every trial is in its own panel."""
    assert report.trials is not None
    several = report.trials.assign(optimizer=["sgd", "adam"] * 10, batch_size=[50] * 10 + [128] * 10)
    figure = trials(several, width=width)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        *("sgd batch=50", "adam batch=50", "sgd batch=128", "adam batch=128"),
    ]
    rates = report.trials["initial_lr"].to_numpy()
    for axes, own in zip(figure.axes, (rates[:10:2], rates[1:10:2], rates[10::2], rates[11::2]), strict=True):
        drawn = np.concatenate([np.asarray(line.get_xdata()) for line in axes.get_lines()])
        assert sorted(drawn) == pytest.approx(sorted(own))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_long_names_of_basins_are_above_their_width(report: Report) -> None:
    """So that neighbouring titles do not run into each other."""
    assert report.search is not None
    spaces = tuple(report.search.spaces[0].model_copy(update={"batch_size": size}) for size in (50, 128))
    titles = [
        [axes.get_title(loc="left") for axes in basins(search).axes]
        for search in (report.search, report.search.model_copy(update={"spaces": spaces}))
    ]
    assert titles[0][2] == "exponential 0.0316: 0.9 decades"
    assert titles[1][2] == "batch=50 exponential 0.0316\n0.9 decades"


def test_figures_of_the_search_show_the_objective(maximised: Report) -> None:
    """By its name and with its sign; diverged trials are at the bottom edge, where the worst values are."""
    assert maximised.search is not None
    assert maximised.trials is not None
    (board,) = leaderboard(maximised.search).axes
    assert board.get_xlabel() == "validation gain"
    assert board.get_yticklabels()[0].get_text() == "cosine 0.0562"
    basin = basins(maximised.search).axes[0]
    assert basin.get_ylabel() == "validation gain"
    (drawn_trials,) = trials(maximised.trials, maximised.search.objective).axes
    assert drawn_trials.get_ylabel() == "validation gain"
    crosses = [line for line in drawn_trials.get_lines() if line.get_marker() == "x"]
    assert sum(np.size(line.get_xdata()) for line in crosses) == 2
    assert all((np.asarray(line.get_ydata()) == 0).all() for line in crosses)
