"""A search that varies the weight decay with the rate: their product is what it tries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import SearchOptions
from pipeline.evaluation import Evaluation
from pipeline.search import Plan, Trial, conduct, planned
from pipeline.search.candidates import E_FOLDINGS, coupled, coupling, couplings, family
from pipeline.search.surface import Surface as Fitted
from tests.search.surface import OPTIMUM, Surface, make_evaluation, make_outcome, make_plan
from tests.search.test_search_budget import TESTED

WEAK, STRONG = 0.001, 0.02
PRODUCTS = (WEAK, STRONG)
CANDIDATE = make_evaluation().candidate


@dataclass
class Decaying(Surface):
    """A loss that depends on rate x decay too; `by_product` is what it adds to the one with the optimizer's own."""

    by_product: Mapping[float, float] = field(default_factory=dict)

    def loss(self, evaluation: Evaluation) -> float:
        """Return the formula."""
        return super().loss(evaluation) + self.by_product.get(coupling(evaluation.candidate) or 0.0, 0.0)


def searching(**changes: object) -> Plan:
    """Return a plan that tries two products beside the optimizer's own decay."""
    return make_plan(**{"trials": 14, "couplings": {32: PRODUCTS}, **changes})


@given(rate=st.floats(1e-6, 10.0), updates=st.integers(1, 10**7))
def test_the_product_stays_when_the_rate_moves(rate: float, updates: int) -> None:
    """The decay moves inversely, to three digits, and candidates of one product are of one family."""
    for product in couplings(updates):
        one = coupled(CANDIDATE, product, rate)
        assert one.weight_decay == pytest.approx(product / rate, rel=0.01)
        assert coupling(one) == product
        assert coupling(coupled(one, product, 3 * rate)) == product
        assert family(one) == family(coupled(one, product, rate / 3)) != family(CANDIDATE)
    assert coupling(coupled(CANDIDATE, None, rate)) is None
    assert [product * updates for product in couplings(updates)] == pytest.approx(list(E_FOLDINGS), rel=0.34)


def test_products_follow_from_the_length_of_a_training() -> None:
    """Those of larger batches are larger, as there are fewer updates; without the option there are none."""
    tested = [TESTED.model_copy(update={"optimizer": "adamw", "batch_size": size}) for size in (50, 100)]
    options = {"optimizer": "adamw", "batch_size": "50,100", "epochs": 5}
    found = {
        option: planned(
            SearchOptions.model_validate({**options, "weight_decay": option}), tested, lambda size: 1000 // size, 500
        )
        for option in ("fixed", "search")
    }
    tried = [found["search"].couplings_for(space) for space in found["search"].spaces]
    assert tried == [(None, 0.005, 0.04), (None, 0.01, 0.08)]
    assert [found["fixed"].couplings_for(space) for space in found["fixed"].spaces] == [(None,)] * 2
    assert found["fixed"].sizes == found["search"].sizes


def test_decays_have_levels_of_their_own() -> None:
    """One bad training says that this decay is bad with any scheme and rate, and nothing of the others."""
    known = [make_evaluation(initial_lr=OPTIMUM * 10**away) for away in (-0.4, 0.0, 0.4)]
    bad = replace(known[1], candidate=coupled(CANDIDATE, STRONG, OPTIMUM), seed=7)
    losses = {one.digest: 0.1 + 0.02 * abs(at - 1) for at, one in enumerate(known)} | {bad.digest: 0.2}
    asked = [*known, bad]
    before = Fitted([Trial(at, one, make_outcome(losses[one.digest])) for at, one in enumerate(known)])
    after = Fitted([Trial(at, one, make_outcome(losses[one.digest])) for at, one in enumerate(asked)])
    weak, strong = (coupled(CANDIDATE.model_copy(update={"scheme": "step"}), product, 0.04) for product in PRODUCTS)
    assert before.at(strong).mean == pytest.approx(before.at(weak).mean)
    assert before.at(strong).deviation > before.at(CANDIDATE).deviation + 0.1
    assert after.at(strong).mean > after.at(weak).mean + 0.3
    assert after.at(strong).deviation < after.at(weak).deviation
    assert after.at(CANDIDATE).mean == pytest.approx(before.at(CANDIDATE).mean, abs=0.05)


@pytest.mark.parametrize(
    ("by_product", "best"),
    [({STRONG: -0.05}, STRONG), ({WEAK: -0.05, STRONG: 0.5}, WEAK), ({WEAK: 0.1, STRONG: 0.5}, None)],
)
def test_the_best_decay_is_found(by_product: Mapping[float, float], best: float | None) -> None:
    """After the bracket, which keeps the optimizer's own; the answer, its rows and its name have it."""
    surface = Decaying(by_product=by_product)
    result, trials = conduct(searching(), surface)
    winner = result.winner
    assert coupling(winner) == best
    assert winner.scheme == "cosine"
    assert winner.initial_lr == pytest.approx(OPTIMUM, rel=0.5)
    assert {coupling(trial.evaluation.candidate) for trial in trials} == {None, *PRODUCTS}
    tried = [coupling(trial.evaluation.candidate) for trial in trials]
    assert tried[:4] == [None] * 4
    assert winner in [row.only for row in result.leaderboard]
    assert len(surface.asked) <= searching().sizes.trainings
    assert f"cosine{winner.decay_suffix}" in result.reason
    assert ("weight_decay" in winner.model_dump()) == (best is not None)


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_samplers_vary_it(sampler: str) -> None:
    """From the 17th trial on it is one more parameter, whose products are among those that are tried."""
    surface = Decaying(noise=0.03, by_product={STRONG: -0.02})
    _, trials = conduct(searching(trials=30, sampler=sampler), surface)
    asked = [trial.evaluation.candidate for trial in trials[16:]]
    assert {coupling(one) for one in asked} <= {None, *PRODUCTS}
    assert any(one.weight_decay is not None for one in asked)


def test_a_resumed_search_asks_for_the_same() -> None:
    """What is asked next depends on the answers alone, so a search that died goes on as it would have."""
    whole, died = Decaying(by_product={WEAK: -0.05}), Decaying(by_product={WEAK: -0.05}, stop_at=9)
    expected, _ = conduct(searching(), whole)
    with pytest.raises(KeyboardInterrupt):
        conduct(searching(), died)
    again, _ = conduct(searching(), died)
    assert again.winner == expected.winner
    assert [one.digest for one in died.asked] == [one.digest for one in whole.asked]
