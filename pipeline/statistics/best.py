"""Comparison with the best: which candidates may be the best, and how far each may be behind it.

The best candidate is not known beforehand, and choosing it by its mean on the same seeds overstates how good it is. The
claims made here allow for that (multiple comparisons with the best: Hsu 1984; Edwards and Hsu 1983; Hsu 1996, chapter
4). Let b be the truly best of k candidates. Only k - 1 events can mislead, namely that another candidate beats b by
chance. So each t test gets a share of 1 / (k - 1) of the error, and with probability `level` no candidate beats b:

- b is among the candidates that nobody beats, the ties;
- no candidate is further behind b than the upper bound of their paired difference, whichever of the ties b is.

With two candidates each test gets half of the error: if both are equally good, either could be called the winner.
Candidates that are beaten leave, and the error is shared among those still in, step by step (as in Holm 1979 and in the
model confidence set of Hansen, Lunde and Nason 2011). The bounds keep the first share.

Seeds are added in batches, and the candidates are compared after each batch, at a "look". Every look is another
opportunity for chance, so the error of 1 - level is shared out over the looks: by the n-th of `limit` seeds,
(n / limit) ** 2 of it may be spent. This is the power family of spending functions (Kim and DeMets 1987), which lies
between those that act like Pocock's and like O'Brien and Fleming's boundaries (Lan and DeMets 1983). What a look may
spend is the level of its own t test. By the union bound the sum holds however the looks depend on each other; the only
assumption is that the paired differences are normal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, nan, sqrt
from typing import Literal

import numpy as np
from scipy import stats

from pipeline.results import Interval
from pipeline.statistics.intervals import Values, as_losses

Verdict = Literal["winner", "tie", "worse", "diverged"]
_Losses = Mapping[str, Values]

MOST_SEEDS = 1_000
"""The most seeds that `seeds_needed` considers."""

FIRST_LOOK = 3
"""Seeds before the first look: with two, a t test has one degree of freedom and rejects almost nothing."""

_SPARSE = 1.5
"""The least factor between any earlier look and the limit: a look just before the limit would waste its share."""


def looks(limit: int) -> tuple[int, ...]:
    """Return the numbers of seeds at which to look: 3, doubled while well below `limit`, and `limit` itself."""
    if limit < 1:
        raise ValueError(f"the limit of seeds must be at least 1, received {limit}")
    found = []
    seeds = FIRST_LOOK
    while seeds * _SPARSE <= limit:
        found.append(seeds)
        seeds *= 2
    return (*found, limit)


def spent_at(look: int, schedule: Sequence[int]) -> float:
    """Return the share of the error that the look at `look` seeds may spend; the shares of a schedule add up to 1."""
    if look not in schedule:
        raise ValueError(f"there is no look at {look} seeds, only at {', '.join(map(str, schedule))}")
    before = max((seeds for seeds in schedule if seeds < look), default=0)
    return float((look**2 - before**2) / schedule[-1] ** 2)


@dataclass(frozen=True)
class Comparison:
    """How far a candidate is behind the best, and the verdict that follows.

    The mean of `behind` is the paired difference to the candidate with the lowest mean. Its bounds hold for the
    difference to the truly best candidate, at its level for all candidates together.
    """

    behind: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on all candidates; `best` has the lowest mean of the unbeaten ones, None if every one diverged."""

    best: str | None
    rows: dict[str, Comparison]

    @property
    def still_in(self) -> tuple[str, ...]:
        """The candidates that may be the best: the winner, or all that are tied."""
        return tuple(name for name, row in self.rows.items() if row.verdict in ("winner", "tie"))

    @property
    def ties(self) -> tuple[str, ...]:
        """The candidates tied with the best, without the best itself."""
        return tuple(name for name in self.still_in if name != self.best)


def verdicts(losses: _Losses, schedule: Sequence[int] | None = None, level: float = 0.95) -> Verdicts:
    """Return which candidates may be the best; if only one may, it is the winner.

    Args:
        losses: The validation losses of each candidate, one per seed, on the same seeds in the same order. A candidate
            that diverged on any seed is "diverged".
        schedule: The numbers of seeds at which the candidates are compared (`looks`); by default once, on all seeds. A
            candidate that is beaten at an early look stays beaten.
        level: The confidence level of all verdicts and bounds together.

    Raises:
        ValueError: there are no candidates, or their numbers of seeds differ.

    """
    counts = {name: len(values) for name, values in losses.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"every candidate needs a loss for each of the same seeds, received {counts} losses")
    seeds = next(iter(counts.values()))
    schedule = (seeds,) if schedule is None else schedule
    sound = {name: values for name in losses if np.isfinite(values := as_losses(losses[name])).all()}
    still_in = tuple(sound)
    for look in (look for look in schedule if look <= seeds):
        still_in = _unbeaten(still_in, sound, look, (1 - level) * spent_at(look, schedule))
    error = (1 - level) * spent_at(seeds, schedule) / max(len(losses) - 1, 2)
    best = min(still_in, key=lambda name: float(sound[name].mean()), default=None)
    alone: Verdict = "winner" if len(still_in) == 1 else "tie"
    rows = {}
    for name in losses:
        word: Verdict = alone if name in still_in else "worse" if name in sound else "diverged"
        rows[name] = Comparison(_behind(name, best, still_in, sound, error, level), word)
    return Verdicts(best, rows)


def seeds_needed(a: Values, b: Values, level: float = 0.95) -> int:
    """Estimate how many seeds would distinguish two candidates, if their difference and its noise are as observed.

    Returns:
        The number of seeds at which a single paired t test would reach `level`; `MOST_SEEDS` + 1 if no number up to
        `MOST_SEEDS` does. An estimate from few seeds is rough.

    """
    differences = as_losses(a) - as_losses(b)
    mean, deviation = abs(float(differences.mean())), float(differences.std(ddof=1))
    n = np.arange(2, MOST_SEEDS + 1)
    enough = n[stats.t.isf((1 - level) / 2, n - 1) * deviation < mean * np.sqrt(n)]
    return int(enough[0]) if enough.size else MOST_SEEDS + 1


def _unbeaten(names: tuple[str, ...], losses: _Losses, seeds: int, error: float) -> tuple[str, ...]:
    """Remove beaten candidates, and repeat with the larger share of the error for the rest, until nobody is beaten."""
    while True:
        share = error / max(len(names) - 1, 2)
        kept = tuple(one for one in names if not any(_beats(losses[by], losses[one], seeds, share) for by in names))
        if kept == names:
            return kept
        names = kept


def _beats(a: Values, b: Values, seeds: int, error: float) -> bool:
    """Return whether the mean of b - a on the first `seeds` seeds is significantly above zero."""
    mean, half = _difference(b[:seeds], a[:seeds], error)
    return mean > half


def _difference(a: Values, b: Values, error: float) -> tuple[float, float]:
    """Return the mean of a - b, and how far the true mean may lie from it on one side."""
    differences = np.asarray(a) - np.asarray(b)
    seeds = differences.size
    if seeds < 2:
        return float(differences.mean()), inf
    half = _quantile(error, seeds - 1) * float(differences.std(ddof=1)) / sqrt(seeds)
    return float(differences.mean()), half


@cache
def _quantile(error: float, freedom: int) -> float:
    return float(stats.t.isf(error, freedom))


def _behind(
    name: str, best: str | None, still_in: Sequence[str], losses: _Losses, error: float, level: float
) -> Interval:
    """Return how far `name` is behind the best, which may be any of `still_in`."""
    if best is None:
        return Interval(mean=nan, low=-inf, high=inf, level=level)
    if name not in losses:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    bounds = [sum(_difference(losses[name], losses[other], error)) for other in still_in if other != name]
    mean = float(np.mean(losses[name]) - np.mean(losses[best]))
    return Interval(mean=mean, low=0.0, high=max(0.0, *bounds) if bounds else 0.0, level=level)
