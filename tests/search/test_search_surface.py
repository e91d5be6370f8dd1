"""The surface: what all trainings together show about rate and scheme."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, log10

import numpy as np
import pytest

from pipeline.objective import VAL_LOSS, Objective
from pipeline.schedules import Array
from pipeline.search import Trial
from pipeline.search.candidates import candidate
from pipeline.search.leaderboard import basin_of
from pipeline.search.plan import telling
from pipeline.search.surface import Surface
from tests.search.surface import OPTIMUM, SPACE, make_evaluation, make_outcome

RATES = tuple(OPTIMUM * 10**away for away in (-0.8, -0.4, -0.2, 0.0, 0.2, 0.4, 0.8))
LINEAR = candidate(SPACE, "linear", OPTIMUM)


def bowl(rate: float) -> float:
    """Return a loss whose logarithm rises by the square of the distance in decades."""
    return float(np.exp(log10(rate / OPTIMUM) ** 2))


def trials(loss: Callable[[float], float], *schemes: str, noise: float = 0.0) -> list[Trial]:
    """Return a trial of each scheme at each rate, each on its own seed."""
    chance = np.random.default_rng(1)
    asked = [make_evaluation(scheme, rate) for scheme in schemes or ("linear",) for rate in RATES]
    return [
        Trial(at, type(one)(one.candidate, one.epochs, at), make_outcome(loss(one.candidate.initial_lr) * factor))
        for at, one in enumerate(asked)
        for factor in [float(np.exp(chance.normal(0, noise)))]
    ]


def best_rate(surface: Surface, scheme: str = "linear", nearby: float = 0.0) -> float:
    """Return the rate with the lowest expected loss between those tried."""
    rates = 10 ** np.arange(log10(RATES[0]), log10(RATES[-1]), 0.02)
    cells = surface.cells(candidate(SPACE, scheme, OPTIMUM), rates, nearby=nearby)
    return min(cells, key=lambda cell: cell.mean).candidate.initial_lr


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_finds_the_bottom_of_a_bowl(noise: float) -> None:
    """Within a tenth of a decade, also with noise of five per cent."""
    assert abs(log10(best_rate(Surface(trials(bowl, noise=noise))) / OPTIMUM)) < 0.1


def test_trainings_of_other_schemes_show_the_rate_too() -> None:
    """One training of a scheme is enough to know where its best rate lies."""
    known = [*trials(bowl), Trial(99, make_evaluation("cosine", RATES[1]), make_outcome(bowl(RATES[1])))]
    assert abs(log10(best_rate(Surface(known), "cosine") / OPTIMUM)) < 0.1


def test_a_lucky_training_is_treated_as_noise() -> None:
    """It has the lowest loss of all, at a rate where its neighbours are bad."""
    known = trials(bowl, "linear", "cosine", noise=0.03)
    lucky = Trial(99, make_evaluation("linear", RATES[5]), make_outcome(0.85))
    assert lucky.outcome.loss < min(trial.outcome.loss for trial in known)
    assert best_rate(Surface([*known, lucky])) < RATES[4]


def test_diverged_trainings_count_without_pulling_the_rest() -> None:
    """The bottom stays where it was although higher rates diverge, and these are expected to be far above it."""
    surface = Surface(trials(lambda rate: inf if rate > 1.5 * OPTIMUM else bowl(rate)))
    assert best_rate(surface) < 1.5 * OPTIMUM
    cells = surface.cells(LINEAR, np.array([OPTIMUM, RATES[-1]]), nearby=0.0)
    assert cells[1].mean > cells[0].mean + 0.5


def test_rates_next_to_a_cliff_are_avoided() -> None:
    """The loss falls up to a cliff; averaged over what is nearby, a rate at its edge is worse than it looks."""
    surface = Surface(trials(lambda rate: inf if rate > OPTIMUM * 1.01 else 1.0))
    edge, inland = np.array([OPTIMUM]), np.array([RATES[1]])

    def rise(rates: Array) -> float:
        averaged, own = (surface.cells(LINEAR, rates, nearby=nearby)[0].mean for nearby in (0.1, 0.0))
        return averaged - own

    assert rise(edge) > rise(inland) + 0.001


def test_an_easier_split_says_nothing_against_other_rates() -> None:
    """Trainings on it, all at one rate, are lower by a tenth; bottom and noise stay where the others have them."""
    known = trials(bowl, noise=0.03)
    before = Surface(known)
    far = [make_evaluation("linear", RATES[5]).spread([7, 8, 9], splits=9)[at] for at in (1, 2)]
    easier = [Trial(99, one, make_outcome(0.9 * bowl(RATES[5]))) for one in far]
    same = [Trial(99, replace(trial.evaluation, split=0), trial.outcome) for trial in easier]
    rates = {name: best_rate(Surface([*known, *more])) for name, more in {"other": easier, "same": same}.items()}
    assert rates["other"] == pytest.approx(best_rate(before), rel=0.01)
    assert rates["same"] > 1.1 * rates["other"]
    assert Surface([*known, *easier]).noise <= before.noise


def test_units_do_not_matter() -> None:
    """A thousand times the loss gives the same heights; so does a shifted loss that has no logarithm."""
    known = trials(bowl, "linear", "step", noise=0.02)

    def heights(loss: Callable[[float], float]) -> list[float]:
        changed = [Trial(one.number, one.evaluation, make_outcome(loss(one.outcome.loss))) for one in known]
        return [cell.mean for cell in Surface(changed).cells(LINEAR, np.array(RATES))]

    assert heights(lambda loss: 1000 * loss) == pytest.approx(heights(lambda loss: loss))
    assert heights(lambda loss: 1000 * loss - 9000) == pytest.approx(heights(lambda loss: loss - 9))


def test_loss_and_height_are_inverse() -> None:
    """For losses with a logarithm and for others."""
    for shift in (0.0, -5.0):
        moved = [Trial(t.number, t.evaluation, make_outcome(t.outcome.loss + shift)) for t in trials(bowl)]
        surface = Surface(moved)
        assert [surface.loss(surface.height(loss + shift)) for loss in (1.0, 1.3)] == pytest.approx(
            [1.0 + shift, 1.3 + shift]
        )


def test_noise_is_about_that_of_the_seeds() -> None:
    """At most that, since it grows with the loss."""
    many = [*trials(bowl, "linear", "cosine", "step", "rex", noise=0.06)]
    assert 0.03 <= Surface(many).noise <= 0.06
    assert Surface(trials(bowl, "linear", "cosine", "step", "rex")).noise < 0.03


def test_what_was_never_tried_is_uncertain() -> None:
    """The uncertainty grows with the distance from what was tried."""
    surface = Surface(trials(bowl))
    near, far = surface.cells(LINEAR, np.array([OPTIMUM, OPTIMUM / 100]), nearby=0.0)
    assert near.deviation < 0.1 < far.deviation
    assert (near.hope, near.worst) == pytest.approx((near.mean - near.deviation, near.mean + 2 * near.deviation))


def test_nothing_is_known_where_everything_diverged() -> None:
    """Then there is no surface."""
    assert Surface.of(trials(lambda rate: inf)) is None


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_basin_is_where_the_loss_stays_within_noise(noise: float) -> None:
    """A bowl's basin extends by the square root of the noise on either side."""
    known = trials(bowl, "linear", "cosine", "step", noise=noise)
    surface = Surface(known)
    basin = basin_of(surface, LINEAR, known, VAL_LOSS)
    assert basin.lr_low < OPTIMUM < basin.lr_high
    assert basin.decades == pytest.approx(log10(basin.lr_high / basin.lr_low))
    assert basin.decades == pytest.approx(2 * surface.noise**0.5, abs=0.25)
    assert basin.rates == pytest.approx(sorted(RATES))
    assert basin.values == tuple(trial.outcome.loss for trial in known[: len(RATES)])


def test_basin_does_not_reach_over_a_hump() -> None:
    """A better rate beyond a worse one belongs to another basin."""
    known = trials(lambda rate: 1.0 if rate in (RATES[0], RATES[-2], RATES[-1]) else 2.0)
    basin = basin_of(Surface(known), candidate(SPACE, "linear", RATES[-2]), known, VAL_LOSS)
    assert basin.lr_low > RATES[3]


def test_basin_has_the_sign_of_the_objective() -> None:
    """Its rates are those that the losses give."""
    known = trials(bowl)
    one, other = (
        basin_of(Surface(known), LINEAR, known, objective) for objective in (VAL_LOSS, Objective("val_accuracy", "max"))
    )
    assert other.values == tuple(-value for value in one.values)
    assert (other.lr_low, other.lr_high) == (one.lr_low, one.lr_high)


def test_candidates_have_rates_that_are_easy_to_use() -> None:
    """Three digits, and the default parameters that a search varies."""
    assert candidate(SPACE, "step", 0.0123456).initial_lr == 0.0123
    assert set(candidate(SPACE, "step", 0.1).params) <= {"drop_rate", "drops"}


def test_a_surface_is_fitted_to_a_limited_number_of_trials() -> None:
    """Few are all taken; of many, the lowest losses and an even choice of the others, and the answer stays."""
    few = trials(bowl, "linear", "cosine", noise=0.05)
    assert telling(few) == few
    chance = np.random.default_rng(2)
    asked = [make_evaluation("linear", float(rate)) for rate in OPTIMUM * 10 ** chance.uniform(-0.8, 0.8, 2_000)]
    many = [
        Trial(at, replace(one, seed=at), make_outcome(bowl(one.candidate.initial_lr) * float(np.exp(noise))))
        for at, (one, noise) in enumerate(zip(asked, chance.normal(0, 0.05, len(asked)), strict=True))
    ]
    kept = telling(many)
    assert len(kept) == 200
    assert [one.number for one in kept] == sorted({one.number for one in kept})
    by_loss = sorted(many, key=lambda one: one.outcome.loss)
    assert {one.number for one in by_loss[:100]} <= {one.number for one in kept}
    assert max(one.outcome.loss for one in kept) > by_loss[-100].outcome.loss
    assert best_rate(Surface(kept)) == pytest.approx(OPTIMUM, rel=0.25)
