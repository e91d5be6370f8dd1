from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline.reporting.range_test_figures import range_test, refinement
from pipeline.reporting.report_inputs import Report, Sweep
from pipeline.reporting.style import NARROW, WIDE
from pipeline.results import RangeTestResult


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points_by_label(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the points of all lines with the same label."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in axes.get_lines():
        drawn = [(float(x), float(y)) for x, y in np.asarray(line.get_xydata(), float)]
        points.setdefault(str(line.get_label()), []).extend(drawn)
    return points


def _range_test(report: Report, result: RangeTestResult | None = None, width: float = WIDE) -> Figure:
    sweep, result = report.sweep, result or report.range_test
    assert sweep is not None
    assert result is not None
    return range_test(
        sweep.rates,
        sweep.losses,
        result,
        median=sweep.median,
        band_low=sweep.band_low,
        band_high=sweep.band_high,
        width=width,
    )


def test_range_test_marks_every_suggestion(report: Report) -> None:
    """Logarithmic axes, every seed and the median, every suggestion by name, the interval and the divergence."""
    figure = _range_test(report)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    texts = _texts(figure)
    assert {"suggested 0.0562", "steepest 0.0125", "valley 0.0316", "minimum 0.45"} <= set(texts)
    assert not any("minimum tenth" in text for text in texts)
    assert _legend(figure) == ["each seed, raw", "median of seeds, smoothed", "interval to search", "diverges"]
    raw = [line for line in axes.get_lines() if line.get_label() == "each seed, raw"]
    assert report.sweep is not None
    for line, losses in zip(raw, report.sweep.losses, strict=True):
        assert np.asarray(line.get_ydata()) == pytest.approx(losses[np.isfinite(losses)])
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
    figure = refinement(report.range_test)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log",
        "initial learning rate",
        "validation loss",
    )
    names = ["interval to search", "start, from the sweep", "short training", "diverged", "whole training"]
    assert _legend(figure) == [*names, "fit to whole trainings"]
    points = points_by_label(axes)
    assert points["short training"] == [(0.178, 0.6), (0.0562, 0.8)]
    assert points["diverged"] == [(0.562, 1.0)]
    assert points["whole training"] == [(0.178, 0.44), (0.0562, 0.36), (0.0178, 0.43)]
    assert min(points["fit to whole trainings"], key=lambda point: point[1]) == pytest.approx((0.055, 0.36), rel=0.02)
    (diamond,) = (line for line in axes.get_lines() if line.get_marker() == "D")
    assert np.asarray(diamond.get_ydata()).item() == pytest.approx(0.36, rel=1e-3)
    assert "suggested 0.0562" in _texts(figure)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("loss", [0.3, -0.5, np.inf])
def test_refinement_draws_whatever_came_out(report: Report, loss: float, width: float) -> None:
    """Without a fit, every training is a point at its loss, also a negative one, or is marked as diverged."""
    assert report.range_test is not None
    found = report.range_test.refinement
    assert found is not None
    tried = tuple(each.model_copy(update={"val_loss": loss}) for each in found.tried)
    nothing = {"suggested_lr": None, "lr_low": None, "lr_high": None, "verdict": "refused"} if loss == np.inf else {}
    changed = found.model_copy(update={"tried": tried, "fit": None})
    figure = refinement(report.range_test.model_copy(update={"refinement": changed, **nothing}), width=width)
    figure.draw_without_rendering()
    points = points_by_label(figure.axes[0])
    all_rates = sorted([0.178, 0.0562, 0.562, 0.178, 0.0562, 0.0178])
    names = ("short training", "whole training") if np.isfinite(loss) else ("diverged",)
    assert sorted(rate for name in names for rate, _ in points[name]) == all_rates
    assert {value for name in names for _, value in points[name]} == ({loss} if np.isfinite(loss) else {1.0})
    assert "fit to whole trainings" not in points


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_of_suggestions_do_not_overlap(report: Report, width: float) -> None:
    """Nor does a label cover the line of another."""
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
    """There are axes and rates, but no points."""
    assert report.sweep is not None
    assert report.range_test is not None
    nothing = np.full_like(report.sweep.median, np.nan)
    refused = report.range_test.model_copy(update={"verdict": "refused", "suggested_lr": None, "divergence_lr": None})
    bare = replace(report, sweep=Sweep(report.sweep.rates, nothing[None], nothing, nothing, nothing))
    figure = _range_test(bare, refused)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert [np.size(line.get_xdata()) for line in axes.get_lines()] == [0, 0]
    assert axes.get_xlim() == pytest.approx((report.sweep.rates[0], report.sweep.rates[-1]))
    assert axes.get_ylim() == (0, 1)
