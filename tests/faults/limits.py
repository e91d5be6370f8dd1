"""Commands that meet a full disk, a folder that cannot be written to, or too little memory. Each fault is real."""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.e2e.project import PATIENCE, Project
from tests.faults.disturbed import PREPARE, Bench, Outcome, as_owner, ended, expect_same_answer, repeated, wait_for


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a disk of this size on a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disks_can_be_mounted() -> bool:
    """Return whether this user may mount a disk."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _small_disk(Path(folder), 1):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def _fill(folder: Path) -> Path:
    """Fill a disk to the last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def disk_full(stage: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: the disk of the project fills up during a stage, and has space again afterwards."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        with _small_disk(folder, 64):
            project = Project.copied_to(folder)
            process = project.start(*bench.command)
            wait_for(process, stage, chance.random() * bench.seconds[stage])
            filler, since = _fill(folder), time.monotonic()
            line, seconds = ended(process, 2, since)
            assert "the disk" in line or "no space" in line, line
            filler.unlink()
            project.run(*bench.command)
            expect_same_answer(bench, project.client)
            return Outcome(repeated=repeated(project.client), seconds=seconds)

    return strike


def temporary_disk_full(bench: Bench, chance: Random) -> Outcome:
    """Fill the disk of the temporary folder in mid-search: Python itself takes another one where it is full before."""
    folder, project = Path(tempfile.mkdtemp(dir=bench.folder)), bench.fresh()
    with _small_disk(folder, 16):
        process = project.start(*bench.command, variables={"TMPDIR": str(folder)})
        wait_for(process, "search", 0.5 * bench.seconds["search"])
        _fill(folder)
        line, seconds = ended(process, 2, time.monotonic())
        assert "no space" in line, line
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client), seconds=seconds)


def file_limit(bench: Bench, chance: Random) -> Outcome:
    """Limit the size of files, which has the same effect as a disk without space."""
    project = bench.fresh()
    project.run(*PREPARE)
    limit = chance.randrange(1 << 12, 1 << 16)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))"
    run = "import runpy; runpy.run_module('pipeline', run_name='__main__')"
    arguments = f"import sys; sys.argv[1:] = {list(bench.command[3:])}"
    line, seconds = ended(project.start("python", "-c", "\n".join((code, arguments, run))), 2, time.monotonic())
    assert "the disk" in line or "no space" in line, line
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(seconds=seconds)


def read_only(name: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: a folder or file of the project cannot be written, and can again afterwards."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        path = project.folder / name
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        try:
            line, seconds = ended(project.start(*as_owner(), *bench.command, "--fresh"), 2, time.monotonic())
        finally:
            path.chmod(mode)
        assert str(path) in line, line
        project.run(*bench.command)
        expect_same_answer(bench, project.client)
        return Outcome(repeated=repeated(project.client), seconds=seconds)

    return strike


def reports_read_only(bench: Bench, chance: Random) -> Outcome:
    """Let `reports/` not be writable: the answer is printed, and lines say where schedule and report are."""
    project = bench.finished()
    shutil.rmtree(project.folder / "reports")
    (project.folder / "reports").mkdir(mode=0o555)
    process = project.start(*as_owner(), *bench.command)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    said = err.splitlines()  # of the schedule, and of the report
    assert len(said) == 2, err
    assert all("cannot write reports" in line for line in said), err
    assert "Report: " in out, out
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client))


def out_of_memory(bench: Bench, chance: Random) -> Outcome:
    """Limit the memory of the command to less than its network needs."""
    project = bench.fresh()
    (project.folder / "wide.py").write_text(_WIDE, encoding="utf-8")
    limited = ("prlimit", f"--as={chance.randrange(3_500, 6_000)}000000")
    options = ("--model", "wide:network", "--scheme", "constant", "--initial-lr", "0.01", "--epochs", "1")
    process = project.start(*limited, "python", "-m", "pipeline", "train", "--data", "digits", *options)
    line, seconds = ended(process, (1, 2), time.monotonic())
    assert "memory" in line or "OOM" in line, line
    return Outcome(seconds=seconds)


_WIDE = """
import keras
from keras import layers


def network(shape, outputs):
    inputs = keras.Input(shape)
    values = layers.Flatten()(inputs)
    for _ in range(3):
        values = layers.Dense(9000, activation="relu")(values)
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(values))
"""
