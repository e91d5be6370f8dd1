"""A project whose whole chain has run, shared by the tests of its results."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.project import ROOT, Project, command


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project in which `make run` has been run once, in the environment of the tests."""
    project = Project.copied_to(tmp_path_factory.mktemp("project"))
    temporary: Path = tmp_path_factory.mktemp("temporary")
    shutil.copy(ROOT / "Makefile", project.folder)
    here = ("--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}")
    arguments = shlex.join(command("main")[4:])
    project.run("make", *here, "run", f"ARGS={arguments}", variables={"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []  # nothing is left there
    return project


@pytest.fixture(scope="package")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project in another folder, in which nothing has run."""
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    return Project.copied_to(folder)
