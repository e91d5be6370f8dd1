"""Whether a documented command would be accepted, found out by what would read its options; nothing is trained."""

import io
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import pairwise
from unittest.mock import patch

import click
import mlflow.cli
from mlflow.exceptions import MlflowException
from mlflow.projects._project_spec import load_project

from pipeline import cli
from tests.bad_input.harness import own_signals
from tests.docs.pages import ROOT, split

OWN = ("benchmarks", "scripts", "tests")


class WrongCommandError(Exception):
    """A command that would be refused, or that runs something that does not exist."""


def check(command: Sequence[str]) -> None:
    """Raise WrongCommandError if a command would be refused."""
    program, *words = command
    name = program.rpartition("/")[2]
    if name in CHECKS:
        CHECKS[name](words)
    elif name not in ONLY_SYNTAX:
        raise WrongCommandError(f"no program {name}")


def _pipeline(words: Sequence[str]) -> None:
    """Let the command line read and validate all options, up to where the command would begin its work."""
    said = io.StringIO()
    with (
        patch.object(cli, "_dispatch", return_value=cli.DONE),
        own_signals(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(said),
    ):
        try:
            code = cli.main(words)
        except SystemExit as end:  # --help
            code = int(end.code or 0)
    if code != cli.DONE:
        raise WrongCommandError(said.getvalue())


def _python(words: Sequence[str]) -> None:
    if words[0] != "-m":
        _exists(words[0])
    elif words[1] == "pipeline":
        _pipeline(words[2:])
    elif find_spec(words[1]) is None:
        raise WrongCommandError(f"no module {words[1]}")
    elif words[1].partition(".")[0] in OWN:
        _own_module(words[1], words[2:])


def _own_module(name: str, words: Sequence[str]) -> None:
    """Look for the options in the source: most of these modules import what only some environments have."""
    source = (ROOT / name.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    for word in words:
        if word.startswith("--") and f'"{word}"' not in source:
            raise WrongCommandError(f"{name} has no option {word}")


def _make(words: Sequence[str]) -> None:
    """Check what make would run."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    dry = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words], cwd=ROOT, env=outer, capture_output=True, text=True
    )
    if dry.returncode:
        raise WrongCommandError(dry.stderr)
    for line in dry.stdout.replace("\\\n", " ").splitlines():
        for command in split(line):
            if "-m" in command[1:2]:
                check(command)


def _mlflow(words: Sequence[str]) -> None:
    asked = _click(mlflow.cli.cli, words)
    if asked is None or asked.info_name != "run":
        return
    try:
        entry = load_project(str(ROOT)).get_entry_point(asked.params["entry_point"])
    except MlflowException as error:
        raise WrongCommandError(str(error)) from error
    parameters = dict(one.split("=", 1) for one in asked.params["param_list"])
    check(shlex.split(entry.compute_command(parameters, None)))


def _dask(words: Sequence[str]) -> None:
    try:
        (program,) = entry_points(group="dask_cli", name=words[0])
    except ValueError:
        raise WrongCommandError(f"dask has no command {words[0]}") from None
    _click(program.load(), words[1:])


def _click(program: click.Command, words: Sequence[str]) -> click.Context | None:
    """Read options as click would; None if an argument is left out, where a text only names a command."""
    rest = list(words)
    while isinstance(program, click.Group):
        found = program.get_command(click.Context(program), rest[0])
        if found is None:
            raise WrongCommandError(f"no command {rest[0]}")
        program, rest = found, rest[1:]
    try:
        return program.make_context(program.name, rest)
    except click.MissingParameter:
        return None
    except click.ClickException as error:
        raise WrongCommandError(error.format_message()) from error


def _pip(words: Sequence[str]) -> None:
    """What is installed from here: the extras and the lists exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"^\.\[(.*)\]$", "\n".join(words), re.MULTILINE):
        if extra not in project["optional-dependencies"]:
            raise WrongCommandError(f"no extra {extra}")
    for option, value in pairwise(words):
        if option == "-r":
            _exists(value)


def _exists(path: str) -> None:
    if not (ROOT / path).is_file():
        raise WrongCommandError(f"no file {path}")


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "dask": _dask,
    "lr-pipeline": _pipeline,
    "make": _make,
    "mlflow": _mlflow,
    "pip": _pip,
    "python": _python,
}
"""Programs whose options are checked."""

ONLY_SYNTAX = {
    "curl": "asks a server that would have to run",
    "export": "a part of the shell",
    "git": "asks for repositories that readers would have",
    "source": "a part of the shell",
    "uv": "is on PATH only where the user has it",
}
"""Programs of which only the shell's syntax is checked, and why."""
