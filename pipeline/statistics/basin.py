"""The basin: the initial rates that do as well as the chosen one, and the rate to try next to find its edges."""

from collections.abc import Mapping
from math import inf, log10

import numpy as np
from numpy.typing import NDArray

from pipeline.schedules import Array
from pipeline.statistics.intervals import as_losses

FIRST_STEP = 0.3
"""Decades from the centre to the first rate tried: a factor of two."""

REACH = 1.5
"""Decades from the centre beyond which no rate is tried: a wider basin makes no difference."""

RESOLUTION = 0.1
"""Decades within which the position of an edge is good enough."""


def basin(losses: Mapping[float, float], centre: float, noise: float) -> tuple[float, float]:
    """Return the contiguous range of rates around `centre` whose loss is at most `noise` above the best loss.

    The centre and any rate that did no worse always belong to it. Where the loss crosses the threshold between two
    rates, the crossing is interpolated linearly in log rate. Next to a diverged training the basin ends at the last
    rate that did not diverge. It never extends beyond the rates given.

    Args:
        losses: The loss of each initial rate that was tried, `centre` among them.
        centre: The rate of the candidate itself.
        noise: How far above the best a loss may be; at least 0.

    Raises:
        ValueError: a rate is not positive, the noise is negative, or the training at the centre diverged.

    """
    if centre not in losses or not all(0 < rate < inf for rate in losses) or not noise >= 0:
        raise ValueError("a basin needs positive rates, its centre among them, and a noise of zero or more")
    if not np.isfinite(losses[centre]):
        raise ValueError("a basin needs a centre that did not diverge")
    threshold = _threshold(losses, centre, noise)
    low, high = (_edge(*_side(losses, centre, sign), threshold) for sign in (-1, 1))
    return centre * 10**-low, centre * 10**high


def next_rate(losses: Mapping[float, float], centre: float, noise: float, side: int) -> float | None:
    """Return the rate to try next in order to locate an edge of the basin, or None if the edge is known.

    `side` is -1 for the lower edge and 1 for the upper. While every rate on that side is good, the distance from the
    centre is doubled. Between a good and a bad rate, the next one is where a parabola around the centre, in log rate,
    crosses the threshold, kept out of the outer quarters; next to a diverged rate it is the middle.
    """
    threshold, own = _threshold(losses, centre, noise), losses[centre]
    distances, values = _side(losses, centre, side)
    bad = _bad(values, threshold)
    if bad.size == 0:
        reached = float(distances[-1])
        return None if reached >= REACH else centre * 10 ** (side * min(max(2 * reached, FIRST_STEP), REACH))
    inner, outer = float(distances[bad[0] - 1]), float(distances[bad[0]])
    if outer - inner <= RESOLUTION:
        return None
    middle, quarter = (inner + outer) / 2, (outer - inner) / 4
    loss = float(values[bad[0]])
    crossing = outer * ((threshold - own) / (loss - own)) ** 0.5 if loss < inf else middle
    return centre * float(10 ** (side * min(max(crossing, inner + quarter), outer - quarter)))


def decades(low: float, high: float) -> float:
    """Return the width of a range of rates in powers of ten: log10(high / low)."""
    return log10(high / low)


def _threshold(losses: Mapping[float, float], centre: float, noise: float) -> float:
    return max(min(losses.values()) + noise, losses[centre])


def _side(losses: Mapping[float, float], centre: float, side: int) -> tuple[Array, Array]:
    """Return the rates on one side of the centre: their distances in decades, ascending from 0, and their losses."""
    found = sorted((max(side * log10(rate / centre), 0.0), loss) for rate, loss in losses.items())
    kept = [(distance, loss) for distance, loss in found if distance > 0]
    distances, values = zip((0.0, losses[centre]), *kept, strict=True)
    return np.array(distances), as_losses(values)


def _bad(losses: Array, threshold: float) -> NDArray[np.int64]:
    return np.flatnonzero((losses > threshold) | np.isinf(losses))


def _edge(distances: Array, losses: Array, threshold: float) -> float:
    """Return the distance from the centre, the first entry, at which the loss crosses the threshold."""
    outside = _bad(losses, threshold)
    if outside.size == 0:
        return float(distances[-1])
    end = int(outside[0])
    inner, outer = float(losses[end - 1]), float(losses[end])
    share = (threshold - inner) / (outer - inner) if outer < inf else 0.0
    return float(distances[end - 1] + share * (distances[end] - distances[end - 1]))
