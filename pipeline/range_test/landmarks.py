"""Rates read off a range-test curve: landmarks and what follows from them, and fastai's four methods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.range_test.curves import start_level
from pipeline.schedules import Array

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
        """The high end of the search interval: the geometric mean of the minimum and `end`.

        The minimum itself would be too low: the sweep spends few updates on large rates, and a rate that decays may
        start above it. It is always below `end`.
        """
        return float(np.sqrt(self.lowest * self.end))

    @property
    def suggested(self) -> float:
        """The initial rate of a whole training: the geometric mean of half, lowest / 2 and divergence / 8.

        Each of the three errs on some curves: the half-way point is low where learning saturates early, the minimum is
        ill-defined on a flat bottom, divergence depends on chance. Without divergence it is left out.
        `docs/range_test.md` says how the factors were found.
        """
        points = [self.half, self.lowest / 2, *([self.end / 8] if self.diverged else [])]
        return float(np.clip(np.exp(np.mean(np.log(points))), self.low, self.high))


def read_landmarks(rates: Array, curve: Array, start: float, divergence_lr: float | None) -> Landmarks:
    """Read the landmarks of a smoothed `curve` (float64[n], finite) that descends from the loss `start`.

    `rates` and `curve` end before divergence. A level is passed after the last time that the curve is above it before
    the minimum, so that early noise does not count.
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
    """Return what one seed's sweep alone suggests, up to its divergence at update `end`; None without a descent."""
    if end < 2:
        return None
    start = start_level(losses)
    if start - float(curve[:end].min()) < min_descent * abs(start):
        return None
    divergence_lr = float(rates[end]) if end < rates.size else None
    return read_landmarks(rates[:end], curve[:end], start, divergence_lr).suggested


Method = Callable[[Array, Array], float | None]
"""`(rates, losses) -> rate`: increasing rates and the smoothed, finite losses of the same updates, float64[n] each;
None where the method does not apply. The formulas are those of fastai's `SuggestionMethod`."""


def steep(rates: Array, losses: Array) -> float | None:
    """Return the rate where the loss falls most for a step in log rate: argmin of d loss / d log(rate).

    Against the rate itself, a fall would count more at small rates, where the steps of the sweep are shorter.
    """
    if losses.size < 2:
        return None
    gradient = np.diff(losses) / np.diff(np.log(rates))
    steepest = int(gradient.argmin())
    return float(rates[steepest]) if gradient[steepest] < 0 else None


def valley(rates: Array, losses: Array) -> float | None:
    """Return the middle of the longest valley: half-way through the middle third, rounded down twice.

    The valley is the longest strictly decreasing subsequence, ending where it is first reached; it is taken to span
    as many updates as it has points.
    """
    lengths = np.ones(losses.size, np.int64)
    for index in range(1, losses.size):
        higher = losses[:index] > losses[index]
        lengths[index] += lengths[:index][higher].max(initial=0)
    if losses.size == 0 or lengths.max() < 2:
        return None
    end = int(lengths.argmax())
    third = int(lengths[end]) / 3
    start = end - int(lengths[end])
    return float(rates[max(start + int(third) + int(third / 2), 0)])


def slide(rates: Array, losses: Array, gap: int = 15, threshold: float = 0.005) -> float | None:
    """Return the left end of an interval of `gap` updates, slid left while the gradients at its two ends differ.

    The gradients are per step of the sweep. The slide stops where they differ by `threshold` at most; the rate is that
    of the last place where they differed more.
    """
    if losses.size < gap + 1 or losses.size < 2:
        return None
    gradient = np.gradient(losses)
    differ = np.abs(gradient[gap:] - gradient[:-gap]) > threshold
    left = int(np.flatnonzero(~differ)[-1]) + 1 if not differ.all() else 0
    return float(rates[min(left, losses.size - 1 - gap)])


def minimum(rates: Array, losses: Array) -> float | None:
    """Return a tenth of the rate at which the loss is lowest."""
    return float(rates[losses.argmin()]) / 10 if losses.size else None


METHODS: Final[dict[str, Method]] = {"steep": steep, "valley": valley, "slide": slide, "minimum": minimum}


def consensus(rates: list[float]) -> float:
    """Return the median of the methods' rates in log space."""
    return float(np.exp(np.median(np.log(rates))))
