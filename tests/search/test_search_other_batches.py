"""The best rate at other batch sizes, measured on request by trainings of the winner."""

from dataclasses import replace
from math import log10

import pytest

from pipeline.results import BatchScaling, SearchResult
from pipeline.search import BATCH_SEED, Plan, conduct
from pipeline.search.budget import sizes
from pipeline.search.candidates import at_batch_size, coupling
from pipeline.search.other_batches import EACH, MOST_TRAININGS, further_sizes
from tests.search.surface import FULL, SPACE, make_evaluation, make_plan
from tests.search.test_search_scaling import Scaled


def _plan(**changes: object) -> Plan:
    """Return the plan of a search with 24 full trainings at batches of 32, and trainings at other batch sizes."""
    own = sizes(24)
    plan = make_plan(trials=own.trials, top_k=own.top_k, confirm_seeds=own.confirm_seeds, batch_transfer=True)
    return replace(plan, **changes)  # type: ignore[arg-type]


def _surface(exponent: float) -> Scaled:
    return Scaled(noise=0.03, exponent=exponent, diverges_above=10.0, by_batch_size={8: 0.12, 128: 0.09})


@pytest.fixture(scope="module", params=[0.0, 1.0])
def measured(request: pytest.FixtureRequest) -> tuple[Scaled, SearchResult]:
    """Return a surface with this exponent, and the result of a search on it."""
    surface = _surface(request.param)
    return surface, conduct(_plan(), surface)[0]


def test_exponent_is_measured_at_one_quarter_and_four_times(measured: tuple[Scaled, SearchResult]) -> None:
    """The interval holds it and is less than half as wide as without data; other sizes get a rate."""
    surface, result = measured
    law = result.batch_scaling
    assert isinstance(law, BatchScaling)
    assert law.batch_sizes == (8, 32, 128)
    assert result.further_batch_sizes == (8, 128)
    assert law.exponent_low < surface.exponent < law.exponent_high
    assert law.exponent_high - law.exponent_low < 0.98
    assert [rate.batch_size for rate in law.rates] == [8, 16, 64, 128]
    assert result.suggestions == ()


def test_rates_close_in_on_the_best(measured: tuple[Scaled, SearchResult]) -> None:
    """Both sizes are asked for at once, six times, at full length; the best rate of each lies between those trained."""
    surface, result = measured
    batches = surface.batches[-EACH:]
    assert [[one.candidate.batch_size for one in batch] for batch in batches] == [[8, 128]] * EACH
    assert {(one.seed - BATCH_SEED, one.epochs) for batch in batches for one in batch} == {(i, FULL) for i in range(6)}
    assert {one.candidate.scheme for batch in batches for one in batch} == {result.winner.scheme}
    for size, *rates in zip((8, 128), *([one.candidate.initial_lr for one in batch] for batch in batches), strict=True):
        best = surface.optimum * (size / 32) ** surface.exponent
        assert len(set(rates)) == EACH
        assert min(rates) < best < max(rates)
        assert min(abs(log10(rate / best)) for rate in rates) < 0.2


def test_they_are_a_part_of_their_own_and_change_nothing_else() -> None:
    """The search before them is the same as without, and the ledger shows what they cost."""
    with_it, without = _surface(0.5), _surface(0.5)
    result, _ = conduct(_plan(), with_it)
    plain, _ = conduct(_plan(batch_transfer=False), without)
    assert with_it.asked[: len(without.asked)] == without.asked
    assert (plain.batch_scaling, plain.further_batch_sizes) == (None, ())
    assert result.winner == plain.winner
    assert result.audits is not None
    assert result.audits.ledger["batch transfer"].trainings == pytest.approx(MOST_TRAININGS)


def test_trainings_that_show_nothing_leave_the_rule() -> None:
    """Noise hides the exponent: it is not given, and the rule of thumb is suggested."""
    result, _ = conduct(_plan(), Scaled(noise=3.0))
    assert result.batch_scaling is None
    assert result.further_batch_sizes == (8, 128)
    assert {one.rule for one in result.suggestions} == {"linear"}


@pytest.mark.parametrize(
    ("optimizer", "batch_size", "examples", "searched", "expected"),
    [
        ("sgd", 32, 50_000, (32,), (8, 128)),
        ("sgd", 32, 1_000, (32,), (8, 64)),
        ("sgd", 32, 400, (32,), (8,)),
        ("sgd", 2, 50_000, (2,), (1, 8)),
        ("sgd", 1, 50_000, (1,), (4,)),
        ("sgd", 32_768, 10**7, (32_768,), (8_192, 65_536)),
        ("sgd", 32, 50_000, (32, 128), (8,)),
        ("prodigy", 32, 50_000, (32,), ()),
    ],
)
def test_batch_sizes(
    optimizer: str, batch_size: int, examples: int, searched: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """A quarter and four times, or half and double; of at least 50 updates, and none that was searched."""
    spaces = tuple(SPACE.model_copy(update={"optimizer": optimizer, "batch_size": size}) for size in searched)
    plan = make_plan(spaces=spaces, training_examples=examples)
    assert further_sizes(plan, make_evaluation(optimizer=optimizer, batch_size=batch_size).candidate) == expected


def test_a_decay_found_stays_coupled() -> None:
    """Trainings of as many epochs have other updates at another batch size; all count as one kind of candidate."""
    winner = make_evaluation().candidate.model_copy(update={"initial_lr": 0.002, "weight_decay": 0.3})
    found = [at_batch_size(winner, 128, rate) for rate in (0.001, 0.00437, 0.0191)]
    assert [one.weight_decay for one in found] == [2.0, 0.458, 0.105]
    assert {coupling(one) for one in found} == {0.002}
    assert at_batch_size(winner.model_copy(update={"weight_decay": None}), 8, 0.1).weight_decay is None
