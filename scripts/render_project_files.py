"""Write MLproject from the options' models, and conda.yaml from requirements.lock.

Both repeat what is defined elsewhere, because MLflow reads no other form. `make lock` runs this; a test fails if the
files are out of date.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from pipeline.checkup import DoctorOptions
from pipeline.cli import COMMANDS, command_fields
from pipeline.config import (
    CommandOptions,
    LayerOptions,
    MainOptions,
    ReportOptions,
    ReproduceOptions,
    parameter_default,
)
from pipeline.config.layers import PROFILES

ROOT = Path(__file__).resolve().parents[1]
_WHOLE = frozenset({"main", "doctor"})
_OF_ALL = ("fresh", "data", "target", "model", "optimizer", "epochs", "seeds", *LayerOptions.model_fields)
_NEVER = frozenset({"experiment_name"})
"""MLflow chooses the experiment itself."""

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


def options_reference() -> str:
    """Return docs/options.md: where options come from, and what there are."""
    parts = [_LAYERS.format(profiles="\n".join(_profile(*one) for one in PROFILES.items()))]
    models = {model: name for name, (model, _) in COMMANDS.items()}  # of those with the same options the last
    told = set[str]()
    for model in (LayerOptions, MainOptions, ReportOptions, ReproduceOptions, DoctorOptions):
        for subject, options in model.subjects().items():
            where = "" if model in (LayerOptions, MainOptions) else f" (`{models[model]}` only)"
            if subject in told:
                continue
            told.add(subject)
            rows = (_option(option, model.model_fields[option]) for option in options)
            parts.append("\n".join([f"## {subject.capitalize()}{where}", "", *_TABLE, *rows, ""]))
    return "\n".join(parts)


_LAYERS = """# Options

<!-- Made by `make lock` from pipeline/config. -->

Options are put together in layers, each over those before it:

1. the defaults below;
2. a profile: `profile=quick`, `standard` or `thorough`;
3. an earlier run: `run=ID`, or `run=newest`, the chain that finished last; what was chosen there is taken over;
4. a file: `config=options.yaml` (or `.toml`), with the names below; lists and tables are written as such;
5. the environment: `LR_PIPELINE_BUDGET=40` is `budget=40`;
6. the command line: `--budget 40`, or `-P budget=40` of `mlflow run`.

A file or an environment may hold options that a command does not have, but none that no command has: a misspelt one
is refused. `mlflow run` passes every parameter of an entry point, and does not tell which you gave: one that equals its
default counts as not given. MLflow shows such a run with these parameters; its tag `pipeline.options` has what other
layers set. The run of each command has the artifact `options.yaml`, which says of each option where it
is from, and can be given as `config` again.

| profile | sets |
| --- | --- |
{profiles}
"""

_TABLE = ("| option | default | meaning | for example |", "| --- | --- | --- | --- |")


def _profile(name: str, options: Mapping[str, object]) -> str:
    return f"| `{name}` | {', '.join(f'`{option}={value:g}`' for option, value in options.items()) or 'nothing'} |"


def _option(name: str, field: FieldInfo) -> str:
    default = parameter_default(field)
    examples = ", ".join(f"`{one}`" for one in field.examples or ())
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {'' if default == '' else f'`{default}`'} | {meaning} | {examples} |"


def _entry_point(name: str, model: type[CommandOptions]) -> dict[str, object]:
    """Return what MLproject says of a command.

    `main` has all its options as parameters, a stage those that are its own. MLflow passes on others that it is given.
    """
    own = set(command_fields(model) if name in _WHOLE else [*model.subjects().get(model.subject, ()), *_OF_ALL])
    fields = {option: command_fields(model)[option] for option in command_fields(model) if option in own - _NEVER}
    flags = " ".join(f"--{option.replace('_', '-')} {{{option}}}" for option in fields)
    return {
        "parameters": {option: _parameter(field) for option, field in fields.items()},
        "command": f"python -m pipeline {name} {flags}",
    }


def _parameter(field: FieldInfo) -> dict[str, object]:
    return {"type": _TYPES.get(field.annotation, "string"), "default": parameter_default(field)}  # type: ignore[arg-type]


def _dump(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=10_000)


if __name__ == "__main__":
    (ROOT / "MLproject").write_text(mlproject(), encoding="utf-8")
    (ROOT / "docs" / "options.md").write_text(options_reference(), encoding="utf-8")
    (ROOT / "conda.yaml").write_text(conda_yaml(), encoding="utf-8")
