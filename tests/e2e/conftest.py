"""A project whose whole chain has run, shared by the tests of its results."""

from pathlib import Path

import pytest

from tests.e2e.project import Project, command


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project in which `python -m pipeline main` has been run once."""
    project = Project.copied_to(tmp_path_factory.mktemp("project"))
    temporary: Path = tmp_path_factory.mktemp("temporary")
    project.run(*command("main"), variables={"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []  # nothing is left there
    return project


@pytest.fixture(scope="package")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project in another folder, in which nothing has run."""
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    return Project.copied_to(folder)
