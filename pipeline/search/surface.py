"""The loss as a function of initial rate and scheme, estimated from all full trainings together.

One training says little: near the best rate, losses vary by several per cent between seeds, and the lowest of many is
partly luck. So nothing here relies on a single loss. A Gaussian process (Rasmussen and Williams 2006, chapter 2) over
the logarithm of the rate is fitted to the logarithms of all losses: a curve that all schemes share, since the rate
matters far more than the scheme, plus a level and a small deviation of each scheme. Its noise grows with the loss, as
it does towards divergence, and includes a part that is common to all trainings with one seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, log10

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from pipeline.evaluation import Candidate
from pipeline.schedules import Array
from pipeline.search.candidates import coupled, coupling
from pipeline.search.plan import Trial
from pipeline.search.priors import LEVELS, LOWER, OTHERS
from pipeline.usages import usage

_FAR = 1.0
"""The most that a log loss counts above the lowest; diverged trainings count as this far above too."""

_FAR_ENOUGH = 0.5
"""The same where an exponent is asked for: how steeply losses rise far from the best rate is set by the rate at which
training diverges, which may depend on the batch size in another way than the best rate."""

_MEAN, _AMPLITUDE = 0.2, 0.6
"""Prior mean of the log loss above the lowest, and standard deviation of the curve that all schemes share."""

_ANY_LEVEL, _LEVEL, _DEVIATION = 1.0, 0.03, 0.02
"""Standard deviations of the curve's level, of a scheme's own level, and of its deviations from the curve."""

_DECAY, _DECAY_DEVIATION = 0.3, 0.1
"""Standard deviations of the level that a weight decay other than the optimizer's own has, and of its deviations."""

_SMOOTH, _HIGHER = 1.0, 1.5
"""Length scale and amplitude of a curve that batch sizes share.

It is smoother than the curve of one batch size, so that it has one valley: beyond the rates tried at one size, it could
otherwise have another, in which those tried at the next size would lie (reports/outside.md).
"""

_APART, _BUMPS = 0.1, 0.4
"""Standard deviation and length scale of what sets a batch size's curve apart from the shared one."""

_NOISES, _LENGTHS = (0.015, 0.03, 0.06, 0.12), (0.35, 0.6)
"""Standard deviations of the noise between seeds, and length scales in decades; the most probable pair is used."""

_LOUDER = (0.25, 0.5)
"""Noises that are possible too where an interval depends on them."""

_LIKELY_NOISE, _NOISE_SPREAD = 0.04, 0.8
"""The prior of the noise, lognormal: its median, and the standard deviation of its logarithm."""

_SHARED = 0.3
"""The share of the noise's variance that all trainings with the same seed have in common."""

_SPLIT = 0.1
"""Standard deviation of what another split of the data than that of the trials adds to the log losses of trainings."""

_STEEPER = 4.0
"""The noise is multiplied by 1 plus this many times the log loss above the lowest."""

NEARBY = 0.1
"""Decades on each side over which the expected loss is averaged: the best rate varies a little with data and seed, so a
rate next to a cliff is a poor choice."""

_FINEST = 0.025
"""Decades between the rates that are compared to find a basin."""

_WEIGHTS = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True)
class Cell:
    """A candidate, with the mean and the standard deviation of its log loss above the lowest."""

    candidate: Candidate
    mean: float
    deviation: float

    @property
    def worst(self) -> float:
        """How bad it may be: two standard deviations above the mean. The lowest of these is preferred."""
        return self.mean + 2 * self.deviation

    @property
    def hope(self) -> float:
        """How good it may be: one standard deviation below the mean. The lowest of these is worth a training."""
        return self.mean - self.deviation


class Surface:
    """The Gaussian process fitted to all full-length trainings.

    Attributes:
        noise: standard deviation of the log loss between seeds, near the best rate.
        evidence: the logarithm of the posterior probability of the fit, up to a constant.

    """

    def __init__(self, trials: Sequence[Trial], exponent: float | None = None) -> None:
        """Fit the surface. At least one of the trials must have a finite loss.

        Each optimizer and batch size has a curve of its own. Given an exponent, the batch sizes of an optimizer share
        one, over the rate divided by `batch_size ** exponent`, and each has a small deviation from it.
        """
        candidates = [trial.evaluation.candidate for trial in trials]
        losses = [trial.outcome.loss for trial in trials]
        on_prepared = [trial.outcome.loss for trial in trials if not trial.evaluation.split]
        self._log, self._unit = _scale(losses)
        self._far = _FAR if exponent is None else _FAR_ENOUGH
        self._lowest = min(on_prepared if min(on_prepared, default=inf) < inf else losses)
        self._at = _Points.of(candidates, exponent)
        self._values = np.array([self.height(trial.outcome.loss) for trial in trials])
        seeds, splits = (np.array([getattr(trial.evaluation, of) for trial in trials]) for of in ("seed", "split"))
        self._alike = (seeds[:, None] == seeds) * _SHARED
        self._shifts = ((splits[:, None] == splits) & (splits > 0)) * _SPLIT**2
        choices = (_NOISES, _LENGTHS) if exponent is None else ((*_NOISES, *_LOUDER), (_SMOOTH,))
        fits = [self._fit(noise, length) for noise, length in product(*choices)]
        self.evidence, self.noise, self._length, self._factor, self._weights = max(fits, key=lambda fit: fit[0])

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> "Surface | None":
        """Return the surface; None if every training diverged."""
        return cls(trials) if any(trial.outcome.loss < inf for trial in trials) else None

    def height(self, loss: float) -> float:
        """Return how far the log loss is above the lowest, at most 1, or 0.5 given an exponent.

        If losses are not positive, it is in their own unit.
        """
        if loss == inf:
            return self._far
        above = np.log(loss / self._lowest) if self._log else (loss - self._lowest) / self._unit
        return float(min(above, self._far))

    def loss(self, height: float) -> float:
        """Return the loss at this height."""
        return self._lowest * float(np.exp(height)) if self._log else self._lowest + height * self._unit

    def cells(self, like: Candidate, rates: Array, *, nearby: float = NEARBY) -> list[Cell]:
        """Return what is known of a candidate at these rates: means over `nearby` decades on each side if they vary."""
        nearby = 0.0 if usage(like.optimizer).has_one_rate else nearby
        shifts = np.array([-nearby, 0.0, nearby])
        spread = (np.log10(rates)[:, None] + shifts).ravel()
        mean, deviation = (part.reshape(-1, 3) @ _WEIGHTS for part in self._predict(_Points.along(like, spread)))
        return [
            Cell(coupled(like, coupling(like), float(rate)), float(m), float(d))
            for rate, m, d in zip(rates, mean, deviation, strict=True)
        ]

    def at(self, one: Candidate) -> Cell:
        """Return the estimates for one candidate."""
        return self.cells(one, np.array([one.initial_lr]))[0]

    def basin(self, one: Candidate, tried: Sequence[float]) -> tuple[float, float, float]:
        """Return the lowest and highest rate of the basin, and the noise between seeds as a difference in loss.

        The basin is the range of rates around the candidate's own, within those tried, whose expected loss exceeds the
        lowest one by at most that noise.
        """
        low, high = (log10(bound) for bound in (min([one.initial_lr, *tried]), max([one.initial_lr, *tried])))
        steps = max(round((high - low) / _FINEST), 1)
        rates = np.sort([*np.linspace(low, high, steps + 1), log10(one.initial_lr)])
        heights = self._predict(_Points.along(one, rates))[0]
        own, lowest = int(np.searchsorted(rates, log10(one.initial_lr))), float(heights.min())
        bad = np.flatnonzero(heights > max(lowest + self.noise, float(heights[own])))
        first = max(bad[bad < own], default=-1) + 1
        last = min(bad[bad > own], default=rates.size) - 1
        noise = self.loss(lowest + self.noise) - self.loss(lowest)
        own_rate = one.initial_lr  # included whatever the rounding of powers and logarithms
        return min(float(10 ** rates[first]), own_rate), max(float(10 ** rates[last]), own_rate), noise

    def _fit(self, noise: float, length: float) -> tuple[float, float, float, tuple[Array, bool], Array]:
        """Return the log posterior, its parameters, the factor of the covariance, and the weights."""
        own = np.diag((1 - _SHARED) * (1 + _STEEPER * self._values.clip(0)) ** 2 + 1e-6)
        covariance = self._at.covariance(self._at, length) + noise**2 * (own + self._alike) + self._shifts
        factor = cho_factor(covariance, lower=True)
        rest = self._values - self._at.mean
        weights = cho_solve(factor, rest)
        likelihood = -0.5 * rest @ weights - np.log(np.diag(factor[0])).sum()
        prior = -0.5 * (np.log(noise / _LIKELY_NOISE) / _NOISE_SPREAD) ** 2
        return float(likelihood + prior), noise, length, factor, weights

    def _predict(self, points: "_Points") -> tuple[Array, Array]:
        """Return mean and standard deviation of the log loss at these points."""
        between = points.covariance(self._at, self._length)
        known = solve_triangular(self._factor[0], between.T, lower=True)
        variance = points.variance - (known**2).sum(axis=0)
        return points.mean + between @ self._weights, np.sqrt(variance.clip(0))


@dataclass(frozen=True)
class _Points:
    """Candidates as the process sees them: rates in decades, and schemes, settings and curves, equal or not.

    `amplitude` is the standard deviation of a curve, and `apart` that of a setting's deviations from it: 0 where each
    has its own.
    """

    rates: Array
    schemes: tuple[tuple[object, ...], ...]
    settings: tuple[tuple[str, int], ...]
    curves: tuple[object, ...]
    decays: tuple[float | None, ...]
    amplitude: float = _AMPLITUDE
    apart: float = 0.0

    @classmethod
    def of(cls, candidates: Sequence[Candidate], exponent: float | None = None) -> "_Points":
        settings = tuple((one.optimizer, one.batch_size) for one in candidates)
        shifts = [LOWER.get(one.scheme, 0.0) - (exponent or 0.0) * log10(one.batch_size) for one in candidates]
        return cls(
            np.array([log10(one.initial_lr) for one in candidates]) + shifts,
            tuple((one.scheme, *sorted(one.params.items())) for one in candidates),
            settings,
            settings if exponent is None else tuple(one.optimizer for one in candidates),
            tuple(coupling(one) for one in candidates),
            *(() if exponent is None else (_HIGHER, _APART)),
        )

    @classmethod
    def along(cls, like: Candidate, rates: Array) -> "_Points":
        one = cls.of([like])
        return cls(
            rates + LOWER.get(like.scheme, 0.0),
            one.schemes * rates.size,
            one.settings * rates.size,
            one.curves * rates.size,
            one.decays * rates.size,
        )

    @property
    def mean(self) -> Array:
        return np.array([_MEAN + LEVELS.get(str(scheme[0]), OTHERS) for scheme in self.schemes])

    @property
    def variance(self) -> Array:
        own = self.amplitude**2 + _ANY_LEVEL**2 + _LEVEL**2 + _DEVIATION**2
        return own + self._coupled * (_DECAY**2 + _DECAY_DEVIATION**2)

    @property
    def _coupled(self) -> Array:
        """1 where the weight decay is not the optimizer's own."""
        return np.array([decay is not None for decay in self.decays], np.float64)

    def covariance(self, other: "_Points", length: float) -> Array:
        near = _near(self.rates, other.rates, length)
        alike, scheme, curve, decay = (
            _equal(getattr(self, of), getattr(other, of)) for of in ("settings", "schemes", "curves", "decays")
        )
        decayed = decay * self._coupled[:, None] * (_DECAY**2 + _DECAY_DEVIATION**2 * near)
        own = alike * (_ANY_LEVEL**2 + scheme * _DEVIATION**2 * near + decayed)
        if self.apart:
            own = own + alike * self.apart**2 * _near(self.rates, other.rates, _BUMPS)
        return own + curve * self.amplitude**2 * near + scheme * _LEVEL**2


def _near(rows: Array, columns: Array, length: float) -> Array:
    return np.asarray(np.exp(-0.5 * ((rows[:, None] - columns) / length) ** 2), np.float64)


def _equal(rows: Sequence[object], columns: Sequence[object]) -> Array:
    codes: dict[object, int] = {}
    one, other = (np.array([codes.setdefault(value, len(codes)) for value in side]) for side in (rows, columns))
    return np.asarray(one[:, None] == other, np.float64)


def _scale(losses: Sequence[float]) -> tuple[bool, float]:
    """Return whether losses have logarithms, and if not, the unit in which they are measured.

    Negated accuracies, for example, have none. Their unit is twice the median excess over the lowest, since log losses
    at rates far apart differ by about one half.
    """
    sound = np.array([loss for loss in losses if loss < inf])
    if sound.min() > 0:
        return True, 1.0
    above = sound[sound > sound.min()] - sound.min()
    return False, float(2 * np.median(above)) if above.size else 1.0
