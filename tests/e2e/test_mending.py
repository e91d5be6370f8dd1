"""`doctor` as an entry point, after a command was killed with all its processes."""

from pathlib import Path

import pytest

from tests.e2e.project import Project, kill_tree
from tests.e2e.test_failing_stores import TRAIN, wait_until

pytestmark = pytest.mark.slow


def test_what_a_killed_command_leaves_is_mended(tmp_path: Path) -> None:
    """The runs of both of its processes, and their temporary files; the run of `doctor` itself is left alone."""
    folder, temporary = tmp_path / "project", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    project, variables = Project.copied_to(folder), {"TMPDIR": str(temporary)}
    process = project.start(*TRAIN, variables=variables)
    wait_until(lambda: len(list(temporary.iterdir())) == 2)  # its own, and that of the stage that it has started
    kill_tree(process)
    assert "RUNNING" in project.statuses()
    left = {path.name for path in temporary.iterdir()}
    doctor = ("mlflow", "run", ".", "-e", "doctor", "--env-manager", "local", "-P", "fix=true")
    said = project.run(*doctor, variables=variables).stdout
    assert said.count("is RUNNING, but its process") == said.count("mark it KILLED: done") == 2
    assert all(name in said for name in left)
    assert left.isdisjoint(path.name for path in temporary.iterdir())
    assert project.statuses() == {"KILLED", "FINISHED"}
