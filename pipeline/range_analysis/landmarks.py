"""Where on a range-test curve training starts, is half done, is best and breaks; and the rates that follow."""

from dataclasses import dataclass

import numpy as np

from pipeline.range_analysis.curves import Array, start_level

BEGUN = 0.1  # share of the descent that marks the low end of the search interval
HALF = 0.5


@dataclass(frozen=True)
class Landmarks:
    """Four points of one smoothed curve, as rates, in this order: low <= half <= lowest < end.

    `low`: a tenth of the descent is done; `half`: half of it; `lowest`: all of it. `end` is the rate of divergence,
    or the last rate of the sweep when nothing diverged (`diverged` is False).
    `low_update` and `lowest_update` are the updates of the first and third.
    """

    low: float
    half: float
    lowest: float
    end: float
    diverged: bool
    low_update: int
    lowest_update: int

    @property
    def high(self) -> float:
        """Give the high end of the search interval: the geometric middle between the minimum and `end`.

        At the minimum itself the sweep has had the larger rates for a few updates only, and a rate that decays may
        start above it. Never at `end`.
        """
        return float(np.sqrt(self.lowest * self.end))

    @property
    def suggested(self) -> float:
        """Give the initial rate of a whole training: the geometric mean of half, lowest / 2 and divergence / 8.

        Each of the three errs on some curves: the half-way point is low where learning saturates early, the minimum is
        ill-defined on a flat bottom, divergence depends on luck. Without divergence it is left out.
        `docs/range_test.md` says how the factors were found.
        """
        points = [self.half, self.lowest / 2, *([self.end / 8] if self.diverged else [])]
        return float(np.clip(np.exp(np.mean(np.log(points))), self.low, self.high))


def read_landmarks(rates: Array, curve: Array, start: float, divergence_lr: float | None) -> Landmarks:
    """Read the landmarks of a smoothed `curve` (float64[n], finite) that descends from the loss `start`.

    `rates` and `curve` end before divergence. A level counts as passed where the curve was above it for the last time
    before the minimum, so early noise does not pass it.
    """
    lowest = int(curve.argmin())
    descent = start - float(curve[lowest])

    def passed(share: float) -> int:
        above = np.flatnonzero(curve[: lowest + 1] > start - share * descent)
        return min(int(above[-1]) + 1, lowest) if above.size else 0

    return Landmarks(
        low=float(rates[passed(BEGUN)]),
        half=float(rates[passed(HALF)]),
        lowest=float(rates[lowest]),
        end=float(rates[-1]) if divergence_lr is None else divergence_lr,
        diverged=divergence_lr is not None,
        low_update=passed(BEGUN),
        lowest_update=lowest,
    )


def suggestion_of_one_seed(rates: Array, losses: Array, curve: Array, end: int, min_descent: float) -> float | None:
    """Give the suggestion of one seed's sweep alone, up to its own divergence at update `end`; None without descent."""
    if end < 2:
        return None
    start = start_level(losses)
    if start - float(curve[:end].min()) < min_descent * abs(start):
        return None
    divergence_lr = float(rates[end]) if end < rates.size else None
    return read_landmarks(rates[:end], curve[:end], start, divergence_lr).suggested
