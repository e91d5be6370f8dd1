"""The curve of a range test, made of batch losses, and the rates read off it: landmarks, and fastai's four methods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.schedules import Array


def smooth(losses: npt.ArrayLike, beta: float) -> Array:
    """Average each row exponentially, without the bias of starting at zero.

    avg[t] = beta * avg[t-1] + (1 - beta) * loss[t] from avg = 0, and the value is avg[t] / (1 - beta ** t) with t the
    number of losses averaged, as in Adam (Kingma and Ba 2015, section 3). The correction belongs to the zero start:
    the first value is the first loss. A loss that is not finite gives NaN at its place and is not averaged.

    `losses` is float[updates] or float[seeds, updates]; the result has its shape. Raises ValueError unless
    0 <= beta < 1.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be at least 0 and below 1, received {beta}")
    values = np.asarray(losses, np.float64)
    finite = np.isfinite(values)
    smoothed = np.full_like(values, np.nan)
    average, weight = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    for step in range(values.shape[-1]):
        here = finite[..., step]
        average = np.where(here, beta * average + (1 - beta) * values[..., step], average)
        weight = np.where(here, beta * weight + (1 - beta), weight)
        np.divide(average, weight, out=smoothed[..., step], where=here)
    return smoothed


def noise_level(losses: Array) -> float:
    """Estimate the standard deviation of the batch noise of one sweep, from differences of neighbouring losses.

    1.4826 * median(|differences|) / sqrt(2): slow change and the jumps of divergence hardly move it.
    """
    differences = np.abs(np.diff(losses[np.isfinite(losses)]))
    return float(1.4826 * np.median(differences) / np.sqrt(2)) if differences.size else 0.0


def start_level(losses: Array) -> float:
    """Estimate the loss before training: the first loss, or the median of the first twentieth when that is lower.

    The first loss comes before any update, and is right even where the very first rates diverge. Otherwise the two
    differ by the noise of one batch, and the lower one never suggests a descent that is not there.
    """
    first = losses[: start_updates(losses.size)]
    return float(min(losses[0], np.median(first[np.isfinite(first)]))) if np.isfinite(losses[0]) else np.nan


def start_updates(updates: int) -> int:
    """Return how many updates are the start of a sweep: a twentieth of it, at least five."""
    return max(5, updates // 20)


def divergence(losses: Array, smoothed: Array, climb: float = 0.5, margin: float = 0.05, noises: float = 2.0) -> int:
    """Find the update at which one sweep diverged; `losses.size` if it did not.

    That is the first loss that is not finite, or the first update after the minimum at which the smoothed curve has
    risen by more than the share `climb` of its descent, the share `margin` of the starting loss, and `noises` standard
    deviations of the batch noise, so that noise on a flat curve is no divergence. The minimum is sought after the
    start, where the average covers few losses. NaN compares false with everything, so it is checked first.
    """
    broken = np.flatnonzero(~np.isfinite(losses))
    end = int(broken[0]) if broken.size else losses.size
    skip = start_updates(losses.size)
    if end <= skip:
        return end
    start, curve = start_level(losses), smoothed[:end]
    lowest = skip + int(curve[skip:].argmin())
    descent = start - float(curve[lowest])
    rise = max(climb * descent, margin * abs(start), noises * noise_level(losses))
    lost = np.flatnonzero(curve[lowest:] > curve[lowest] + rise)
    return lowest + int(lost[0]) if lost.size else end


def middle(smoothed: Array) -> tuple[Array, Array, Array]:
    """Return median, lowest and highest over seeds, float64[updates] each, NaN where all are."""
    median = np.full(smoothed.shape[1], np.nan)
    reached = np.isfinite(smoothed).any(axis=0)
    median[reached] = np.nanmedian(smoothed[:, reached], axis=0)
    return median, np.fmin.reduce(smoothed, axis=0), np.fmax.reduce(smoothed, axis=0)


@dataclass(frozen=True)
class Curve:
    """The median smoothed loss over seeds, up to where the first of them diverged.

    `rates` and `losses` are float64[n], where n is at most `updates`, the length of the sweep. `start` is the loss
    before training, `noise` the standard error of one smoothed loss, `divergence_lr` the rate of update n, if any.
    """

    rates: Array
    losses: Array
    start: float
    noise: float
    updates: int
    divergence_lr: float | None


def cut(rates: Array, losses: Array, median: Array, end: int, smoothing: float) -> Curve:
    """Cut the median curve of the batch `losses` (float64[seeds, updates]) before the update `end`.

    The batch noise grows with the rate, so it is taken from the last fifth of a sweep's length before `end`.
    """
    late = slice(max(0, end - rates.size // 5), end)
    batch_noise = float(np.median([noise_level(row[late]) for row in losses]))
    return Curve(
        rates=rates[:end],
        losses=median[:end],
        start=float(np.median([start_level(row) for row in losses])),
        # An exponential average of independent losses has (1 - beta) / (1 + beta) of their variance.
        noise=batch_noise * float(np.sqrt((1 - smoothing) / (1 + smoothing))),
        updates=rates.size,
        divergence_lr=float(rates[end]) if end < rates.size else None,
    )


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
        ill-defined on a flat bottom, divergence depends on chance. Without divergence, that term is left out.
        `docs/range_test.md` says how the factors were found.
        """
        points = [self.half, self.lowest / 2, *([self.end / 8] if self.diverged else [])]
        return float(np.clip(np.exp(np.mean(np.log(points))), self.low, self.high))


def read_landmarks(rates: Array, curve: Array, start: float, divergence_lr: float | None) -> Landmarks:
    """Read the landmarks of a smoothed `curve` (float64[n], finite) that descends from the loss `start`.

    `rates` and `curve` end before divergence. A level is passed once the curve stays below it up to its minimum, so
    that early noise does not count.
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
