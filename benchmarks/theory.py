"""Problems whose best schedule theory knows, and how close the search comes to it within its default budget.

    python -m benchmarks.theory

- Linear regression by one pass of SGD over Gaussian inputs whose covariance has the eigenvalues `j ** -capacity`. The
  target's share of the loss along them falls as `j ** -(1 + source * capacity)`. Moments of the error along each
  eigenvector follow an exact recursion, so the expected loss of a schedule needs no trainings. Li et al. (2026,
  arXiv:2602.06797) derive the best schedule for long trainings: if `source >= 1 - 1 / capacity`, the rate decays to
  zero as the power `2 * capacity - 1` of the time left; otherwise it stays at the largest stable rate and decays at the
  end.
- Convex Lipschitz functions: an upper bound on the loss after the last update of subgradient descent, which holds for
  every schedule and is the worst case for many (Defazio et al. 2023, arXiv:2310.07831, theorem 10; Schaipp et al. 2025,
  arXiv:2501.18965, theorem 3.1). Linear decay nearly minimises it, and a constant rate is worse by a factor that grows
  as the logarithm of the length.

The best schedule of all is found numerically, one rate per update, and so is the best that a scheme can express. Prints
the tables of part (b) of reports/outside.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from pipeline import range_test, schedules, search
from pipeline.config import SearchOptions
from pipeline.evaluation import Evaluation, Training
from pipeline.results import SearchResult

Floats = NDArray[np.float64]
Params = Mapping[str, schedules.Value]

EPOCHS, STEPS_PER_EPOCH = 6, 50
"""The length of a training; its updates are 300."""

_DIVERGED = 4.0


class Theory(Protocol):
    """A problem: the loss of a schedule, and its derivatives by the rates."""

    def losses(self, rates: Floats) -> Floats:
        """Return the expected loss before each update and after the last one, of shape (updates + 1,)."""

    def loss_and_slopes(self, rates: Floats) -> tuple[float, Floats]:
        """Return the loss after the last update, and its derivatives by the rates."""


@dataclass(frozen=True)
class Regression:
    """Linear regression on Gaussian inputs, learnt by one pass of SGD; the loss is the excess over the noise.

    Attributes:
        capacity: the exponent at which the eigenvalues of the inputs' covariance fall, above 1.
        source: how easy the target is: the exponent at which the loss falls without noise.
        noise: the variance of the labels' noise; the loss starts at 1.
        batch_size: the examples in an update.
        modes: the number of eigenvalues.

    """

    capacity: float
    source: float
    noise: float = 0.1
    batch_size: int = 8
    modes: int = 100

    @property
    def eigenvalues(self) -> Floats:
        """The eigenvalues of the inputs' covariance."""
        return np.asarray(np.arange(1.0, self.modes + 1) ** -self.capacity)

    def _start(self) -> Floats:
        """Return the squared error of the parameters along each eigenvector before training."""
        shares = np.arange(1.0, self.modes + 1) ** -(1 + self.source * self.capacity)
        return np.asarray(shares / shares.sum() / self.eigenvalues)

    def _moments(self, rates: Floats) -> Floats:
        """Return the mean squared errors of the parameters along the eigenvectors, of shape (updates + 1, modes).

        For the Gaussian inputs x with covariance H, the mean of x x' M x x' is 2 H M H + tr(H M) H. So an update with
        rate r on b examples turns m into `(1 - r h) ** 2 m + r ** 2 / b * (h ** 2 m + h * (sum(h m) + noise))`.
        """
        h, moments = self.eigenvalues, np.empty((rates.size + 1, self.modes))
        moments[0] = self._start()
        for at, rate in enumerate(rates):
            m = moments[at]
            spread = h**2 * m + h * (h @ m + self.noise)
            moments[at + 1] = (1 - rate * h) ** 2 * m + rate**2 / self.batch_size * spread
        return moments

    def losses(self, rates: Floats) -> Floats:
        """Return the excess losses."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self._moments(rates) @ self.eigenvalues)

    def loss_and_slopes(self, rates: Floats) -> tuple[float, Floats]:
        """Return the loss after the last update and its derivatives, by going backwards through the recursion."""
        h, moments, slopes = self.eigenvalues, self._moments(rates), np.empty_like(rates)
        back = h.copy()
        for at in range(rates.size - 1, -1, -1):
            m, rate, share = moments[at], rates[at], rates[at] / self.batch_size
            spread = h**2 * m + h * (h @ m + self.noise)
            slopes[at] = back @ (-2 * h * (1 - rate * h) * m + 2 * share * spread)
            back = back * ((1 - rate * h) ** 2 + rate * share * h**2) + rate * share * (back @ h) * h
        return float(moments[-1] @ h), slopes


@dataclass(frozen=True)
class Convex:
    """A convex function with subgradients of norm at most 1, started at distance 1 from its minimum.

    The loss is the bound for n updates with the rates r, all positive: `(1 + sum(r ** 2)) / (2 * sum(r))` plus half the
    sum over k < n of `r_k / sum(r after k) * sum(r ** 2 from k) / sum(r from k)`; or `1 + sum(r)`, by which the
    distance to the minimum and so the loss is bounded, if that is less.
    """

    def losses(self, rates: Floats) -> Floats:
        """Return the bounds had the training ended before each update, and after the last one; 1 before the first."""
        first = int((rates > 0).argmax()) + 1
        return np.array([1.0] * first + [self._bound(rates[:end]) for end in range(first, rates.size + 1)])

    def _bound(self, rates: Floats) -> float:
        used = rates[rates > 0]  # the others change nothing
        left, squares = (np.cumsum(values[::-1])[::-1] for values in (used, used**2))
        last = (used[:-1] / left[1:] * squares[:-1] / left[:-1]).sum()
        return float(min((1 + squares[0]) / (2 * left[0]) + last / 2, 1 + left[0]))

    def loss_and_slopes(self, rates: Floats) -> tuple[float, Floats]:
        """Return the bound and its derivatives, as differences."""
        own, step = self._bound(rates), 1e-7
        moved = [self._bound(rates + step * (np.arange(rates.size) == at)) for at in range(rates.size)]
        return own, (np.array(moved) - own) / step


def best_schedule(problem: Theory, starts: Sequence[Floats], largest: float) -> tuple[float, Floats]:
    """Return the lowest loss that a local optimiser reaches from these schedules, and its rates.

    No rate is above `largest`: without a limit, single updates with huge rates, which no scheme has, help on a
    quadratic loss.
    """
    found = [
        optimize.minimize(
            problem.loss_and_slopes,
            start.clip(1e-6, largest),
            jac=True,
            bounds=[(1e-9, largest)] * start.size,
            method="L-BFGS-B",
            options={"maxiter": 300},
        )
        for start in starts
    ]
    best = min(found, key=lambda one: float(one.fun))
    return float(best.fun), best.x


def curve(scheme: str, initial_lr: float, params: Params) -> Floats:
    """Return the rates of a whole training."""
    steps = EPOCHS * STEPS_PER_EPOCH
    return schedules.curve(
        scheme, steps=steps, steps_per_epoch=STEPS_PER_EPOCH, initial_lr=initial_lr, params=dict(params)
    )


def best_rate(problem: Theory, scheme: str, params: Params) -> tuple[float, float]:
    """Return the lowest loss of a scheme with these parameters, and the initial rate that it takes."""

    def loss(decades: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(problem.losses(curve(scheme, 10**decades, params))[-1])
        return value if np.isfinite(value) else inf

    grid = np.arange(-2.5, 0.75, 0.125)
    near = grid[int(np.argmin([loss(decades) for decades in grid]))]
    found = optimize.minimize_scalar(loss, bounds=(near - 0.125, near + 0.125), method="bounded")
    return float(found.fun), float(10**found.x)


EXPRESSED: Sequence[tuple[str, Params]] = (
    *((scheme, {}) for scheme in ("constant", "linear", "cosine", "exponential", "one_cycle", "rex")),
    *(("polynomial", {"power": power}) for power in (1.5, 2.0, 3.0)),
    *(("warmup_stable_decay", {"decay_fraction": fraction}) for fraction in (0.1, 0.3, 0.5, 0.7)),
)
"""What the search may choose from, with the parameters that it may vary."""


def best_expressed(
    problem: Theory, among: Sequence[tuple[str, Params]] = EXPRESSED
) -> tuple[float, str, Params, float]:
    """Return the lowest loss of these schemes, which scheme it is, its parameters, and its initial rate."""
    found = [(*best_rate(problem, scheme, params), scheme, params) for scheme, params in among]
    loss, rate, scheme, params = min(found, key=lambda one: one[0])
    return loss, scheme, params, rate


@dataclass
class Trained:
    """Answers evaluations on a problem; every training with the same schedule is the same."""

    problem: Theory

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer in order."""
        for evaluation in evaluations:
            yield evaluation, self.train(evaluation)

    def train(self, evaluation: Evaluation) -> Training:
        """Return the training; it diverges where the loss is not finite, or far above its start."""
        rates = evaluation.curve(STEPS_PER_EPOCH)
        losses = self.problem.losses(rates)
        sound = np.isfinite(losses) & (losses <= _DIVERGED * losses[0])
        updates = rates.size if sound.all() else int(np.argmin(sound))
        return Training(
            rates=rates[:updates].astype(np.float32),
            losses=losses[:updates].astype(np.float32),
            history={"val_loss": (float(losses[-1]),)} if sound.all() else {},
            steps_per_epoch=STEPS_PER_EPOCH,
            validation_steps=updates,
            diverged="" if sound.all() else "the loss grew",
            seconds=0.0,
            examples=updates,
        )


def find(problem: Theory, **options: object) -> SearchResult:
    """Return the answer of range test and search with the default options and budget."""
    given = SearchOptions.model_validate({"epochs": EPOCHS, "batch_size": 8, "optimizer": "sgd", **options})
    ask = Trained(problem)
    found = range_test.conduct(range_test.planned(given, lambda size: STEPS_PER_EPOCH), ask).result
    return search.conduct(search.planned(given, [found], lambda size: STEPS_PER_EPOCH, 1), ask)[0]


PROBLEMS: Mapping[str, tuple[Theory, str, str]] = {
    "regression, capacity 1.5, source 1": (Regression(1.5, 1.0), "polynomial", "warmup_stable_decay"),
    "regression, capacity 2, source 1.5": (Regression(2.0, 1.5), "polynomial", "warmup_stable_decay"),
    "regression, capacity 3, source 1": (Regression(3.0, 1.0), "polynomial", "warmup_stable_decay"),
    "regression, capacity 2, source 0.2": (Regression(2.0, 0.2), "warmup_stable_decay", "polynomial"),
    "regression, capacity 3, source 0.3": (Regression(3.0, 0.3), "warmup_stable_decay", "polynomial"),
    "convex and Lipschitz": (Convex(), "linear", "constant"),
}
"""The problems, and two schemes: first the one whose shape theory says is best for long trainings."""


def answer_of(problem: Theory, found: SearchResult) -> float:
    """Return the loss of a search's answer."""
    winner = found.winner
    return float(problem.losses(curve(winner.scheme, winner.initial_lr, winner.params))[-1])


def largest_stable(problem: Theory) -> float:
    """Return the largest constant rate whose training does not diverge, to a hundredth of a decade."""
    rates = 10 ** np.arange(-2.0, 2.0, 0.01)
    with np.errstate(over="ignore", invalid="ignore"):
        stable = [bool((problem.losses(curve("constant", rate, {})) <= _DIVERGED).all()) for rate in rates]
    return float(rates[stable.index(False) - 1] if False in stable else rates[-1])


BUDGETS = (25, 60, 150)
"""Full trainings; the first is the default."""

HEAD = (
    "| problem | lowest loss of any schedule | best scheme, above that | largest stable rate | answer "
    "| above any schedule, % | above the best scheme, % | with 60 trainings | with 150 | of two shapes |\n"
    f"|{' --- |' * 10}"
)


def main() -> None:
    """Print the table."""
    print(HEAD)
    for name, (problem, right, wrong) in PROBLEMS.items():
        expressed, scheme, params, rate = best_expressed(problem)
        starts = [curve(one, best_rate(problem, one, {})[1], {}) for one in ("linear", "polynomial", right)]
        largest = largest_stable(problem)
        lowest, _ = best_schedule(problem, [*starts, curve(scheme, rate, params)], largest)
        found = [find(problem, budget=budget) for budget in BUDGETS]
        losses = [answer_of(problem, one) for one in found]
        two = find(problem, schemes=f"{right},{wrong}").winner.scheme
        named = " ".join([scheme, *(f"{key}={value:g}" for key, value in params.items())])
        above = " | ".join(f"{100 * (loss / expressed - 1):.1f}" for loss in losses)
        print(
            f"| {name} | {lowest:.5f} | {named} from {rate:.3g}, {100 * (expressed / lowest - 1):.1f}% | {largest:.3g} "
            f"| {found[0].winner.name} | {100 * (losses[0] / lowest - 1):.1f} | {above} "
            f"| {two}, {'right' if two == right else 'wrong'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
