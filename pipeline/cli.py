"""The command line: parse, dispatch, exit codes."""

import argparse
import io
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from traceback import format_exception
from typing import Literal, NoReturn, get_args, get_origin

from pydantic.fields import FieldInfo

from pipeline.checkup import DoctorOptions
from pipeline.config import (
    CommandOptions,
    Layered,
    LayerOptions,
    MainOptions,
    PrepareOptions,
    RangeTestOptions,
    ReportOptions,
    ReproduceOptions,
    SearchOptions,
    TrainOptions,
    layered,
    typed,
    validated,
)
from pipeline.errors import InputError, OutsideError, describe
from pipeline.interruption import HANDOVER, received, take, watch_signals
from pipeline.keras_settings import settle
from pipeline.loading import quick_imports
from pipeline.redaction import redacted, take_credentials_out_of_uri

COMMANDS: dict[str, tuple[type[CommandOptions], str]] = {
    "main": (MainOptions, "the whole chain"),
    "prepare": (PrepareOptions, "load, check and split the data"),
    "range_test": (RangeTestOptions, "learning-rate range test"),
    "search": (SearchOptions, "search over initial rate and decay scheme"),
    "train": (TrainOptions, "final training with the winner, or with a scheme of your own"),
    "report": (ReportOptions, "the report of all results"),
    "reproduce": (ReproduceOptions, "the two articles' experiments, and our answers"),
    "doctor": (DoctorOptions, "find what is broken, and mend it if asked to"),
}
"""Command -> its options and what it does."""

SCRIPT = "lr-pipeline"
"""The command that `pip install` makes."""

DONE, FAILED, WRONG_INPUT = 0, 1, 2
_BY_SIGNAL = 128
_WATCH_EVERY = 0.5  # seconds
_PATIENCE = 5.0
"""Seconds after which a command whose parent is gone gets a second signal, which ends it at once."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises InputError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    watch_signals()
    waited_for = HANDOVER in os.environ
    _print_whatever_the_encoding()
    take_credentials_out_of_uri()
    try:
        if "MLFLOW_RUN_ID" in os.environ:
            _end_with_parent()
        given = _parse(arguments)
        command = given.pop("command")
        return _dispatch(command, _options(command, given, handed_over=waited_for))
    except InputError as error:
        _say(str(error))
        return WRONG_INPUT
    except OutsideError as error:
        _say(str(error))
        return FAILED
    except KeyboardInterrupt:
        return _interrupted(waited_for)
    except Exception as error:
        return _interrupted(waited_for) if received() else _failed(error)


def _print_whatever_the_encoding() -> None:
    """Print a question mark for what the encoding of a terminal or a log does not have; without this, it raises."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _say(message: str) -> None:
    print(f"lr-pipeline: {redacted(' '.join(message.split()))}", file=sys.stderr)


def _interrupted(waited_for: bool) -> int:
    if not waited_for:  # else the command that waits says it
        _say("interrupted; run the same command again to continue")
    return _BY_SIGNAL + (take() or signal.SIGINT)


def _failed(error: Exception) -> int:
    """Say in a line what failed outside this project; anything else is a fault of it, whose traceback is kept."""
    from pipeline.tracking.failures import explained  # loads MLflow

    if line := explained(error):
        _say(line)
        return WRONG_INPUT
    trace = redacted("".join(format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="lr-pipeline-traceback-", suffix=".txt")  # for its owner only
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(trace)
    except OSError:
        print(trace, file=sys.stderr)
        path = "the lines above"
    _say(f"{describe(error)}: a fault of lr-pipeline, please report it; the traceback is in {path}")
    return FAILED


def _options(command: str, given: dict[str, str], *, handed_over: bool) -> Layered[CommandOptions]:
    """Put the options of a command together; a stage that the chain starts is handed all of them."""
    model = COMMANDS[command][0]
    if handed_over:
        own = {name: value for name, value in given.items() if name in model.model_fields}
        return Layered(validated(model, own), {})
    if "MLFLOW_RUN_ID" in os.environ:
        given = typed(model, given)
    known = {option for model, _ in COMMANDS.values() for option in model.model_fields}
    return layered(model, given, known, _options_of)


def _options_of(run: str, experiment_name: str) -> str:
    with quick_imports():
        from pipeline.tracking.opening import options_of

    return options_of(run, experiment_name)


def _dispatch(command: str, given: Layered[CommandOptions]) -> int:
    options = given.options
    if isinstance(options, DoctorOptions):
        return _examine(options)
    assert isinstance(options, PrepareOptions)
    settle(options.deterministic)
    with quick_imports():  # here, so that --help and wrong input do not wait for MLflow
        from pipeline import chain
        from pipeline.tracking.processes import own_temporary_folder
        from pipeline.tracking.projects import StageFailedError

    try:
        with own_temporary_folder():
            if isinstance(options, MainOptions):
                chain.run_main(given, _print_answer)
            else:
                chain.run_stage(command, given)
    except StageFailedError as failure:
        if failure.reason:  # else its own process has printed it
            _say(failure.reason)
        return failure.exit_code
    return DONE


def _examine(options: DoctorOptions) -> int:
    with quick_imports():
        from pipeline.stages import doctor

    return DONE if doctor.run(options) else FAILED


def _print_answer(answer: Sequence[str], places: Mapping[str, str]) -> None:
    found = {"Report": "none", **places, "Runs": "make ui   (or: mlflow ui, in this folder)"}
    print("", *answer, "", *(f"{name}: {place}" for name, place in found.items()), sep="\n", flush=True)


def _parse(arguments: Sequence[str] | None) -> dict[str, str]:
    parsed, unknown = _parser().parse_known_args(arguments)
    given = vars(parsed)
    if unknown:
        options = ", ".join(map(_flag, command_fields(COMMANDS[given["command"]][0])))
        raise InputError(f"{given['command']}: received {' '.join(unknown)!r}, expected one of {options}")
    return given


def command_fields(model: type[CommandOptions]) -> dict[str, FieldInfo]:
    """Return the options of a command; `doctor` needs no layers."""
    return dict(model.model_fields) | ({} if model is DoctorOptions else dict(LayerOptions.model_fields))


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _parser() -> argparse.ArgumentParser:
    prog = SCRIPT if Path(sys.argv[0]).name == SCRIPT else "python -m pipeline"
    parser = _Parser(prog=prog, description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE", parser_class=_Parser)
    for name, (model, summary) in COMMANDS.items():
        usage = f"{prog} {name} [--option VALUE ...]"
        command = commands.add_parser(name, help=summary, description=summary, usage=usage, allow_abbrev=False)
        fields = command_fields(model)
        for subject, options in {**LayerOptions.subjects(), **model.subjects()}.items():
            group = command.add_argument_group(subject)
            for option in (one for one in options if one in fields):
                _add(group.add_argument, option, fields[option])
    return parser


def _add(add_argument: Callable[..., object], option: str, field: FieldInfo) -> None:
    examples = f"; for example {' or '.join(map(str, field.examples))}" if field.examples else ""
    default = "" if field.default is None else f" (default: {str(field.default).lower()})"
    add_argument(
        *sorted({_flag(option), f"--{option}"}),
        dest=option,
        default=argparse.SUPPRESS,
        metavar=_value(field),
        help=f"{field.description}{examples}{default}".replace("%", "%%"),
        nargs="?" if field.annotation is bool else None,
        const="true" if field.annotation is bool else None,
    )


def _value(field: FieldInfo) -> str:
    """Return what stands for an option's value in its help."""
    if choices := get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
        return "|".join(choices)
    return {bool: "true|false", int: "N", float: "NUMBER"}.get(field.annotation, "VALUE")  # type: ignore[arg-type]


def _end_with_parent() -> None:
    """Send this process SIGTERM once the MLflow process that waits for it is gone: nothing else would end it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_EVERY)
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_PATIENCE)

    threading.Thread(target=watch, daemon=True).start()
