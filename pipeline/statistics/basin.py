"""The basin: which initial rates do as well as the chosen one, and which rate to try next to find out."""

from collections.abc import Mapping
from math import inf, log10

import numpy as np
import numpy.typing as npt

from pipeline.statistics.intervals import as_losses

FIRST_STEP = 0.3
"""Decades from the centre to the first rate tried, a factor of two."""

REACH = 1.5
"""Decades from the centre beyond which nobody looks: a basin that wide is wide enough."""

RESOLUTION = 0.1
"""Decades to which an edge is worth knowing."""


def basin(losses: Mapping[float, float], centre: float, noise: float) -> tuple[float, float]:
    """Give the contiguous range of rates round `centre` whose loss is at most `noise` above the best loss.

    `losses` maps initial rates, `centre` among them, to what each led to. The centre itself always counts as good, and
    so does a rate that did no worse. Where the loss crosses the threshold between two rates, the crossing is
    interpolated linearly in log rate; beside a diverged training the basin ends at the last rate that did not diverge.
    It never reaches past the rates given.
    Raises ValueError when a rate is not positive, noise is negative, or the training at the centre diverged.
    """
    if centre not in losses or not all(0 < rate < inf for rate in losses) or not noise >= 0:
        raise ValueError("a basin needs positive rates, its centre among them, and a noise of zero or more")
    if not np.isfinite(losses[centre]):
        raise ValueError("a basin needs a centre that did not diverge")
    threshold = _threshold(losses, centre, noise)
    low, high = (_edge(*_side(losses, centre, sign), threshold) for sign in (-1, 1))
    return centre * 10**-low, centre * 10**high


def next_rate(losses: Mapping[float, float], centre: float, noise: float, side: int) -> float | None:
    """Give the rate at which one more training tells most about an edge of the basin; None when it is known.

    `side` is -1 for the lower edge and 1 for the upper. While every rate on that side is good, the distance from the
    centre is doubled. Between a good rate and a bad one the loss is taken for a parabola round the centre, in log rate,
    and tried where that crosses the threshold, but not in the outer quarters; beside a diverged one, in the middle.
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
    """Give the width of a range of rates in powers of ten: log10(high / low)."""
    return log10(high / low)


def _threshold(losses: Mapping[float, float], centre: float, noise: float) -> float:
    return max(min(losses.values()) + noise, losses[centre])


def _side(
    losses: Mapping[float, float], centre: float, side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give distances from the centre in decades, from 0 up, and losses, of the rates on one side of it."""
    found = sorted((max(side * log10(rate / centre), 0.0), loss) for rate, loss in losses.items())
    kept = [(distance, loss) for distance, loss in found if distance > 0]
    distances, values = zip((0.0, losses[centre]), *kept, strict=True)
    return np.array(distances), as_losses(values)


def _bad(losses: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    return np.flatnonzero((losses > threshold) | np.isinf(losses))


def _edge(distances: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], threshold: float) -> float:
    """Walk away from the centre, which comes first, to the distance at which the loss crosses the threshold."""
    outside = _bad(losses, threshold)
    if outside.size == 0:
        return float(distances[-1])
    end = int(outside[0])
    inner, outer = float(losses[end - 1]), float(losses[end])
    share = (threshold - inner) / (outer - inner) if outer < inf else 0.0
    return float(distances[end - 1] + share * (distances[end] - distances[end - 1]))
