"""The SQLite file of the store: made whole or not at all, and never touched where it holds something."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from pipeline.errors import InputError
from pipeline.tracking import sqlite_store
from pipeline.tracking.failures import explained
from pipeline.tracking.sqlite_store import ensure_store, sqlite_uri

ROOT = Path(__file__).resolve().parents[2]
FIRST, MIDDLE = "451aebb31d03", "c48cb773bb87"


def migrated_to(path: Path, revision: str | None) -> None:
    """Leave a file as MLflow leaves it that is killed after so many steps of its set-up."""
    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    if revision is not None:
        config = _get_alembic_config(f"sqlite:///{path}")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    engine.dispose()


def tables_only(path: Path) -> None:
    """Stop before the first migration."""
    migrated_to(path, None)


def midway(path: Path) -> None:
    """Stop between two migrations."""
    migrated_to(path, MIDDLE)


def within_a_step(path: Path) -> None:
    """Stop where a table is being copied, which MLflow never gets past again."""
    migrated_to(path, FIRST)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE _alembic_tmp_metrics (key TEXT)")


def empty(path: Path) -> None:
    """Stop before anything is written."""
    path.touch()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give where a store is to lie."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mlflow.db"


@pytest.mark.parametrize("leave", [empty, tables_only, midway, within_a_step])
def test_half_made_store_is_replaced(
    path: Path, leave: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is kept under another name, with a line, and MLflow opens the new one."""
    leave(path)
    os.utime(path, (time.time() - 60, time.time() - 60))
    left = path.read_bytes()
    ensure_store(path, "file:///artifacts")
    assert [found.name for found in SqlAlchemyStore(sqlite_uri(path), "file:///artifacts").search_experiments()]
    aside = [file for file in path.parent.iterdir() if file != path]
    assert [file.read_bytes() for file in aside] == ([left] if left else [])
    assert [file.name in capsys.readouterr().err for file in aside] == [True] * len(aside)


def test_store_that_is_still_being_made_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own commands make it in place: what was written to just now is not taken away from them."""
    midway(path)
    monkeypatch.setattr(sqlite_store, "_ABANDONED", 1.0)
    begun = time.time()
    ensure_store(path, "file:///artifacts")
    assert time.time() - begun > 0.9


def test_store_that_is_killed_while_it_is_made_leaves_nothing_in_the_way(path: Path) -> None:
    """What a killed process has left aside is cleared away by the next one."""
    code = "import sys; from pathlib import Path; from pipeline.tracking.sqlite_store import ensure_store\n"
    code += "print('at work', flush=True); ensure_store(Path('mlflow.db'), 'file:///artifacts')"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    workshop = path.with_name(".mlflow.db.new")
    deadline = time.monotonic() + 60
    while not any(workshop.glob("*.db")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not path.exists()
    ensure_store(path, "file:///artifacts")
    assert [file.name for file in path.parent.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("version", [MIDDLE, "ffffffffffff"])
@pytest.mark.parametrize("content", ["run", "experiment"])
def test_store_of_another_version_is_refused_with_the_command_that_upgrades(
    path: Path, content: str, version: str
) -> None:
    """Nothing of it is migrated, set aside or lost."""
    ensure_store(path, "file:///artifacts")
    store = SqlAlchemyStore(sqlite_uri(path), "file:///artifacts")
    if content == "run":
        store.create_run("0", "me", int(time.time()), [], "a run")
    else:
        store.create_experiment("mine", "file:///artifacts")
    store.engine.dispose()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", [version])
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"received {version}; accepted: .*mlflow db upgrade 'sqlite:///{path}'"):
        ensure_store(path, "file:///artifacts")
    assert path.read_bytes() == before


def test_database_of_another_program_is_refused(path: Path) -> None:
    """It stays as it is."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE studies (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(InputError, match="no tracking store: received a database with the table 'studies'"):
        ensure_store(path, "file:///artifacts")
    assert path.read_bytes() == before


def test_damaged_and_locked_files_are_explained(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a line with what to do."""
    ensure_store(path, "file:///artifacts")
    monkeypatch.setattr(sqlite_store, "_PATIENCE", 0.2)
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            ensure_store(path, "file:///artifacts")
    assert "another process has kept it locked" in explained(locked.value)
    path.write_text("no database at all", encoding="utf-8")
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        ensure_store(path, "file:///artifacts")
    assert "the file is no database" in explained(damaged.value)


def test_journal_of_a_deleted_file_does_no_harm(path: Path) -> None:
    """SQLite would roll the new file back by it."""
    path.with_name("mlflow.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(4096))
    ensure_store(path, "file:///artifacts")
    assert [file.name for file in path.parent.iterdir()] == ["mlflow.db"]
