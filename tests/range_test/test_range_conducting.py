"""A range test as a whole: its questions, its answers in any order, its result."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import Evaluation, Training
from pipeline.range_test import Conducted, Sweeps, conduct, explore
from pipeline.range_test.conducting import summarize, with_refinement
from pipeline.range_test.refinement import Train, refine, starting_rate
from pipeline.results import RangeTestResult, Refinement
from pipeline.schedules import Array
from tests.range_test.curves import descent, measured, trained

PLAN = Sweeps(
    optimizer="sgd", batch_size=32, seeds=(0, 1, 2), lr_min=1e-6, lr_max=10.0, updates=250, steps_per_epoch=10
)


def sweeping(*centres: float) -> RangeTestResult:
    """Return a sweep whose seeds learn around these rates and diverge a decade and a half above."""

    def measure(rates: Array, seed: int) -> Array:
        return descent(rates, centres[seed % len(centres)], 30 * centres[seed % len(centres)])

    return summarize(explore(measured(measure), range(3), 1e-6, 10.0, 250, widenings=0), PLAN, 2.0)


def refined(swept: RangeTestResult, train: Train, start: float) -> tuple[RangeTestResult, Refinement]:
    """Return what trainings make of a start, as a result and as it was found."""
    found = refine(train, start, scheme="cosine").model_copy(update={"updates": 900, "seconds": 3.0})
    return with_refinement(swept, found), found


class TestResult:
    def test_trainings_replace_rate_and_interval_and_are_counted(self) -> None:
        """The sweep's own readings stay; what it cost is added."""
        swept = sweeping(1e-2)
        result, found = refined(swept, trained(lambda rate, seed, share: 1 + np.log10(rate / 1e-3) ** 2), 1e-2)
        assert (result.suggested_lr, result.lr_low, result.lr_high) == (found.suggested_lr, found.lr_low, found.lr_high)
        assert result.suggestions == {**swept.suggestions, "refined": found.suggested_lr}
        assert (result.updates, result.seconds) == (swept.updates + 900, 5.0)
        assert "5 short and 2 whole trainings moved the rate from 0.01 to" in result.reason
        assert RangeTestResult.model_validate_json(result.model_dump_json()) == result

    def test_they_decide_where_the_sweep_refused(self) -> None:
        """The seeds disagree, the trainings do not."""
        swept = sweeping(1e5, 1e-3, 1e-1)
        assert swept.verdict == "refused"
        result, _ = refined(swept, trained(lambda rate, seed, share: 1 + np.log10(rate / 1e-3) ** 2), 1e-2)
        assert result.verdict == "ok"
        assert result.reason.startswith("The seeds disagree")

    def test_where_all_diverge_the_sweep_is_not_trusted_either(self) -> None:
        """A refusal that says so, with what was tried."""
        result, _ = refined(sweeping(1e-2), trained(lambda rate, seed, share: np.nan), 1e-2)
        assert (result.verdict, result.suggested_lr, result.lr_low, result.lr_high) == ("refused", None, None, None)
        assert result.suggestions == {}
        assert "diverged at every rate" in result.reason
        assert result.refinement is not None
        assert {tried.val_loss for tried in result.refinement.tried} == {np.inf}

    @pytest.mark.parametrize(("best", "ends_there"), [(0.1, True), (3.0, False)])
    def test_the_interval_ends_where_the_sweep_diverged(self, best: float, ends_there: bool) -> None:
        """Unless whole trainings were well even there."""
        swept = sweeping(1e-2)
        assert swept.divergence_lr == pytest.approx(0.3, rel=0.1)
        result, found = refined(swept, trained(lambda rate, seed, share: 1 + 0.1 * np.log10(rate / best) ** 2), 0.1)
        assert found.lr_high is not None
        assert found.lr_high > 0.3
        assert result.lr_high == (swept.divergence_lr if ends_there else found.lr_high)

    def test_without_an_answer_there_is_no_start(self) -> None:
        """A refusal because of an edge is no place to train from."""
        measure = measured(lambda rates, seed: descent(rates, 1e3, 1e5))
        found = explore(measure, range(3), 1e-6, 10.0, 250, widenings=0)
        assert found.analysis.edge == "high"
        assert starting_rate(found.analysis) is None


def training(evaluation: Evaluation, steps_per_epoch: int = 10) -> Training:
    """Answer without a network: sweeps descend around 0.01, trainings are best at 0.003 and diverge from 0.1 on."""
    rates = evaluation.curve(steps_per_epoch)
    if evaluation.is_sweep:
        losses = descent(rates, 1e-2 * (1 + 0.1 * evaluation.seed), 0.3)
        end, history, diverged = int(np.isfinite(losses).sum()) + 1, {}, "loss is nan"
    else:
        rate = evaluation.candidate.initial_lr
        losses = np.full(rates.size, 1 + np.log10(rate / 3e-3) ** 2)
        end, diverged = rates.size, "loss is nan" if rate >= 0.1 else ""
        history = {} if diverged else {"val_loss": [float(losses[-1])]}
    return Training(
        rates=rates[:end].astype(np.float32),
        losses=losses[:end].astype(np.float32),
        history=history,
        steps_per_epoch=steps_per_epoch,
        validation_steps=rates.size,
        diverged=diverged,
        seconds=0.0,
        examples=0,
    )


Answered = Iterator[tuple[Evaluation, Training]]


def in_order(evaluations: Sequence[Evaluation]) -> Answered:
    """Answer one after the other."""
    return ((evaluation, training(evaluation)) for evaluation in evaluations)


def backwards(evaluations: Sequence[Evaluation]) -> Answered:
    """Answer late, the last first."""
    return iter([(evaluation, training(evaluation)) for evaluation in evaluations][::-1])


def shuffled(evaluations: Sequence[Evaluation]) -> Answered:
    """Answer in any order."""
    found = [(evaluation, training(evaluation)) for evaluation in evaluations]
    random.Random(len(found)).shuffle(found)
    return iter(found)


@pytest.fixture(scope="module")
def plan() -> Sweeps:
    """Return sweeps that have to be widened, then trainings."""
    return replace(PLAN, lr_max=1e-2, updates=200, refine="cosine", epochs=40)


class TestConduct:
    @pytest.mark.parametrize("ask", [backwards, shuffled])
    def test_the_order_of_the_answers_does_not_matter(self, ask: Callable[..., Answered], plan: Sweeps) -> None:
        """Late or out of order, with trainings that diverge among them: all but the time is the same."""

        def found(answering: Callable[..., Answered]) -> tuple[dict[str, Any], Conducted]:
            done = conduct(plan, answering)
            fields = done.result.model_dump(exclude={"seconds": True, "refinement": {"seconds"}})
            return fields, done

        (expected, ordered), (fields, done) = found(in_order), found(ask)
        assert fields == expected
        assert done.found.losses.tobytes() == ordered.found.losses.tobytes()
        assert [sweep.losses.tobytes() for sweep in done.sweeps] == [sweep.losses.tobytes() for sweep in ordered.sweeps]

    def test_what_it_asks_for(self, plan: Sweeps) -> None:
        """A sweep, a wider one, then short trainings at once, then whole ones."""
        asked: list[list[Evaluation]] = []

        def ask(evaluations: Sequence[Evaluation]) -> Answered:
            asked.append(list(evaluations))
            return in_order(evaluations)

        done = conduct(plan, ask)
        sweeps = [batch for batch in asked if batch[0].is_sweep]
        trainings = [batch for batch in asked if not batch[0].is_sweep]
        assert [[one.seed for one in batch] for batch in sweeps] == [[0]] * 2
        assert {one.validations for batch in sweeps for one in batch} == {0}
        assert {one.curve(10)[-1] for one in sweeps[0]} == {1e-2}
        assert {one.curve(10)[-1] for one in sweeps[1]} == {0.3}
        assert [len(batch) for batch in trainings[:1]] == [3]
        assert {one.candidate.scheme for batch in trainings for one in batch} == {"cosine"}
        assert {one.epochs for one in trainings[0]} == {5.0}
        assert {one.epochs for batch in trainings for one in batch} == {5.0, 40.0}
        assert done.result.refinement is not None
        assert done.result.refinement.updates == sum(one.updates(10) for batch in trainings for one in batch)
        assert done.result.suggested_lr == pytest.approx(3e-3, rel=0.1)

    def test_the_sweeps_given_are_the_last_of_each_seed(self, plan: Sweeps) -> None:
        """Those that the result was read from."""
        done = conduct(plan, in_order)
        assert len(done.sweeps) == len(done.found.seeds) == 1
        for row, sweep in zip(done.found.losses, done.sweeps, strict=True):
            np.testing.assert_array_equal(row[: len(sweep.losses)], sweep.losses)
        assert done.result.updates == done.found.spent + done.result.refinement.updates  # type: ignore[union-attr]
