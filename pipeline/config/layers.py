"""Options in layers, each over those before it: defaults, profile, earlier run, file, environment, command line."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal

import yaml
from pydantic import Field, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from pipeline.config.common import RUN_CONTROL, CommandOptions, OptionalName, Options, validated
from pipeline.config.training import PrepareOptions
from pipeline.errors import InputError, reading, refusal
from pipeline.redaction import redacted
from pipeline.schedules import format_params
from pipeline.user_code import nearest

Profile = Literal["quick", "standard", "thorough"]
PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"budget": 10.0, "seeds": 2},
    "standard": {},
    "thorough": {"budget": 60.0, "seeds": 5},
}
"""Profile -> the options that it sets."""

PREFIX = "LR_PIPELINE_"
"""Begins the names of environment variables that set options."""

EFFECTIVE = "options.yaml"
"""The options of a command, and where each is from, among the artifacts of its run."""

NEWEST = "newest"
"""Stands for the chain that finished last."""

COMMAND_LINE = "command line"

_OWN = frozenset({"handover"})
"""What processes of this project pass to each other in such variables."""

_READERS = {".yaml": YamlConfigSettingsSource, ".yml": YamlConfigSettingsSource, ".toml": TomlConfigSettingsSource}


_IN_WORDS = "; ".join(
    f"{name}: {', '.join(f'{option}={value:g}' for option, value in options.items())}"
    for name, options in PROFILES.items()
    if options
)


class LayerOptions(CommandOptions):
    """The options that say which layers there are."""

    subject: ClassVar[str] = "layers of options"

    profile: Profile = Field("standard", description=_IN_WORDS)
    run: OptionalName = Field(
        None,
        description="an earlier command's run, by its id or newest, whose options are taken over",
        examples=[NEWEST],
    )
    config: OptionalName = Field(None, description="a .yaml or .toml file of options", examples=["options.yaml"])


@dataclass(frozen=True)
class Layered(Generic[Options]):
    """The options of a command, and for each that is not a default the layer that it is from."""

    options: Options
    origins: Mapping[str, str]

    @property
    def untyped(self) -> str:
        """The options that another layer than the command line has set, as `name=value,name=value`."""
        values = self.options.model_dump(mode="json")
        return ",".join(f"{name}={values[name]}" for name, layer in self.origins.items() if layer != COMMAND_LINE)

    def as_yaml(self) -> str:
        """Return all options with their layers as comments; it can be given as `config`."""
        values = self.options.model_dump(mode="json")
        lines = (
            f"{yaml.safe_dump({name: value}, width=10_000).rstrip()}  # {self.origins.get(name, 'default')}"
            for name, value in values.items()
            if value is not None
        )
        return "\n".join(lines) + "\n"


def layered(
    model: type[Options],
    given: Mapping[str, str],
    known: Iterable[str],
    options_of: Callable[[str, str], str],
) -> Layered[Options]:
    """Put the layers of a command's options together.

    Args:
        model: the command's options.
        given: those of the command line.
        known: the options of all commands: a file or an environment for several may hold those of another.
        options_of: returns the options that an earlier run keeps, of its id and the experiment, as YAML.

    Raises:
        InputError: if a layer cannot be read, or holds what is no option, or not a valid one.

    """
    names = {*known, *LayerOptions.model_fields}
    environment = _of_environment(names)
    said = {**environment, **given}
    choice = validated(LayerOptions, {name: said[name] for name in LayerOptions.model_fields if name in said})
    layers: dict[str, Mapping[str, Any]] = {f"profile {choice.profile}": PROFILES[choice.profile]}
    of_file = _of_file(Path(choice.config), names) if choice.config is not None else {}
    if choice.run is not None:
        experiment = {**of_file, **said}.get("experiment_name", PrepareOptions().experiment_name)
        effective = options_of(choice.run, str(experiment))
        with reading(f"{EFFECTIVE} of run {choice.run}", "options, as a command's run keeps them"):
            layers[f"run {choice.run}"] = _chosen_by(effective, model)
    if choice.config is not None:
        layers[choice.config] = of_file
    layers |= {"environment": environment, COMMAND_LINE: given}
    values, origins = dict[str, Any](), dict[str, str]()
    for layer, options in layers.items():
        own = {name: value for name, value in options.items() if name in model.model_fields}
        values |= own
        origins |= dict.fromkeys(own, layer)
    for name, value in values.items():
        if isinstance(value, str) and redacted(value) != value:
            raise refusal(name, repr(redacted(value)), "no password or token: every run shows its options")
    elsewhere = {name: layer for name, layer in origins.items() if layer != COMMAND_LINE}
    return Layered(validated(model, values, elsewhere), origins)


def parameter_default(field: FieldInfo) -> str | int | float:
    """Return an option's default as a parameter of MLproject, which cannot be absent."""
    default: str | int | float | None = field.default
    return "" if default is None else str(default).lower() if isinstance(default, bool) else default


def typed(model: type[CommandOptions], given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of an entry point that differ from their defaults.

    `mlflow run` passes all of them, and does not tell which were given.
    """
    fields = {**model.model_fields, **LayerOptions.model_fields}
    return {name: value for name, value in given.items() if value != str(parameter_default(fields[name]))}


def _settings(names: Iterable[str]) -> type[BaseSettings]:
    fields: dict[str, Any] = dict.fromkeys(names, (str | None, None))
    return create_model("Settings", __base__=_Settings, **fields)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)


def _of_environment(names: set[str]) -> dict[str, Any]:
    for variable in os.environ:
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in names | _OWN:
            raise _unknown("environment", variable, {f"{PREFIX}{known.upper()}" for known in names})
    return EnvSettingsSource(_settings(names))()


def _of_file(path: Path, names: set[str]) -> dict[str, Any]:
    accepted = "a .yaml, .yml or .toml file of options"
    if path.suffix not in _READERS or not path.is_file():  # what pydantic-settings does not find it leaves out
        raise refusal("config", f"{str(path)!r}{'' if path.exists() else ', which is no file'}", accepted)
    with reading(path, accepted):
        values = _READERS[path.suffix](_settings(names), path)()
    for name in values:
        if name not in names - LayerOptions.model_fields.keys():
            raise _unknown(path, name, names)
    return {name: _flat(value) for name, value in values.items()}


def _chosen_by(effective: str, model: type[CommandOptions]) -> dict[str, Any]:
    """Return of an earlier run's options those that were chosen there, and say something about the result."""
    given = {name: value for name, value in yaml.safe_load(effective).items() if name not in RUN_CONTROL}
    fields = model.model_fields
    return {name: value for name, value in given.items() if name in fields and value != fields[name].default}


def _unknown(where: object, name: str, names: set[str]) -> InputError:
    return refusal(str(where), repr(name), f"options as --help lists them{nearest(name, sorted(names))}")


def _flat(value: Any) -> Any:
    """Return a list or a table as options write them: `a,b` or `name=value,name=value`."""
    if isinstance(value, Mapping):
        return format_params(value)
    return ",".join(map(str, value)) if isinstance(value, list) else value
