import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.reporting import style


def test_a_short_curve_is_drawn_whole() -> None:
    """Nothing is lost below the limit."""
    x, y = style.thin(np.arange(5.0), np.array([3.0, 1.0, 4.0, 1.0, 5.0]), limit=5)
    assert x.tolist() == [0, 1, 2, 3, 4]
    assert y.tolist() == [3, 1, 4, 1, 5]


def test_a_long_curve_keeps_ends_order_and_single_spikes() -> None:
    """One high and one low value in 100,000 are still drawn, in their places."""
    y = np.zeros(100_000)
    y[41_234], y[77_777] = 9, -9
    x, kept = style.thin(np.arange(100_000.0), y, limit=1000)
    assert x.size <= 1000
    assert x[0] == 0
    assert x[-1] == 99_999
    assert (np.diff(x) > 0).all()
    assert x[kept.argmax()] == 41_234
    assert x[kept.argmin()] == 77_777


def test_what_is_not_finite_is_left_out() -> None:
    """A diverged tail neither draws nor spreads into the rest."""
    x, y = style.thin(np.arange(4.0), np.array([1.0, np.nan, 2.0, np.inf]))
    assert x.tolist() == [0, 2]
    assert y.tolist() == [1, 2]


@pytest.mark.parametrize(("window", "expected"), [(1, [0, 3, 6, 3]), (3, [1.5, 3, 4, 4.5])])
def test_smoothing_averages_neighbours_and_fewer_at_the_ends(window: int, expected: list[float]) -> None:
    """The ends are means of fewer points, not pulled towards zero."""
    assert style.smooth(np.array([0.0, 3.0, 6.0, 3.0]), window) == pytest.approx(expected)


def test_smoothing_nothing_gives_nothing() -> None:
    """A training that diverged at once has no losses."""
    assert style.smooth(np.empty(0), 5).size == 0


def test_forty_two_schemes_look_different() -> None:
    """Colour and marker together distinguish more schemes than there are."""
    looks = style.marks(f"scheme {i}" for i in range(42)).values()
    assert len({(mark.color, mark.marker) for mark in looks}) == 42


@pytest.mark.parametrize(
    ("low", "high", "scale"), [(0.1, 10, "log"), (0.1, 0.2, "linear"), (-1, 10, "linear"), (0, 10, "linear")]
)
def test_an_axis_is_logarithmic_where_it_can_and_should_be(low: float, high: float, scale: str) -> None:
    """Positive values that span a factor of three are."""
    axes = Figure().subplots()
    style.log_or_linear(axes.yaxis, low, high)
    assert axes.get_yscale() == scale
    assert axes.get_xscale() == "linear"


def test_ticks_are_plain_numbers() -> None:
    """A rate reads 0.001 and 1e-5, as people type it."""
    axes = Figure().subplots()
    style.log_or_linear(axes.xaxis, 1e-5, 1)
    ticks = axes.xaxis.get_major_formatter()
    assert [ticks(value) for value in (1e-5, 0.001, 1)] == ["1e-5", "0.001", "1"]
