"""What the environment and `keras.json` ask of Keras: done on TensorFlow, or refused before Keras obeys."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.keras_settings import settle

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def keras_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of a user's settings, which is not there yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")
    return tmp_path / "keras.json"


@pytest.mark.parametrize("where", ["environment", "file"])
def test_other_backend_is_not_used(
    where: str, keras_json: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said once: processes started from here ask for TensorFlow."""
    if where == "environment":
        monkeypatch.setenv("KERAS_BACKEND", "jax")
    else:
        keras_json.write_text(json.dumps({"backend": "jax", "floatx": "float32"}), encoding="utf-8")
    settle()
    settle()
    assert capsys.readouterr().err == (
        "lr-pipeline: trainings run on TensorFlow: the Keras backend 'jax' is not used\n"
    )
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(("name", "value"), [("floatx", "float16"), ("image_data_format", "channels_first")])
def test_settings_that_no_training_works_with_are_refused(name: str, value: str, keras_json: Path) -> None:
    """The line names the file, and how to have another one."""
    keras_json.write_text(json.dumps({name: value}), encoding="utf-8")
    with pytest.raises(InputError, match=f"{name} in .*keras.json: received '{value}'; accepted: .*KERAS_HOME"):
        settle()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epsilon": 1e-07, "floatx": "float32"}'])
def test_other_files_are_left_to_keras(text: str, keras_json: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged ones too, which Keras passes over."""
    keras_json.write_text(text, encoding="utf-8")
    settle()
    assert capsys.readouterr().err == ""


def test_trainings_from_python_refuse_another_backend() -> None:
    """Keras is loaded by the user then, and can no longer be changed."""
    code = "import keras; keras.config.backend = lambda: 'jax'; import pipeline.training"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "received the backend 'jax'; accepted: KERAS_BACKEND=tensorflow" in ended.stderr.splitlines()[-1]
