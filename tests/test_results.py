"""Results survive JSON unchanged, refuse unknown fields, and are immutable."""

import json
from math import inf, isnan, nan

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.articles.experiment import ClaimResult, ExperimentResult, ReproduceResult
from pipeline.datasets import PrepareResult, Scaling
from pipeline.evaluation import Candidate
from pipeline.results import (
    Audits,
    Baseline,
    Basin,
    Cost,
    Guess,
    History,
    Interval,
    LeaderboardRow,
    RangeTestResult,
    RateSuggestion,
    Refinement,
    ReportResult,
    Result,
    SearchResult,
    SeedScore,
    Space,
    TrainResult,
    Transfer,
    Tried,
    Valley,
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
SCORE = SeedScore(seed=0, val_loss=0.3, test_loss=0.25, test_accuracy=0.9, train_seconds=1.0)
RESULTS: list[BaseModel] = [
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
        refinement=Refinement(
            scheme="cosine",
            start_lr=0.01,
            seeds=(0,),
            tried=(
                Tried(lr=0.01, share=0.125, val_loss=0.5, train_loss=0.4, judged_by="train_loss"),
                Tried(lr=0.1, share=1.0, val_loss=inf, train_loss=inf),
            ),
            fit=Valley(lr=0.01, val_loss=0.4, curvature=2.0),
            cost=1.125,
        ),
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
        transfer=(
            Transfer(
                factor=0.5,
                epochs=1.5,
                verdict="tie",
                rivals=("cosine",),
                objective=Interval(mean=0.5, low=-inf, high=inf),
                difference=Interval(mean=0.0, low=0.0, high=inf),
                candidates=("step", "cosine"),
                seeds=(1, 2),
            ),
        ),
        suggestions=(RateSuggestion(batch_size=64, initial_lr=0.2, rule="linear"),),
        history=History(
            run_id="0" * 32, data="iris", model="mlp", optimizer="sgd", batch_size="32", epochs=5, correction=1.5
        ),
        audits=Audits(
            seed_noise=None,
            diverged_share=0.25,
            importance={"rate": 1.0},
            ledger={"trials": Cost(seconds=1.0, epochs=2.0, examples=3)},
        ),
    ),
    TrainResult(
        test_loss=0.25,
        test_accuracy=0.9,
        test_accuracy_interval=Interval(mean=0.9, low=0.8, high=1.0),
        val_loss=0.1 + 0.2,
        seeds=(SCORE,),
        winner=WINNER,
        registered=None,
        guess=Guess(what="the most frequent class", loss=2.3, accuracy=None, beaten=False, why=("few updates",)),
    ),
    ReportResult(report="reports/report.html", answer=("one", "two")),
    ReproduceResult(
        data="mnist",
        train_examples=60_000,
        as_published=True,
        experiments=(
            ClaimResult(
                id="B1",
                title="Adam at 0.001",
                claim="It learns.",
                published_accuracy=0.99,
                published_loss=None,
                test_accuracy=None,
                test_loss=Interval(mean=0.03, low=0.02, high=0.04),
                compared_with="",
                difference=None,
                verdict="supported",
                remark="",
                trained=ExperimentResult(id="B1", candidate=WINNER, epochs=25, scores=(SCORE,)),
            ),
        ),
        printed_rates=(0.1, 0.031885575503110886),
    ),
]
every = pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)


@every
def test_json_gives_the_same_result_back(result: BaseModel) -> None:
    """Numbers are equal to the last bit; infinite bounds and text in any script survive."""
    back = type(result).model_validate_json(result.model_dump_json(indent=2))
    assert back == result


@every
def test_python_reads_the_json(result: BaseModel) -> None:
    """Scripts in any language can read it without this project: numbers that JSON lacks are strings."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"not JSON: {constant}")

    read = json.loads(result.model_dump_json(), parse_constant=refuse)
    assert set(read) == set(type(result).model_fields)


@every
def test_unknown_fields_are_refused(result: BaseModel) -> None:
    """A result of another version is never read in part."""
    with pytest.raises(ValidationError, match="surprise"):
        type(result).model_validate({**result.model_dump(), "surprise": 1})


@every
def test_results_cannot_be_changed(result: BaseModel) -> None:
    """A later stage cannot change the result of an earlier one."""
    name = next(iter(type(result).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(result, name, getattr(result, name))


def test_nan_survives_json() -> None:
    """The difference of two candidates that both diverged is NaN."""
    back = Interval.model_validate_json(Interval(mean=nan, low=-inf, high=inf).model_dump_json())
    assert isnan(back.mean)
    assert (back.low, back.high, back.level) == (-inf, inf, 0.95)


def test_parameters_keep_their_types() -> None:
    """They do wherever a candidate is part of a result."""
    (trained,) = [result for result in RESULTS if isinstance(result, TrainResult)]
    back = TrainResult.model_validate_json(trained.model_dump_json())
    assert [type(value) for value in back.winner.params.values()] == [float, int, bool, str]


@pytest.mark.parametrize(("model", "field", "value"), [(ROW, "verdict", "best"), (RESULTS[1], "verdict", "maybe")])
def test_verdicts_are_among_the_published(model: Result, field: str, value: str) -> None:
    """Any other word is refused."""
    with pytest.raises(ValidationError, match=field):
        type(model).model_validate({**model.model_dump(), field: value})
