"""Command `doctor`: what it finds outside the store and in broken ones, what it mends, and its exit codes."""

import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import psutil
import pytest

from pipeline import checkup, cli, datasets
from pipeline.checkup import Finding
from pipeline.stages import doctor
from pipeline.tracking import checks
from pipeline.tracking.sqlite_store import ensure_store
from tests.e2e.project import ROOT
from tests.e2e.test_failing_stores import AS_OWNER
from tests.tracking.test_sqlite_store import MIDDLE, midway

Examine = Callable[..., tuple[int, dict[str, list[str]]]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty working directory, with all other folders that are looked at beside it."""
    mlflow.set_tracking_uri(None)
    for name in ("work", "tmp", "project"):
        (tmp_path / name).mkdir()
    work = tmp_path / "work"
    monkeypatch.chdir(work)
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{work}/mlflow.db", "MLFLOW_ENV_ROOT": str(tmp_path / "envs")}
    variables |= {"KERAS_HOME": str(tmp_path / "keras"), "KERAS_BACKEND": "", "TMPDIR": str(tmp_path / "tmp")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(doctor, "PROJECT", tmp_path / "project")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield work
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def examine(folder: Path, capsys: pytest.CaptureFixture[str]) -> Examine:
    """Give a function that runs the command, and returns its exit code and its lines by mark."""

    def run(*options: str) -> tuple[int, dict[str, list[str]]]:
        code = cli.main(["doctor", *options])
        lines = [line for line in capsys.readouterr().out.splitlines() if line]
        return code, {mark: [line for line in lines if line.startswith(mark)] for mark in ("ok", "warn", "fixed")}

    return run


def wrong(findings: Iterator[Finding]) -> list[Finding]:
    """Return what is wrong."""
    return [finding for finding in findings if finding.wrong]


def mended(check: Callable[[], Iterator[Finding]]) -> None:
    """Mend what a check finds, after which it finds nothing more."""
    for finding in wrong(check()):
        assert finding.mend is not None
        finding.mend()
    assert wrong(check()) == []


def test_nothing_is_wrong_in_a_fresh_folder(folder: Path, examine: Examine) -> None:
    """Nothing is made; each check has a line, and so have device and precision."""
    code, lines = examine()
    assert (code, lines["warn"], lines["fixed"]) == (0, [], [])
    assert list(folder.iterdir()) == []
    assert {line[6:].split("  ")[0].strip() for line in lines["ok"]} >= {"store", "runs", "memory", "champions"}
    assert any("trainings run on the" in line and "float32" in line for line in lines["ok"])


def test_half_made_store_is_mended_on_request(folder: Path, examine: Examine) -> None:
    """Only then is it touched; what looks into the store comes after that."""
    store = folder / "mlflow.db"
    midway(store)
    os.utime(store, (time.time() - 60, time.time() - 60))
    left = store.read_bytes()
    code, lines = examine()
    assert code == 1
    assert [f"{store} is a half-made store" in line for line in lines["warn"]] == [True]
    assert store.read_bytes() == left
    code, lines = examine("--fix")
    assert (code, len(lines["warn"]), len(lines["fixed"])) == (0, 1, 1)
    assert any("0 finished runs were looked at" in line for line in lines["ok"])
    assert examine()[0] == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a whole store, for copies of it to be damaged."""
    path = tmp_path_factory.mktemp("whole") / "mlflow.db"
    ensure_store(path, "file:///artifacts")
    return path


def of_another_version(path: Path) -> None:
    """Let another MLflow have made the store, and a run in it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", [MIDDLE])
        database.execute("INSERT INTO experiments (experiment_id, name) VALUES (7, 'mine')")


def no_database(path: Path) -> None:
    """Replace it by text."""
    path.write_text("no database", encoding="utf-8")


def torn(path: Path) -> None:
    """Overwrite pages in its midst."""
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(bytes(64 * 1024))


@pytest.mark.parametrize(
    ("harm", "said"),
    [(of_another_version, "mlflow db upgrade 'sqlite:///"), (no_database, "is no database"), (torn, "damaged")],
)
def test_store_that_only_the_user_can_mend(
    harm: Callable[[Path], None], said: str, folder: Path, examine: Examine, whole: Path
) -> None:
    """It stays as it is, the line says what to do, and the checks that need no store are made."""
    store = folder / "mlflow.db"
    shutil.copy(whole, store)
    harm(store)
    left = store.read_bytes()
    code, lines = examine("--fix")
    assert code == 1
    assert lines["fixed"] == []
    assert [said in line for line in lines["warn"]] == [True]
    assert store.read_bytes() == left
    assert any("trainings run on the" in line for line in lines["ok"])
    assert sum("no store to be used" in line for line in lines["ok"]) == 4


def test_check_that_fails_does_not_keep_the_others_from_being_made(
    folder: Path, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a file of the project is missing."""
    monkeypatch.setattr(checks, "PROJECT", folder / "nowhere")
    code, lines = examine("--fix")
    assert code == 1
    assert [line.startswith("warn  mlflow run  cannot be looked at") for line in lines["warn"]] == [True]
    assert any("trainings run on the" in line for line in lines["ok"])


def test_former_file_store_is_put_out_of_the_way_of_the_store_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is the only store, it is left alone. MLflow itself says which of them it takes."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    experiment = folder / "mlruns" / "0"
    experiment.mkdir(parents=True)
    assert wrong(checks.file_store()) == []
    (experiment / "meta.yaml").write_text("name: Default", encoding="utf-8")
    assert mlflow.get_tracking_uri().startswith("file:")
    (alone,) = wrong(checks.file_store())
    assert "mlflow migrate-filestore" in alone.text
    assert alone.mend is None
    (folder / "mlflow.db").touch()
    mended(checks.file_store)
    assert mlflow.get_tracking_uri().startswith("sqlite:")
    assert (experiment / "meta.yaml.old").read_text(encoding="utf-8") == "name: Default"


def test_environment_that_was_not_set_up_to_its_end(tmp_path: Path) -> None:
    """Or before the lock changed; `make setup` does it."""
    (tmp_path / "requirements.lock").touch()
    assert list(checkup.environment(tmp_path)) == []
    (tmp_path / ".venv").mkdir()
    (half,) = checkup.environment(tmp_path)
    assert "half made: make setup" in half.text
    ready = tmp_path / ".venv" / "ready"
    ready.touch()
    assert list(checkup.environment(tmp_path)) == []
    os.utime(ready, (1, 1))
    (old,) = checkup.environment(tmp_path)
    assert "older than requirements.lock: make setup" in old.text


def test_environment_that_mlflow_built_in_part(folder: Path) -> None:
    """It is removed, so that MLflow builds it again; one that has just changed may be in the making."""
    assert list(checks.built_environment()) == []
    built = checks.built_folder()
    assert built.parent == folder.parent / "envs"
    site = built / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (making,) = checks.built_environment()
    assert not making.wrong
    for path in (site, built):
        os.utime(path, (1, 1))
    (half,) = wrong(checks.built_environment())
    assert "lacks 'absl-py'" in half.text
    mended(checks.built_environment)


def test_downloads_cut_short_are_removed(folder: Path) -> None:
    """Whole ones are kept."""
    downloads = folder.parent / "keras" / "datasets"
    (downloads / "fashion-mnist").mkdir(parents=True)
    images, labels, empty = (downloads / "fashion-mnist" / f"{name}.gz" for name in ("images", "labels", "empty"))
    images.write_bytes(gzip.compress(os.urandom(9999)))
    labels.write_bytes(images.read_bytes()[:5000])
    empty.touch()
    np.savez(downloads / "mnist.npz", x=np.arange(9999))
    kept = downloads / "mnist.npz"
    whole = kept.read_bytes()
    assert [finding.wrong for finding in checkup.downloads()] == [False, False]  # they may be on their way
    for path in (labels, empty):
        os.utime(path, (1, 1))
    assert {finding.text.split(" ")[0] for finding in checkup.downloads()} == {str(labels), str(empty)}
    mended(checkup.downloads)
    assert {path for path in downloads.rglob("*") if path.is_file()} == {images, kept}
    for damaged in (whole[:-100], whole[:5000] + b"?" + whole[5001:]):
        kept.write_bytes(damaged)
        os.utime(kept, (1, 1))
        assert len(wrong(checkup.downloads())) == 1


def test_settings_of_keras(folder: Path) -> None:
    """Another backend does no harm; what no training works with is wrong."""
    settings = folder.parent / "keras" / "keras.json"
    settings.parent.mkdir()
    settings.write_text('{"backend": "jax", "floatx": "float16"}', encoding="utf-8")
    other, refused = checkup.keras()
    assert (other.wrong, refused.wrong) == (False, True)
    assert "'jax'" in other.text
    assert f"floatx in {settings}" in refused.text


def test_folders_that_are_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there counts as the one it would be made in; a disk may be nearly full."""
    (fine,) = checkup.folders([tmp_path / "new" / "reports", tmp_path])
    assert not fine.wrong
    (tmp_path / "file").touch()
    (finding,) = checkup.folders([tmp_path / "file"])
    assert (finding.wrong, "is no folder" in finding.text) == (True, True)
    monkeypatch.setattr(checkup, "LEAST_FREE", 2**60)
    (finding,) = checkup.folders([tmp_path])
    assert (finding.wrong, "left on its disk: free" in finding.text) == (True, True)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root writes everywhere")
def test_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """It is left to the user."""
    tmp_path.chmod(0o555)
    code = f"from pathlib import Path; from pipeline.checkup import folders; print(*folders([Path({str(tmp_path)!r})]))"
    command = (*(AS_OWNER if os.geteuid() == 0 else ()), sys.executable, "-c", code)
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    tmp_path.chmod(0o755)
    assert f"{tmp_path} cannot be written to: permit that" in said


def test_data_for_which_there_is_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine or of the container; both amounts are named."""
    fits, large = checkup.memory({"small": 1000, "large": psutil.virtual_memory().total})
    assert (fits.wrong, large.wrong) == (False, True)
    assert large.text.startswith("large: trainings take about ")
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n", encoding="utf-8")
    (tmp_path / "unlimited").write_text("max\n", encoding="utf-8")
    monkeypatch.setattr(checkup, "_LIMITS", [str(tmp_path / name) for name in ("unlimited", "memory.max", "none")])
    (small,) = checkup.memory({"small": 1000})
    assert (small.wrong, "and 512 MiB are there" in small.text) == (True, True)


def test_bytes_that_data_are_held_in(tmp_path: Path) -> None:
    """Those of files, uncompressed, unless they are read as needed; tables are held whatever their size."""
    np.savez_compressed(tmp_path / "zeros.npz", x_train=np.zeros((1000, 1000), np.uint8))
    (tmp_path / "table.csv").write_text("a,target\n1,2\n", encoding="utf-8")
    (tmp_path / "large").mkdir()
    for path in (tmp_path / "large" / "x_train.npy", tmp_path / "large" / "y_train.npy", tmp_path / "large.csv"):
        with path.open("wb") as file:
            file.truncate(2**30)
    assert 1_000_000 < datasets.held_bytes(str(tmp_path / "zeros.npz")) < 1_001_000
    assert datasets.held_bytes(str(tmp_path / "table.csv")) == 13
    assert datasets.held_bytes(str(tmp_path / "large")) == 0
    assert datasets.held_bytes(str(tmp_path / "large.csv")) == 2**30
    assert datasets.held_bytes("mnist") == datasets.held_bytes("mydata:load") == 0


def test_data_that_are_not_there(examine: Examine) -> None:
    """The line is that of the stages."""
    code, lines = examine("--data", "nope.csv")
    assert code == 1
    assert ["no such file or folder: received 'nope.csv'" in line for line in lines["warn"]] == [True]
