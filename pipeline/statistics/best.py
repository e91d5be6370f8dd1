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
    lists the numbers of seeds at which they are looked at (`looks`); by default once, when all are there. A candidate
    that an earlier look found worse may have stopped at it. One that diverged on any seed is "diverged".
    Raises ValueError when there are no candidates, or one that is still in has fewer seeds than the others.
    """
    seeds = max((len(values) for values in losses.values()), default=0)
    if seeds == 0:
        raise ValueError("verdicts need at least one candidate and one seed, received none")
    schedule = (seeds,) if schedule is None else schedule
    diverged = [name for name, values in losses.items() if not np.isfinite(as_losses(values)).all()]
    finite = {name: as_losses(values) for name, values in losses.items() if name not in diverged}
    still_in = tuple(finite)
    for look in (look for look in schedule if look <= seeds):
        _require(look, {name: len(finite[name]) for name in still_in})
        still_in = _unbeaten(still_in, finite, look, (1 - level) * spent_at(look, schedule))
    _require(seeds, {name: len(finite[name]) for name in still_in})
    comparisons = max(len(losses) - 1, 2)
    error = {look: (1 - level) * spent_at(look, schedule) / comparisons for look in schedule}
    best = min(still_in, key=lambda name: float(finite[name].mean()), default=None)
    rows = {}
    for name in losses:
        word: Verdict = "worse" if name in finite else "diverged"
        if name in still_in:
            word = "winner" if len(still_in) == 1 else "tie"
        rows[name] = Comparison(_behind(name, best, still_in, finite, error, level), word)
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


def _require(seeds: int, counts: Mapping[str, int]) -> None:
    if any(count < seeds for count in counts.values()):
        raise ValueError(f"candidates still in need losses of the same seeds, at least {seeds}; received {counts}")


def _unbeaten(names: tuple[str, ...], losses: _Losses, seeds: int, error: float) -> tuple[str, ...]:
    """Remove who is beaten, and again with the share of the error that is free then, until nobody is."""
    while True:
        share = error / max(len(names) - 1, 2)
        kept = tuple(
            name for name in names if not any(_least(losses[name], losses[other], seeds, share) > 0 for other in names)
        )
        if kept == names:
            return kept
        names = kept


def _least(a: Values, b: Values, seeds: int, error: float) -> float:
    """Give the lower bound of the mean of a - b on the first `seeds` seeds: above zero, b has beaten a."""
    mean, half = _difference(a, b, seeds, error)
    return mean - half


def _difference(a: Values, b: Values, seeds: int, error: float) -> tuple[float, float]:
    """Give the mean of a - b on the first `seeds` seeds, and how far it may be off on one side."""
    differences = np.asarray(a[:seeds]) - np.asarray(b[:seeds])
    if seeds < 2:
        return float(differences.mean()), inf
    deviation = float(differences.std(ddof=1))
    return float(differences.mean()), float(stats.t.isf(error, seeds - 1)) * deviation / sqrt(seeds)


def _behind(
    name: str, best: str | None, still_in: Sequence[str], losses: _Losses, error: Mapping[int, float], level: float
) -> Interval:
    """How far `name` is behind the best, which is any of `still_in`."""
    if best is None:
        return Interval(mean=nan, low=-inf, high=inf, level=level)
    if name not in losses:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    high = 0.0
    for other in still_in:
        if other != name:
            seeds = min(len(losses[name]), len(losses[other]))
            mean, half = _difference(losses[name], losses[other], seeds, error[seeds])
            high = max(high, mean + half)
    mean, _ = _difference(losses[name], losses[best], len(losses[name]), 0.5)
    return Interval(mean=mean, low=0.0, high=high, level=level)
