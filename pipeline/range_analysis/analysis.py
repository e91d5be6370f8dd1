"""The verdict on a range test: a rate to start with and an interval to search, or a refusal with its reason."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.range_analysis.curves import Array, Curve, cut, divergence, middle, smooth, start_updates
from pipeline.range_analysis.landmarks import Landmarks, read_landmarks, suggestion_of_one_seed
from pipeline.range_analysis.methods import METHODS, consensus
from pipeline.range_analysis.refusals import Edge, Refusal, at_an_edge, disagreeing, flat, too_short


@dataclass(frozen=True)
class Analysis:
    """What a range test says.

    With verdict "ok", `lr_low` <= `suggested_lr` <= `lr_high`, all below `divergence_lr`, and `suggestions` maps each
    method to its rate. With "refused" the three are None, `suggestions` is empty and `reason` says why; `edge` then
    names the bound of the sweep to move outwards before sweeping again, and `more_seeds` says to add some, if that may
    help.
    `seed_suggestions` holds what each seed alone would suggest, None where it shows no descent. `divergence_lr` is the
    lowest rate at which any seed diverged, None if none did. `median`, `band_low` and `band_high` (float64[updates],
    NaN where no seed got to) are the median, lowest and highest smoothed loss over seeds at each of the `rates`.
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


def analyse(
    rates: npt.ArrayLike,
    losses: npt.ArrayLike,
    *,
    smoothing: float = 0.9,
    min_descent: float = 0.05,
    max_spread: float = 0.7,
) -> Analysis:
    """Read a learning-rate range test (Smith 2017, arXiv:1506.01186).

    `rates` is float[updates], positive and increasing. `losses` is float[seeds, updates] or float[updates]: the loss
    of each batch alone, not a running mean, and NaN from where a sweep stopped. `smoothing` is the beta of the moving
    average; `min_descent` the fall, as a share of the starting loss, that counts as learning; `max_spread` the
    decades that the seeds' own suggestions may lie apart. Raises ValueError when shapes or rates are not as said.
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
    """Read the landmarks, unless one of the refusals applies; each relies on those before it."""
    refusal = too_short(seen) or flat(seen, min_descent)
    if refusal is not None:
        return refusal
    landmarks = read_landmarks(seen.rates, seen.losses, seen.start, seen.divergence_lr)
    return at_an_edge(seen, landmarks) or disagreeing(own, max_spread) or landmarks


def _suggestions(seen: Curve, landmarks: Landmarks) -> dict[str, float]:
    """Apply every method after the start of the sweep, where the average is over few losses and still unsteady."""
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
