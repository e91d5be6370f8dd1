"""Batch losses made into one curve: smoothing, divergence, the median over seeds."""

from dataclasses import dataclass

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

    That is the first loss that is not finite, or the first update after the minimum of the smoothed curve at which
    the share `climb` of its descent is lost again, and at least the share `margin` of the starting loss and `noises`
    standard deviations of the batch noise: on a flat curve noise is no divergence. The minimum is looked for after the
    start, where the average is of few losses. A NaN compares false with everything, so it is looked for first.
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
    """Return median, lowest and highest over seeds, float64[updates] each, NaN where no seed arrived."""
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
