"""The stand-alone files: run without this project, they give exactly the rates of the curve."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pipeline.errors import InputError
from pipeline.schedules import SCHEMES, Value, curve, keras_source, torch_source

Case = tuple[str, dict[str, Value]]
TRAINING: dict[str, Any] = {"steps": 24, "steps_per_epoch": 8, "initial_lr": 0.1}
CASES: dict[str, Case] = {name: (name, {"warmup": 0.25, "warmup_start": 0.1}) for name in SCHEMES}
CASES |= {
    "step in epochs": ("step", {"step_size": 2, "offset": 1, "unit": "epoch"}),
    "one cycle as in PyTorch": ("one_cycle", {"endpoint": True, "phases": 3, "anneal": "linear"}),
    "staircase in steps": ("exponential", {"staircase": True, "decay_length": 5, "unit": "step"}),
}
REWRITTEN = np.repeat([0.1, 0.03, 0.009], 8)

FIT = """
import json, runpy, sys
import keras, numpy as np

class Recorder(keras.callbacks.Callback):
    # The gradient is 1, so an update from 0 leaves minus the rate that was really used, to the last bit.
    def on_train_batch_begin(self, batch, logs=None):
        self.model.layers[0].kernel.assign([[0.0]])
    def on_train_batch_end(self, batch, logs=None):
        used.append(-float(self.model.layers[0].kernel.numpy()[0, 0]))

for path in sys.argv[1:]:
    module = runpy.run_path(path, run_name="__main__")
    as_saved = json.loads(json.dumps(keras.optimizers.schedules.serialize(module["Schedule"]())))
    schedule = keras.optimizers.schedules.deserialize(as_saved)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(schedule), loss=lambda y, p: p, jit_compile=False)
    used = []
    model.fit(np.ones((8, 1)), np.ones(8), batch_size=1, epochs=4, verbose=0, callbacks=[Recorder()])
    print(json.dumps(used))
assert not any(name.split(".")[0] == "pipeline" for name in sys.modules)
"""


def outside(folder: Path, *arguments: str) -> str:
    """Run Python in a folder from which the project cannot be imported."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[float]]]:
    """Run and train with every exported file, in one process; return what it printed and its rates, by case."""
    folder = tmp_path_factory.mktemp("exported")
    for index, (scheme, params) in enumerate(CASES.values()):
        (folder / f"schedule{index}.py").write_text(keras_source(scheme, params=params, **TRAINING))
    (folder / "schedule_rewritten.py").write_text(keras_source("reduce_on_plateau", rates=REWRITTEN, **TRAINING))
    files = [f"schedule{index}.py" for index in range(len(CASES))]
    lines = outside(folder, "-c", FIT, *files, "schedule_rewritten.py").splitlines()
    results = zip(lines[::2], map(json.loads, lines[1::2]), strict=True)
    return dict(zip([*CASES, "rewritten"], results, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_keras_trains_with_exactly_the_rates(case: str, trained: dict[str, tuple[str, list[float]]]) -> None:
    """Bit for bit in float32 at every update, after a round trip through its config; the last rate stays."""
    scheme, params = CASES[case]
    rates = curve(scheme, params=params, **TRAINING).astype(np.float32)
    assert_array_equal(trained[case][1], [*rates, *[rates[-1]] * 8])


def test_keras_trains_with_the_rates_a_reactive_scheme_used(trained: dict[str, tuple[str, list[float]]]) -> None:
    """The file contains the curve as rewritten by the validation losses."""
    assert_array_equal(trained["rewritten"][1], [*REWRITTEN.astype(np.float32), *[np.float32(0.009)] * 8])


@pytest.mark.parametrize("case", CASES)
def test_torch_lambda_gives_the_rates(case: str, tmp_path: Path) -> None:
    """The function given to LambdaLR needs no PyTorch; it gives the curve, and the last rate past its end."""
    scheme, params = CASES[case]
    path = tmp_path / "schedule.py"
    path.write_text(torch_source(scheme, params=params, **TRAINING))
    rate = runpy.run_path(str(path))["rate"]
    rates = curve(scheme, params=params, **TRAINING)
    assert_array_equal([rate(step) for step in range(32)], [*rates, *[rates[-1]] * 8])
    assert "torch" not in sys.modules


def test_keras_files_print_the_first_and_the_last_rate(trained: dict[str, tuple[str, list[float]]]) -> None:
    """Running a file shows what it does."""
    assert trained["rewritten"][0] == "first rate 0.10000000149011612, last rate 0.008999999612569809 of 24 updates"


def test_torch_files_print_the_first_and_the_last_rate(tmp_path: Path) -> None:
    """Running a file shows what it does, without PyTorch."""
    (tmp_path / "schedule.py").write_text(torch_source("constant", **TRAINING))
    assert outside(tmp_path, "schedule.py") == "first rate 0.1, last rate 0.1 of 24 updates\n"


@pytest.mark.parametrize("case", CASES)
def test_files_are_short_and_need_nothing_of_the_project(case: str) -> None:
    """A file contains the formula, not its values."""
    scheme, params = CASES[case]
    for source in (keras_source, torch_source):
        text = source(scheme, **{**TRAINING, "steps": 100_000}, params=params)
        assert "pipeline" not in text
        assert f"def {SCHEMES[scheme].formula.__name__}(" in text
        assert len(text.splitlines()) < 180
        compile(text, "schedule.py", "exec")


def test_rates_of_another_length_are_refused() -> None:
    """The rates must be those of the training that the file describes."""
    with pytest.raises(InputError, match=r"rates must be one for each of 24 updates; received the shape \(5,\)"):
        keras_source("reduce_on_plateau", rates=np.ones(5), **TRAINING)
