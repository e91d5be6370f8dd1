"""Comparisons with the best: which candidates may be the best, and how far each may be behind it.

The best candidate is not known beforehand, and choosing it by its mean on the same seeds overstates how good it is. The
claims made here allow for that (multiple comparisons with the best: Hsu 1984; Edwards and Hsu 1983; Hsu 1996, chapter
4). Let b be the truly best of k candidates. Only k - 1 events can mislead: that one of the others beats b by chance. So
each t test gets a share of 1 / (k - 1) of the error, and with probability `level` no candidate beats b:

- b is among the candidates that nobody beats, the ties;
- no candidate is further behind b than the upper bound of their paired difference, whichever of the ties b is.

With two candidates each test gets half of the error: if both are equally good, either could be called the winner.
Candidates that are beaten drop out, and the error is shared among those still in, step by step (as in Holm 1979 and in
the model confidence set of Hansen, Lunde and Nason 2011). The bounds keep the first share.

Seeds are added in batches, and the candidates are compared after each batch, at a "look". Every look is another
opportunity for chance to mislead, so the error of 1 - level is shared out over the looks: by the n-th of `limit` seeds,
(n / limit) ** 2 of it may be spent. This is the power family of spending functions (Kim and DeMets 1987), which lies
between those that act like Pocock's and like O'Brien and Fleming's boundaries (Lan and DeMets 1983). What a look may
spend is the level of its own t tests. By the union bound the sum holds however the looks depend on each other. So the
bounds of all looks hold together, and a candidate that dropped out early keeps the bound of its last look.

The assumptions are that paired differences are normal, and those of the moderated variances (`pairs.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from scipy import stats

from pipeline.results import Interval, Verdict
from pipeline.schedules import Array
from pipeline.statistics.intervals import Values, as_losses
from pipeline.statistics.pairs import Pairs

_Losses = Mapping[str, Array]

MOST_SEEDS = 1_000
"""The most seeds that `seeds_needed` considers."""

FIRST_LOOK = 3
"""Seeds before the first look, if the limit allows: with two, a t test rejects almost nothing."""

_SPARSE = 1.5
"""The smallest ratio of the limit to an earlier look: a look just before the limit would waste its share."""


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

    The mean of `behind` is the paired difference from the unbeaten candidate with the lowest mean. Its bounds hold for
    the difference from the truly best candidate, at `behind.level` for all candidates together.
    """

    behind: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Round:
    """One comparison of the candidates still in at a look, `names`, with each one-sided test at the same `error`."""

    pairs: Pairs
    names: tuple[str, ...]
    error: float

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """The candidates that no other beats."""
        return tuple(one for one in self.names if not any(self.beats(by, one) for by in self.names))

    def beats(self, a: str, b: str) -> bool:
        """Return whether the mean loss of `a` is significantly below that of `b`."""
        return self.pairs.beats(a, b, self.error)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on all candidates. `best` is the unbeaten one with the lowest mean; None if all diverged.

    `rounds` are the comparisons that led to the verdicts, in order. `looks` maps each number of seeds to a round of all
    candidates that have as many, with the whole error of the look.
    """

    best: str | None
    rows: dict[str, Comparison]
    rounds: tuple[Round, ...]
    looks: dict[int, Round]

    @property
    def still_in(self) -> tuple[str, ...]:
        """The candidates that may be the best: the winner, or all that are tied or equivalent."""
        return tuple(name for name, row in self.rows.items() if row.verdict not in ("worse", "diverged"))

    @property
    def ties(self) -> tuple[str, ...]:
        """The candidates tied with the best, excluding the best itself."""
        return tuple(name for name in self.still_in if name != self.best)

    @property
    def decided(self) -> bool:
        """Whether further seeds are pointless: at most one may be the best, or all that may be are equivalent."""
        return not any(row.verdict == "tie" for row in self.rows.values())

    def beats(self, a: str, b: str) -> bool:
        """Return whether `a` itself beat `b` in the last round that compared them."""
        last = next((one for one in reversed(self.rounds) if {a, b} <= set(one.names)), None)
        return last is not None and last.beats(a, b)

    def last_look(self, a: str, b: str) -> Round | None:
        """Return the last look that included both; None if either diverged."""
        return next((one for one in reversed(self.looks.values()) if {a, b} <= set(one.names)), None)


def verdicts(
    losses: Mapping[str, Values],
    schedule: Sequence[int] | None = None,
    level: float = 0.95,
    *,
    resolution: float = 0.0,
    tolerance: float = 0.0,
) -> Verdicts:
    """Return which candidates may be the best; if only one may, it is the winner.

    Args:
        losses: The losses of each candidate, one per seed, for the same seeds in the same order. A candidate may stop
            at any look. One that diverged on any seed is "diverged".
        schedule: The numbers of seeds at which the candidates are compared (`looks`); by default all seeds, once. A
            candidate that is beaten at an early look stays beaten.
        level: The confidence level of all verdicts and bounds together.
        resolution: The step in which the losses move, such as 1 / n for an accuracy on n examples.
        tolerance: If several candidates may be the best, they are "equivalent" if none is further behind the truly best
            one than this share of the best mean, at the same level.

    Raises:
        ValueError: there are no candidates, or one that did not diverge has a number of seeds that is not a look.

    """
    counts = {name: len(values) for name, values in losses.items()}
    if not counts or 0 in counts.values() or (schedule is None and len(set(counts.values())) > 1):
        raise ValueError(f"every candidate needs a loss for each of the same seeds, received {counts} losses")
    schedule = (max(counts.values()),) if schedule is None else schedule
    sound = {name: values for name in losses if np.isfinite(values := as_losses(losses[name])).all()}
    for name in sound:
        spent_at(counts[name], schedule)
    rounds, at_looks = _compare(sound, schedule, level, resolution)
    still_in = tuple(name for name in sound if all(name in one.unbeaten for one in rounds if name in one.names))
    best = min(still_in, key=lambda name: float(sound[name].mean()), default=None)
    behind = {name: _behind(name, best, still_in, sound, at_looks, len(losses), level) for name in losses}
    word = _word(still_in, losses)
    if word == "tie" and best is not None and len(still_in) > 1:
        most = max(behind[name].high for name in still_in)
        word = "equivalent" if most <= tolerance * abs(float(sound[best].mean())) else "tie"
    words: dict[str, Verdict] = {name: "worse" if name in sound else "diverged" for name in losses}
    words |= dict.fromkeys(still_in, word)
    return Verdicts(best, {name: Comparison(behind[name], words[name]) for name in losses}, tuple(rounds), at_looks)


def _word(still_in: Sequence[str], losses: Mapping[str, Values]) -> Verdict:
    return "winner" if len(still_in) == 1 < len(losses) else "tie"


def seeds_needed(a: Values, b: Values, level: float = 0.95) -> int:
    """Estimate how many seeds would distinguish two candidates, if their difference and its noise are as observed.

    Returns:
        The smallest number of seeds at which a single paired t test would reach `level`; `MOST_SEEDS` + 1 if no number
        up to `MOST_SEEDS` does. An estimate from few seeds is rough.

    """
    differences = as_losses(a) - as_losses(b)
    mean, deviation = abs(float(differences.mean())), float(differences.std(ddof=1))
    n = np.arange(2, MOST_SEEDS + 1)
    enough = n[stats.t.isf((1 - level) / 2, n - 1) * deviation < mean * np.sqrt(n)]
    return int(enough[0]) if enough.size else MOST_SEEDS + 1


def share(candidates: int) -> int:
    """Return the number of tests that share the error: one for each candidate but the best, and at least two."""
    return max(candidates - 1, 2)


def _compare(
    losses: _Losses, schedule: Sequence[int], level: float, resolution: float
) -> tuple[list[Round], dict[int, Round]]:
    """Return all rounds, and all candidates at each look.

    At each look, beaten candidates are removed and the rest are compared again at their larger share, until none is
    beaten.
    """
    rounds, at_looks, beaten = [], {}, set[str]()
    for look in schedule:
        seen = {name: values[:look] for name, values in losses.items() if values.size >= look}
        if not seen:
            break
        whole = Round(Pairs.of(seen, resolution), tuple(seen), (1 - level) * spent_at(look, schedule))
        at_looks[look] = whole
        names: tuple[str, ...] = ()
        left = tuple(name for name in seen if name not in beaten)
        while left != names:
            names = left
            rounds.append(Round(whole.pairs, names, whole.error / share(len(names))))
            left = rounds[-1].unbeaten
        beaten |= set(seen) - set(left)
    return rounds, at_looks


def _behind(
    name: str,
    best: str | None,
    still_in: Sequence[str],
    losses: _Losses,
    at_looks: Mapping[int, Round],
    candidates: int,
    level: float,
) -> Interval:
    """Return how far `name` is behind the best, which may be any of `still_in`, on the seeds they have in common."""
    if best is None:
        return Interval(mean=nan, low=-inf, high=inf, level=level)
    if name not in losses:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    looks_at = {other: at_looks[min(losses[name].size, losses[other].size)] for other in still_in}
    bounds = [
        look.pairs.most(name, other, look.error / share(candidates))
        for other, look in looks_at.items()
        if other != name
    ]
    return Interval(mean=looks_at[best].pairs.mean(name, best), low=0.0, high=max(0.0, *bounds, 0.0), level=level)
