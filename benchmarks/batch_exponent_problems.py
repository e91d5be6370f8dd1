"""Problems whose best rate follows a known law over the batch size: generated valleys, and small networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log10

import numpy as np
from numpy.typing import NDArray

from benchmarks.trust_regret import PROBLEMS
from benchmarks.trust_regret_network import Network
from pipeline import datasets
from pipeline.evaluation import Candidate, Evaluation, Training

OPTIMUM = 0.05
"""The best rate of every valley with batches of 32."""

_CENTRE = 32
_STEPS_PER_EPOCH = 90


@dataclass(frozen=True)
class Kind:
    """How valleys differ from each other.

    Attributes:
        power: log loss is proportional to the distance from the best rate, in decades, to this power.
        steeper: how many times as high it rises towards larger rates.
        cliff: decades above the best rate at which trainings diverge, at least and at most.
        shapes: standard deviation, over batch sizes, of the logarithm of the factor of the log loss.
        shifts: standard deviation of what separates the best rate of a batch size from the power law, in decades.

    """

    power: float = 2.0
    steeper: float = 1.0
    cliff: tuple[float, float] = (1.0, 1.6)
    shapes: float = 0.0
    shifts: float = 0.0


KINDS = {
    "parabola": Kind(),
    "cliff": Kind(power=1.6, steeper=3.0, cliff=(0.3, 0.8)),
    "other shapes": Kind(steeper=2.0, shapes=0.4),
    "off the law": Kind(shapes=0.2, shifts=0.08),
}


class Valley:
    """A loss that depends on rate, scheme, batch size and seed by a formula, drawn from a kind.

    Each scheme and each batch size has a level, and each scheme its own best rate, by the same factor at all sizes.
    The noise's standard deviation grows with the loss, and half of its variance is common to a seed.
    """

    optimizer, epochs = "sgd", 6.0

    def __init__(self, kind: Kind, exponent: float, number: int) -> None:
        """Draw valley `number` of this kind with this exponent."""
        self._kind, self.exponent, self.number = kind, exponent, number
        rng = self._rng("valley")
        self._noise, self._factor = 10 ** rng.uniform(-2, -1.1), 10 ** rng.uniform(-0.4, 0.4)
        self._cliff = rng.uniform(*kind.cliff)

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer as an executor does."""
        for one in evaluations:
            yield one, self._training(one)

    def best(self, size: int) -> float:
        """Return the base-10 logarithm of the best rate of linear decay."""
        shift = self._kind.shifts * self._rng("shift", size).normal()
        return log10(OPTIMUM) + self.exponent * log10(size / _CENTRE) + shift

    def _training(self, one: Evaluation) -> Training:
        candidate, kind = one.candidate, self._kind
        own = self._rng("scheme", candidate.scheme)
        level, shift = 0.03 * own.normal(), 0.05 * own.normal() - 0.2 * (candidate.scheme == "constant")
        off = log10(candidate.initial_lr) - self.best(candidate.batch_size) - shift
        shape = exp(kind.shapes * self._rng("shape", candidate.batch_size).normal())
        height = self._factor * shape * abs(off) ** kind.power * (kind.steeper if off > 0 else 1.0)
        common, alone = self._rng("seed", one.seed).normal(), self._rng("training", one.digest).normal()
        chance = self._noise * (1 + 3 * min(height, 1.0)) * (common + alone) / 2**0.5
        level += 0.1 * self._rng("level", candidate.batch_size).normal() + 0.7 * (candidate.optimizer != "sgd")
        diverged = off > self._cliff
        return Training(
            rates=np.zeros(1, np.float32),
            losses=np.zeros(1, np.float32),
            history={} if diverged else {"val_loss": (exp(min(level + height + chance, 20.0)),)},
            steps_per_epoch=_STEPS_PER_EPOCH,
            validation_steps=one.updates(_STEPS_PER_EPOCH),
            diverged="the rate is above the cliff" if diverged else "",
            seconds=0.0,
            examples=1,
        )

    def _rng(self, *of: object) -> np.random.Generator:
        return np.random.default_rng([self.number, *"/".join(map(str, of)).encode()])


NETWORKS = {
    "digits": ("digits", "sgd", 5),
    "digits, Adam": ("digits", "adam", 5),
    "friedman1": ("friedman1", "sgd", 8),
    "friedman1, Adam": ("friedman1", "adam", 8),
    "clusters": ("clusters", "sgd", 6),
    "clusters, AdamW": ("clusters", "adamw", 6),
}
"""Problems of `benchmarks.trust_regret`, each with an optimizer and epochs."""

_SEEDS = range(700_000, 700_020)
_ROUGHLY = np.arange(-4.5, 0.51, 0.25)
"""Decades at which three seeds show roughly where the best rate is."""

_AROUND = np.arange(-0.45, 0.451, 0.15)
"""Decades around it at which all seeds are trained."""


class Trained:
    """Article A's network, whose best rates are measured on a dense grid with twenty seeds."""

    def __init__(self, name: str) -> None:
        """Load the data."""
        problem, self.optimizer, self.epochs = NETWORKS[name]
        self._splits = datasets.split(PROBLEMS[problem].load(), seed=0)
        self._networks, self._known = dict[int, Network](), dict[str, Training]()

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Train each once."""
        for one in evaluations:
            if one.digest not in self._known:
                ((_, self._known[one.digest]),) = self._of(one.candidate.batch_size).ask([one])
            yield one, self._known[one.digest]

    def best(self, size: int) -> float:
        """Return the base-10 logarithm of the best rate of linear decay.

        It is the lowest point of a parabola through the lowest mean log loss and its neighbours.
        """
        if size not in self._bests:
            rough = _ROUGHLY[np.argmin([self._mean(size, rate, 3) for rate in _ROUGHLY])]
            means = np.array([self._mean(size, rough + by, len(_SEEDS)) for by in _AROUND])
            self._bests[size] = float(rough + _lowest(means))
        return self._bests[size]

    @cached_property
    def _bests(self) -> dict[int, float]:
        return {}

    def _mean(self, size: int, rate: float, seeds: int) -> float:
        """Return the mean log loss over the seeds; inf if one of them diverged."""
        one = Candidate(
            scheme="linear", initial_lr=float(10**rate), optimizer=self.optimizer, batch_size=size, params={}
        )
        total = 0.0
        for seed in _SEEDS[:seeds]:
            ((_, training),) = self._of(size).ask([Evaluation(one, self.epochs, seed)])
            if training.diverged:
                return float("inf")
            total += float(np.log(training.val_loss))
        return total / seeds

    def _of(self, size: int) -> Network:
        if size not in self._networks:
            self._networks[size] = Network(self._splits, size)
        return self._networks[size]


def _lowest(means: NDArray[np.float64]) -> float:
    """Return where the mean log loss is lowest, in decades around the middle; at a cliff, the lowest of the rates."""
    at = int(means.argmin())
    near = slice(max(at - 2, 0), at + 3)
    x, y = _AROUND[near], means[near]
    if not np.isfinite(y).all() or at in (0, len(means) - 1):
        return float(_AROUND[at])
    curvature, slope, _ = np.polyfit(x, y, 2)
    return float(np.clip(-slope / (2 * curvature), x[0], x[-1])) if curvature > 0 else float(_AROUND[at])
