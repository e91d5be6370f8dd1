"""What all options share: how they are read, and what is refused."""

import re
from collections.abc import Mapping
from inspect import get_annotations
from types import MappingProxyType
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import InputError, shortened

RUN_CONTROL = frozenset(
    {
        "experiment_name",
        "fresh",
        "checkpoint",
        "workers",
        "scheduler",
        "training_minutes",
        "quiet",
        "verbose",
        "system_metrics",
    }
)
"""Options that affect where and whether a stage runs and what it prints or logs, but not what its result depends on."""

Options = TypeVar("Options", bound="CommandOptions")

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{,4096}")
"""What MLflow can store: no control characters, no bytes that are not UTF-8, and no more than a path may have."""


def none_if_empty(value: object) -> object:
    """Read an empty value as "not given": parameters of MLproject cannot be absent."""
    return None if value == "" else value


OptionalRate = Annotated[float | None, Field(gt=0, le=1e6, allow_inf_nan=False), BeforeValidator(none_if_empty)]
OptionalMinutes = Annotated[float | None, Field(gt=0, le=1e6), BeforeValidator(none_if_empty)]
OptionalCount = Annotated[int | None, BeforeValidator(none_if_empty)]
OptionalName = Annotated[str | None, BeforeValidator(none_if_empty)]


class CommandOptions(BaseModel):
    """Options of any command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: ClassVar[str] = "options"
    """What the options are about that a class adds to those of its base: the heading above them in help and docs."""

    @classmethod
    def subjects(cls) -> dict[str, list[str]]:
        """Return the names of the options under their headings, those of the first stage first."""
        found: dict[str, list[str]] = {}
        for base in reversed(cls.__mro__):
            own = [name for name in get_annotations(base) if name in cls.model_fields]
            if own and issubclass(base, CommandOptions):
                found.setdefault(base.subject, []).extend(own)
        return found

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        if isinstance(value, str) and not _TEXT.fullmatch(value):
            raise ValueError("expected at most 4096 characters in UTF-8, without control characters")
        return value


def validated(
    model: type[Options], values: Mapping[str, object], origins: Mapping[str, str] = MappingProxyType({})
) -> Options:
    """Build `model` from `values`, or raise InputError with one line that names each fault.

    `origins` says where values are from, for those that were not typed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError("; ".join(_fault(model, dict(fault), origins) for fault in error.errors())) from None


def _fault(model: type[CommandOptions], fault: dict[str, object], origins: Mapping[str, str]) -> str:
    location = fault["loc"]
    name = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    message = re.sub(r"^(Value error, |Input should be |String should have )", "", str(fault["msg"]))
    if not name:
        return message
    if fault["type"] == "extra_forbidden":
        message = f"one of {', '.join(model.model_fields)}"
    place = f" ({origins[name]})" if name in origins else ""
    received = shortened(repr(fault["input"]))
    return f"{name}: received {received}{place}, expected {message.removeprefix('expected ')}"
