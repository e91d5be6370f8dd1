"""Evaluations are identified by what they ask, trainings hold the answer, and answers come back in order."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Literal

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import InputError
from pipeline.evaluation import SWEEP, Candidate, Evaluation, Training, answers, setting_prefix
from pipeline.objective import Objective
from pipeline.schedules import SCHEMES

CANDIDATE = Candidate(
    scheme="cosine", initial_lr=0.1, optimizer="sgd", batch_size=32, params={"final_fraction": 0.01, "warmup": 0.1}
)
QUESTION = Evaluation(CANDIDATE, 3, 7)
OTHER_CANDIDATES: dict[str, object] = {
    "optimizer": "adam",
    "scheme": "linear",
    "initial_lr": 0.1000001,
    "params": {"final_fraction": 0.01},
    "batch_size": 64,
    "weight_decay": 0.1,
}
OTHERS: dict[str, object] = {"epochs": 4, "seed": 8, "split": 2, "validations": 2, "patience": 0.1, "diverged_at": 5.0}
SAME_NUMBERS = ("test", "weights")
"""What the answer holds besides the numbers of the training."""


def make_training(diverged: str = "", **history: list[float]) -> Training:
    """Return a training of four updates with this history."""
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


@pytest.mark.parametrize("field", list(Candidate.model_fields))
def test_digest_covers_every_field_of_the_candidate(field: str) -> None:
    """Two questions that differ have different digests."""
    other = QUESTION.trying(**{field: OTHER_CANDIDATES[field]})
    assert other.digest != QUESTION.digest
    assert other != QUESTION


@pytest.mark.parametrize(
    "field", [field.name for field in fields(Evaluation) if field.name not in ("candidate", *SAME_NUMBERS)]
)
def test_digest_covers_what_else_decides_the_numbers(field: str) -> None:
    """A new field is either in this table or among those that change no number."""
    other = replace(QUESTION, **{field: OTHERS[field]})  # type: ignore[arg-type]
    assert other.digest != QUESTION.digest
    assert other != QUESTION


@pytest.mark.parametrize("field", SAME_NUMBERS)
def test_digest_leaves_out_what_the_answer_holds_besides(field: str) -> None:
    """A training that was tested is the same training."""
    assert replace(QUESTION, **{field: True}).digest == QUESTION.digest  # type: ignore[arg-type]


def test_digest_on_the_prepared_split_is_the_one_from_before_there_were_others() -> None:
    """What was trained then is still known."""
    assert QUESTION.digest == "62a41113d48d3b233d5198060382c956f69540ab9db19e5c459ee08448a5b099"


def test_seeds_are_spread_over_splits_in_turn() -> None:
    """Seed by seed; more splits than seeds give one to each."""
    spread = QUESTION.spread([7, 8, 9, 10, 11], splits=3)
    assert [(one.seed, one.split) for one in spread] == [(7, 0), (8, 1), (9, 2), (10, 0), (11, 1)]
    assert spread[0] == QUESTION
    assert [one.split for one in QUESTION.spread([7, 8], splits=1)] == [0, 0]
    assert [one.split for one in QUESTION.spread([7, 8], splits=9)] == [0, 1]


def test_digest_does_not_depend_on_the_order_of_parameters() -> None:
    """Neither that order nor the object's identity changes the digest."""
    other = QUESTION.trying(params=dict(reversed(list(CANDIDATE.params.items()))))
    assert other.digest == QUESTION.digest
    assert QUESTION.digest == Evaluation(**vars(QUESTION)).digest
    assert len(QUESTION.digest) == 64


def test_digest_does_not_depend_on_the_type_of_the_budget() -> None:
    """`epochs=3` and `epochs=3.0` have the same digest."""
    assert QUESTION.digest == replace(QUESTION, epochs=3.0).digest


@pytest.mark.parametrize(
    ("candidate", "seed", "name"),
    [
        ({"initial_lr": 0.03, "params": {}}, 0, "cosine lr=0.03 seed=0"),
        ({"scheme": "constant", "initial_lr": 0.00012345, "params": {}}, 20_001, "constant lr=0.000123 seed=20001"),
        ({"scheme": "step", "initial_lr": 2.0, "params": {"drops": 3}}, 1, "step lr=2 drops=3 seed=1"),
        (
            {"scheme": "step", "weight_decay": 0.0123, "params": {"drops": 3}},
            1,
            "step lr=0.1 decay=0.0123 drops=3 seed=1",
        ),
    ],
)
def test_name_is_what_a_person_reads(candidate: dict[str, object], seed: int, name: str) -> None:
    """A name consists of scheme, rate, parameters if there are any, and seed."""
    evaluation = replace(QUESTION.trying(**candidate), seed=seed)
    assert evaluation.name == name
    assert evaluation.candidate.name == name.partition(" seed")[0]
    assert replace(evaluation, epochs=5 / 3).name_with_budget == name.replace(" seed", " epochs=1.67 seed")
    assert replace(evaluation, split=2).name == f"{name} split=2"


@pytest.mark.parametrize(
    ("among", "prefix"),
    [
        ([("sgd", 32)], ""),
        ([("sgd", 32), ("adam", 32)], "sgd "),
        ([("sgd", 32), ("sgd", 64)], "batch=32 "),
        ([("sgd", 32), ("adam", 32), ("sgd", 64), ("adam", 64)], "sgd batch=32 "),
    ],
)
def test_prefix_holds_only_what_differs(among: list[tuple[str, int]], prefix: str) -> None:
    """Optimizer and batch size precede a name if a search has several of them."""
    compared = [CANDIDATE.model_copy(update={"optimizer": optimizer, "batch_size": size}) for optimizer, size in among]
    assert setting_prefix(CANDIDATE, compared) == prefix


def test_trying_changes_the_candidate_alone() -> None:
    """The original question stays as it was."""
    other = QUESTION.trying(initial_lr=0.2, scheme="linear")
    assert (other.candidate.initial_lr, other.candidate.scheme) == (0.2, "linear")
    assert replace(other, candidate=CANDIDATE) == QUESTION
    assert CANDIDATE.initial_lr == 0.1


def test_candidate_goes_through_json_unchanged() -> None:
    """Parameters keep their types, an optimizer's own decay is left out; unknown fields are refused, changes too."""
    candidate = CANDIDATE.model_copy(update={"params": {"rate": 0.5, "drops": 3, "staircase": True, "unit": "step"}})
    back = Candidate.model_validate_json(candidate.model_dump_json())
    assert back == candidate
    assert [type(value) for value in back.params.values()] == [float, int, bool, str]
    decayed = candidate.model_copy(update={"weight_decay": 0.1})
    assert Candidate.model_validate_json(decayed.model_dump_json()) == decayed
    assert set(decayed.model_dump()) - set(candidate.model_dump()) == {"weight_decay"}
    with pytest.raises(ValidationError, match="momentum"):
        Candidate.model_validate({**candidate.model_dump(), "momentum": 0.9})
    with pytest.raises(ValidationError, match="frozen"):
        candidate.initial_lr = 0.2


def test_curve_is_the_whole_scheme_compressed_into_the_budget() -> None:
    """Fewer epochs give the same shape in fewer updates, not its beginning."""
    question = QUESTION.trying(initial_lr=0.2, params={})
    long, short = (replace(question, epochs=epochs).curve(10) for epochs in (8, 2))
    assert long.shape == (80,)
    assert short.shape == (20,)
    np.testing.assert_allclose(short, 0.1 * (1 + np.cos(np.pi * np.arange(20) / 20)), rtol=1e-12)
    np.testing.assert_allclose(long[::4], short, rtol=1e-12)


@pytest.mark.parametrize(
    ("spacing", "middle"), [("exponential", 1e-3), ("linear", (1e-5 + 1e-1) / 2)], ids=lambda value: str(value)
)
def test_curve_of_a_sweep_grows_between_its_bounds(spacing: str, middle: float) -> None:
    """The curve includes both bounds; no scheme in the table has the sweep's name."""
    question = replace(QUESTION, epochs=2.1).trying(
        scheme=SWEEP, initial_lr=1e-5, params={"lr_max": 1e-1, "spacing": spacing}
    )
    rates = question.curve(10)
    assert question.is_sweep
    assert not QUESTION.is_sweep
    assert SWEEP not in SCHEMES
    np.testing.assert_allclose(rates[[0, 10, 20]], [1e-5, middle, 1e-1], rtol=1e-12)
    assert rates.size == 21


@pytest.mark.parametrize(
    ("epochs", "updates", "parts"), [(4, 40, 4), (0.01, 1, 1), (5 / 9, 6, 1), (2.5, 25, 1), (2.4, 24, 2)]
)
def test_budget_need_not_be_whole(epochs: float, updates: int, parts: int) -> None:
    """There is at least one update, and one validation per pass, or fewer if the parts would not be equal."""
    evaluation = replace(QUESTION, epochs=epochs)
    assert evaluation.updates(10) == len(evaluation.curve(10)) == updates
    assert evaluation.parts(10) == parts
    assert replace(evaluation, validations=1).parts(10) == 1


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
    """It is the highest accuracy or lowest loss; None without one, or if the name does not show which is better."""
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
    """It is not the best value: a schedule is judged by where it ends."""
    assert make_training(diverged, val_loss=values).final("val_loss") == final


@pytest.mark.parametrize(("direction", "sign"), [("min", 1), ("max", -1)])
def test_less_of_an_objective_is_better(direction: Literal["min", "max"], sign: int) -> None:
    """Either direction works; a training that diverged or ended in NaN has an infinite loss."""
    objective = Objective("val_gain", direction)
    assert make_training(val_gain=[0.5, 0.75]).loss_by(objective) == sign * 0.75
    assert make_training(val_gain=[float("nan")]).loss_by(objective) == np.inf
    assert make_training("loss is nan at update 3").loss_by(objective) == np.inf


def test_objective_that_the_model_lacks_is_refused() -> None:
    """The error is one line that names the metrics of the model."""
    training = make_training(loss=[1.0], val_loss=[1.0], val_top=[0.5])
    expected = "objective: received 'val_gain', expected a metric of the model: val_loss, val_top"
    with pytest.raises(InputError, match=f"^{expected}$"):
        training.loss_by(Objective("val_gain", "max"))


@pytest.mark.parametrize(("test", "weights"), [(False, False), (True, False), (False, True), (True, True)])
def test_training_answers_what_it_holds(test: bool, weights: bool) -> None:
    """It must hold scores and weights if they were asked for, and may hold more."""
    training = replace(make_training(), test={"loss": 1.0} if test else None, weights=[] if weights else None)
    for asked_test in (False, True):
        for asked_weights in (False, True):
            question = replace(QUESTION, test=asked_test, weights=asked_weights)
            assert training.answers(question) == (test >= asked_test and weights >= asked_weights)


def test_epochs_of_a_training_are_those_it_came_to() -> None:
    """Four updates at two per pass are two epochs."""
    assert make_training("loss is nan at update 3").epochs == 2.0


class TestAnswers:
    def test_trainings_are_in_the_order_of_the_questions(self) -> None:
        """They are, whatever the order in which they finished."""
        questions = [replace(QUESTION, seed=seed) for seed in (5, 3, 9)]
        found = answers(_Backwards(), questions)
        assert [training.val_loss for training in found] == [5.0, 3.0, 9.0]

    def test_equal_questions_are_asked_once(self) -> None:
        """A finalist may also be a baseline."""
        ask = _Backwards()
        one, other = replace(QUESTION, seed=1), replace(QUESTION, seed=2)
        assert [training.val_loss for training in answers(ask, [one, other, one])] == [1.0, 2.0, 1.0]
        assert ask.asked == [one, other]

    def test_equal_questions_get_all_that_any_of_them_asks_for(self) -> None:
        """The order of the questions does not matter."""
        more = replace(QUESTION, test=True)
        for questions in ([more, QUESTION], [QUESTION, more]):
            ask = _Backwards()
            answers(ask, questions)
            assert ask.asked == [more]

    def test_nothing_asked_is_nothing_trained(self) -> None:
        """No questions give an empty answer."""
        assert answers(_Backwards(), []) == []


class _Backwards:
    """Answers the last question first, with the seed as the loss."""

    def __init__(self) -> None:
        self.asked: list[Evaluation] = []

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        self.asked += evaluations
        for evaluation in reversed(evaluations):
            yield evaluation, make_training(val_loss=[float(evaluation.seed)])
