"""Refused parameters, with the value received and the accepted ones; and parameters as text."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.schedules import SCHEMES, Value, curve, format_params, parse_params, rewriter, validate, warmup

TRAINING: dict[str, Any] = {"steps": 100, "steps_per_epoch": 10, "initial_lr": 0.1}


@pytest.mark.parametrize(
    ("scheme", "params", "message"),
    [
        ("cosin", {}, r"scheme must be one of constant, .*; received 'cosin'"),
        ("cosine", {"power": 2}, r"scheme 'cosine' accepts the parameters warmup, .*; received 'power'"),
        ("cosine", {"final_fraction": 1.5}, r"'final_fraction' must be a number in \[0, 1\]; received 1.5"),
        ("cosine", {"final_fraction": -0.1}, r"in \[0, 1\]; received -0.1"),
        ("cosine", {"final_fraction": float("nan")}, r"in \[0, 1\]; received nan"),
        ("cosine", {"final_fraction": "much"}, r"in \[0, 1\]; received 'much'"),
        ("cosine", {"final_fraction": True}, r"in \[0, 1\]; received True"),
        ("cosine", {"unit": "batch"}, r"'unit' must be one of fraction, epoch, step; received 'batch'"),
        ("cosine", {"decay_length": 10}, r"'decay_length' must be at most 1 when unit is fraction; received 10.0"),
        ("cosine", {"decay_length": 1e-9}, r"'decay_length' must be 0 or at least 1e-06; received 1e-09"),
        ("cosine", {"warmup": 1.0}, r"'warmup' must be a number in \[0, 1\); received 1.0"),
        ("cosine", {"warmup_start": 2}, r"'warmup_start' must be a number in \[0, 1\]; received 2"),
        ("polynomial", {"power": 0}, r"'power' must be a number in \(0, 20\]; received 0"),
        ("polynomial", {"power": float("inf")}, r"in \(0, 20\]; received inf"),
        ("exponential", {"decay_rate": 1.1}, r"'decay_rate' must be a number in \(0, 1\]; received 1.1"),
        ("exponential", {"staircase": 1}, r"'staircase' must be true or false; received 1"),
        ("step", {"drops": 2.5}, r"'drops' must be a whole number in \[1, 1e\+06\]; received 2.5"),
        ("step", {"drops": 0}, r"'drops' must be a whole number in \[1, 1e\+06\]; received 0"),
        (
            "multi_step",
            {"milestones": "0.5:half"},
            r"must be numbers joined by ':', each in \[0, 1e\+12\]",
        ),
        ("multi_step", {"milestones": ""}, r"joined by ':'.*; received ''"),
        ("multi_step", {"milestones": True}, r"joined by ':'.*; received True"),
        ("multi_step", {"milestones": "0.7:0.5"}, r"'milestones' must increase; received '0.7:0.5'"),
        ("multi_step", {"milestones": "30:60"}, r"'milestones' must be at most 1 when unit is fraction"),
        ("piecewise_constant", {"factors": "1:0.1"}, r"'factors' must be 3 numbers.*; received '1:0.1'"),
        ("piecewise_constant", {"factors": "1:2:0"}, r"'factors' must be numbers.*each in \[0, 1\]; received '1:2:0'"),
        ("one_cycle", {"phases": 4}, r"'phases' must be one of 2, 3; received 4"),
        (
            "one_cycle",
            {"phases": 3, "warm_fraction": 0.5},
            r"'warm_fraction' must be below 0.5 .*; received 0.5",
        ),
        ("warmup_stable_decay", {"shape": "sqrt"}, r"'shape' must be one of linear, cosine, 1-sqrt; received 'sqrt'"),
        ("reduce_on_plateau", {"factor": 1}, r"'factor' must be a number in \[0, 1\); received 1"),
    ],
)
def test_bad_parameters_are_refused(scheme: str, params: dict[str, Value], message: str) -> None:
    """The message names the parameter, what was received and what would be accepted."""
    for refuse in (lambda: validate(scheme, params), lambda: curve(scheme, params=params, **TRAINING)):
        with pytest.raises(InputError, match=message):
            refuse()


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("steps", 0, r"steps must be a whole number in \[1, 1e\+09\]; received 0"),
        ("steps", 10.0, r"steps must be a whole number .* received 10.0"),
        ("steps_per_epoch", -1, r"steps_per_epoch must be a whole number .* received -1"),
        ("steps", True, r"steps must be a whole number .* received True"),
        ("initial_lr", 0.0, r"initial_lr must be a number in \(0, 1e\+06\]; received 0.0"),
        ("initial_lr", float("inf"), r"initial_lr must be a number .* received inf"),
        ("initial_lr", "0.1", r"initial_lr must be a number .* received '0.1'"),
    ],
)
def test_impossible_trainings_are_refused(argument: str, value: object, message: str) -> None:
    """The message names the argument, what was received and what would be accepted."""
    with pytest.raises(InputError, match=message):
        curve("cosine", **{**TRAINING, argument: value})


@pytest.mark.parametrize(("steps", "start"), [(-1, 0.0), (2.5, 0.0), (3, -0.1), (3, float("nan")), (3, float("inf"))])
def test_impossible_warm_ups_are_refused(steps: Any, start: float) -> None:
    """Neither a part of an update nor a negative rate exists."""
    with pytest.raises(InputError, match=r"warm-up's .* must be .*; received"):
        warmup(np.ones(3), steps, start)


def test_numbers_of_other_types_are_taken() -> None:
    """Numbers from JSON, NumPy and a search are converted to the parameter's type."""
    checked = validate("step", {"drops": 3.0, "drop_rate": np.float64(0.5), "step_size": 0})
    assert checked["drops"] == 3
    assert type(checked["drops"]) is int
    assert type(checked["drop_rate"]) is float
    assert validate("multi_step", {"milestones": 0.5})["milestones"] == "0.5"
    assert curve("cosine", steps=np.int64(5), steps_per_epoch=np.int64(5), initial_lr=1).shape == (5,)  # type: ignore[arg-type]


def test_only_reactive_schemes_have_a_rewriter() -> None:
    """Any other curve is known before the training."""
    assert {name for name in SCHEMES if rewriter(name)} == {"reduce_on_plateau"}
    assert {name for name, scheme in SCHEMES.items() if scheme.reactive} == {"reduce_on_plateau"}


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", {}),
        (" ", {}),
        ("power=2", {"power": 2}),
        ("power=2.5, warmup=1e-2", {"power": 2.5, "warmup": 0.01}),
        ("staircase=true,unit=epoch", {"staircase": True, "unit": "epoch"}),
        ("milestones=0.5:0.75,x=False", {"milestones": "0.5:0.75", "x": False}),
    ],
)
def test_text_becomes_typed_parameters(text: str, params: dict[str, Value]) -> None:
    """Whole numbers, other numbers, booleans and text are distinguished."""
    parsed = parse_params(text)
    assert parsed == params
    assert [type(value) for value in parsed.values()] == [type(value) for value in params.values()]


@pytest.mark.parametrize("text", ["power", "power=", "=2", "power=2,", "power=2;3=4", "a=1,a=2", "a=b=c", "2power=1"])
def test_bad_text_is_refused(text: str) -> None:
    """The message shows the text."""
    with pytest.raises(InputError, match=rf"scheme parameters must .*received .*{re.escape(text)}"):
        parse_params(text)


@pytest.mark.parametrize("value", ["a,b", "a=b", "", "a b"])
def test_text_that_could_not_be_read_back_is_refused(value: str) -> None:
    """Nothing is written that would be read back differently."""
    with pytest.raises(InputError, match="received"):
        format_params({"name": value})


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True),
        st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from(["epoch", "0.5:0.75", "1-sqrt"]),
    )
)
def test_parameters_survive_the_way_through_text(params: dict[str, Value]) -> None:
    """`format_params` and `parse_params` are each other's inverse."""
    assert parse_params(format_params(params)) == params


@pytest.mark.parametrize("scheme", SCHEMES)
def test_defaults_survive_the_way_through_text(scheme: str) -> None:
    """The defaults of a scheme can be passed on the command line."""
    assert validate(scheme, parse_params(format_params(validate(scheme)))) == validate(scheme)
