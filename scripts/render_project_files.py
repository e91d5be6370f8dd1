"""Write MLproject from the options' models, and conda.yaml from requirements.lock.

Both repeat what is defined elsewhere, because MLflow reads no other form. `make lock` runs this; a test fails if the
files are out of date.
"""

from pathlib import Path

import yaml
from pydantic import BaseModel

from pipeline.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
_TYPES = {int: "int", float: "float"}


def mlproject() -> str:
    """Return the text of MLproject: one entry point per command, each option a typed parameter with its default."""
    entry_points = {name: _entry_point(name, model) for name, (model, _) in COMMANDS.items()}
    project = {"name": "lr-pipeline", "conda_env": "conda.yaml", "entry_points": entry_points}
    return "# Made by `make lock` from pipeline/config.\n" + _dump(project)


def conda_yaml() -> str:
    """Return the text of conda.yaml, with all packages under pip: MLflow's translation for uv drops all others."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lock if line and not line.startswith("#")]
    environment = {
        "name": "lr-pipeline",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", {"pip": packages}],
    }
    return "# Made by `make lock` from requirements.lock.\n" + _dump(environment)


def _entry_point(name: str, model: type[BaseModel]) -> dict[str, object]:
    options = [option for option in model.model_fields if option != "experiment_name"]
    flags = " ".join(f"--{option.replace('_', '-')} {{{option}}}" for option in options)
    return {
        "parameters": {option: _parameter(model, option) for option in options},
        "command": f"python -m pipeline {name} {flags}",
    }


def _parameter(model: type[BaseModel], option: str) -> dict[str, object]:
    field = model.model_fields[option]
    default = "" if field.default is None else field.default
    if isinstance(default, bool):
        default = str(default).lower()
    return {"type": _TYPES.get(field.annotation, "string"), "default": default}  # type: ignore[arg-type]


def _dump(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=10_000)


if __name__ == "__main__":
    (ROOT / "MLproject").write_text(mlproject(), encoding="utf-8")
    (ROOT / "conda.yaml").write_text(conda_yaml(), encoding="utf-8")
