"""Parameters as one line of text: `name=value,name=value`."""

import re
from collections.abc import Mapping

from pipeline.errors import InputError
from pipeline.schedules.parameters import Value

TRUTH = {"true": True, "false": False}


def parse_params(text: str) -> dict[str, Value]:
    """Return the parameters in `text`, each as the first it can be of bool, int, float and str.

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
        InputError: a text among the values is empty or has a comma, an equals sign or a space in it.

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
