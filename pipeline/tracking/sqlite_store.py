"""The SQLite file of the tracking store, which is there whole or not at all.

MLflow migrates a new file in place, step by step. Killed meanwhile, or done by two processes at once, that leaves a
file which no later command can open. So it is made aside, under a lock, and put in place by renaming.
"""

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, event

from pipeline import interruption
from pipeline.errors import refusal
from pipeline.tracking.locks import locked

_PATIENCE = 25.0
"""Seconds to wait for another process that sets the store up, or writes to it."""

_ABANDONED = 5.0
"""Seconds after which a half-made file that nobody has written to is taken for abandoned."""

_LOOK_EVERY = 0.1


def ensure_store(path: Path, artifacts: str) -> None:
    """Make sure that a whole store of this MLflow's schema lies at `path`, and can be written to.

    Args:
        path: the file; it and its folders are made where they are missing.
        artifacts: the URI of the folder for artifacts, should the store be made.

    Raises:
        InputError: where the file is a store of another version, or no store.
        OSError, sqlite3.Error: where it cannot be read or written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _is_whole(path):
        with locked(path.parent, _PATIENCE) as held:
            if not held:
                raise refusal("the tracking store is being set up", "no end of it", "the same command again, later")
            if not _is_whole(path):
                _set_abandoned_aside(path)
            if not _is_whole(path):
                _make(path, artifacts)
    if not os.access(path.parent, os.W_OK):  # SQLite keeps its journal there
        raise PermissionError(13, "not writable", str(path.parent))
    with closing(_connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.rollback()


def sqlite_uri(path: Path) -> str:
    """Return a URI that means a file whether it is taken as it stands, as by MLflow, or decoded, as by SQLAlchemy.

    Where no absolute path is both, it is relative to the working directory.
    """
    text = str(path)
    return f"sqlite:///{text if unquote(text) == text and '?' not in text else os.path.relpath(path)}"


def is_half_made(path: Path) -> bool:
    """Return whether a file lies at `path` that MLflow has begun to make into a store, without finishing it.

    Raises:
        InputError: where the file is a store of another version, or no store.

    """
    if not path.is_file() or _is_whole(path):
        return False
    if _is_there(path):
        _refuse_what_holds_something(path)
    return True


def damage(path: Path) -> str:
    """Return what SQLite finds wrong in a file, first of all; "" if nothing is."""
    with closing(_connect(path)) as database:
        found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if found == "ok" else " ".join(found.split())


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE)


def _is_whole(path: Path) -> bool:
    """Return whether MLflow's newest schema is there; whoever gets there has finished all the steps before."""
    return _is_there(path) and _version(path) == _get_latest_schema_revision()


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _version(path: Path) -> str | None:
    with closing(_connect(path)) as database:
        if "alembic_version" not in _tables(database):
            return None
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _set_abandoned_aside(path: Path) -> None:
    """Give a store that MLflow has half made, and that nobody is still making, another name; refuse any other one."""
    while _is_there(path) and not _is_whole(path):
        _refuse_what_holds_something(path)
        if time.time() - path.stat().st_mtime > _ABANDONED:
            aside = path.with_name(f"{path.name}.half-made-{time.strftime('%Y%m%d-%H%M%S')}")
            path.rename(aside)
            print(f"lr-pipeline: {path.name} was left half made and held no runs: now {aside.name}", file=sys.stderr)
            return
        time.sleep(_LOOK_EVERY)
        interruption.check()


def _refuse_what_holds_something(path: Path) -> None:
    with closing(_connect(path)) as database:
        tables = _tables(database)
        if foreign := {name for name in tables if not name.startswith(("alembic_", "_alembic_", "sqlite_"))} - _OURS:
            raise refusal(
                f"{path} is no tracking store", f"a database with the table {min(foreign)!r}", "a file of MLflow's own"
            )
        counts = [_rows(database, table) if table in tables else 0 for table in ("runs", "experiments")]
        if counts in ([0, 0], [0, 1]):  # MLflow makes one experiment itself
            return
    raise refusal(
        f"the schema of {path} is not this MLflow's",
        _version(path),
        f"{_get_latest_schema_revision()}. Keep a copy of the file, then: mlflow db upgrade '{sqlite_uri(path)}'; "
        "where that does not know the version, install the MLflow that made it",
    )


def _rows(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # nosec B608 # one of two names


_OURS = set(Base.metadata.tables)


def _make(path: Path, artifacts: str) -> None:
    workshop = path.with_name(f".{path.name}.new")
    shutil.rmtree(workshop, ignore_errors=True)  # a killed process may have left it: nobody else has the lock
    workshop.mkdir()
    event.listen(Engine, "connect", _hurry)
    try:
        with interruption.at_once():
            made = SqlAlchemyStore(sqlite_uri(workshop / path.name), artifacts)
            made.engine.dispose()
        with (workshop / path.name).open("rb") as file:
            os.fsync(file.fileno())
        for left in ("-journal", "-wal", "-shm"):  # of a file that is gone: SQLite would apply it to the new one
            path.with_name(path.name + left).unlink(missing_ok=True)
        (workshop / path.name).replace(path)
    finally:
        event.remove(Engine, "connect", _hurry)
        shutil.rmtree(workshop, ignore_errors=True)


def _hurry(connection: sqlite3.Connection, record: object) -> None:
    """Do not wait for the disk at each of a hundred steps: the file is worth something only when it is whole."""
    connection.execute("PRAGMA synchronous = OFF")
