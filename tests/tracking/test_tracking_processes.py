"""Temporary files of a process: removed when it ends, and found when it was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.tracking.checks import temporary_files
from pipeline.tracking.processes import own_temporary_folder

ROOT = Path(__file__).resolve().parents[2]

AT_WORK = """
import atexit, shutil, sys, tempfile
from pipeline.tracking.processes import own_temporary_folder
with own_temporary_folder():
    left = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, left)
    print(left, tempfile.mkstemp(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def at_work(folder: Path) -> subprocess.Popen[str]:
    """Give a process that has temporary files, and ends when its input does."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )
    assert process.stdout is not None
    assert str(folder) in process.stdout.readline()
    return process


def test_nothing_is_left_by_a_process_that_ends(folder: Path, at_work: subprocess.Popen[str]) -> None:
    """Neither what libraries forget, nor a complaint of those that remove their own files at exit."""
    assert len(list(folder.iterdir())) == 1
    assert at_work.communicate() == ("", "")
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_found_and_removed(folder: Path, at_work: subprocess.Popen[str]) -> None:
    """Not while the process is at work, and no folder of another program."""
    (folder / "lr-pipeline-of-mine").mkdir()
    assert list(temporary_files()) == []
    at_work.kill()
    at_work.communicate()
    (left,) = temporary_files()
    assert left.text.startswith(f"{folder} holds 0 MiB of killed commands: 'lr-pipeline-")
    assert f"-{at_work.pid}-" in left.text
    assert left.mend is not None
    left.mend()
    assert [path.name for path in folder.iterdir()] == ["lr-pipeline-of-mine"]


def test_temporary_files_go_elsewhere_only_within(folder: Path) -> None:
    """From Python, a caller's own temporary files stay where they were."""
    with own_temporary_folder():
        assert Path(tempfile.gettempdir()).parent == folder
    assert tempfile.gettempdir() == str(folder)
