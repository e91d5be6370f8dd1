"""The origin of a page: the command, the versions of the packages, and the machine."""

import os
import platform
import shlex
from importlib.metadata import version

from pipeline.config import RUN_CONTROL, PrepareOptions

_PACKAGES = ("tensorflow", "keras", "optuna", "mlflow", "scikit-learn", "numpy", "pandas")


def environment() -> dict[str, str]:
    """Return the version of each package, and the machine."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    return {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}, "machine": machine}


def command(options: PrepareOptions, entry_point: str = "main") -> str:
    """Return the command that produces the same page, with every option that differs from its default."""
    default = type(options)()
    given = options.model_dump(exclude=set(RUN_CONTROL))
    changed = {name: _text(value) for name, value in given.items() if value != getattr(default, name)}
    entry = [] if entry_point == "main" else ["-e", entry_point]
    parameters = (part for name, value in changed.items() for part in ("-P", f"{name}={value}"))
    return shlex.join(["mlflow", "run", ".", *entry, "--env-manager", "local", *parameters])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
