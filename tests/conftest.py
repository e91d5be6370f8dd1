"""Settings for all tests."""

import pytest
from hypothesis import settings

# The time an example takes depends more on the machine's load than on the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker, and all that use the finished chain: it takes half a minute."""
    with_chain = {item.path for item in items if "project" in getattr(item, "fixturenames", ())}
    for item in items:
        group = "chain" if item.path in with_chain else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
