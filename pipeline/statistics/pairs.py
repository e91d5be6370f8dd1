"""Paired differences between all candidates of a look, with variances moderated by those of the other pairs.

Three differences give a poor estimate of their variance, and zero if they happen to be equal. So each is moderated as
in limma (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3): the variances of all pairs are
taken to vary around a common one, like a scaled inverse chi-square. Its scale and its degrees of freedom are estimated
from the pairs. Each variance becomes the mean of its own estimate and the common one, weighted by their degrees of
freedom, which add up. If the noise differs much between pairs, the common variance counts little.

Limma has thousands of genes, but five candidates make only ten pairs, which share candidates, so the estimate can be
far too confident. Hence the common variance never counts more than a pair's own seeds; with four candidates it counts
half as much, and with fewer not at all. docs/statistics.md shows the error with and without this limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np
from scipy import special

from pipeline.results import Interval
from pipeline.schedules import Array

_ROUNDING = 2.0**-22
"""Variation below this, relative to the losses, is no more than the rounding of float32."""

_NEWTON_STEPS = 8


@dataclass(frozen=True)
class Pairs:
    """Means of `row - column` for all pairs of `names` on `seeds` seeds, standard errors, and degrees of freedom.

    A pair whose differences do not vary gets the median variance of the others. If none vary, nothing is known, and the
    standard errors are infinite, as with one seed. Bounds are cut off at `widest`, the largest possible difference: 1
    between two accuracies.
    """

    names: tuple[str, ...]
    seeds: int
    means: Array
    errors: Array
    freedom: float
    widest: float = inf

    @classmethod
    def of(cls, losses: Mapping[str, Array], resolution: float = 0.0) -> Self:
        """Return the paired differences of finite losses on the same seeds.

        Args:
            losses: one per seed for each candidate.
            resolution: the step in which the losses move, 1 / n for an accuracy on n examples; 0 if continuous.

        """
        values = np.array(list(losses.values()), np.float64)
        count, seeds = values.shape
        differences = values[:, None] - values[None]
        means, errors = differences.mean(2), np.full((count, count), inf)
        widest = 1.0 if resolution else inf
        if count < 2 or seeds < 2:
            return cls(tuple(losses), seeds, means, errors, 1.0, widest)
        upper = np.triu_indices(count, 1)
        own = np.maximum(differences.var(2, ddof=1)[upper], rounding(resolution))
        varies = own > (_ROUNDING * np.abs(values).max()) ** 2
        if not varies.any():
            return cls(tuple(losses), seeds, means, errors, seeds - 1.0, widest)
        own[~varies] = np.median(own[varies])
        variances, freedom = moderated(own, seeds - 1, count)
        errors[upper] = errors.T[upper] = np.sqrt(np.maximum(variances, rounding(resolution)) / seeds)
        return cls(tuple(losses), seeds, means, errors, float(freedom), widest)

    def mean(self, a: str, b: str) -> float:
        """Return the mean of a - b."""
        return float(self.means[self.names.index(a), self.names.index(b)])

    def beats(self, a: str, b: str, error: float) -> bool:
        """Return whether the mean of a - b is below zero, by a one-sided test at this error."""
        mean, half = self._one_sided(a, b, error)
        return mean + half < 0

    def most(self, a: str, b: str, error: float) -> float:
        """Return the one-sided upper bound of the mean of a - b at this error."""
        return min(sum(self._one_sided(a, b, error)), self.widest)

    def interval(self, a: str, b: str, error: float, level: float = 0.95) -> Interval:
        """Return the interval of the mean of a - b, with this error on each side; `level` is only reported."""
        mean, half = self._one_sided(a, b, error)
        return Interval(mean=mean, low=max(mean - half, -self.widest), high=min(mean + half, self.widest), level=level)

    def _one_sided(self, a: str, b: str, error: float) -> tuple[float, float]:
        deviation = float(self.errors[self.names.index(a), self.names.index(b)])
        return self.mean(a, b), -float(special.stdtrit(self.freedom, error)) * deviation


def rounding(resolution: float) -> float:
    """Return the variance of a difference between two values that are rounded to a step: step ** 2 / 12 for each."""
    return 2 * resolution**2 / 12


def moderated(variances: Array, freedom: int, candidates: int) -> tuple[Array, Array]:
    """Return moderated variances and their degrees of freedom.

    Args:
        variances: of shape (..., pairs), all positive; the pairs of each row are those of one look.
        freedom: the degrees of freedom of each: the seeds minus one.
        candidates: how many there are.

    Returns:
        Variances of the same shape, and degrees of freedom of shape (...).

    """
    most = freedom * min(1.0, max(0, candidates - 3) / 2)
    if most == 0:
        return variances, np.full(variances.shape[:-1], float(freedom))
    e = np.log(variances) - _log_bias(freedom)  # these and the next lines: Smyth (2004), section 6.2
    excess = e.var(axis=-1, ddof=1, keepdims=True) - special.polygamma(1, freedom / 2)
    prior = np.where(excess > 0, 2 * _inverse_trigamma(np.maximum(excess, 1e-6)), inf)
    common = np.exp(e.mean(axis=-1, keepdims=True) + np.where(excess > 0, _log_bias(np.minimum(prior, 1e6)), 0.0))
    weight = np.minimum(prior, most)
    return (weight * common + freedom * variances) / (weight + freedom), (weight + freedom)[..., 0]


def _log_bias(freedom: float | Array) -> Array:
    """Return the mean of the logarithm of a chi-square variable divided by its degrees of freedom."""
    half = np.asarray(freedom, np.float64) / 2
    return np.asarray(special.digamma(half) - np.log(half))


def _inverse_trigamma(values: Array) -> Array:
    """Solve trigamma(x) = value by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    x = 0.5 + 1 / values
    for _ in range(_NEWTON_STEPS):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / special.polygamma(2, x)
    return np.asarray(x)
