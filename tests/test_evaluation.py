"""Evaluations are told apart by what they ask; trainings say what came out."""

from dataclasses import fields, replace
from typing import Literal

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation import Evaluation, Training, setting_prefix
from pipeline.objective import Objective

QUESTION = Evaluation("sgd", "cosine", 0.1, {"final_fraction": 0.01, "warmup": 0.1}, 3, 7, 32)
OTHERS: dict[str, object] = {
    "optimizer": "adam",
    "scheme": "linear",
    "initial_lr": 0.1000001,
    "params": {"final_fraction": 0.01},
    "epochs": 4,
    "seed": 8,
    "batch_size": 64,
}


def make_training(diverged: str = "", **history: list[float]) -> Training:
    """Give a training of four updates with this history."""
    return Training(
        rates=np.zeros(4, np.float32),
        losses=np.zeros(4, np.float32),
        history=history,
        steps_per_epoch=2,
        validation_steps=2,
        diverged=diverged,
        seconds=1.0,
        examples=8,
    )


@pytest.mark.parametrize("field", [field.name for field in fields(Evaluation)])
def test_digest_tells_every_field(field: str) -> None:
    """Two questions that differ have different digests."""
    other = replace(QUESTION, **{field: OTHERS[field]})  # type: ignore[arg-type]
    assert other.digest != QUESTION.digest
    assert other != QUESTION


def test_digest_does_not_tell_the_order_of_parameters() -> None:
    """Nor which process asks."""
    other = replace(QUESTION, params=dict(reversed(list(QUESTION.params.items()))))
    assert other.digest == QUESTION.digest
    assert QUESTION.digest == Evaluation(**vars(QUESTION)).digest
    assert len(QUESTION.digest) == 64


@pytest.mark.parametrize(
    ("evaluation", "name"),
    [
        (Evaluation("sgd", "cosine", 0.03, {}, 3, 0, 32), "cosine lr=0.03 seed=0"),
        (Evaluation("adam", "constant", 0.00012345, {}, 3, 20_001, 32), "constant lr=0.000123 seed=20001"),
        (Evaluation("sgd", "step", 2.0, {"drops": 3}, 3, 1, 32), "step lr=2 drops=3 seed=1"),
    ],
)
def test_name_is_what_a_person_reads(evaluation: Evaluation, name: str) -> None:
    """Scheme, rate, parameters where there are any, seed."""
    assert evaluation.name == name
    budget = replace(evaluation, epochs=5 / 3).name_with_budget
    assert budget == name.replace(" seed", " epochs=1.67 seed")


@pytest.mark.parametrize(
    ("among", "said"),
    [
        ([("sgd", 32)], ""),
        ([("sgd", 32), ("adam", 32)], "sgd "),
        ([("sgd", 32), ("sgd", 64)], "batch=32 "),
        ([("sgd", 32), ("adam", 32), ("sgd", 64), ("adam", 64)], "sgd batch=32 "),
    ],
)
def test_names_tell_only_what_differs(among: list[tuple[str, int]], said: str) -> None:
    """Optimizer and batch size stand before a name where a search has several of them."""
    compared = [replace(QUESTION, optimizer=optimizer, batch_size=size) for optimizer, size in among]
    assert setting_prefix(QUESTION, compared) == said


def test_curve_is_the_whole_scheme_squeezed_into_the_budget() -> None:
    """Fewer epochs give the same shape in fewer updates, not its beginning."""
    long, short = (Evaluation("sgd", "cosine", 0.2, {}, epochs, 0, 32).curve(10) for epochs in (8, 2))
    assert long.shape == (80,)
    assert short.shape == (20,)
    np.testing.assert_allclose(short, 0.1 * (1 + np.cos(np.pi * np.arange(20) / 20)), rtol=1e-12)
    np.testing.assert_allclose(long[::4], short, rtol=1e-12)


@pytest.mark.parametrize(
    ("epochs", "updates", "validations"), [(4, 40, 4), (0.01, 1, 1), (5 / 9, 6, 1), (2.5, 25, 1), (2.4, 24, 2)]
)
def test_budget_need_not_be_whole(epochs: float, updates: int, validations: int) -> None:
    """At least one update; validated once a pass, or less often where the parts would not be equal."""
    evaluation = Evaluation("sgd", "cosine", 0.2, {}, epochs, 0, 32)
    assert evaluation.updates(10) == len(evaluation.curve(10)) == updates
    assert evaluation.validations(10) == validations


def test_digest_does_not_tell_the_type_of_the_budget() -> None:
    """Three epochs are 3.0 epochs."""
    assert QUESTION.digest == replace(QUESTION, epochs=3.0).digest


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("val_loss", [0.5, 0.2, 0.3], 0.2),
        ("val_accuracy", [0.5, 0.9, 0.7], 0.9),
        ("val_mae", [2.0, 1.0, 3.0], 1.0),
        ("val_auc", [0.5, 0.9, 0.7], 0.9),
        ("val_gain", [0.5, 0.9, 0.7], None),
        ("val_loss", [0.5, float("nan"), float("inf")], 0.5),
        ("val_loss", [float("nan")], None),
        ("val_loss", [], None),
    ],
)
def test_best_is_the_best_finite_value(metric: str, values: list[float], best: float | None) -> None:
    """The highest accuracy, the lowest loss, None where there is nothing or the name does not tell what is better."""
    assert make_training("", **{metric: values}).best(metric) == best
    assert make_training().best(metric) is None


@pytest.mark.parametrize(
    ("diverged", "values", "final"),
    [
        ("", [0.5, 0.2, 0.3], 0.3),
        ("loss is nan at update 3", [0.5, 0.2, 0.3], None),
        ("", [0.5, float("nan")], None),
        ("", [], None),
    ],
)
def test_final_is_the_last_value_unless_diverged(diverged: str, values: list[float], final: float | None) -> None:
    """Not the best one: a schedule is judged by where it ends."""
    assert make_training(diverged, val_loss=values).final("val_loss") == final


@pytest.mark.parametrize(("direction", "sign"), [("min", 1), ("max", -1)])
def test_less_of_an_objective_is_better(direction: Literal["min", "max"], sign: int) -> None:
    """Whichever it is; infinite where the training diverged or came to no number."""
    objective = Objective("val_gain", direction)
    assert make_training(val_gain=[0.5, 0.75]).loss_by(objective) == sign * 0.75
    assert make_training(val_gain=[float("nan")]).loss_by(objective) == np.inf
    assert make_training("loss is nan at update 3").loss_by(objective) == np.inf


def test_an_objective_that_the_model_has_not_is_one_line() -> None:
    """It names those that the model has."""
    training = make_training(loss=[1.0], val_loss=[1.0], val_top=[0.5])
    expected = "objective: received 'val_gain', expected a metric of the model: val_loss, val_top"
    with pytest.raises(InputError, match=f"^{expected}$"):
        training.loss_by(Objective("val_gain", "max"))
