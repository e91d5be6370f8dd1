"""The basins: what is trained to find them, and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, log10

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Basin
from pipeline.search import BASIN_RUNS, Evaluate, Outcome, Trial
from pipeline.search.choice import EDGE_RUNS, NOISE_RUNS, measure_basins, measure_noise
from tests.search.surface import OPTIMUM, Surface, make_evaluation, make_outcome

CENTRE = make_evaluation()


def make_trial(evaluation: Evaluation, surface: Surface) -> Trial:
    """Return a trial with the surface's answer."""
    return Trial(0, evaluation, make_outcome(surface.loss(evaluation)))


def basin_of(
    centre: Evaluation, trials: Sequence[Trial], evaluate: Evaluate, noise: float, objective: Objective = VAL_LOSS
) -> Basin:
    """Return the basin of one centre."""
    return measure_basins({"it": centre}, trials, evaluate, noise, objective)["it"]


@pytest.mark.parametrize("width", [0.15, 0.4, 1.0])
def test_basin_of_a_parabola(width: float) -> None:
    """A loss that rises by the square of the distance in decades is within noise for its root, on either side."""
    surface = Surface()
    basin = basin_of(CENTRE, [make_trial(CENTRE, surface)], surface.evaluate, width**2)
    assert log10(OPTIMUM / basin.lr_low) == pytest.approx(width, abs=0.12)
    assert log10(basin.lr_high / OPTIMUM) == pytest.approx(width, abs=0.12)
    assert basin.decades == pytest.approx(log10(basin.lr_high / basin.lr_low))
    assert basin.noise == width**2


def test_its_cost_is_bounded_and_all_else_equal() -> None:
    """A few trainings for each edge, which differ from the finalist in their rate only; every one is reported."""
    surface = Surface()
    basin = basin_of(CENTRE, [make_trial(CENTRE, surface)], surface.evaluate, 0.1)
    assert 0 < len(surface.asked) <= 2 * EDGE_RUNS
    assert all(asked.trying(initial_lr=OPTIMUM) == CENTRE for asked in surface.asked)
    assert list(basin.rates) == sorted({OPTIMUM, *(asked.candidate.initial_lr for asked in surface.asked)})
    assert basin.values == tuple(surface.loss(CENTRE.trying(initial_lr=rate)) for rate in basin.rates)


def test_both_sides_of_all_basins_are_trained_at_once() -> None:
    """One rate a side and round, whatever is still unknown; no basin depends on the others."""
    surface, centres = Surface(), {"cosine": CENTRE, "step": make_evaluation("step", 2 * OPTIMUM)}
    basins = measure_basins(centres, [], surface.evaluate, 0.1)
    assert surface.batches[0] == list(centres.values())
    rounds = [[_side(centres, asked) for asked in batch] for batch in surface.batches[1:]]
    assert rounds[0] == [("cosine", -1), ("cosine", 1), ("step", -1), ("step", 1)]
    assert len(rounds) <= EDGE_RUNS
    assert all(len(set(sides)) == len(sides) for sides in rounds)
    assert basins == {name: basin_of(centre, [], Surface().evaluate, 0.1) for name, centre in centres.items()}


def _side(centres: Mapping[str, Evaluation], asked: Evaluation) -> tuple[str, int]:
    scheme, rate = asked.candidate.scheme, asked.candidate.initial_lr
    return scheme, 1 if rate > centres[scheme].candidate.initial_lr else -1


def test_trials_at_other_rates_are_used() -> None:
    """With both edges known nothing is trained; trials of another scheme or budget say nothing."""
    surface = Surface()
    near = [CENTRE.trying(initial_lr=OPTIMUM * step) for step in (1.0, 1.1, 1.2, 0.9, 0.8)]
    basin = basin_of(CENTRE, [make_trial(one, surface) for one in near], surface.evaluate, 0.004)
    assert surface.asked == []
    assert basin.rates == tuple(sorted(one.candidate.initial_lr for one in near))
    others = [make_trial(replace(one, epochs=4), surface) for one in near]
    others += [make_trial(one.trying(scheme="step"), surface) for one in near]
    basin_of(CENTRE, others, surface.evaluate, 0.004)
    assert surface.asked[0] == CENTRE
    assert len(surface.asked) > 1


def test_divergence_ends_a_basin() -> None:
    """It lies below the rates that diverge, and these are kept as infinite losses."""
    surface = Surface(diverges_above=0.08)
    basin = basin_of(CENTRE, [make_trial(CENTRE, surface)], surface.evaluate, 1.0)
    assert OPTIMUM <= basin.lr_high <= 0.08
    assert basin.values[-1] == inf


def test_centre_that_diverged_has_no_basin() -> None:
    """Nothing is trained, and the basin is the rate itself."""
    surface = Surface()
    basin = basin_of(CENTRE, [Trial(0, CENTRE, make_outcome(inf))], surface.evaluate, 0.1)
    assert (basin.lr_low, basin.lr_high, basin.decades) == (OPTIMUM, OPTIMUM, 0.0)
    assert surface.asked == []


def test_it_does_not_reach_over_a_hump() -> None:
    """A better rate beyond a worse one belongs to another basin."""

    def evaluate(evaluations: Sequence[Evaluation]) -> list[Outcome]:
        distances = [log10(OPTIMUM / evaluation.candidate.initial_lr) for evaluation in evaluations]
        return [make_outcome(0.3 if away < 0.2 else 0.9 if away < 0.8 else 0.1) for away in distances]

    basin = basin_of(CENTRE, [], evaluate, 0.05)
    assert 0 < log10(OPTIMUM / basin.lr_low) < 0.3


def test_values_have_the_sign_of_the_objective() -> None:
    """The rates and edges are those that the losses give."""
    accuracy = Objective("val_accuracy", "max")
    one, other = (basin_of(CENTRE, [], Surface().evaluate, 0.04, objective) for objective in (VAL_LOSS, accuracy))
    assert other.values == tuple(-value for value in one.values)
    assert other.model_copy(update={"values": one.values}) == one


def test_noise_is_that_of_short_trainings() -> None:
    """Two pooled deviations between a few seeds of each finalist, at a trial's budget: SciPy has the deviations."""
    surface = Surface(noise=0.02)
    finalists = [CENTRE, CENTRE.trying(scheme="step")]
    noise = measure_noise(finalists, surface.evaluate)
    assert all(asked.epochs == CENTRE.epochs for asked in surface.asked)
    assert 2 * EDGE_RUNS + NOISE_RUNS == 2 * BASIN_RUNS
    (asked_at_once,) = surface.batches
    seeds = {(asked.candidate.scheme, asked.seed) for asked in asked_at_once}
    assert len(seeds) == len(surface.asked) == 2 * (NOISE_RUNS + 1)
    losses = np.array([surface.loss(asked) for asked in surface.asked]).reshape(2, -1)
    assert noise == pytest.approx(2 * stats.tstd(losses - losses.mean(1, keepdims=True), ddof=2, axis=None))
