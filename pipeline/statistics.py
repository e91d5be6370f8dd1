"""Which differences between trainings are real: intervals, paired comparisons, ties, and the width of a basin.

A loss that is NaN or infinite is a diverged training, worse than any number: everywhere here it counts as `inf`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10, nan, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.results import Interval

Values = Sequence[float] | npt.NDArray[np.float64]
Verdict = Literal["winner", "tie", "worse", "diverged"]


@dataclass(frozen=True)
class Comparison:
    """One candidate against the best: `difference` is its loss minus the best's, paired by seed (positive: worse)."""

    difference: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Verdicts:
    """`best` has the lowest mean loss, None when every candidate diverged; `rows` holds each candidate's verdict."""

    best: str | None
    rows: dict[str, Comparison]

    @property
    def ties(self) -> tuple[str, ...]:
        """Candidates that cannot be told from the best, without the best itself."""
        return tuple(name for name, row in self.rows.items() if row.verdict == "tie" and name != self.best)


def mean_interval(values: Values, level: float = 0.95) -> Interval:
    """Give the mean of one value a seed with Student's t interval: mean ± t * s / sqrt(n), n - 1 degrees of freedom.

    One value says nothing about the spread: its interval is (-inf, inf). A diverged value makes mean and bounds inf.
    Raises ValueError without values, or when `level` is not between 0 and 1.
    """
    losses = _as_losses(values)
    if losses.size == 0:
        raise ValueError("an interval needs at least one value, received none")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, received {level}")
    if not np.isfinite(losses).all():
        return Interval(mean=inf, low=inf, high=inf, level=level)
    mean = float(losses.mean())
    if losses.size == 1:
        return Interval(mean=mean, low=-inf, high=inf, level=level)
    half = float(stats.t.ppf((1 + level) / 2, losses.size - 1)) * float(losses.std(ddof=1)) / sqrt(losses.size)
    return Interval(mean=mean, low=mean - half, high=mean + half, level=level)


def paired_difference(a: Values, b: Values, level: float = 0.95, comparisons: int = 1) -> Interval:
    """Give the interval of the mean of `a - b`, where a[i] and b[i] come from the same seed.

    With several `comparisons` each interval is widened to level 1 - (1 - level) / comparisons, so that all of them
    hold together with at least `level` (Bonferroni). The widened level is the one reported.
    Where only one side diverged on any seed, that side is infinitely worse; where both did, nothing is known.
    Raises ValueError when the lengths differ or `comparisons` is below 1.
    """
    left, right = _as_losses(a), _as_losses(b)
    if left.shape != right.shape:
        raise ValueError(f"paired values need the same seeds, received {left.size} and {right.size} values")
    if comparisons < 1:
        raise ValueError(f"comparisons must be at least 1, received {comparisons}")
    level = 1 - (1 - level) / comparisons
    left_finite, right_finite = np.isfinite(left).all(), np.isfinite(right).all()
    if left_finite and right_finite:
        return mean_interval(left - right, level)
    if left_finite:
        return Interval(mean=-inf, low=-inf, high=-inf, level=level)
    if right_finite:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    return Interval(mean=nan, low=-inf, high=inf, level=level)


def verdicts(losses: Mapping[str, Values], level: float = 0.95, comparisons: int | None = None) -> Verdicts:
    """Name the candidate with the lowest mean loss, and say which others it beats beyond chance.

    `losses` maps each candidate to its validation losses, one a seed, on the same seeds in the same order. A candidate
    that diverged on any seed is "diverged". The best is the "winner" only when every other that did not diverge is
    "worse", its corrected interval of the difference lying above zero; else it is one "tie" among others.

    `comparisons` defaults to one for each candidate set against the best. That bounds the chance of a false winner by
    1 - level although the best is picked from the same losses: a false winner must have beaten the truly best, which is
    one comparison for each candidate. (That *some* candidate is called "worse" by mistake is not bounded so: that
    takes `comparisons` = k * (k - 1) / 2, all pairs.)
    Raises ValueError when there are no candidates or their numbers of seeds differ.
    """
    counts = {name: len(values) for name, values in losses.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"every candidate needs a loss for each of the same seeds, received {counts} losses")
    means = {name: float(_as_losses(values).mean()) for name, values in losses.items()}
    finite = [name for name, mean in means.items() if mean < inf]
    if not finite:
        unknown = Interval(mean=nan, low=-inf, high=inf, level=level)
        return Verdicts(None, {name: Comparison(unknown, "diverged") for name in losses})
    best = min(finite, key=means.__getitem__)
    count = max(len(finite) - 1, 1) if comparisons is None else comparisons
    differences = {name: paired_difference(losses[name], losses[best], level, count) for name in losses}
    words: dict[str, Verdict] = {name: "worse" if differences[name].low > 0 else "tie" for name in finite}
    if all(words[name] == "worse" for name in finite if name != best):
        words[best] = "winner"
    return Verdicts(best, {name: Comparison(differences[name], words.get(name, "diverged")) for name in losses})


def basin(rates: Values, losses: Values, noise: float) -> tuple[float, float]:
    """Give the contiguous range of rates round the best one whose loss is at most `noise` above the best loss.

    `rates` and `losses` (float[n], in any order) are initial rates and what each led to. Where the loss crosses the
    threshold between two rates, the crossing is interpolated linearly in log rate; beside a diverged training the
    basin ends at the last rate that did not diverge. It never reaches past the rates given.
    Raises ValueError when the lengths differ, a rate is not positive, noise is negative, or every training diverged.
    """
    given, values = np.asarray(rates, np.float64), _as_losses(losses)
    if given.shape != values.shape or not ((given > 0) & np.isfinite(given)).all() or not noise >= 0:
        raise ValueError("a basin needs as many losses as rates, positive rates, and a noise of zero or more")
    if not np.isfinite(values).any():
        raise ValueError("a basin needs at least one training that did not diverge")
    order = np.argsort(given, kind="stable")
    log_rates, values = np.log(given[order]), values[order]
    best = int(values.argmin())
    threshold = float(values[best]) + noise
    low = _crossing(log_rates[best::-1], values[best::-1], threshold)
    high = _crossing(log_rates[best:], values[best:], threshold)
    return float(np.exp(low)), float(np.exp(high))


def decades(low: float, high: float) -> float:
    """Give the width of a range of rates in powers of ten: log10(high / low)."""
    return log10(high / low)


def seed_noise(losses: Iterable[Values]) -> float:
    """Pool the standard deviation between seeds over candidates: sqrt(sum of squares / sum of (n - 1)).

    `losses` holds one sequence a candidate, one loss a seed. Diverged losses are left out. Without any candidate that
    has two losses left the noise is unknown, and inf is returned: then no difference can be told from noise.
    """
    groups = [values[np.isfinite(values)] for values in map(_as_losses, losses)]
    groups = [values for values in groups if values.size > 1]
    if not groups:
        return inf
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in groups)
    return sqrt(squares / sum(values.size - 1 for values in groups))


def rank_correlation(low_budget: Values, full_budget: Values) -> float:
    """Spearman's correlation of the losses of the same candidates at two budgets: 1 when both rank them alike.

    Diverged trainings share the last rank. NaN when there are fewer than two candidates, or one side is all ties.
    """
    low, full = _as_losses(low_budget), _as_losses(full_budget)
    if low.shape != full.shape:
        raise ValueError(f"both budgets need the same candidates, received {low.size} and {full.size} losses")
    if low.size < 2 or np.unique(low).size < 2 or np.unique(full).size < 2:
        return nan
    return float(stats.spearmanr(low, full).statistic)


def _as_losses(values: Values) -> npt.NDArray[np.float64]:
    losses = np.asarray(values, np.float64)
    return np.where(np.isfinite(losses), losses, inf)


def _crossing(log_rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], threshold: float) -> float:
    """Walk away from the best, which comes first, to the log rate at which the loss crosses the threshold."""
    outside = np.flatnonzero((losses > threshold) | np.isinf(losses))
    if outside.size == 0:
        return float(log_rates[-1])
    end = int(outside[0])
    if np.isinf(losses[end]):
        return float(log_rates[end - 1])
    inner, outer = float(losses[end - 1]), float(losses[end])
    share = (threshold - inner) / (outer - inner)
    return float(log_rates[end - 1] + share * (log_rates[end] - log_rates[end - 1]))
