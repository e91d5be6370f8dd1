"""When a range test gives no answer: each function looks for one reason, and says it in a sentence."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pipeline.range_analysis.curves import Curve, start_updates
from pipeline.range_analysis.landmarks import Landmarks

Edge = Literal["low", "high"]

MIN_UPDATES: Final = 20  # with fewer, neither the noise nor a descent can be told
_SEEDS_AN_EXCEPTION: Final = 5
NOISE_FACTOR: Final = 5.0  # the lowest of some hundred averages lies three standard errors down by luck alone


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer; which bound of the sweep to move outwards, or whether to add seeds, if that may help."""

    reason: str
    edge: Edge | None = None
    more_seeds: bool = False


def too_short(seen: Curve) -> Refusal | None:
    """Refuse a sweep with too few updates, or too few before its divergence."""
    if seen.updates < MIN_UPDATES:
        return Refusal(f"The sweep has {seen.updates} updates; at least {MIN_UPDATES} are needed.")
    if seen.rates.size == 0:
        return Refusal("The loss is not a number before the first update: the network or the data are at fault.")
    if seen.rates.size < start_updates(seen.updates):
        return Refusal(f"Training diverged at once, at rate {seen.divergence_lr:.3g}; sweep from smaller rates.", "low")
    return None


def flat(seen: Curve, min_descent: float) -> Refusal | None:
    """Refuse a curve whose fall is less than the share `min_descent` of its start, or than noise could explain.

    Where it broke or rose early, smaller rates may help; where it did neither at any rate, larger ones may.
    """
    descent = seen.start - float(seen.losses.min())
    noise = NOISE_FACTOR * seen.noise
    needed = max(min_descent * abs(seen.start), noise)
    if descent >= needed:
        return None
    fell = f"The loss never fell meaningfully: by {descent:.3g} from {seen.start:.3g}, where {needed:.3g} would count"
    risen = np.flatnonzero(seen.losses > seen.start + needed)
    rise = int(risen[0]) if risen.size else seen.rates.size
    if rise < seen.updates // 5:
        return Refusal(f"{fell}, and training breaks within the first rates; sweep from smaller rates.", "low")
    if rise == seen.updates:
        return Refusal(f"{fell}, and it never rose: the rates may all be too small.", "high")
    if noise == needed:
        return Refusal(f"{fell}: the batches are too noisy to read; larger batches may help.")
    return Refusal(f"{fell}: at no rate of the sweep does this network learn these data.")


def at_an_edge(seen: Curve, landmarks: Landmarks) -> Refusal | None:
    """Refuse when the descent began before the sweep, or its minimum may lie beyond the sweep."""
    if landmarks.low_update < start_updates(seen.updates):
        return Refusal("The loss already falls at the lowest rates; sweep from smaller rates.", "low")
    climb = float(seen.losses[-1] - seen.losses[landmarks.lowest_update])
    if seen.divergence_lr is None and climb < NOISE_FACTOR * seen.noise:
        return Refusal("The loss is still at its lowest at the highest rate; sweep to larger rates.", "high")
    return None


def disagreeing(own: tuple[float | None, ...], max_spread: float) -> Refusal | None:
    """Refuse when a seed shows no descent, or the seeds' own suggestions lie more than `max_spread` decades apart.

    One of every five seeds may be an exception: of three none, since two of them are no majority to go by.
    """
    exceptions = len(own) // _SEEDS_AN_EXCEPTION
    rates = sorted(rate for rate in own if rate is not None)
    if len(rates) < len(own) - exceptions:
        reason = f"The seeds disagree: the loss falls with {len(rates)} of {len(own)} seeds only."
        return Refusal(reason, more_seeds=True)
    kept = len(own) - exceptions
    spread = min(float(np.log10(rates[i + kept - 1] / rates[i])) for i in range(len(rates) - kept + 1))
    if spread <= max_spread:
        return None
    reason = f"The seeds disagree: their suggestions lie {spread:.2g} decades apart, {max_spread:.2g} at most."
    return Refusal(reason, more_seeds=True)
