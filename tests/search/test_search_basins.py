"""The basins: what is trained to find them, and what they hold."""

from dataclasses import replace
from math import inf, log10

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import Evaluation
from pipeline.search import BASIN_RUNS, Outcome, Trial
from pipeline.search.basins import EDGE_RUNS, NOISE_RUNS, measure_basin, measure_noise
from tests.search.conftest import OPTIMUM, Surface

CENTRE = Evaluation("sgd", "cosine", OPTIMUM, {}, 2, 10_000, 32)


def outcome(val_loss: float) -> Outcome:
    """Give an outcome with this loss."""
    return Outcome(val_loss, val_loss, None, 1.0, 1.0, 10, "" if val_loss < inf else "loss is nan at update 0")


def trial(evaluation: Evaluation, surface: Surface) -> Trial:
    """Give a trial with the surface's answer."""
    return Trial(0, evaluation, outcome(surface.loss(evaluation)))


@pytest.mark.parametrize("width", [0.15, 0.4, 1.0])
def test_the_basin_of_a_parabola(width: float) -> None:
    """A loss that rises by the square of the distance in decades is within noise for its root, on either side."""
    surface = Surface()
    basin = measure_basin(CENTRE, [trial(CENTRE, surface)], surface, width**2)
    assert log10(OPTIMUM / basin.lr_low) == pytest.approx(width, abs=0.12)
    assert log10(basin.lr_high / OPTIMUM) == pytest.approx(width, abs=0.12)
    assert basin.decades == pytest.approx(log10(basin.lr_high / basin.lr_low))
    assert basin.noise == width**2


def test_its_cost_is_bounded_and_all_else_equal() -> None:
    """A few trainings for each edge, which differ from the finalist in their rate only; every one is reported."""
    surface = Surface()
    basin = measure_basin(CENTRE, [trial(CENTRE, surface)], surface, 0.1)
    assert 0 < len(surface.asked) <= 2 * EDGE_RUNS
    assert all(replace(asked, initial_lr=OPTIMUM) == CENTRE for asked in surface.asked)
    assert list(basin.rates) == sorted({OPTIMUM, *(asked.initial_lr for asked in surface.asked)})
    assert basin.values == tuple(surface.loss(replace(CENTRE, initial_lr=rate)) for rate in basin.rates)


def test_trials_at_other_rates_are_made_use_of() -> None:
    """With both edges known nothing is trained; trials of another scheme or budget say nothing."""
    surface = Surface()
    near = [replace(CENTRE, initial_lr=OPTIMUM * step) for step in (1.0, 1.1, 1.2, 0.9, 0.8)]
    basin = measure_basin(CENTRE, [trial(one, surface) for one in near], surface, 0.004)
    assert surface.asked == []
    assert basin.rates == tuple(sorted(one.initial_lr for one in near))
    others = [trial(replace(one, epochs=4), surface) for one in near] + [trial(replace(CENTRE, scheme="step"), surface)]
    measure_basin(CENTRE, others, surface, 0.004)
    assert surface.asked[0] == CENTRE
    assert len(surface.asked) > 1


def test_divergence_ends_a_basin() -> None:
    """It lies below the rates that diverge, and these are kept as infinite losses."""
    surface = Surface(diverges_above=0.08)
    basin = measure_basin(CENTRE, [trial(CENTRE, surface)], surface, 1.0)
    assert OPTIMUM <= basin.lr_high <= 0.08
    assert basin.values[-1] == inf


def test_without_a_sound_centre_there_is_none() -> None:
    """Nothing is trained, and the basin is the rate itself."""
    surface = Surface()
    basin = measure_basin(CENTRE, [Trial(0, CENTRE, outcome(inf))], surface, 0.1)
    assert (basin.lr_low, basin.lr_high, basin.decades) == (OPTIMUM, OPTIMUM, 0.0)
    assert surface.asked == []


def test_it_does_not_reach_over_a_hump() -> None:
    """A better rate beyond a worse one belongs to another basin."""

    def evaluate(evaluation: Evaluation) -> Outcome:
        distance = log10(OPTIMUM / evaluation.initial_lr)
        return outcome(0.3 if distance < 0.2 else 0.9 if distance < 0.8 else 0.1)

    basin = measure_basin(CENTRE, [], evaluate, 0.05)
    assert 0 < log10(OPTIMUM / basin.lr_low) < 0.3


def test_noise_is_that_of_brief_trainings() -> None:
    """Two pooled deviations between a few seeds of each finalist, at a trial's budget: SciPy has the deviations."""
    surface = Surface(noise=0.02)
    finalists = [CENTRE, replace(CENTRE, scheme="step")]
    noise = measure_noise(finalists, surface)
    assert all(asked.epochs == CENTRE.epochs for asked in surface.asked)
    assert 2 * EDGE_RUNS + NOISE_RUNS == 2 * BASIN_RUNS
    assert len({(asked.scheme, asked.seed) for asked in surface.asked}) == len(surface.asked) == 2 * (NOISE_RUNS + 1)
    losses = np.array([surface.loss(asked) for asked in surface.asked]).reshape(2, -1)
    assert noise == pytest.approx(2 * stats.tstd(losses - losses.mean(1, keepdims=True), ddof=2, axis=None))
