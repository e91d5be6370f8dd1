"""Settings for all tests."""

from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

# The time an example takes depends more on the machine's load than on the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

WITH_THE_CHAIN = frozenset({"tests/e2e/test_chain.py", "tests/e2e/test_interruptions.py"})
"""The files whose tests look at one finished chain, which takes half a minute."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Keep the tests of a file in one worker, and those that share a finished chain too."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "chain" if file in WITH_THE_CHAIN else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Schedule tests so, whatever `--dist` says."""
    return ByFile(config, log)
