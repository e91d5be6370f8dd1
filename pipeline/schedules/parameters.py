"""The parameters of schemes: which values they accept, where a search looks, and how they are written as text."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal

from pipeline.errors import InputError

Value = float | int | str | bool

TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Float:
    """A search over the real numbers in [low, high], even in the logarithm if `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Int:
    """A search over the whole numbers in [low, high]."""

    low: int
    high: int


@dataclass(frozen=True)
class Choice:
    """A search over these values."""

    options: tuple[Value, ...]


Search = Float | Int | Choice


@dataclass(frozen=True)
class Bounds:
    """The finite numbers from `low` to `high`, each bound included unless it is open."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, number: float) -> bool:
        above = self.low < number if self.low_open else self.low <= number
        below = number < self.high if self.high_open else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        opening = "(" if self.low_open or math.isinf(self.low) else "["
        closing = ")" if self.high_open or math.isinf(self.high) else "]"
        return f"{opening}{self.low:g}, {self.high:g}{closing}"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a scheme.

    Attributes:
        kind: "numbers" is text: numbers joined by ":", each within the bounds. A "str" is one of the choices.
        bounds: The range of a number, if there are no choices.
        is_time: True for a time in the scheme's unit; as a fraction it is at most 1.
        search: The values that a search tries; None if it keeps the default.
        wide: The values that a search of the wide space tries, if not `search`.

    """

    name: str
    default: Value
    description: str
    bounds: Bounds = field(default=Bounds())
    kind: Literal["float", "int", "str", "bool", "numbers"] = "float"
    choices: tuple[Value, ...] = ()
    is_time: bool = False
    search: Search | None = None
    wide: Search | None = None

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.kind == "bool":
            return "true or false"
        what = {"int": "a whole number", "numbers": "numbers joined by ':', each"}.get(self.kind, "a number")
        return f"{what} in {self.bounds}"

    def checked(self, value: object) -> Value:
        """Return `value` in the parameter's own type.

        Raises:
            InputError: it has another type or is out of range.

        """
        converted = self._converted(value)
        if converted is None:
            raise InputError(f"parameter {self.name!r} must be {self.accepted}; received {value!r}")
        return converted

    def _converted(self, value: object) -> Value | None:
        if self.kind == "bool":
            return value if isinstance(value, bool) else None
        if self.kind == "str":
            return value if isinstance(value, str) and value in self.choices else None
        if isinstance(value, bool):
            return None
        if self.kind == "numbers":
            return self._converted_numbers(str(value))
        return self._converted_number(value)

    def _converted_number(self, value: object) -> float | int | None:
        if not isinstance(value, Real):
            return None
        number = float(value)
        if number not in (self.choices or self.bounds):
            return None
        if self.kind == "float":
            return number
        return int(number) if number.is_integer() else None

    def _converted_numbers(self, text: str) -> str | None:
        try:
            values = numbers(text)
        except ValueError:
            return None
        if any(number not in self.bounds for number in values):
            return None
        return ":".join(repr(number).removesuffix(".0") for number in values)


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers in a value of kind "numbers"."""
    return tuple(float(number) for number in text.split(":"))


def parse_params(text: str) -> dict[str, Value]:
    """Return the parameters in `text`, each as the first of bool, int, float and str that fits.

    Raises:
        InputError: it is not of the form `name=value,name=value`, or a name occurs twice.

    """
    params: dict[str, Value] = {}
    for item in text.split(",") if text.strip() else []:
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*([^=\s]+)\s*", item)
        if match is None:
            raise InputError(f"scheme parameters must be name=value,name=value; received {item!r} in {text!r}")
        name, value = match.groups()
        if name in params:
            raise InputError(f"scheme parameters must each be given once; received {name!r} twice in {text!r}")
        params[name] = _typed(value)
    return params


def format_params(params: Mapping[str, Value]) -> str:
    """Return the text that `parse_params` reads back as `params`.

    Raises:
        InputError: a text value is empty or contains a comma, an equals sign or a space.

    """
    for name, value in params.items():
        if re.fullmatch(r"[^=,\s]+", _text(value)) is None:
            raise InputError(f"scheme parameter {name!r} must have no comma, equals sign or space; received {value!r}")
    return ",".join(f"{name}={_text(value)}" for name, value in params.items())


def _typed(text: str) -> Value:
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
