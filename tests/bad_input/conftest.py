"""Many command lines in one process."""

from collections.abc import Iterator
from functools import cache

import pytest

from pipeline import cli
from pipeline.config import layers


@pytest.fixture(scope="package", autouse=True)
def made_once() -> Iterator[None]:
    """Make the parser and the model of the environment once: a command spends two thirds of its time on them."""
    settings = cache(layers._settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_parser", cache(cli._parser))
        patch.setattr(layers, "_settings", lambda names: settings(frozenset(names)))
        yield
