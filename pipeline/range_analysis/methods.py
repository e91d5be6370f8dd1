"""The four ways to read a rate off a curve that fastai made known: steep, valley, slide, minimum.

Each takes `rates` (float64[n], increasing) and the smoothed `losses` (float64[n], finite) of the same updates, and
returns one of the rates, or None where the method does not apply. Formulae: fastai, `SuggestionMethod`.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from pipeline.range_analysis.curves import Array

Method = Callable[[Array, Array], float | None]


def steep(rates: Array, losses: Array) -> float | None:
    """Take the rate where the loss falls most for a step in log rate: argmin of d loss / d log(rate).

    Against the rate itself, the same fall counts more at small rates, where a step of the sweep is shorter.
    """
    if losses.size < 2:
        return None
    gradient = np.diff(losses) / np.diff(np.log(rates))
    steepest = int(gradient.argmin())
    return float(rates[steepest]) if gradient[steepest] < 0 else None


def valley(rates: Array, losses: Array) -> float | None:
    """Take the middle of the longest valley: half-way through the middle third, rounded down twice.

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
    """Slide an interval of `gap` updates from the right end leftwards, as long as the gradients at its ends differ.

    Both gradients are a step of the sweep; the slide stops where they differ by `threshold` at most, and the rate is
    that of the left end at the last place where they differed more.
    """
    if losses.size < gap + 1 or losses.size < 2:
        return None
    gradient = np.gradient(losses)
    differ = np.abs(gradient[gap:] - gradient[:-gap]) > threshold
    left = int(np.flatnonzero(~differ)[-1]) + 1 if not differ.all() else 0
    return float(rates[min(left, losses.size - 1 - gap)])


def minimum(rates: Array, losses: Array) -> float | None:
    """Take a tenth of the rate at which the loss is lowest."""
    return float(rates[losses.argmin()]) / 10 if losses.size else None


METHODS: Final[dict[str, Method]] = {"steep": steep, "valley": valley, "slide": slide, "minimum": minimum}


def consensus(rates: list[float]) -> float:
    """Take the median of the methods' rates, in log space."""
    return float(np.exp(np.median(np.log(rates))))
