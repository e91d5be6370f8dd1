"""What the search gets from the range tests, and what it hands on: bounds of the rate, and one type of candidate."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import range_test
from pipeline.config import SearchOptions, TrainOptions
from pipeline.datasets import PrepareResult, Scaling
from pipeline.evaluation import Candidate
from pipeline.results import RangeTestResult
from pipeline.search import Plan, conduct, planned
from pipeline.stages import train
from pipeline.stages.context import Context, Upstream
from pipeline.tracking import Finished, StageRun
from pipeline.tracking.store import RESULT
from tests.answering import PLAN, Descent
from tests.search.surface import Surface, make_evaluation, make_plan, make_training

PREPARED = PrepareResult(
    data="digits",
    task="classification",
    input_shape=(8, 8, 1),
    num_outputs=10,
    classes=("0", "1"),
    train_examples=3_200,
    validation_examples=20,
    test_examples=20,
    scaling=Scaling(offset=(0.0,), scale=(1.0,)),
    digests={},
)


NOTHING: Any = None
"""In place of what a stage's plan does not need."""

LEARNS_NOTHING = Descent(fall=0.0, breaks_at=0.1)


def sweep(lr_min: float, lr_max: float, network: Descent, refine: str | None = None) -> RangeTestResult:
    """Return what a range test between these bounds finds."""
    plan = {**vars(PLAN), "lr_min": lr_min, "lr_max": lr_max, "refine": refine}
    return range_test.conduct(range_test.Sweeps(**plan), network).result


def plan_after(folder: Path, *found: RangeTestResult) -> Plan:
    """Return what the stage plans after these range tests, which it reads from their files."""
    results = {"prepare": PREPARED, **{f"range_test {one.optimizer} {one.batch_size}": one for one in found}}
    runs = {}
    for key, result in results.items():
        own = folder / key.replace(" ", "-")
        own.mkdir()
        (own / RESULT).write_text(result.model_dump_json())
        runs[key] = Finished(run_id=key, folder=own, fingerprint="", summary="")
    upstream = Context(SearchOptions(data="digits"), Upstream(runs), "", NOTHING, NOTHING, NOTHING).upstream
    return planned(SearchOptions(data="digits"), tuple(upstream.range_tests.values()), PREPARED.steps_per_epoch, 20)


class TestBounds:
    def test_range_test_that_answered_gives_rate_and_interval(self, tmp_path: Path) -> None:
        """The search starts at the rate."""
        found = sweep(1e-5, 10.0, Descent())
        assert found.verdict == "ok"
        (space,) = plan_after(tmp_path, found).spaces
        assert (space.suggested_lr, space.lr_low, space.lr_high) == (found.suggested_lr, found.lr_low, found.lr_high)

    def test_after_a_refusal_the_users_bounds_hold(self, tmp_path: Path) -> None:
        """`lr_min` and `lr_max` of this very test, not those of the optimizer's table; the rate is in their middle."""
        found = sweep(3e-4, 0.3, LEARNS_NOTHING)
        assert found.verdict == "refused"
        (space,) = plan_after(tmp_path, found).spaces
        assert (space.lr_low, space.lr_high) == pytest.approx((3e-4, 0.3))
        assert space.suggested_lr == pytest.approx((3e-4 * 0.3) ** 0.5)

    @pytest.mark.parametrize(
        ("breaks_at", "widened"),
        [(3.1e-4, (3e-4 / 30, 0.3)), (1e9, (3e-4, 0.3 * 30**2))],
        ids=["downwards", "upwards"],
    )
    def test_after_a_refusal_the_widened_sweep_holds(
        self, tmp_path: Path, breaks_at: float, widened: tuple[float, float]
    ) -> None:
        """A sweep widened by a factor of 30, once or twice, is searched as far as it went the last time."""
        found = sweep(3e-4, 0.3, Descent(fall=0.0, breaks_at=breaks_at))
        assert found.verdict == "refused"
        (space,) = plan_after(tmp_path, found).spaces
        assert (space.lr_low, space.lr_high) == pytest.approx(widened)
        assert space.suggested_lr == pytest.approx((widened[0] * widened[1]) ** 0.5)

    def test_after_a_refinement_that_diverged_the_sweep_holds(self, tmp_path: Path) -> None:
        """Its rates are searched, as no training gave a better interval."""
        found = sweep(3e-4, 0.3, Descent(breaks_at=0.1, best=1e-9), refine="cosine")
        assert found.verdict == "refused"
        assert found.refinement is not None
        (space,) = plan_after(tmp_path, found).spaces
        assert (space.lr_low, space.lr_high) == pytest.approx((3e-4, 0.3))

    def test_each_optimizer_and_batch_size_has_its_own(self, tmp_path: Path) -> None:
        """One that refused does not change the bounds of the others."""
        answered = sweep(1e-5, 10.0, Descent())
        refused = sweep(3e-4, 0.3, LEARNS_NOTHING).model_copy(update={"optimizer": "adam"})
        plan = plan_after(tmp_path, answered, refused)
        assert [(space.optimizer, space.lr_low) for space in plan.spaces] == [
            ("sgd", answered.lr_low),
            ("adam", pytest.approx(3e-4)),
        ]


class TestCandidate:
    def test_one_type_from_proposal_to_leaderboard(self) -> None:
        """What was proposed, trained and confirmed is what a row holds and what wins, parameters included."""
        surface = Surface(noise=1e-3)
        result, trials = conduct(make_plan(trials=20, top_k=3), surface)
        proposed = [trial.evaluation.candidate for trial in trials]
        confirmed = [evaluation.candidate for evaluation in surface.asked if evaluation.seed >= 20_000]
        baselines = [baseline.row for baseline in result.baselines]
        everything = [*proposed, *confirmed, *(row.only for row in result.leaderboard), result.winner]
        assert {type(candidate) for candidate in everything} == {Candidate}
        for row in result.leaderboard:
            assert row.only in confirmed
            assert row in baselines or row.scheme in {one.scheme for one in proposed}
        assert result.winner == result.leaderboard[0].only

    @pytest.mark.parametrize("weight_decay", [None, 0.0123])
    def test_train_and_its_schedule_get_what_was_confirmed(self, weight_decay: float | None, tmp_path: Path) -> None:
        """From the search's file to `schedule.json`, with the types of its parameters, and with a searched decay."""
        found, _ = conduct(make_plan(trials=20, schemes=("step",)), Surface())
        decayed = found.winner.model_copy(update={"weight_decay": weight_decay})
        result = found.model_copy(update={"winner": decayed})
        (tmp_path / RESULT).write_text(result.model_dump_json())
        runs = {"search": Finished(run_id="", folder=tmp_path, fingerprint="", summary="")}
        run = StageRun(run_id="", experiment_id="", folder=tmp_path)
        context = Context(TrainOptions(), Upstream(runs), "", run, NOTHING, NOTHING)
        winner = train._winner(context)
        assert type(winner) is Candidate
        assert winner == result.winner
        assert winner.params
        rates = np.linspace(0.1, 0.0, 20, dtype=np.float32)
        training = replace(make_training(make_evaluation(), val_loss=1.0), rates=rates)
        train._write_schedule(context, winner, training, "keras.optimizers.SGD(learning_rate=Schedule())", {})
        written = json.loads((tmp_path / "schedule.json").read_text())
        of_training = {name: written.pop(name) for name in ("steps", "steps_per_epoch")}
        assert of_training == {"steps": 20, "steps_per_epoch": training.steps_per_epoch}
        assert Candidate.model_validate(written) == winner
        assert ("weight_decay" in written) == (weight_decay is not None)
