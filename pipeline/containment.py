"""What user code changes in the process, and what is put back once it has run."""

import atexit
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

_left_running: list[threading.Thread] = []
"""The threads that user code has begun."""


@contextmanager
def working_directory_importable() -> Iterator[None]:
    """Let imports fall back on the working directory. It comes last, so that its files replace no installed module."""
    entry = str(Path.cwd())
    if entry in sys.path:
        yield
        return
    sys.path.append(entry)
    try:
        yield
    finally:
        with suppress(ValueError):  # where user code has taken it out
            sys.path.remove(entry)


@contextmanager
def contained() -> Iterator[None]:
    """Run user code that may import from the working directory, and put back what it changes in the process.

    That is the working directory, arguments and standard streams, what signals, logging and warnings do, Keras' global
    settings, and MLflow's tracking store, active run (runs that it leaves open are ended) and autologging. Environment
    variables and the module search path stay as it leaves them: it may need them later.
    """
    put_back = [*_process(), *_keras(), *_mlflow()]
    threads = set(threading.enumerate())
    try:
        with warnings.catch_warnings(), working_directory_importable():
            yield
    finally:
        for restore in put_back:
            restore()
        _left_running.extend(thread for thread in threading.enumerate() if thread not in threads)


def end(code: int) -> NoReturn:
    """End this process, also if user code has left a thread running, for which Python would wait without end."""
    if any(thread.is_alive() and not thread.daemon for thread in _left_running):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _process() -> Iterator[Callable[[], object]]:
    yield partial(os.chdir, Path.cwd())
    for name, value in (("argv", [*sys.argv]), ("stdout", sys.stdout), ("stderr", sys.stderr)):
        yield partial(setattr, sys, name, value)
    yield partial(sys.setrecursionlimit, sys.getrecursionlimit())
    root = logging.getLogger()
    yield partial(root.setLevel, root.level)
    yield partial(setattr, root, "handlers", [*root.handlers])
    yield partial(logging.disable, root.manager.disable)
    if threading.current_thread() is threading.main_thread():  # no other may set them
        for number in (signal.SIGTERM, signal.SIGINT):
            yield partial(signal.signal, number, signal.getsignal(number))


def _keras() -> Iterator[Callable[[], object]]:
    # Whoever trains has imported both, so this module need not.
    keras, tensorflow = sys.modules.get("keras"), sys.modules.get("tensorflow")
    if keras is None or tensorflow is None:
        return
    for name in ("floatx", "image_data_format", "dtype_policy"):
        yield partial(getattr(keras.config, f"set_{name}"), getattr(keras.config, name)())
    yield partial(tensorflow.config.run_functions_eagerly, tensorflow.config.functions_run_eagerly())


def _mlflow() -> Iterator[Callable[[], object]]:
    mlflow = sys.modules.get("mlflow")  # whoever opens a run has imported it
    if mlflow is None:
        return
    yield partial(_restore_mlflow, mlflow, mlflow.get_tracking_uri(), mlflow.active_run())
    if not _autologs(mlflow):
        yield partial(_stop_autologging, mlflow)


def _restore_mlflow(mlflow: ModuleType, uri: str, run: Any) -> None:
    ours = run.info.run_id if run else None
    while (active := mlflow.active_run()) is not None and active.info.run_id != ours:
        mlflow.end_run()
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    if ours and active is None:
        mlflow.start_run(ours)


def _autologs(mlflow: ModuleType) -> bool:
    """Return whether MLflow logs what any library does."""
    autologging = mlflow.utils.autologging_utils
    return not all(map(autologging.autologging_is_disabled, autologging.AUTOLOGGING_INTEGRATIONS))


def _stop_autologging(mlflow: ModuleType) -> None:
    """Keep trainings here from being logged twice, once as they are and once as Keras' `fit` sees them."""
    if _autologs(mlflow):
        mlflow.autolog(disable=True, silent=True)
