"""Passwords and tokens: nothing that a person or a program may read later holds them."""

import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit

_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_SIGNED = re.compile(r"(?i)(?<=[?&])([^=&\s]*(?:token|signature|sig|secret|password|key)=)[^&\s'\"]+")
_SECRET = re.compile("PASSWORD|PASSWD|TOKEN|SECRET|CONNECTION_STRING|_KEY$")
_SHORTEST = 6
"""A shorter secret is left where it is not known to be one: it might be a part of any word."""


def redacted(text: str) -> str:
    """Return a text without the credentials in its URLs and without the secrets of the environment."""
    text = _SIGNED.sub(r"\1***", _CREDENTIALS.sub("***@", text))
    for name in filter(_SECRET.search, os.environ):
        value = os.environ.get(name, "")  # a thread of MLflow's may have removed it meanwhile
        if len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return text


def take_credentials_out_of_uri() -> None:
    """Hand on the credentials in the address of an MLflow server as MLflow takes them apart from it.

    MLflow repeats the address on the screen and in errors.
    """
    uri = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if uri.scheme not in ("http", "https") or "@" not in uri.netloc:
        return
    credentials, _, host = uri.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    os.environ["MLFLOW_TRACKING_URI"] = urlunsplit((uri.scheme, host, *uri[2:]))
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(user)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
