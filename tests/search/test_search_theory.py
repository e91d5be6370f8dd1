"""Problems whose best schedule is known from theory: the search finds its shape, and comes close to its loss."""

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks import theory
from benchmarks.theory import Convex, Regression, Theory, answer_of, best_rate, curve, find
from pipeline.schedules import Value

EASY = Regression(capacity=2.0, source=1.5)
HARD = Regression(capacity=2.0, source=0.2)


def test_expected_loss_of_sgd_is_that_of_real_trainings() -> None:
    """The recursion is exact: the mean of many runs of SGD on drawn examples is within its standard error."""
    problem = Regression(capacity=1.5, source=1.0, batch_size=2, modes=4)
    rates, rng, runs = np.linspace(0.5, 0.05, 12), np.random.default_rng(0), 20_000
    h = problem.eigenvalues
    errors = np.tile(np.sqrt(np.arange(1.0, 5) ** -2.5 / (np.arange(1.0, 5) ** -2.5).sum() / h), (runs, 1))
    for rate in rates:
        x = rng.normal(size=(runs, 2, 4)) * np.sqrt(h)
        residuals = np.einsum("rbj,rj->rb", x, errors) - rng.normal(0, np.sqrt(problem.noise), (runs, 2))
        errors -= rate * np.einsum("rb,rbj->rj", residuals, x) / 2
    seen = errors**2 @ h
    assert problem.losses(rates)[-1] == pytest.approx(seen.mean(), abs=3 * seen.std() / np.sqrt(runs))


@pytest.mark.parametrize("problem", [EASY, Convex()])
def test_derivatives_of_the_loss(problem: Theory) -> None:
    """They agree with central differences."""
    rates = np.random.default_rng(1).uniform(0.05, 0.3, 20)
    _, slopes = problem.loss_and_slopes(rates)
    for at in (0, 7, 19):
        up, down = (problem.losses(rates + by * (np.arange(20) == at))[-1] for by in (1e-5, -1e-5))
        assert slopes[at] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("scheme", ["constant", "linear", "cosine"])
def test_convex_bound_holds(scheme: str) -> None:
    """Of subgradient descent on the largest absolute coordinate, from distance 1."""
    for rate in (0.003, 0.01, 0.1, 1.0):
        rates, at = curve(scheme, rate, {}), np.array([0.6, -0.3, 0.7, 0.2, -0.1, 0.1])
        for one in rates:
            largest = np.abs(at).argmax()
            at[largest] -= one * np.sign(at[largest])
        assert np.abs(at).max() <= Convex().losses(rates)[-1]


@pytest.mark.parametrize(
    ("problem", "best", "params"),
    [(EASY, "polynomial", {"power": 1.5}), (Convex(), "linear", {})],
    ids=["easy regression", "convex"],
)
def test_answer_is_close_to_the_best_schedule(problem: Theory, best: str, params: Mapping[str, Value]) -> None:
    """Within 3% of the lowest loss that any scheme reaches, at any initial rate (`benchmarks.theory.EXPRESSED`)."""
    lowest, _ = best_rate(problem, best, params)
    assert answer_of(problem, find(problem)) <= 1.03 * lowest


def test_answer_is_found_next_to_a_cliff() -> None:
    """The best initial rate is 7% below the largest stable one; the answer is within 10% of the lowest loss."""
    lowest, rate = best_rate(HARD, "warmup_stable_decay", {"decay_fraction": 0.1})
    assert theory.largest_stable(HARD) < 1.1 * rate
    assert answer_of(HARD, find(HARD)) <= 1.1 * lowest


@pytest.mark.parametrize(
    ("problem", "right", "wrong"),
    [(HARD, "warmup_stable_decay", "polynomial"), (Convex(), "linear", "constant")],
    ids=["hard regression", "convex"],
)
def test_shape_that_theory_says_is_best(problem: Theory, right: str, wrong: str) -> None:
    """Of two shapes that theory distinguishes, each at its best rate, the search answers with the better one."""
    assert find(problem, schemes=f"{wrong},{right}").winner.scheme == right
    assert best_rate(problem, right, {})[0] < 0.8 * best_rate(problem, wrong, {})[0]


def test_best_schedule_is_no_worse_than_a_scheme() -> None:
    """The numerical optimum starts from a scheme's best, and keeps to the largest rate."""
    start = curve("linear", best_rate(EASY, "linear", {})[1], {})
    lowest, rates = theory.best_schedule(EASY, [start], largest=0.4)
    assert rates.max() <= 0.4
    assert lowest < EASY.losses(start)[-1]
