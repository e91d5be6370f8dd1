"""The proposals: which parameters the samplers try, and when they are used."""

from dataclasses import replace
from itertools import combinations
from math import log10
from statistics import median

import pytest

from pipeline.config import SamplerName
from pipeline.evaluation import Candidate
from pipeline.schedules import SCHEMES, Choice
from pipeline.search import Trial, conduct
from pipeline.search.allocation import MODELLED
from pipeline.search.proposals import propose
from tests.search.surface import BOUNDS, OPTIMUM, SAMPLERS, SEARCHABLE, SPACE, Surface, make_plan, run_trials


def proposals(sampler: SamplerName, scheme: str, count: int, *, wide: bool = False) -> list[Candidate]:
    """Return this many proposals, each made after the answer to the one before."""
    plan, surface = make_plan(sampler=sampler, wide=wide), Surface(floor={scheme: 0.1})
    known = run_trials(replace(plan, schemes=(scheme,), trials=4), surface)
    first = len(known)
    while len(known) < first + count:
        evaluation = replace(known[0].evaluation, candidate=propose(plan, SPACE, scheme, known))
        known.append(Trial(len(known), evaluation, surface.evaluate([evaluation])[0]))
    return [trial.evaluation.candidate for trial in known[first:]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_agree_where_to_start(sampler: SamplerName) -> None:
    """The first trials are the same for all, and nothing is trained twice."""
    plan = make_plan(trials=24, schemes=("triangular",), sampler=sampler)
    trials = run_trials(plan, Surface(noise=0.02, floor={"triangular": 0.1}))
    same = run_trials(replace(plan, sampler="tpe"), Surface(noise=0.02, floor={"triangular": 0.1}))
    assert trials[:MODELLED] == same[:MODELLED]
    assert len({trial.evaluation.digest for trial in trials}) == len(trials)


def test_samplers_come_in_with_many_trials() -> None:
    """Every second trial from then on varies the parameters; all others have the defaults."""
    trials = run_trials(make_plan(trials=30, schemes=("step",)), Surface(noise=0.05, floor={"step": 0.1}))
    defaults = {p.name: p.default for p in SCHEMES["step"].parameters if p.search is not None}
    varied = [trial.number for trial in trials if trial.evaluation.candidate.params != defaults]
    assert varied
    assert set(varied) <= {number for number in range(MODELLED, 30) if number % 2}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_rates_stay_within_bounds(sampler: SamplerName) -> None:
    """Proposals stay within the range test's interval, slightly widened."""
    assert all(BOUNDS[0] <= one.initial_lr <= BOUNDS[1] for one in proposals(sampler, "triangular", 8))


def test_tpe_looks_nearer_to_the_optimum_than_chance() -> None:
    """The median distance of its proposals from the optimum is smaller than that of random ones."""
    distances = {
        name: median(abs(log10(one.initial_lr / OPTIMUM)) for one in proposals(name, "cosine", 30))
        for name in SAMPLERS
        if name in ("tpe", "random")
    }
    assert distances["tpe"] < 0.7 * distances["random"]


def test_grid_visits_every_point_once() -> None:
    """Ten rates in random order; further proposals are random."""
    visited = [one.initial_lr for one in proposals("grid", "constant", 12)]
    assert sorted(visited[:10]) == pytest.approx([0.001 * 4000 ** (at / 9) for at in range(10)])
    assert visited != sorted(visited)
    assert len(set(visited)) == 12


@pytest.mark.parametrize("scheme", SEARCHABLE)
def test_every_scheme_starts_with_its_defaults(scheme: str) -> None:
    """With those of the parameters that the search varies; a proposal varies all of these, within their domains."""
    searched = {p.name: p for p in SCHEMES[scheme].parameters if p.search is not None}
    first = run_trials(make_plan(schemes=(scheme,), trials=1), Surface(floor={scheme: 0.1}))[0].evaluation.candidate
    assert first.params == {name: parameter.default for name, parameter in searched.items()}
    (proposed,) = proposals("tpe", scheme, 1)
    assert set(proposed.params) == set(searched)
    for name, value in proposed.params.items():
        domain = searched[name].search
        assert domain is not None
        assert type(value) is type(searched[name].default)
        if isinstance(domain, Choice):
            assert value in domain.options
        else:
            assert domain.low <= float(value) <= domain.high


def test_wide_space_has_more() -> None:
    """Warm-ups before decays, cooldowns of any length and shape, and large exponents."""
    linear = proposals("quasi-random", "linear", 8, wide=True)
    assert {one.params.get("warmup", 0.0) for one in linear} >= {0.02, 0.05, 0.1}
    trapezoids = proposals("quasi-random", "warmup_stable_decay", 16, wide=True)
    assert max(float(one.params["decay_fraction"]) for one in trapezoids) > 0.9
    assert {one.params.get("shape", "1-sqrt") for one in trapezoids} == {"linear", "cosine", "1-sqrt"}
    assert max(float(one.params["power"]) for one in proposals("quasi-random", "polynomial", 8, wide=True)) > 5
    assert all("warmup" not in one.params for one in proposals("quasi-random", "triangular", 4, wide=True))


@pytest.mark.parametrize("optimum", [20.0, 2e-4])
def test_best_rate_beyond_all_that_was_tried_is_followed(optimum: float) -> None:
    """The search reaches an optimum more than two decades from the suggestion."""
    plan = make_plan(trials=16, schemes=("cosine",), top_k=1)
    result, _ = conduct(plan, Surface(optimum=optimum, diverges_above=1e9))
    assert abs(log10(result.winner.initial_lr / optimum)) < 0.2


@pytest.mark.parametrize("sampler", ["tpe", "random", "quasi-random"])
def test_batch_sizes_of_one_optimizer_get_proposals_of_their_own(sampler: SamplerName) -> None:
    """So do optimizers, schemes and seeds; if all of these are equal, so are the proposals."""
    larger, adam = (SPACE.model_copy(update=change) for change in ({"batch_size": 64}, {"optimizer": "adam"}))
    plan = make_plan(sampler=sampler, spaces=(SPACE, larger, adam))
    proposed = [
        propose(plan, SPACE, "cosine", ()),
        propose(plan, larger, "cosine", ()),
        propose(plan, adam, "cosine", ()),
        propose(plan, SPACE, "constant", ()),
        propose(replace(plan, seed=1), SPACE, "cosine", ()),
    ]
    assert len({one.initial_lr for one in proposed}) == len(proposed)
    assert propose(plan, SPACE, "cosine", ()) == proposed[0]


def test_samplers_propose_differently() -> None:
    """Their proposals differ after the same trials."""
    rates = {sampler: {one.initial_lr for one in proposals(sampler, "triangular", 3)} for sampler in SAMPLERS}
    assert all(rates[one].isdisjoint(rates[other]) for one, other in combinations(SAMPLERS, 2))
