"""The best rate at other batch sizes: measured where a search has several, else by a rule of thumb."""

from dataclasses import dataclass, replace
from math import exp, log, log10, sqrt

import numpy as np
import pytest

from pipeline.evaluation import Evaluation
from pipeline.results import BatchScaling
from pipeline.search import Plan, conduct
from pipeline.search.budget import sizes
from pipeline.search.scaling import suggest_rates
from tests.search.surface import OPTIMUM, SPACE, Surface, make_evaluation, make_plan


@dataclass
class Scaled(Surface):
    """A valley in log loss over log rate, whose bottom is at `OPTIMUM` times a power of the batch size / 32.

    All schemes are equally good.
    """

    exponent: float = 0.5

    def loss(self, evaluation: Evaluation) -> float:
        """Return the loss, with noise of its own for every training."""
        candidate = evaluation.candidate
        chance = np.random.default_rng([evaluation.seed, candidate.batch_size, round(1e6 * candidate.initial_lr)])
        off = log10(candidate.initial_lr / OPTIMUM) - self.exponent * log10(candidate.batch_size / 32)
        level = self.by_batch_size.get(candidate.batch_size, 0.1) if candidate.optimizer == "sgd" else 1.0
        return level * exp(off**2 + chance.normal(0, self.noise))


def _plan(*batch_sizes: int, exponent: float = 0.5) -> Plan:
    """Return the plan of 24 full trainings; range tests suggest 1.5 times the best rate, or half of it."""
    own = sizes(24)
    rates = {size: OPTIMUM * (size / 32) ** exponent * (1.5 if size <= 32 else 0.5) for size in batch_sizes}
    spaces = tuple(SPACE.model_copy(update={"batch_size": size, "suggested_lr": rates[size]}) for size in batch_sizes)
    return make_plan(spaces=spaces, trials=own.trials, top_k=own.top_k, confirm_seeds=own.confirm_seeds)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_exponent_of_the_best_rate_is_measured(exponent: float) -> None:
    """The interval holds it, and the estimate is near; the rates for further batch sizes follow."""
    surface = Scaled(noise=0.03, exponent=exponent, diverges_above=10.0, by_batch_size={128: 0.11})
    result, _ = conduct(_plan(16, 128, exponent=exponent), surface)
    law = result.batch_scaling
    assert law is not None
    assert law.batch_sizes == (16, 128)
    assert law.exponent_low < exponent < law.exponent_high
    assert law.exponent == pytest.approx(exponent, abs=0.25)
    others = {8, 32, 64} if result.winner.batch_size == 16 else {64, 256, 512}
    assert {rate.batch_size for rate in law.rates} == others
    for rate in law.rates:
        times = rate.batch_size / result.winner.batch_size
        assert rate.initial_lr == pytest.approx(result.winner.initial_lr * times**law.exponent, rel=0.01)
        assert rate.lr_low <= result.winner.initial_lr * times**exponent <= rate.lr_high


@pytest.mark.parametrize(
    ("plan", "surface"),
    [
        (_plan(32), Scaled(noise=0.03)),
        (replace(_plan(16, 128), trials=2, confirm_seeds=0), Scaled(noise=0.03)),
        (_plan(16, 128), Scaled(diverges_above=0.0)),
    ],
    ids=["one batch size", "too few trainings", "all diverged"],
)
def test_exponent_that_the_trainings_do_not_show(plan: Plan, surface: Scaled) -> None:
    """None is given."""
    assert conduct(plan, surface)[0].batch_scaling is None


def test_measured_exponent_replaces_the_rule() -> None:
    """With `transfer` too, a rate that was measured is not also suggested by a rule of thumb."""
    result, _ = conduct(replace(_plan(16, 128), transfer=True), Scaled(noise=0.03, diverges_above=10.0))
    assert isinstance(result.batch_scaling, BatchScaling)
    assert result.suggestions == ()


@pytest.mark.parametrize(
    ("optimizer", "batch_size", "expected"),
    [
        ("sgd", 32, {16: 0.05, 64: 0.2, 128: 0.4}),
        ("adam", 32, {16: 0.1 / sqrt(2), 64: 0.1 * sqrt(2), 128: 0.2}),
        ("lion", 1, {2: 0.1 * sqrt(2), 4: 0.2}),
        ("sgd", 32_768, {16_384: 0.05, 65_536: 0.2}),
    ],
)
def test_rates_for_other_batch_sizes(optimizer: str, batch_size: int, expected: dict[int, float]) -> None:
    """Proportional for SGD, by the square root for others; labelled, and within the range of the option."""
    plan = make_plan(spaces=(SPACE.model_copy(update={"optimizer": optimizer, "batch_size": batch_size}),))
    winner = make_evaluation(initial_lr=0.1, optimizer=optimizer, batch_size=batch_size).candidate
    found = suggest_rates(plan, winner)
    assert {one.batch_size: one.initial_lr for one in found} == pytest.approx(expected)
    assert {one.note for one in found} == {"a suggestion, not measured"}


def test_batch_sizes_that_were_searched_get_no_suggestion() -> None:
    """They were measured."""
    plan = make_plan(spaces=(SPACE, SPACE.model_copy(update={"batch_size": 64})))
    found = suggest_rates(plan, make_evaluation().candidate)
    assert [one.batch_size for one in found] == [16, 128]


@dataclass
class Walled(Scaled):
    """A valley with a wall above its bottom, where losses rise steeply from a rate proportional to the batch size."""

    def loss(self, evaluation: Evaluation) -> float:
        """Return the loss, up to ten times as high behind the wall."""
        candidate = evaluation.candidate
        behind = log10(candidate.initial_lr / OPTIMUM) - 0.3 - log10(candidate.batch_size / 32)
        return super().loss(evaluation) * exp(min(max(8 * behind, 0.0), log(10)))


def test_exponent_is_that_of_the_best_rate_not_of_the_rate_at_which_losses_explode() -> None:
    """Of ten searches, at most one interval misses it."""
    held = []
    for seed in range(10):
        plan = replace(_plan(16, 128), seed=1_000 * seed)
        law = conduct(plan, Walled(noise=0.03, diverges_above=10.0))[0].batch_scaling
        assert law is not None
        held.append(law.exponent_low < 0.5 < law.exponent_high)
    assert sum(held) >= 9
