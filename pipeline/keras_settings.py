"""What a user's environment and `keras.json` ask of Keras, looked at before Keras is loaded."""

import json
import os
import sys
from pathlib import Path

from pipeline.errors import refusal

_BACKEND = "tensorflow"
_NEEDED = {"floatx": "float32", "image_data_format": "channels_last"}


def settle() -> None:
    """Make Keras run on TensorFlow, with a line where something else was asked for.

    Raises:
        InputError: where `keras.json` asks for what no training here can do, and Keras would obey it at import.

    """
    path = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"
    settings = _read(path)
    asked = os.environ.get("KERAS_BACKEND") or settings.get("backend", _BACKEND)
    os.environ["KERAS_BACKEND"] = _BACKEND  # the processes started from here ask for it themselves, and say no more
    if asked != _BACKEND:
        print(f"lr-pipeline: trainings run on TensorFlow: the Keras backend {asked!r} is not used", file=sys.stderr)
    for name, needed in _NEEDED.items():
        if (given := settings.get(name, needed)) != needed:
            raise refusal(f"{name} in {path}", repr(given), f"{needed!r}; KERAS_HOME names another folder")


def _read(path: Path) -> dict[str, object]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras itself goes on without it
        return {}
    return settings if isinstance(settings, dict) else {}
