"""Settings for all tests."""

import gc
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

# The time an example takes depends more on the machine's load than on the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

gc.disable()  # until all is imported: modules are kept anyway, and looking through them takes seconds


def pytest_collection_finish() -> None:
    """Collect garbage again, but never among what imports have made, which takes a tenth of the time of tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def installed_files_read_once() -> Iterator[None]:
    """Look through the files of all installed packages once: every model that is logged does so for a second."""
    from pipeline import user_code  # here, as other tests look at what is imported

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user_code, "packages_distributions", cache(packages_distributions))
        yield


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a test a working directory and a tracking store, `mine.db`, of its own, whatever other tests have set."""
    import mlflow  # here, as other tests look at what is imported

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(None)  # takes the variable away too
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    yield
    mlflow.set_tracking_uri(before)


TOGETHER = {
    **{f"tests/e2e/test_{name}.py": "chain" for name in ("chain", "comparing", "in_browser", "interruptions")},
    **{f"tests/datasets/test_data_{name}.py": "mnist-5k" for name in ("sources", "splits")},
}
"""Files whose tests look at the same: one finished chain, which takes half a minute, or data that take seconds."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Keep the tests of a file in one worker, and those of files that share something."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Schedule tests so, whatever `--dist` says."""
    return ByFile(config, log)
