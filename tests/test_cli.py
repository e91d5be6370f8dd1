"""The command line: exit codes, single lines, nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cli, interruption
from pipeline.config import Layered, MainOptions
from pipeline.console import Status

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, and give the process its own signal handlers back."""
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_wrong_input_to_the_real_command(tmp_path: Path) -> None:
    """The real process ends with code 2 and one line, without a traceback or a tracking store."""
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "main", "--trials", "many"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    message = "trials: received 'many', expected a valid integer, unable to parse string as an integer"
    assert ended.stderr == f"lr-pipeline: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_file_beside_the_command_replaces_no_installed_package(tmp_path: Path) -> None:
    """A user's folder may hold a file with the name of a package that the project uses."""
    (tmp_path / "pydantic.py").write_text("raise RuntimeError\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in cli.COMMANDS)])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Help ends with code 0 and lists every stage, or every option with its default."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    if len(arguments) == 1:
        for name, (_, summary) in cli.COMMANDS.items():
            assert name in out
            assert summary in out
    else:
        for option, field in cli.COMMANDS[arguments[0]][0].model_fields.items():
            assert f"--{option.replace('_', '-')}" in out
            if field.default is not None:
                assert f"(default: {str(field.default).lower()})" in " ".join(out.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--batch-size", "7"], {"batch_size": "7"}),
        (["--batch_size", "7"], {"batch_size": "7"}),
        (["--batch-size=7"], {"batch_size": "7"}),
        (["--fresh"], {"fresh": "true"}),
        (["--fresh", "--seed", "1"], {"fresh": "true", "seed": "1"}),
        (["--fresh", "false"], {"fresh": "false"}),
        (["--scheme", "", "--initial-lr", ""], {"scheme": "", "initial_lr": ""}),
        (["--data", "a folder/with spaces.csv"], {"data": "a folder/with spaces.csv"}),
        ([], {}),
    ],
)
def test_options_are_read_as_they_are_written(
    arguments: list[str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options take dashes or underscores, with or without =; options not given keep their defaults."""
    received: list[MainOptions] = []

    def dispatch(command: str, given: Layered[MainOptions]) -> int:
        received.append(given.options)
        return cli.DONE

    monkeypatch.setattr(cli, "_dispatch", dispatch)
    assert cli.main(["main", *arguments]) == 0
    assert received == [MainOptions.model_validate(expected)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_a_command_with_its_code(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says how to continue; the exit code is that of the shell convention."""

    def interrupted(command: str, given: Layered[MainOptions]) -> int:
        signal.raise_signal(number)
        interruption.check()
        return cli.DONE

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    # A shell starts background jobs with Ctrl-C ignored, possibly also these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["main"]) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "lr-pipeline: interrupted; run the same command again to continue\n"


def test_fault_of_our_own_is_one_line_that_names_the_file_with_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only its owner can read the file, and neither holds a password."""

    def failing(command: str, given: Layered[MainOptions]) -> int:
        raise RuntimeError("at http://ada:opensesame@host\nand more")

    monkeypatch.setattr(cli, "_dispatch", failing)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main(["main"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    (file,) = tmp_path.iterdir()
    assert line.startswith("lr-pipeline: RuntimeError: at http://***@host and more: ")
    assert line.endswith(str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    trace = file.read_text(encoding="utf-8")
    assert "Traceback" in trace
    assert "opensesame" not in trace + line


STARTED_BY_MLFLOW = '''
import subprocess, sys
child = """
import time, sys
from pipeline import cli, interruption
cli._dispatch = lambda *_: print("at work", flush=True) or time.sleep(60) or 0
sys.exit(cli.main(["main"]))
"""
subprocess.Popen([sys.executable, "-c", child])
sys.stdin.read()
'''


def test_command_that_mlflow_started_ends_with_mlflow() -> None:
    """It ends as by SIGTERM when the process that waits for it is killed: nothing else would end it."""
    waiting = subprocess.Popen(
        [sys.executable, "-c", STARTED_BY_MLFLOW],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_RUN_ID": "any"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout is not None
    assert waiting.stderr is not None
    assert waiting.stdout.readline() == "at work\n"
    waiting.kill()
    assert waiting.stderr.read() == "lr-pipeline: interrupted; run the same command again to continue\n"
    waiting.wait()


def test_stage_line_shows_what_looks_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A path such as `[/red].csv` is text, not a colour."""
    with Status("prepare") as status:
        status.begin("loading [/red].csv")
        status.done("[/red].csv: 3 examples [bold]")
    out = capsys.readouterr().out
    assert "[/red].csv: 3 examples [bold]" in out
    assert "✓ prepare" in out


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "✓"), ("latin-1", "*"), ("ascii", "*")])
def test_output_of_any_encoding(encoding: str, mark: str) -> None:
    """What it does not have is replaced; nothing is raised."""
    code = """
import sys
from pipeline import cli
from pipeline.console import Status
cli._dispatch = lambda *_: Status("prepare").done("digits → ü") or 0
sys.exit(cli.main(["prepare"]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode(encoding).startswith(f"{mark} prepare")
    assert ended.stdout.endswith("digits → ü\n".encode(encoding, "replace"))
