"""Properties of every scheme of the table, at its defaults and at any accepted parameters."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline.errors import InputError
from pipeline.schedules import (
    COMMON,
    SCHEMES,
    Choice,
    Float,
    Int,
    Parameter,
    Part,
    Value,
    curve,
    join,
    validate,
    warmup,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # an overflow on the way, even if it is harmless

Params = dict[str, Value]
TRAINING: dict[str, Any] = {"steps_per_epoch": 10, "initial_lr": 0.1}
BY_FRACTION = [name for name in SCHEMES if validate(name).get("unit", "fraction") == "fraction"]


def times(unit: Value) -> st.SearchStrategy[float]:
    """Draw a time that the unit allows, 0 included."""
    longest = 1.0 if unit == "fraction" else 500.0
    return st.just(0.0) | st.floats(1e-6, longest)


def values(parameter: Parameter, unit: Value) -> st.SearchStrategy[Value]:
    """Draw an accepted value of a parameter."""
    if parameter.kind == "bool":
        return st.booleans()
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.kind == "numbers":
        return st.just(parameter.default)
    if parameter.is_time:
        return times(unit)
    bounds = parameter.bounds
    if parameter.kind == "int":
        return st.integers(int(bounds.low), min(int(bounds.high), 50))
    return st.floats(
        max(bounds.low, -1e3), min(bounds.high, 1e3), exclude_min=bounds.low_open, exclude_max=bounds.high_open
    )


@st.composite
def accepted_params(draw: st.DrawFn, name: str) -> Params:
    """Draw parameters of a scheme that pass its checks."""
    parameters = {parameter.name: parameter for parameter in (*COMMON, *SCHEMES[name].parameters)}
    units = parameters["unit"].choices if "unit" in parameters else ("fraction",)
    unit = draw(st.sampled_from(units))
    params = {key: draw(values(parameter, unit)) for key, parameter in parameters.items()}
    if "unit" in parameters:
        params["unit"] = unit
    if params.get("phases") == 3:
        params["warm_fraction"] = min(float(params["warm_fraction"]), 0.49)
    return params


@pytest.mark.parametrize("name", SCHEMES)
@given(data=st.data())
@settings(max_examples=60)
def test_any_accepted_parameters_give_a_curve(name: str, data: st.DataObject) -> None:
    """One finite rate per update, never negative, never above the peak, never rising if the scheme is monotone."""
    params = data.draw(accepted_params(name))
    steps = data.draw(st.integers(1, 300))
    rates = curve(name, steps=steps, steps_per_epoch=data.draw(st.integers(1, 50)), initial_lr=0.1, params=params)
    assert rates.dtype == np.float64
    assert rates.shape == (steps,)
    assert np.isfinite(rates).all()
    assert (rates >= 0.0).all()
    assert (rates <= 0.1 * (1 + 1e-12)).all()
    ramp = min(round(float(params["warmup"]) * steps), steps - 1)
    if SCHEMES[name].monotone:
        assert (np.diff(rates[ramp:]) <= 1e-15).all()


ENDS: dict[str, tuple[float, Callable[[float], float]]] = {
    # The first rate, and the rate at part u of the training near its end, at default parameters and initial_lr = 1.
    "constant": (1.0, lambda u: 1.0),
    "linear": (1.0, lambda u: 1.0 - u),
    "polynomial": (1.0, lambda u: (1.0 - u) ** 2),
    "cosine": (1.0, lambda u: (1.0 + math.cos(math.pi * u)) / 2),
    "exponential": (1.0, lambda u: math.exp(math.log(0.01) * u)),
    "inverse_time": (1.0, lambda u: 1.0 / (1.0 + 30.0 * u)),
    "step": (1.0, lambda u: 0.2**3),
    "multi_step": (1.0, lambda u: 0.2**2),
    "piecewise_constant": (1.0, lambda u: 0.01),
    "rex": (1.0, lambda u: (1.0 - u) / (1.0 - u / 2)),
    "hyperbolic_tangent": ((1.0 + math.tanh(6.0)) / 2, lambda u: (1.0 - math.tanh(9.0 * u - 6.0)) / 2),
    "warmup_stable_decay": (0.0, lambda u: 1.0 - math.sqrt(1.0 - (1.0 - u) / (0.95 * 0.3))),
    "inverse_sqrt": (0.0, lambda u: math.sqrt(0.1 / u)),
    "cosine_restarts": (1.0, lambda u: (1.0 - math.cos(math.pi * (1.0 - u) * 7 / 4)) / 2),
    "triangular": (0.1, lambda u: 0.1 + 0.9 * 6 * (1.0 - u)),
    "triangular2": (0.1, lambda u: 0.1 + 0.9 * 6 * (1.0 - u) / 4),
    "exp_range": (0.1, lambda u: 0.1 + 0.9 * 6 * (1.0 - u) * 0.1**u),
    "one_cycle": (0.04, lambda u: 4e-6 + (1.0 - 4e-6) * (1.0 - math.cos(math.pi * (1.0 - u) / 0.7)) / 2),
    "reduce_on_plateau": (1.0, lambda u: 1.0),
}


@pytest.mark.parametrize("name", BY_FRACTION)
def test_starts_and_ends_where_it_says(name: str) -> None:
    """The first and the last rate have independent closed forms; the peak is `initial_lr`."""
    steps = 4_200
    rates = curve(name, steps=steps, steps_per_epoch=420, initial_lr=1.0)
    first, last = ENDS[name]
    assert_allclose(rates[0], first, rtol=1e-12)
    assert_allclose(rates[-1], last((steps - 1) / steps), rtol=1e-9)
    if name != "exp_range":  # its height has begun to fall when the wave is first at its top
        assert_allclose(rates.max(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("name", BY_FRACTION)
@given(data=st.data())
@settings(max_examples=30)
def test_a_smaller_budget_has_the_same_curve_compressed(name: str, data: st.DataObject) -> None:
    """A ninth of the updates samples every ninth rate: fractions of the training do not depend on its length."""
    params = {
        parameter.name: data.draw(searched(parameter)) for parameter in SCHEMES[name].parameters if parameter.search
    }
    small = data.draw(st.integers(5, 200))
    params["warmup"] = data.draw(st.integers(0, small - 1)) / small
    compressed = curve(name, steps=small, steps_per_epoch=10, initial_lr=0.1, params=params)
    whole = curve(name, steps=9 * small, steps_per_epoch=10, initial_lr=0.1, params=params)
    assert_allclose(compressed, whole[::9], rtol=1e-6, atol=1e-12)


def searched(parameter: Parameter) -> st.SearchStrategy[Value]:
    """Draw a value that a search may try."""
    space = parameter.search
    if isinstance(space, Choice):
        return st.sampled_from(space.options)
    if isinstance(space, Int):
        return st.integers(space.low, space.high)
    assert isinstance(space, Float)
    return st.floats(space.low, space.high)


@pytest.mark.parametrize("name", SCHEMES)
def test_searches_stay_within_what_is_accepted(name: str) -> None:
    """Both ends of each search are accepted, and a searchable scheme has at most two such parameters."""
    searches = [parameter for parameter in SCHEMES[name].parameters if parameter.search]
    assert len(searches) <= 2
    for parameter in searches:
        space = parameter.search
        ends = space.options if isinstance(space, Choice) else (space.low, space.high) if space else ()
        for value in ends:
            assert validate(name, {parameter.name: value})[parameter.name] == value


def test_only_the_constant_rate_is_simplest() -> None:
    """Ties between schemes are broken by complexity, and nothing is simpler than no decay."""
    assert [name for name, scheme in SCHEMES.items() if scheme.complexity == 0] == ["constant"]


@pytest.mark.parametrize("name", SCHEMES)
def test_warm_up_rises_in_a_line_and_leaves_the_scheme_whole(name: str) -> None:
    """The scheme runs over the rest as if it were the whole training."""
    with_ramp = curve(name, steps=100, **TRAINING, params={"warmup": 0.2, "warmup_start": 0.05})
    rest = curve(name, steps=80, **TRAINING, params={"warmup": 0.0})
    assert_allclose(with_ramp[20:], rest)
    assert_allclose(with_ramp[:20], 0.005 + (rest[0] - 0.005) * np.arange(20) / 20, rtol=1e-12)
    assert_allclose(warmup(rest, 20, start=0.005), with_ramp)


@pytest.mark.parametrize("lengths", [(0.25, 0.75), (25, 75)])
def test_joined_parts_are_whole_curves(lengths: tuple[float, float]) -> None:
    """Each part is its scheme's whole curve in its own length, at its own share of the rate."""
    parts = [Part("linear", lengths[0]), Part("cosine", lengths[1], {"final_fraction": 0.1}, scale=0.5)]
    joined = join(parts, steps=100, steps_per_epoch=10, initial_lr=0.1)
    first = curve("linear", steps=25, steps_per_epoch=10, initial_lr=0.1)
    second = curve("cosine", steps=75, steps_per_epoch=10, initial_lr=0.05, params={"final_fraction": 0.1})
    assert_allclose(joined, [*first, *second], rtol=1e-14)


@pytest.mark.parametrize("lengths", [(0.25, 0.7), (25, 74), (25, 0.75), (0.001, 0.999), (0, 100), (-0.5, 1.5)])
def test_parts_that_do_not_fill_the_training_are_refused(lengths: tuple[float, float]) -> None:
    """Nothing is stretched or cut to make parts fit."""
    parts = [Part("linear", length) for length in lengths]
    with pytest.raises(InputError, match=r"parts?.*received"):
        join(parts, steps=100, steps_per_epoch=10, initial_lr=0.1)


def test_drops_are_at_their_updates_in_every_division() -> None:
    """Rounding moves no drop by an update, however the training is divided."""
    for drops in range(1, 60):
        steps = (drops + 1) * 7
        rates = curve("step", steps=steps, steps_per_epoch=7, initial_lr=1.0, params={"drops": drops, "drop_rate": 0.5})
        assert_allclose(rates, 0.5 ** (np.arange(steps) // 7), rtol=1e-12)


def test_restarts_are_at_their_updates_in_every_division() -> None:
    """Rounding moves no restart by an update, however many cycles there are."""
    for cycles in range(1, 60):
        params: Params = {"cycles": cycles, "cycle_growth": 1.0}
        rates = curve("cosine_restarts", steps=cycles * 7, steps_per_epoch=7, initial_lr=1.0, params=params)
        assert_allclose(rates[::7], 1.0, rtol=1e-12)


def test_importing_needs_numpy_only() -> None:
    """Curves can be computed where no training framework is installed."""
    program = (
        "import sys; before = set(sys.modules);"
        "import pipeline.schedules as s; s.curve('cosine', steps=9, steps_per_epoch=3, initial_lr=0.1);"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "print(*sorted(name for name in loaded if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["numpy", "pipeline"]
