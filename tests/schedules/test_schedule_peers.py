"""Value for value against PyTorch and optax, whose curves `scripts/record_curves.py` recorded with their versions."""

import json
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from pipeline.schedules import Value, curve

Params = dict[str, Value]
RECORDED = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "recorded").glob("*.json")}

CYCLIC: Params = {"base_fraction": 0.1, "cycle_length": 40, "unit": "step"}
ONE_CYCLE: Params = {"warm_fraction": 0.3, "start_fraction": 1 / 25, "final_fraction": 1 / 25e4}
ONE_CYCLE_OF_TORCH: Params = {**ONE_CYCLE, "endpoint": True}

FORMS: dict[str, dict[str, tuple[str, Params]]] = {
    "torch": {
        "ExponentialLR": ("exponential", {"decay_rate": 0.97, "decay_length": 1, "unit": "step"}),
        "StepLR": ("step", {"drop_rate": 0.3, "drops": 3}),
        "MultiStepLR": ("multi_step", {"drop_rate": 0.1, "milestones": "0.5:0.75"}),
        "PolynomialLR": ("polynomial", {"power": 2.0, "decay_length": 100, "unit": "step"}),
        "LinearLR": ("linear", {"final_fraction": 0.2}),
        "CosineAnnealingLR": ("cosine", {"final_fraction": 0.1}),
        "CosineAnnealingWarmRestarts": ("cosine_restarts", {"first_length": 17, "cycle_growth": 2.0, "unit": "step"}),
        "CyclicLR triangular": ("triangular", {"base_fraction": 0.1, "cycles": 3}),
        "CyclicLR triangular2": ("triangular2", CYCLIC),
        "CyclicLR exp_range": ("exp_range", {**CYCLIC, "decay_rate": 0.99, "decay_length": 1}),
        "OneCycleLR": ("one_cycle", ONE_CYCLE_OF_TORCH),
        "OneCycleLR linear": ("one_cycle", {**ONE_CYCLE_OF_TORCH, "anneal": "linear"}),
        "OneCycleLR three_phase": ("one_cycle", {**ONE_CYCLE_OF_TORCH, "phases": 3}),
        "LinearLR, CosineAnnealingLR": ("cosine", {"warmup": 1 / 6, "warmup_start": 0.1}),
    },
    "optax": {
        "exponential_decay": ("exponential", {"decay_rate": 0.5, "decay_length": 40, "unit": "step"}),
        "exponential_decay staircase": ("exponential", {"decay_rate": 0.5, "decay_length": 1 / 3, "staircase": True}),
        "polynomial_schedule": (
            "polynomial",
            {"power": 3.0, "decay_length": 100, "final_fraction": 0.1, "unit": "step"},
        ),
        "linear_schedule": ("linear", {"final_fraction": 0.2}),
        "cosine_decay_schedule": ("cosine", {"final_fraction": 0.1}),
        "warmup_cosine_decay_schedule": (
            "cosine",
            {"warmup": 0.1, "warmup_start": 0.1, "final_fraction": 0.01},
        ),
        "piecewise_constant_schedule": ("piecewise_constant", {"milestones": "0.5:0.75", "factors": "1:0.1:0.01"}),
        "cosine_onecycle_schedule": ("one_cycle", ONE_CYCLE),
        "sgdr_schedule": ("cosine_restarts", {"cycles": 2, "cycle_growth": 2.0}),
    },
}
CASES = [(library, name) for library, curves in RECORDED.items() for name in curves["curves"]]


@pytest.mark.parametrize(("library", "name"), CASES)
def test_every_rate_is_that_of_the_library(library: str, name: str) -> None:
    """Each recorded curve is a scheme of the table, at every update."""
    expected = RECORDED[library]["curves"][name]
    scheme, params = FORMS[library][name]
    rates = curve(scheme, steps=len(expected), steps_per_epoch=12, initial_lr=RECORDED[library]["peak"], params=params)
    assert_allclose(rates, expected, rtol=1e-8, atol=1e-12)


def test_nothing_recorded_is_left_out() -> None:
    """A form without a recording would be a test that never runs."""
    assert {(library, name) for library, forms in FORMS.items() for name in forms} == set(CASES)
