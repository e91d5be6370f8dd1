"""The transfer: the winner at other budgets on the same seeds."""

from dataclasses import dataclass, replace

import pytest

from pipeline.evaluation import Evaluation, Training
from pipeline.search import conduct
from tests.search.surface import FULL, Surface, make_plan

PLAN = make_plan(transfer=True)


@dataclass
class Turning(Surface):
    """A surface on which cosine, the best at the full budget, gets `late` more loss at double the budget."""

    late: float = 0.0

    def loss(self, evaluation: Evaluation) -> float:
        """Add the loss at double the budget."""
        turned = self.late if evaluation.candidate.scheme == "cosine" and evaluation.epochs > FULL else 0.0
        return super().loss(evaluation) + turned


def test_transfer_is_trained_only_on_request() -> None:
    """Without it the search is the same, and its result has nothing on other budgets."""
    with_it, without = Surface(noise=0.01), Surface(noise=0.01)
    result, _ = conduct(make_plan(), without)
    more, _ = conduct(PLAN, with_it)
    assert (result.transfer, result.suggestions) == ((), ())
    assert with_it.asked[: len(without.asked)] == without.asked
    assert more.winner == result.winner
    assert {evaluation.epochs for evaluation in with_it.asked[len(without.asked) :]} == {FULL / 2, FULL * 2}


def test_winner_that_wins_everywhere() -> None:
    """At half and double the budget, on the seeds of the confirmation, the same for all candidates."""
    surface = Surface(noise=0.002)
    result, _ = conduct(PLAN, surface)
    assert [(row.factor, row.epochs, row.verdict) for row in result.transfer] == [
        (0.5, FULL / 2, "winner"),
        (2.0, FULL * 2, "winner"),
    ]
    for row in result.transfer:
        assert row.seeds == result.leaderboard[0].seeds
        assert row.candidates == ("cosine", "step")
        assert row.rivals == ()
        assert row.difference.level == 0.975
        asked = [e for e in surface.asked if e.epochs == row.epochs]
        assert {(e.candidate.scheme, e.seed) for e in asked} == {
            (name, seed) for name in row.candidates for seed in row.seeds
        }
        assert row.objective.mean < 0.2


@pytest.mark.parametrize(("late", "verdict"), [(0.5, "worse"), (0.1, "tie")])
def test_winner_that_does_not_transfer(late: float, verdict: str) -> None:
    """It is clearly beaten, or tied, and the rivals that may be the best there are named."""
    result, _ = conduct(PLAN, Turning(noise=0.01, late=late))
    assert result.winner.scheme == "cosine"
    half, double = result.transfer
    assert half.verdict == "winner"
    assert (double.verdict, double.rivals) == (verdict, ("step",))
    assert double.difference.low <= double.difference.mean <= double.difference.high
    assert double.difference.high > late - 0.11  # step was less than that behind


def test_winner_that_diverges_in_longer_trainings() -> None:
    """The verdict says so, and the rival that may be the best is named."""

    class Unstable(Surface):
        def train(self, evaluation: Evaluation) -> Training:
            long = evaluation.candidate.scheme == "cosine" and evaluation.epochs > FULL
            return Surface(diverges_above=0.0 if long else 1.0).train(evaluation)

    result, _ = conduct(PLAN, Unstable())
    assert (result.transfer[1].verdict, result.transfer[1].rivals) == ("diverged", ("step",))


def test_single_finalist_is_compared_with_the_baselines() -> None:
    """There is no other finalist to compare it with."""
    alone, _ = conduct(replace(PLAN, top_k=1), Surface(noise=0.002))
    assert alone.transfer[0].candidates == ("cosine", "Adam at 0.001", "SGD at 0.01", "AdamW recipe")
    assert [row.verdict for row in alone.transfer] == ["winner", "winner"]


def test_ledger_holds_its_cost() -> None:
    """The transfer is a part of its own, and all parts sum to the whole."""
    result, _ = conduct(PLAN, Surface(noise=0.002))
    assert result.audits is not None
    ledger = result.audits.ledger
    assert list(ledger) == ["trials", "confirmation", "transfer", "one training", "blind search"]
    assert ledger["transfer"].epochs == pytest.approx(2 * 3 * (FULL / 2 + FULL * 2))
    parts = [ledger[name].epochs for name in ("trials", "confirmation", "transfer")]
    assert sum(parts) == pytest.approx(result.cost.epochs)
