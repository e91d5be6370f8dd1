"""The verdict on a range test: a rate to start with and an interval to search, or a refusal with its reason."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from pipeline.range_test.landmarks import (
    METHODS,
    Curve,
    Landmarks,
    consensus,
    cut,
    divergence,
    middle,
    read_landmarks,
    smooth,
    start_updates,
    suggestion_of_one_seed,
)
from pipeline.schedules import Array

Edge = Literal["low", "high"]

MAX_SPREAD: Final = 0.7
"""Decades that readings of the same rate, by several seeds or several methods, may lie apart."""

MIN_UPDATES: Final = 20  # with fewer, neither noise nor descent can be estimated
_SEEDS_PER_EXCEPTION: Final = 5
NOISE_FACTOR: Final = 5.0  # the lowest of some hundred averages lies three standard errors down by chance alone


@dataclass(frozen=True)
class Refusal:
    """The reason why there is no answer, and what may help: moving a bound of the sweep outwards, or more seeds."""

    reason: str
    edge: Edge | None = None
    more_seeds: bool = False


@dataclass(frozen=True)
class Analysis:
    """The verdict on a range test, with what it was read from.

    With verdict "ok", `lr_low` <= `suggested_lr` <= `lr_high`, all below `divergence_lr`, and `suggestions` maps each
    method to its rate. With "refused" the three rates are None, `suggestions` is empty and `reason` says why; if it may
    help, `edge` names the bound of the sweep to move outwards before sweeping again, or `more_seeds` is true.
    `seed_suggestions` holds what each seed alone would suggest, None if it shows no descent. `divergence_lr` is the
    lowest rate at which any seed diverged, None if none did. `median`, `band_low` and `band_high` (float64[updates],
    NaN where no seed has a loss) are the median, lowest and highest smoothed loss over seeds at each of the `rates`.
    """

    verdict: Literal["ok", "refused"]
    reason: str
    divergence_lr: float | None
    seed_suggestions: tuple[float | None, ...]
    rates: Array = field(repr=False)
    median: Array = field(repr=False)
    band_low: Array = field(repr=False)
    band_high: Array = field(repr=False)
    edge: Edge | None = None
    more_seeds: bool = False
    suggested_lr: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    suggestions: dict[str, float] = field(default_factory=dict)

    @property
    def clear(self) -> bool:
        """Whether there is an answer, and the other methods' consensus is close to it."""
        consensus = self.suggestions.get("consensus")
        if self.suggested_lr is None or consensus is None:
            return False
        return bool(abs(np.log10(consensus / self.suggested_lr)) <= MAX_SPREAD)


def analyse(
    rates: npt.ArrayLike,
    losses: npt.ArrayLike,
    *,
    smoothing: float = 0.9,
    min_descent: float = 0.05,
    max_spread: float = MAX_SPREAD,
) -> Analysis:
    """Read a learning-rate range test (Smith 2017, arXiv:1506.01186).

    Args:
        rates: float[updates], positive and increasing.
        losses: float[seeds, updates] or float[updates], the loss of each batch alone, not a running mean; NaN from
            where a sweep stopped.
        smoothing: the beta of the moving average.
        min_descent: the smallest fall, as a share of the starting loss, that counts as learning.
        max_spread: how many decades the seeds' own suggestions may lie apart.

    Raises:
        ValueError: if shapes or rates are not as described.

    """
    lrs, table = _checked(rates, losses)
    smoothed = smooth(table, smoothing)
    ends = [divergence(row, curve) for row, curve in zip(table, smoothed, strict=True)]
    seeds = zip(table, smoothed, ends, strict=True)
    own = tuple(suggestion_of_one_seed(lrs, row, curve, end, min_descent) for row, curve, end in seeds)
    median, band_low, band_high = middle(smoothed)
    seen = cut(lrs, table, median, min(ends), smoothing)
    outcome = _judge(seen, own, min_descent, max_spread)
    analysis = Analysis("refused", "", seen.divergence_lr, own, lrs, median, band_low, band_high)
    if isinstance(outcome, Refusal):
        return replace(analysis, reason=outcome.reason, edge=outcome.edge, more_seeds=outcome.more_seeds)
    return replace(
        analysis,
        verdict="ok",
        reason=_explain(seen),
        suggested_lr=outcome.suggested,
        lr_low=outcome.low,
        lr_high=outcome.high,
        suggestions=_suggestions(seen, outcome),
    )


def _checked(rates: npt.ArrayLike, losses: npt.ArrayLike) -> tuple[Array, Array]:
    lrs, table = np.asarray(rates, np.float64), np.atleast_2d(np.asarray(losses, np.float64))
    if lrs.ndim != 1 or table.ndim != 2 or table.shape[1] != lrs.size or table.size == 0:
        raise ValueError(f"expected rates[updates] and losses[seeds, updates], received {lrs.shape} and {table.shape}")
    if not (lrs[0] > 0 and np.isfinite(lrs).all() and (np.diff(lrs) > 0).all()):
        raise ValueError("the rates of a sweep must be positive, finite and increasing")
    return lrs, table


def _judge(seen: Curve, own: tuple[float | None, ...], min_descent: float, max_spread: float) -> Landmarks | Refusal:
    """Return the landmarks, or the first refusal that applies; each refusal relies on those before it."""
    refusal = too_short(seen) or flat(seen, min_descent)
    if refusal is not None:
        return refusal
    landmarks = read_landmarks(seen.rates, seen.losses, seen.start, seen.divergence_lr)
    return at_an_edge(seen, landmarks) or disagreeing(own, max_spread) or landmarks


def _suggestions(seen: Curve, landmarks: Landmarks) -> dict[str, float]:
    """Apply every method to the curve after its start, where the average covers too few losses."""
    skip = start_updates(seen.updates)
    read = {name: method(seen.rates[skip:], seen.losses[skip:]) for name, method in METHODS.items()}
    found = {name: rate for name, rate in read.items() if rate is not None}
    sensible = [rate for rate in found.values() if landmarks.low <= rate <= landmarks.high]
    agreed = {"consensus": consensus(sensible)} if sensible else {}
    return {**found, **agreed, "landmarks": landmarks.suggested}


def _explain(seen: Curve) -> str:
    fall = f"The loss falls from {seen.start:.3g} to {float(seen.losses.min()):.3g}"
    if seen.divergence_lr is None:
        return f"{fall} and rises again; nothing diverged."
    return f"{fall}; training diverges at rate {seen.divergence_lr:.3g}."


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
    """Refuse a curve that falls by less than the share `min_descent` of its start, or no more than noise explains.

    If it broke off or rose early, smaller rates may help; if it did neither at any rate, larger ones may.
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
        return Refusal(f"{fell}, and training breaks down at the first rates; sweep from smaller rates.", "low")
    if rise == seen.updates:
        return Refusal(f"{fell}, and it never rose: the rates may all be too small.", "high")
    if noise == needed:
        return Refusal(f"{fell}: the batches are too noisy to read; larger batches may help.")
    return Refusal(f"{fell}: this network does not learn these data at any rate of the sweep.")


def at_an_edge(seen: Curve, landmarks: Landmarks) -> Refusal | None:
    """Refuse if the descent began before the sweep, or its minimum may lie beyond it."""
    if landmarks.low_update < start_updates(seen.updates):
        return Refusal("The loss already falls at the lowest rates; sweep from smaller rates.", "low")
    climb = float(seen.losses[-1] - seen.losses[landmarks.lowest_update])
    if seen.divergence_lr is None and climb < NOISE_FACTOR * seen.noise:
        return Refusal("The loss is still at its lowest at the highest rate; sweep to larger rates.", "high")
    return None


def disagreeing(own: tuple[float | None, ...], max_spread: float) -> Refusal | None:
    """Refuse if a seed shows no descent, or the seeds' own suggestions lie more than `max_spread` decades apart.

    One in five seeds may be an exception; of three none may, since two are too few to rely on.
    """
    exceptions = len(own) // _SEEDS_PER_EXCEPTION
    rates = sorted(rate for rate in own if rate is not None)
    if len(rates) < len(own) - exceptions:
        reason = f"The seeds disagree: the loss falls for only {len(rates)} of {len(own)} seeds."
        return Refusal(reason, more_seeds=True)
    kept = len(own) - exceptions
    spread = min(float(np.log10(rates[i + kept - 1] / rates[i])) for i in range(len(rates) - kept + 1))
    if spread <= max_spread:
        return None
    reason = f"The seeds disagree: their suggestions lie {spread:.2g} decades apart, more than {max_spread:.2g}."
    return Refusal(reason, more_seeds=True)
