"""Comparison with the best: which candidates may be the best, and how far each may be behind it.

The best is not known beforehand, and choosing it by its mean from the same seeds flatters it. What is claimed here
takes that into account (multiple comparisons with the best: Hsu 1984; Edwards and Hsu 1983; Hsu 1996, chapter 4). Let b
be the truly best of k candidates. Only k - 1 events lead astray, namely that another beats b by chance, so each t test
gets a share of 1 / (k - 1) of the error, and with probability `level` b is beaten by none:

- b is among the candidates that nobody beats, the ties;
- no candidate is further behind b than by the upper bound of their paired difference, whichever of the ties b is.

With two candidates each test gets half of the error: where both are equally good, either could be called the winner.
Candidates that are beaten leave, and the error is shared among those still in, step by step (as in Holm 1979 and in the
model confidence set of Hansen, Lunde and Nason 2011). The bounds keep the first share.
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
from pipeline.statistics.looks import spent_at

Verdict = Literal["winner", "tie", "worse", "diverged"]
_Losses = Mapping[str, Values]

MOST_SEEDS = 1_000
"""Beyond this many seeds nobody would go on."""


@dataclass(frozen=True)
class Comparison:
    """How far a candidate is behind the best, and what follows from it.

    `behind` has as mean the paired difference to the candidate with the lowest mean, and as bounds what holds for the
    difference to the truly best, with its level for all candidates together.
    """

    behind: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Verdicts:
    """`best` has the lowest mean of those that nobody beats, None when every candidate diverged."""

    best: str | None
    rows: dict[str, Comparison]

    @property
    def still_in(self) -> tuple[str, ...]:
        """Candidates that may be the best: the winner, or all that are tied."""
        return tuple(name for name, row in self.rows.items() if row.verdict in ("winner", "tie"))

    @property
    def ties(self) -> tuple[str, ...]:
        """Candidates that cannot be told from the best, without the best itself."""
        return tuple(name for name in self.still_in if name != self.best)


def verdicts(losses: _Losses, schedule: Sequence[int] | None = None, level: float = 0.95) -> Verdicts:
    """Say which candidates may be the best, and name it the winner where only one may.

    `losses` maps each candidate to its validation losses, one a seed, on the same seeds in the same order. `schedule`
    lists the numbers of seeds at which they are looked at (`looks`); by default once, when all are there. Who was
    beaten at an early look stays beaten. One that diverged on any seed is "diverged".
    Raises ValueError when there are no candidates or their numbers of seeds differ.
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
    """Estimate how many seeds would tell two candidates apart, if their difference and its noise are as observed.

    The number at which a paired t test of two candidates, looked at once, would reach `level`; `MOST_SEEDS` + 1 when
    that is not enough. An estimate from few seeds is a rough one.
    """
    differences = as_losses(a) - as_losses(b)
    mean, deviation = abs(float(differences.mean())), float(differences.std(ddof=1))
    n = np.arange(2, MOST_SEEDS + 1)
    enough = n[stats.t.isf((1 - level) / 2, n - 1) * deviation < mean * np.sqrt(n)]
    return int(enough[0]) if enough.size else MOST_SEEDS + 1


def _unbeaten(names: tuple[str, ...], losses: _Losses, seeds: int, error: float) -> tuple[str, ...]:
    """Remove who is beaten, and again with the share of the error that is free then, until nobody is."""
    while True:
        share = error / max(len(names) - 1, 2)
        kept = tuple(one for one in names if not any(_beats(losses[by], losses[one], seeds, share) for by in names))
        if kept == names:
            return kept
        names = kept


def _beats(a: Values, b: Values, seeds: int, error: float) -> bool:
    """Whether the mean of b - a on the first `seeds` seeds lies above zero beyond chance."""
    mean, half = _difference(b[:seeds], a[:seeds], error)
    return mean > half


def _difference(a: Values, b: Values, error: float) -> tuple[float, float]:
    """Give the mean of a - b, and how far it may be off on one side."""
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
    """How far `name` is behind the best, which is any of `still_in`."""
    if best is None:
        return Interval(mean=nan, low=-inf, high=inf, level=level)
    if name not in losses:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    bounds = [sum(_difference(losses[name], losses[other], error)) for other in still_in if other != name]
    mean = float(np.mean(losses[name]) - np.mean(losses[best]))
    return Interval(mean=mean, low=0.0, high=max(0.0, *bounds) if bounds else 0.0, level=level)
