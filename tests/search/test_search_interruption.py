"""An interrupted search answers with what its finished trainings show, and says that it was interrupted."""

from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from pipeline import statistics
from pipeline.evaluation import Evaluation, Training
from pipeline.search import Interrupted, Plan, Watched, conduct
from pipeline.search.plan import BRACKET, CONFIRM_SEED
from tests.search.surface import Surface, make_plan

PLAN = make_plan(top_k=2, confirm_seeds=6, transfer=True)


def interrupted_at(number: int, plan: Plan = PLAN) -> tuple[Interrupted, Surface]:
    """Return what a search raises if it is interrupted in place of a training, counted from 0."""
    surface = Surface(noise=0.05, stop_at=number)
    with pytest.raises(Interrupted) as caught:
        conduct(plan, surface)
    return caught.value, surface


@cache
def in_parts() -> tuple[int, int, int]:
    """Return how many trainings the whole search makes: trials, then with confirmation, then with transfer."""
    surface = Surface(noise=0.05)
    result, trials = conduct(PLAN, surface)
    assert result.audits is not None
    transferred = sum(evaluation.epochs != PLAN.epochs for evaluation in surface.asked)
    return len(trials), len(surface.asked) - transferred, len(surface.asked)


def test_wherever_it_is_interrupted_it_trains_nothing_more() -> None:
    """The answer is one of the schemes that were tried, and nothing is asked for again."""
    for number in range(1, in_parts()[2], 4):
        found, surface = interrupted_at(number)
        assert len(surface.asked) == number
        assert found.result.winner.scheme in {trial.evaluation.candidate.scheme for trial in found.trials}
        assert len(found.trials) == found.result.trials <= number
        assert found.result.reason.startswith("interrupted after ")


def test_during_the_trials_nothing_is_compared() -> None:
    """The trials alone suggest the answer, which says so."""
    trials, _, _ = in_parts()
    found, _ = interrupted_at(trials - 1)
    assert "; not compared: it was interrupted; " in found.result.reason
    assert [row.seeds for row in found.result.leaderboard] == [()]


def test_the_basin_comes_from_the_trainings_of_all_schemes() -> None:
    """A scheme that was tried once has no basin of a single rate, since schemes share the curve."""
    found, _ = interrupted_at(in_parts()[0])
    result = found.result
    assert len(result.basin.rates) < found.result.trials
    assert result.basin.lr_low < result.basin.lr_high


def test_during_the_confirmation_the_last_complete_look_counts() -> None:
    """Once all candidates were compared on some seeds, their verdicts hold; before that, the trials decide."""
    trials, confirmed, _ = in_parts()
    found, _ = interrupted_at(trials + 1)
    assert "not compared" in found.result.reason
    found, _ = interrupted_at(confirmed - 1)
    assert {len(row.seeds) for row in found.result.leaderboard} <= {2, 3, 4, 5}
    assert found.result.baselines


def test_during_transfer_the_answer_is_that_of_the_confirmation() -> None:
    """Only the comparison at other budgets is missing."""
    _, confirmed, _ = in_parts()
    whole, _ = conduct(PLAN, Surface(noise=0.05))
    found, _ = interrupted_at(confirmed + 1)
    assert found.result.transfer == ()
    assert found.result.leaderboard == whole.leaderboard
    assert found.result.winner == whole.winner


def test_before_the_first_training_there_is_no_answer() -> None:
    """The interruption passes as it came."""
    with pytest.raises(KeyboardInterrupt) as caught:
        conduct(PLAN, Surface(stop_at=0))
    assert not isinstance(caught.value, Interrupted)


def test_during_the_trials_the_answer_is_what_was_shown_last() -> None:
    """From the first training on: its candidate, and from the sixth on how much the loss varies between seeds."""
    trials, _, _ = in_parts()
    for number in (1, 2, BRACKET - 1, BRACKET, trials):
        shown: list[str] = []
        surface = Surface(noise=0.05, stop_at=number)
        with pytest.raises(Interrupted) as caught:
            conduct(PLAN, Watched(PLAN, surface, shown.append, every=0.0))
        winner = caught.value.result.winner
        assert len(shown) == number
        assert shown[-1].startswith(f"best so far: {winner.scheme} at {winner.initial_lr:.3g}, val_loss ")
        assert shown[-1].endswith(" between seeds") == (number >= BRACKET)


def test_the_confirmation_shows_the_lowest_mean_after_each_look() -> None:
    """With the noise that its seeds have shown."""
    shown: list[str] = []
    result, trials = conduct(PLAN, Watched(PLAN, Surface(noise=0.05), shown.append, every=0.0))
    assert result.audits is not None
    assert result.audits.seed_noise is not None
    looks = shown[len(trials) :]
    lowest = min(result.leaderboard, key=lambda row: row.objective.mean)
    assert [line.rpartition(", on ")[2] for line in looks] == [f"{n} seeds" for n in statistics.looks(6)][: len(looks)]
    assert f"{lowest.scheme} at {lowest.initial_lr:.3g}, val_loss {lowest.objective.mean:.3g}" in looks[-1]
    assert f" ± {result.audits.seed_noise:.2g} between seeds, on {len(lowest.seeds)} seeds" in looks[-1]


@pytest.mark.parametrize("ended", [3, 5, 8])
def test_trainings_that_have_ended_count_while_others_are_at_work(ended: int) -> None:
    """Of several at once, whichever ends first: the answer needs no other training, and all are in its cost."""
    plan, surface = make_plan(trials=24, at_once=4), Surface()

    def last_first(evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        for evaluation in reversed(evaluations):
            if len(surface.asked) == ended:
                raise KeyboardInterrupt
            yield from surface([evaluation])

    with pytest.raises(Interrupted) as caught:
        conduct(plan, last_first)
    tried = {one.digest for one in surface.asked if one.seed < CONFIRM_SEED}
    assert {trial.evaluation.digest for trial in caught.value.trials} == tried
    assert len(surface.asked) == caught.value.result.cost.trainings == ended
    assert caught.value.result.reason.startswith(f"interrupted after {ended} trainings; not compared")
