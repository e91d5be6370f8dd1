"""What a user's environment and `keras.json` ask of Keras, looked at before Keras is loaded."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError, refusal

_FILE = "keras.json"
_BACKEND = "tensorflow"
_NEEDED = {"floatx": "float32", "image_data_format": "channels_last"}


def settle() -> None:
    """Make Keras run on TensorFlow, with a line where something else was asked for.

    Raises:
        InputError: where `keras.json` asks for what no training here can do, and Keras would obey it at import.

    """
    asked = other_backend()
    os.environ["KERAS_BACKEND"] = _BACKEND  # the processes started from here ask for it themselves, and say no more
    if asked:
        print(f"lr-pipeline: trainings run on TensorFlow: the Keras backend {asked!r} is not used", file=sys.stderr)
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


def home() -> Path:
    """Return the folder of Keras' settings and downloads."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _settings() -> dict[str, object]:
    try:
        settings = json.loads((home() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras itself goes on without it
        return {}
    return settings if isinstance(settings, dict) else {}
