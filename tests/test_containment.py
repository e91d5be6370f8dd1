"""User code that changes the process: what matters to others is put back, and its own exceptions are reported."""

import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
import tensorflow as tf
from mlflow.utils.autologging_utils import autologging_is_disabled

from pipeline import models
from pipeline.containment import contained
from pipeline.errors import InputError
from pipeline.training import engine
from tests.training.networks import digits

ROOT = Path(__file__).resolve().parents[1]

CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "working directory": (lambda: os.chdir("/"), Path.cwd),
    "arguments": (lambda: sys.argv.clear(), lambda: [*sys.argv]),
    "standard output": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
    "standard error": (lambda: setattr(sys, "stderr", None), lambda: sys.stderr),
    "SIGTERM": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "limit of recursion": (lambda: sys.setrecursionlimit(5_000), sys.getrecursionlimit),
    "level of logging": (lambda: logging.getLogger().setLevel(logging.DEBUG), lambda: logging.getLogger().level),
    "handlers of logging": (
        lambda: logging.basicConfig(handlers=[logging.NullHandler()], force=True),
        lambda: [*logging.getLogger().handlers],
    ),
    "logging": (logging.disable, lambda: logging.getLogger("pipeline").isEnabledFor(logging.ERROR)),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: [*warnings.filters]),
    "dtype policy": (
        lambda: keras.config.set_dtype_policy("mixed_float16"),
        lambda: keras.config.dtype_policy().name,
    ),
    "type of floats": (lambda: keras.config.set_floatx("float64"), keras.config.floatx),
    "image format": (
        lambda: keras.config.set_image_data_format("channels_first"),
        keras.config.image_data_format,
    ),
    "eager functions": (lambda: tf.config.run_functions_eagerly(True), tf.config.functions_run_eagerly),
    "autologging": (
        lambda: mlflow.autolog(silent=True),
        lambda: [*map(autologging_is_disabled, ("tensorflow", "keras", "sklearn"))],
    ),
}
"""What user code does, and what shows whether it is undone."""


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_the_process_are_put_back(change: str) -> None:
    """Also if the code fails after it has made them."""
    act, state = CHANGES[change]
    before = state()

    @contained()
    def fail() -> None:
        act()
        assert state() != before
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert state() == before


HOSTILE = """
import logging, os, random, sys, threading, time
import mlflow, numpy
from sklearn.datasets import load_digits

def load():
    print("said by the data")
    threading.Thread(target=time.sleep, args=(10_000,)).start()
    numpy.random.seed(3)
    random.seed(3)
    logging.disable()
    sys.argv.clear()
    sys.path.clear()
    sys.stdout = open(os.devnull, "w")
    os.environ.clear()
    os.chdir("/")
    mlflow.set_tracking_uri("sqlite:///{elsewhere}/other.db")
    mlflow.set_experiment("other")
    mlflow.start_run(nested=True)
    mlflow.log_param("data", "mine")
    return load_digits(return_X_y=True)
"""


def test_a_data_function_that_does_all_of_it(tmp_path: Path) -> None:
    """The command ends with its line, in spite of a thread that does not, and its run is where it belongs."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hostile.py").write_text(HOSTILE.replace("{elsewhere}", str(tmp_path / "elsewhere")))
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "prepare", "--data=hostile:load"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said, line = ended.stdout.splitlines()
    assert said == "said by the data"
    assert "1,079 / 359 / 359 train / validation / test examples" in line
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("lr-pipeline")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params["data"]) == ("FINISHED", "hostile:load")
    assert client.get_experiment_by_name("other") is None


NETWORK = """
import keras

def build(shape, outputs):
    return keras.Sequential([
        keras.Input(shape), keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.2),
        keras.layers.Dense(outputs, activation="softmax"),
    ])
"""
CHANGING = """
import os, random, sys
import keras, mlflow, numpy
import tensorflow as tf
from plain import build as plain

mlflow.autolog(silent=True)

def build(shape, outputs):
    print("said by the model")
    numpy.random.seed(3)
    tf.random.set_seed(3)
    keras.utils.clear_session()
    model = plain(shape, outputs)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_float16")
    tf.config.run_functions_eagerly(True)
    os.chdir("/")
    sys.argv.clear()
    return model
"""


def test_a_model_function_that_does_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network trains to the same numbers as that of one that does nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.py").write_text(NETWORK)
    (tmp_path / "changing.py").write_text(CHANGING)
    losses = {}
    for name in ("plain", "changing"):
        build = models.builder(f"{name}:build", (8, 8, 1), 10, "classification")
        trainer = engine(build, digits(), optimizer="sgd", momentum=0.9, batch_size=32, precision="float32")
        losses[name] = trainer.train(np.full(6, 0.1), seed=1, validations=2).losses
    np.testing.assert_array_equal(losses["plain"], losses["changing"])
    for name in ("plain", "changing"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "received"),
    [
        ("sys.exit(0)", "SystemExit: 0 (own.py, line 3)"),
        ("raise BaseException('stop')", "BaseException: stop (own.py, line 3)"),
        ("raise GeneratorExit", "GeneratorExit (own.py, line 3)"),
        ("raise Speechless", "Speechless (own.py, line 3)"),
        ("raise ValueError(os.environ['MY_API_TOKEN'])", "ValueError: *** (own.py, line 3)"),
        ("raise ValueError('x' * 195 + os.environ['MY_API_TOKEN'])", f"ValueError: {'x' * 195}*** (own.py, line 3)"),
    ],
)
def test_exceptions_of_a_model_function_are_named(
    code: str, received: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line, without secrets, also those that end a process, or that cannot say what they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_TOKEN", "opensesame")
    unable = "\nclass Speechless(Exception):\n    def __str__(self):\n        raise RuntimeError\n"
    (tmp_path / "own.py").write_text(f"import os, sys\ndef build(shape, outputs):\n    {code}\n{unable}")
    build = models.builder("own:build", (8, 8, 1), 10, "classification")
    del sys.modules["own"]
    with pytest.raises(InputError) as caught:
        build()
    assert received in str(caught.value)
