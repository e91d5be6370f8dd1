"""Code to train with the project's own optimizers, without the project."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.optimizers import create, in_code, note, own_files
from pipeline.schedules import keras_source

OWN = {"first": 0.0}

SCRIPT = """
import importlib.util

import keras
import numpy as np
from lr_multipliers import with_lr_multipliers
from schedule import Schedule
from schedule_free import AveragedWeights, ScheduleFreeAdamW

assert importlib.util.find_spec("pipeline") is None
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
y = np.abs(x).sum(axis=1, keepdims=True)
first = keras.layers.Dense(16, name="first")
layers = [first, keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dense(1)]
model = keras.Sequential([keras.Input((4,)), *layers])
model.lr_multipliers = {"first": 0}
before = first.get_weights()
model.compile(optimizer=OPTIMIZER, loss="mse", jit_compile=False)
seen = model.fit(x, y, batch_size=20, epochs=4, validation_data=(x, y), callbacks=[AveragedWeights(x)], verbose=0)
model.save("model.keras")
again = keras.saving.load_model("model.keras")
for weight, start in zip(first.get_weights(), before):
    np.testing.assert_allclose(weight, start, atol=1e-7)
print(*seen.history["val_loss"], model.evaluate(x, y, verbose=0), again.evaluate(x, y, verbose=0))
"""


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw", "prodigy", "lr_multipliers"])
def test_the_files_need_keras_alone(name: str) -> None:
    """And what Python brings along."""
    (file,) = (
        own_files(create("adam", 0.1, 0.9), OWN) if name == "lr_multipliers" else own_files(create(name, 0.1, 0.9))
    )
    nodes = list(ast.walk(ast.parse(file.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"keras"}


def test_the_code_trains_without_this_project(tmp_path: Path) -> None:
    """As the file of the schedule says; validations, the model at the end and the saved one have averaged weights.

    Layers have their own rates there too, and a saved model is loaded without the file that gives them.
    """
    optimizer = create("schedule_free_adamw", 0.1, 0.9)
    call = in_code(optimizer, OWN)
    given = {"steps": 80, "steps_per_epoch": 20, "initial_lr": 0.03, "params": {"warmup": 0.05}}
    source = keras_source("constant", optimizer=call, note=note(optimizer, OWN), **given)  # type: ignore[arg-type]
    assert f"model.compile(optimizer={call}, loss=...)" in source
    assert "with `from schedule_free import ScheduleFreeAdamW`, of the file schedule_free.py beside" in source
    assert "with `from lr_multipliers import with_lr_multipliers`, of the file lr_multipliers.py beside" in source
    assert "    model.lr_multipliers = {'first': 0.0}" in source
    (tmp_path / "schedule.py").write_text(source)
    for file in own_files(optimizer, OWN):
        shutil.copy(file, tmp_path)
    (tmp_path / "own.py").write_text(SCRIPT.replace("OPTIMIZER", call))
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, env=alone, capture_output=True, text=True, check=True
    )
    *validated, final, loaded = map(float, run.stdout.split())
    assert final == pytest.approx(validated[-1], rel=1e-4)
    assert loaded == pytest.approx(final, rel=1e-4)
    assert validated[-1] < validated[0] / 2
