"""Results go through JSON unchanged, refuse what they do not know, and cannot be changed."""

import json
from math import inf, isnan, nan

import pytest
from pydantic import ValidationError

from pipeline.evaluation import Candidate
from pipeline.results import (
    Baseline,
    Basin,
    Cost,
    Interval,
    LeaderboardRow,
    PrepareResult,
    RangeTestResult,
    ReportResult,
    Result,
    Scaling,
    SearchResult,
    SeedScore,
    Space,
    TrainResult,
)

WINNER = Candidate(
    scheme="step",
    initial_lr=0.1,
    optimizer="sgd",
    batch_size=32,
    params={"drop_rate": 0.5, "drops": 3, "staircase": True, "unit": "step"},
)
BASIN = Basin(lr_low=0.05, lr_high=0.2, decades=0.602, noise=inf, rates=(0.05, 0.1, 0.2), values=(0.5, 0.4, inf))
ROW = LeaderboardRow(
    **WINNER.model_dump(),
    objective=Interval(mean=0.5, low=-inf, high=inf),
    val_loss=Interval(mean=0.5, low=-inf, high=inf),
    val_accuracy=None,
    difference=Interval(mean=inf, low=inf, high=inf, level=0.99),
    seeds=(1, 2),
    verdict="diverged",
    basin=BASIN,
)
RESULTS: list[Result] = [
    PrepareResult(
        data="digits",
        task="classification",
        input_shape=(8, 8, 1),
        num_outputs=10,
        classes=("<a>", "größer"),
        train_examples=6,
        validation_examples=2,
        test_examples=2,
        scaling=Scaling(offset=(0.0,), scale=(255.0,)),
        digests={"x_train": "0" * 64},
    ),
    RangeTestResult(
        verdict="refused",
        reason="the loss never falls",
        suggested_lr=None,
        lr_low=None,
        lr_high=None,
        suggestions={},
        seeds=(0, 1),
        optimizer="sgd",
        batch_size=32,
        lr_min=1e-5,
        lr_max=10.0,
        updates=500,
        seconds=1.5,
    ),
    SearchResult(
        winner=WINNER,
        leaderboard=(ROW,),
        ties=("cosine",),
        basin=BASIN,
        baselines=(
            Baseline(name="Adam at 0.001", row=ROW, gain=Interval(mean=inf, low=inf, high=inf), accuracy_gain=None),
        ),
        cost=Cost(seconds=1.0, epochs=2.0, examples=3),
        reason="step is best",
        lr_low=0.01,
        lr_high=1.0,
        trials=3,
        spaces=(Space(optimizer="sgd", batch_size=32, suggested_lr=0.1, lr_low=0.02, lr_high=0.5),),
        diverged=1,
    ),
    TrainResult(
        test_loss=0.25,
        test_accuracy=0.9,
        val_loss=0.1 + 0.2,
        seeds=(SeedScore(seed=0, val_loss=0.3, test_loss=0.25, test_accuracy=0.9, train_seconds=1.0),),
        winner=WINNER,
        registered=None,
    ),
    ReportResult(report="reports/report.html", answer=("one", "two")),
]
every = pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)


@every
def test_json_gives_the_same_result_back(result: Result) -> None:
    """Numbers to the last bit, infinite bounds, text in any script, and the types of parameters."""
    back = type(result).model_validate_json(result.model_dump_json(indent=2))
    assert back == result
    if isinstance(back, TrainResult):
        assert [type(value) for value in back.winner.params.values()] == [float, int, bool, str]


@every
def test_python_reads_the_json(result: Result) -> None:
    """A user's script needs nothing of this project, in any language: numbers that JSON has not are strings."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"not JSON: {constant}")

    read = json.loads(result.model_dump_json(), parse_constant=refuse)
    assert set(read) == set(type(result).model_fields)


@every
def test_unknown_fields_are_refused(result: Result) -> None:
    """A result of another version is not half read."""
    with pytest.raises(ValidationError, match="surprise"):
        type(result).model_validate({**result.model_dump(), "surprise": 1})


@every
def test_results_cannot_be_changed(result: Result) -> None:
    """What one stage hands to the next stays as it was."""
    name = next(iter(type(result).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(result, name, getattr(result, name))


def test_unknown_mean_stays_unknown() -> None:
    """The difference of two that both diverged is NaN, before and after."""
    back = Interval.model_validate_json(Interval(mean=nan, low=-inf, high=inf).model_dump_json())
    assert isnan(back.mean)
    assert (back.low, back.high, back.level) == (-inf, inf, 0.95)


@pytest.mark.parametrize(("model", "field", "value"), [(ROW, "verdict", "best"), (RESULTS[1], "verdict", "maybe")])
def test_verdicts_are_among_the_published(model: Result, field: str, value: str) -> None:
    """Other words are refused."""
    with pytest.raises(ValidationError, match=field):
        type(model).model_validate({**model.model_dump(), field: value})
