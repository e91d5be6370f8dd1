"""The proposals: which rates and parameters are tried, and how bounds move."""

from dataclasses import replace
from itertools import combinations
from math import log10
from statistics import median

import pytest

from pipeline.config import SamplerName
from pipeline.results import Space
from pipeline.schedules import SCHEMES, Choice
from pipeline.search import Plan, conduct
from pipeline.search.scheme_study import EDGE, SchemeStudy
from tests.search.surface import BOUNDS, FULL, OPTIMUM, SAMPLERS, SEARCHABLE, SPACE, Surface, make_plan, run_trials


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_agree_where_to_start_and_stay_within_bounds(sampler: SamplerName) -> None:
    """The first trials are the same for all; no training is proposed twice."""
    plan = make_plan(trials=15, schemes=("triangular",), sampler=sampler)
    trials = run_trials(plan, Surface(floor={"triangular": 0}))
    rates = {trial.number: trial.evaluation.candidate.initial_lr for trial in trials}
    assert [rates[0], rates[1], rates[2]] == pytest.approx([0.1, 0.1 * 10**0.4, 0.1 / 10**0.4])
    assert all(BOUNDS[0] <= rate <= BOUNDS[1] for rate in rates.values())
    assert len({trial.evaluation.digest for trial in trials}) == len(trials)


def test_tpe_looks_nearer_to_the_optimum_than_chance() -> None:
    """By the median distance of proposals after the first trials."""
    distances = {}
    for name in ("tpe", "random"):
        trials = run_trials(make_plan(trials=60, schemes=("cosine",), sampler=name), Surface())
        proposed = {trial.number: trial.evaluation.candidate.initial_lr for trial in trials if trial.number >= 3}
        distances[name] = median(abs(log10(rate / OPTIMUM)) for rate in proposed.values())
    assert distances["tpe"] < 0.7 * distances["random"]


def test_grid_visits_every_point_once() -> None:
    """Ten rates in random order; further proposals are random."""
    trials = run_trials(make_plan(trials=15, schemes=("constant",), sampler="grid"), Surface())
    rates = {trial.number: trial.evaluation.candidate.initial_lr for trial in trials}
    visited = [rates[number] for number in range(4, 14)]
    assert sorted(visited) == pytest.approx([0.001 * 4000 ** (at / 9) for at in range(10)])
    assert visited != sorted(visited)


@pytest.mark.parametrize("scheme", SEARCHABLE)
def test_every_scheme_starts_with_its_defaults(scheme: str) -> None:
    """With those of the parameters that the search varies; a proposal varies all of these, within their domains."""
    trials = run_trials(make_plan(schemes=(scheme,), trials=5), Surface(floor={scheme: 0.1}))
    searched = {p.name: p for p in SCHEMES[scheme].parameters if p.search is not None}
    chosen = {trial.number: trial.evaluation.candidate.params for trial in trials}
    assert chosen[0] == chosen[1] == chosen[2] == {name: parameter.default for name, parameter in searched.items()}
    for params in (chosen[3], chosen[4]):
        assert set(params) == set(searched)
        for name, value in params.items():
            domain = searched[name].search
            assert domain is not None
            assert type(value) is type(searched[name].default)
            if isinstance(domain, Choice):
                assert value in domain.options
            else:
                assert domain.low <= float(value) <= domain.high


@pytest.mark.parametrize(("optimum", "side"), [(20.0, "high"), (2e-4, "low")])
def test_bound_with_the_optimum_beyond_is_widened(optimum: float, side: str) -> None:
    """Until the best rate is a third of a decade away from it, with more trials than planned."""
    plan = make_plan(trials=7, schemes=("cosine",))
    result, trials = conduct(plan, Surface(optimum=optimum, diverges_above=1e9))
    assert result.trials > 7
    assert abs(log10(result.winner.initial_lr / optimum)) < EDGE
    assert {(widening.scheme, widening.side) for widening in result.widened} == {("cosine", side)}
    first, last = result.widened[0], result.widened[-1]
    assert first.before == pytest.approx(BOUNDS[1 if side == "high" else 0])
    assert last.after == pytest.approx(result.lr_high if side == "high" else result.lr_low)
    inside = (0.999 * result.lr_low * 10**EDGE, 1.001 * result.lr_high / 10**EDGE)
    assert inside[0] < result.winner.initial_lr < inside[1]
    assert max(trial.evaluation.candidate.initial_lr for trial in trials) <= result.lr_high


def test_bounds_stay_where_the_optimum_is_inside() -> None:
    """No trial is added."""
    result, _ = conduct(make_plan(trials=20), Surface())
    assert result.widened == ()
    assert result.trials == 20
    assert (result.lr_low, result.lr_high) == BOUNDS


@pytest.mark.parametrize("sampler", ["tpe", "random", "quasi-random"])
def test_batch_sizes_of_one_optimizer_get_proposals_of_their_own(sampler: SamplerName) -> None:
    """As do optimizers, schemes and seeds; a new study with the same of each proposes the same."""
    larger, adam = (SPACE.model_copy(update=change) for change in ({"batch_size": 64}, {"optimizer": "adam"}))
    plan = make_plan(sampler=sampler, spaces=(SPACE, larger, adam))
    proposed = [
        first_proposal(plan, SPACE, "cosine"),
        first_proposal(plan, larger, "cosine"),
        first_proposal(plan, adam, "cosine"),
        first_proposal(plan, SPACE, "constant"),
        first_proposal(replace(plan, seed=1), SPACE, "cosine"),
    ]
    assert len(set(proposed)) == len(proposed)
    assert first_proposal(plan, SPACE, "cosine") == proposed[0]


def test_samplers_propose_differently() -> None:
    """After the first trials, which are the same for all."""
    plan = make_plan(trials=10, schemes=("triangular",))
    rates = {
        sampler: {
            trial.evaluation.candidate.initial_lr
            for trial in run_trials(replace(plan, sampler=sampler), Surface(floor={"triangular": 0}))
            if trial.number >= 4
        }
        for sampler in SAMPLERS
    }
    assert all(rates[one].isdisjoint(rates[other]) for one, other in combinations(SAMPLERS, 2))


def first_proposal(plan: Plan, space: Space, scheme: str) -> float:
    """Return the rate that a study's sampler proposes before it knows anything."""
    evaluation = next(SchemeStudy(plan, space, scheme).attempt((FULL,), lambda loss: True))
    return evaluation.candidate.initial_lr
