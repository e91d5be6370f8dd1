"""Commands that are killed at seeded moments, again and again, and must finish with the same answer."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import psutil

from tests.e2e.project import PATIENCE, Project, kill_tree
from tests.faults.disturbed import (
    PREPARE,
    PREPARE_BY_MLFLOW,
    STAGES,
    Bench,
    Outcome,
    ended,
    expect_none_running,
    expect_same_answer,
    repeated,
    stage_process,
)

POINTS = ("main", "prepare", "range_test", "search", "search", "train", "report")
"""Where one command after another is killed: before its first stage, then within these."""

Strike = Callable[[subprocess.Popen[str], psutil.Process | None, int], None]


def _command(process: subprocess.Popen[str], stage: psutil.Process | None, number: int) -> None:
    process.send_signal(number)


def _stage(process: subprocess.Popen[str], stage: psutil.Process | None, number: int) -> None:
    if stage is not None:
        stage.send_signal(number)


def _pipeline(process: subprocess.Popen[str], stage: psutil.Process | None, number: int) -> None:
    """Strike the command that `mlflow run` has started."""
    command = stage_process(process, ("main",))
    if command is not None:
        command.send_signal(number)


def _tree(process: subprocess.Popen[str], stage: psutil.Process | None, number: int) -> None:
    if number == signal.SIGKILL:
        kill_tree(process)
        return
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.send_signal(number)  # as a terminal does on Ctrl-C


@dataclass(frozen=True)
class Kill:
    """How a command is ended.

    Attributes:
        strike: sends the signal.
        mlflow: whether the command is `mlflow run`.
        told: whether the process that is left over says in a line what happened.
        number: the signal.

    """

    strike: Strike
    mlflow: bool = False
    told: bool = False
    number: int = signal.SIGKILL

    def command(self, bench: Bench) -> Sequence[str]:
        """Return the command that is ended."""
        return bench.by_mlflow if self.mlflow else bench.command

    @property
    def prepare(self) -> Sequence[str]:
        """The command of the first stage."""
        return PREPARE_BY_MLFLOW if self.mlflow else PREPARE


KILLS = {
    "SIGKILL of the command": Kill(_command),
    "SIGKILL of the stage's process": Kill(_stage, told=True),
    "SIGKILL of all processes at once": Kill(_tree),
    "SIGKILL of `mlflow run`": Kill(_command, mlflow=True),
    "SIGKILL of the command below `mlflow run`": Kill(_pipeline, mlflow=True),
    "SIGKILL of all processes of `mlflow run`": Kill(_tree, mlflow=True),
}
SIGNALS = {
    "SIGTERM to the command": Kill(_command, number=signal.SIGTERM),
    "SIGINT to all its processes, as by Ctrl-C": Kill(_tree, number=signal.SIGINT),
    "SIGTERM to `mlflow run`": Kill(_command, mlflow=True, number=signal.SIGTERM),
}

SOON = 5.0
"""Seconds within which SIGTERM and Ctrl-C end everything."""

_SET_UP = 0.8
"""Seconds that it takes to set up a store."""

LATEST = 30.0
"""Seconds within which stages end whose command was killed."""


def journey(kill: Kill, points: Sequence[str], bench: Bench, chance: Random) -> Iterator[Outcome]:
    """Kill one command after another, each a bit further, and let the last one finish."""
    project, outcomes = bench.fresh(), list[Outcome]()
    own = kill.strike in (_command, _tree)  # else there is nothing to strike before the first stage
    for point in points if own else [point for point in points if point != "main"]:
        outcome = _killed(bench, project, kill, point, chance.random())
        if outcome is not None:
            outcomes.append(outcome)
    lost, again = "", 0
    try:
        project.run(*kill.command(bench))
        again = repeated(project.client)
        expect_same_answer(bench, project.client)
    except AssertionError as error:
        lost = " ".join(str(error).split())
    for outcome in outcomes:
        yield replace(outcome, lost=outcome.lost or lost, repeated=again)


def _killed(bench: Bench, project: Project, kill: Kill, point: str, when: float) -> Outcome | None:
    """Kill a command within a stage; None if it had ended before."""
    process = project.start(*kill.command(bench))
    begun, stage = time.monotonic(), None
    while kill.mlflow and process.poll() is None and stage_process(process, ("main",)) is None:
        time.sleep(0.02)  # before that MLflow sets up a store itself: see `while_set_up`
    while point != "main" and process.poll() is None and stage is None:
        stage = stage_process(process, STAGES[STAGES.index(point) :])
        time.sleep(0.02)
    _wait(process, stage, when * bench.seconds[point])
    while kill.strike is _stage and process.poll() is None and (stage := stage_process(process, STAGES)) is None:
        time.sleep(0.02)  # that stage has just ended: the next one is struck
    if process.poll() is not None:
        process.communicate(timeout=PATIENCE)
        return None
    struck = time.monotonic()
    kill.strike(process, stage, kill.number)
    try:
        return _told(project, process, kill, struck)
    except AssertionError as error:
        return Outcome(f"{point}, {struck - begun:.1f} s after the command began: {error}")


def _wait(process: subprocess.Popen[str], stage: psutil.Process | None, seconds: float) -> None:
    """Wait, but not longer than a command and its stage are at work."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and (stage is None or stage.is_running()):
        time.sleep(0.02)


def _told(project: Project, process: subprocess.Popen[str], kill: Kill, struck: float) -> Outcome:
    """Check how a command ends that has been struck, with everything below it."""
    if kill.number == signal.SIGKILL and not kill.told:
        _, err = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, f"a traceback: {err[-300:]}"
        assert time.monotonic() - struck < LATEST, f"its stages went on for {time.monotonic() - struck:.1f} s"
        return Outcome()
    if kill.mlflow:  # which says more, and in its own way
        process.communicate(timeout=PATIENCE)
        line, seconds = "", time.monotonic() - struck
    else:
        codes = 1 if kill.told else (128 + kill.number, -kill.number)  # the latter before it could handle signals
        line, seconds = ended(process, codes, struck)
        said = "was ended by SIGKILL" if kill.told else "interrupted; run the same command again"
        assert said in line or process.returncode < 0, line
    if not kill.told:
        assert seconds < SOON, f"took {seconds:.1f} s to end"
    if not kill.mlflow and (project.folder / "mlflow.db").exists():
        expect_none_running(project.client)
    return Outcome(seconds=seconds)


def while_set_up(kill: Kill, bench: Bench, chance: Random) -> Outcome:
    """Strike a command in a fresh folder while it sets up the store, and run it again.

    `mlflow run` sets it up in code of MLflow, which does not go on from a half-made store: `doctor` mends that.
    """
    project = bench.fresh()
    process = project.start(*kill.prepare)
    while (
        process.poll() is None
        and not any(project.folder.glob("*mlflow.db*"))
        and not any(project.folder.glob(".mlflow*"))
    ):
        time.sleep(0.01)
    time.sleep(chance.random() * _SET_UP)
    struck = time.monotonic()
    kill.strike(process, None, kill.number)
    process.communicate(timeout=PATIENCE)
    seconds = time.monotonic() - struck
    assert seconds < (LATEST if kill.number == signal.SIGKILL else SOON), f"took {seconds:.1f} s to end"
    if kill.mlflow:
        project.run("python", "-m", "pipeline", "doctor", "--fix")
    project.run(*kill.prepare)
    expect_none_running(project.client)
    assert project.runs("prepare", status="FINISHED"), "no result"
    left = {path.name for path in [*project.folder.glob("*mlflow*"), *project.folder.glob(".mlflow*")]}
    assert kill.mlflow or left == {"mlflow.db"}, f"left behind: {left}"
    return Outcome(seconds=None if kill.number == signal.SIGKILL else seconds)
