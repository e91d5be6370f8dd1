"""What options, the environment and `keras.json` ask of Keras and TensorFlow, settled before they are loaded."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError, refusal

_FILE = "keras.json"
_BACKEND = "tensorflow"
_NEEDED = {"floatx": "float32", "image_data_format": "channels_last"}

DETERMINISTIC = {"TF_DETERMINISTIC_OPS": "1", "TF_NUM_INTRAOP_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""With several threads, TensorFlow and SciPy's BLAS split sums into as many parts, which are rounded differently."""

_ARITHMETIC = ("TF_DETERMINISTIC_OPS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS",
               "ONEDNN_DEFAULT_FPMATH_MODE", "XLA_FLAGS", "TF_XLA_FLAGS")  # fmt: skip
"""Variables of TensorFlow's that change the last bits of a training, or more."""


def settle(deterministic: bool = False) -> None:
    """Make Keras run on TensorFlow, with a line where something else was asked for.

    Args:
        deterministic: whether trainings must give the same bits however many threads there are, in this process and in
            those that it starts.

    Raises:
        InputError: where `keras.json` asks for what no training here can do, and Keras would obey it at import.

    """
    asked = other_backend()
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else a process takes all of a GPU that others use too
    os.environ["KERAS_BACKEND"] = _BACKEND  # the processes started from here ask for it themselves, and say no more
    if asked:
        print(f"lr-pipeline: trainings run on TensorFlow: the Keras backend {asked!r} is not used", file=sys.stderr)
    if deterministic:
        os.environ.update(DETERMINISTIC)
    for fault in unusable():
        raise fault


def other_backend() -> str:
    """Return the backend that the environment or `keras.json` asks for in place of TensorFlow; "" if neither does."""
    asked = os.environ.get("KERAS_BACKEND") or _settings().get("backend", _BACKEND)
    return "" if asked == _BACKEND else str(asked)


def unusable() -> Iterator[InputError]:
    """Yield the refusal of each setting in `keras.json` with which no training works."""
    for name, needed in _NEEDED.items():
        if (given := _settings().get(name, needed)) != needed:
            path = home() / _FILE
            yield refusal(f"{name} in {path}", repr(given), f"{needed!r}; KERAS_HOME names another folder")


def is_deterministic() -> bool:
    """Return whether the environment has what `deterministic` needs; TensorFlow reads it only as it starts."""
    return os.environ.items() >= DETERMINISTIC.items()


def variables() -> dict[str, str]:
    """Return the settings in the environment that change the numbers of trainings."""
    return {name: value for name in _ARITHMETIC if (value := os.environ.get(name))}


def arithmetic() -> str:
    """Return these settings in one line; "" if there are none."""
    return " ".join(f"{name}={value}" for name, value in variables().items())


def home() -> Path:
    """Return the folder of Keras' settings and downloads."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _settings() -> dict[str, object]:
    try:
        settings = json.loads((home() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras itself goes on without it
        return {}
    return settings if isinstance(settings, dict) else {}
