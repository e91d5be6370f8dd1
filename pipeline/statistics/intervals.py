"""Means and paired differences with intervals and tests, and the noise between seeds."""

from collections.abc import Iterable, Sequence
from math import inf, nan, sqrt

import numpy as np
from scipy import stats

from pipeline.results import Interval
from pipeline.schedules import Array
from pipeline.statistics.pairs import rounding

Values = Sequence[float] | Array


def mean_interval(values: Values, level: float = 0.95, resolution: float = 0.0) -> Interval:
    """Return the mean with Student's t interval: mean ± t * s / sqrt(n), n - 1 degrees of freedom.

    `values` holds one number per seed. The interval of a single value is (-inf, inf). If any value diverged, the mean
    and both bounds are inf. If the values move in steps of `resolution`, s is at least the standard deviation of their
    rounding, step / sqrt(12): equal values do not mean that nothing varies.

    Raises:
        ValueError: there are no values, or `level` is not between 0 and 1.

    """
    losses = as_losses(values)
    if losses.size == 0:
        raise ValueError("an interval needs at least one value, received none")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, received {level}")
    if not np.isfinite(losses).all():
        return Interval(mean=inf, low=inf, high=inf, level=level)
    mean = float(losses.mean())
    if losses.size == 1:
        return Interval(mean=mean, low=-inf, high=inf, level=level)
    deviation = max(float(losses.std(ddof=1)), sqrt(rounding(resolution) / 2))
    half = float(stats.t.ppf((1 + level) / 2, losses.size - 1)) * deviation / sqrt(losses.size)
    return Interval(mean=mean, low=mean - half, high=mean + half, level=level)


def accuracy_interval(accuracies: Values, examples: int, level: float = 0.95) -> Interval:
    """Return the mean accuracy with an interval that covers both the seeds and the test examples.

    `accuracies` holds one value per seed. The variance is s ** 2 / seeds + p * (1 - p) / examples. It gets the degrees
    of freedom of Satterthwaite (1946, Biometrics Bulletin 2:110), with infinitely many for the second part. There p is
    (hits + 2) / (examples + 4), since p * (1 - p) is zero where every example is right (Agresti and Coull 1998, The
    American Statistician 52:119). With one seed the interval covers the examples alone. It is cut off at 0 and 1.
    """
    values = np.asarray(accuracies, np.float64)
    mean = float(values.mean())
    p = (mean * examples + 2) / (examples + 4)
    sampling, between = p * (1 - p) / examples, 0.0
    quantile = float(stats.norm.isf((1 - level) / 2))
    if values.size > 1 and (between := float(values.var(ddof=1)) / values.size) > 0:
        freedom = (values.size - 1) * ((between + sampling) / between) ** 2
        quantile = float(stats.t.isf((1 - level) / 2, freedom))
    half = quantile * sqrt(between + sampling)
    return Interval(mean=mean, low=max(mean - half, 0.0), high=min(mean + half, 1.0), level=level)


def paired_difference(a: Values, b: Values, level: float = 0.95, share: float = 1.0) -> Interval:
    """Return the interval of the mean of `a - b`, where a[i] and b[i] come from the same seed.

    The interval uses only a `share` of the error of 1 - level. If the shares of several intervals, and of the looks at
    which they may be given, add up to 1, all of them hold together at `level` or more (Bonferroni), and `level` is what
    the result reports. If one side diverged on any seed, that side is infinitely worse; if both did, the interval is
    (-inf, inf).

    Raises:
        ValueError: the lengths differ, or `share` is not in (0, 1].

    """
    left, right = as_losses(a), as_losses(b)
    if left.shape != right.shape:
        raise ValueError(f"paired values need the same seeds, received {left.size} and {right.size} values")
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, received {share}")
    left_finite, right_finite = np.isfinite(left).all(), np.isfinite(right).all()
    if left_finite and right_finite:
        return mean_interval(left - right, 1 - (1 - level) * share).model_copy(update={"level": level})
    if left_finite:
        return Interval(mean=-inf, low=-inf, high=-inf, level=level)
    if right_finite:
        return Interval(mean=inf, low=inf, high=inf, level=level)
    return Interval(mean=nan, low=-inf, high=inf, level=level)


def p_value(values: Values, mean: float = 0.0) -> float:
    """Return the two-sided p value of Student's t test that the true mean of `values` is `mean`.

    It is below 1 - level exactly if `mean_interval(values, level)` excludes `mean`. A single value gives 1.

    Raises:
        ValueError: there are no values, or one of them is not finite.

    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"a test needs finite values, received {sample.tolist()}")
    if sample.size == 1:
        return 1.0
    distance, error = abs(float(sample.mean()) - mean), float(sample.std(ddof=1)) / sqrt(sample.size)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(2 * stats.t.sf(distance / error, sample.size - 1))


def holm(p_values: Values) -> Array:
    """Return p values adjusted for their number by Holm's step-down procedure (Holm 1979), in the order given.

    If every hypothesis with an adjusted p value below 1 - level is rejected, then with probability `level` or more no
    true one is among them, however the tests depend on each other. The smallest of m p values is multiplied by m, the
    next by m - 1, and so on; none is less than the one before it, or more than 1.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return adjusted


def seed_noise(losses: Iterable[Values]) -> float:
    """Return the standard deviation between seeds, pooled over candidates: sqrt(sum of squares / sum of (n - 1)).

    `losses` holds one sequence per candidate with one loss per seed. Diverged losses are left out. If no candidate has
    two losses left, the noise is unknown and inf is returned, so that every difference counts as noise.
    """
    groups = [values[np.isfinite(values)] for values in map(as_losses, losses)]
    groups = [values for values in groups if values.size > 1]
    if not groups:
        return inf
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in groups)
    return sqrt(squares / sum(values.size - 1 for values in groups))


def as_losses(values: Values) -> Array:
    """Return the values as float64, with `inf` for all that are not finite."""
    losses = np.asarray(values, np.float64)
    return np.where(np.isfinite(losses), losses, inf)
