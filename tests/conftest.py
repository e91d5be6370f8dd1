"""What holds for every test."""

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more of the machine's load than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_TESTS = Path(__file__).parent

GROUPS = {
    "tensorflow": ("training", "range_test", "test_models.py", "test_optimizers.py"),
    "store": ("tracking",),
    "chain": ("e2e/test_chain.py", "e2e/test_interruptions.py"),
    "reproduce": ("e2e/test_reproduce.py",),
    "on disk": ("e2e/test_data_on_disk.py",),
}
"""Tests that share a process, where several are at work: loading TensorFlow, or running a whole chain, is dear."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share what is slow to set up."""
    for item in items:
        file = item.path.relative_to(_TESTS).as_posix()
        group = next((name for name, files in GROUPS.items() if file.startswith(files)), file)
        item.add_marker(pytest.mark.xdist_group(group))
