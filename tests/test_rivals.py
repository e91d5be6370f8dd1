"""Rivals: how they are written, and what people use without a search."""

from typing import get_args

import keras
import numpy as np
import pytest

from pipeline import optimizers
from pipeline.config.training import OptimizerName
from pipeline.evaluation import Evaluation
from pipeline.rivals import CUSTOMARY, RECIPE, USUAL, Rival, parse_rivals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lion", Rival("lion at 0.001", "lion", "constant", 0.001)),
        ("nadam:cosine", Rival("nadam cosine at 0.001", "nadam", "cosine", 0.001)),
        ("sgd:step:0.1", Rival("sgd step at 0.1", "sgd", "step", 0.1)),
        ("prodigy", Rival("prodigy at 1", "prodigy", "constant", 1.0)),
        (
            "schedule_free_adamw",
            Rival("schedule_free_adamw at 0.0025", "schedule_free_adamw", "constant", 0.0025, {"warmup": 0.05}),
        ),
        ("adam::3e-4", Rival("adam at 0.0003", "adam", "constant", 3e-4)),
    ],
)
def test_what_is_left_open_is_customary(text: str, expected: Rival) -> None:
    """A constant rate, the optimizer's default, after the warm-up of those whose authors ask for it."""
    assert parse_rivals(f"{text},adagrad") == (expected, Rival.parse("adagrad"))


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_every_optimizer_has_a_customary_rate(name: str) -> None:
    """It is the default of its class."""
    default = type(optimizers.create(name, 0.5, 0.0))().learning_rate
    assert CUSTOMARY[name] == pytest.approx(float(keras.ops.convert_to_numpy(default)))


def test_the_recipe() -> None:
    """AdamW with weight decay 0.004 at 0.001, a linear warm-up over 5% of the updates, and half a cosine to zero."""
    (recipe,) = (one for one in USUAL if one.name == RECIPE)
    assert optimizers.create(recipe.optimizer, recipe.initial_lr, 0.9).weight_decay == 0.004
    rates = Evaluation(recipe.candidate(32), epochs=10, seed=0).curve(steps_per_epoch=20)
    after = 0.001 * (1 + np.cos(np.pi * np.arange(190) / 190)) / 2
    assert rates[10:] == pytest.approx(after)
    assert np.diff(rates[:11]) == pytest.approx(np.full(10, 0.0001))
