"""What nothing in this project may do: run code from files, be reached from outside, or leave files elsewhere."""

import ast
import io
import os
import pickle
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.outside_data import Plain
from tests.e2e.project import Project

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for folder in ("pipeline", "scripts", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
PLAIN = ROOT / "benchmarks" / "outside_data.py"
PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "_pickle"}
UNSAFE = {"read_pickle", "to_pickle", "enable_unsafe_deserialization", "extractall"}


def _code_runners(tree: ast.AST) -> Iterator[str]:
    """Yield what loads pickles or other code from files."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in PICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLING:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if called.rpartition(".")[2] in UNSAFE or options.get("safe_mode", "True") != "True":
                yield called
            if called == "np.load" and options.get("allow_pickle") != "False":
                yield f"{called} without allow_pickle=False"


def test_no_file_is_loaded_that_could_run_code() -> None:
    """No pickle, and no model but in safe mode, except a table of a benchmark, by a reader of plain values."""
    found = {path: [*_code_runners(ast.parse(path.read_text(encoding="utf-8")))] for path in SOURCES}
    assert {path: runners for path, runners in found.items() if runners} == {PLAIN: ["pickle"]}


def test_the_reader_of_plain_pickles_runs_nothing() -> None:
    """It refuses whatever a pickle names, before anything is imported or called."""
    with pytest.raises(pickle.UnpicklingError, match="posix"):
        Plain(io.BytesIO(pickle.dumps(os.system))).load()
    assert Plain(io.BytesIO(pickle.dumps({"loss": [0.5]}))).load() == {"loss": [0.5]}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "pd.read_pickle(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path, safe_mode=False)",
    ],
)
def test_loading_code_would_be_found(code: str) -> None:
    """The check finds each way."""
    assert list(_code_runners(ast.parse(code))) != []


def test_servers_listen_on_loopback_only() -> None:
    """The UI says so, and no file names the address of all interfaces."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"(?:mlflow |scripts\.)(?:ui|server)(.*)", makefile) == [" --host 127.0.0.1 $(ARGS)"]
    everywhere = ".".join("0" * 4)
    found = subprocess.run(["git", "grep", "-lwF", everywhere], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == ""


def hostile_npz(path: Path) -> None:
    """Write an archive with members that lie outside, beside those that are read."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in {"x_train": np.arange(80.0).reshape(40, 2), "y_train": np.arange(40) % 2}.items():
            file = io.BytesIO()
            np.save(file, values)
            for where in (name, f"../../{name}", f"/{name}"):
                archive.writestr(f"{where}.npy", file.getvalue())


def hostile_images(path: Path) -> None:
    """Write a folder whose classes have the names of places."""
    for name in ("..a", "~", "C:\\", "%2e%2e%2f", "$HOME"):
        (path / name).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (4, 4), number).save(path / name / f"{number}.png")


@pytest.mark.parametrize("data", ["../project/d.npz", "images"])
def test_names_lead_nowhere(data: str, tmp_path: Path) -> None:
    """Those of experiments, classes and members of archives."""
    project = tmp_path / "deep" / "project"
    project.mkdir(parents=True)
    hostile_npz(project / "d.npz")
    hostile_images(project / "images")
    Project(project).here("prepare", data=data, experiment_name="../../../../outside")
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in project.parent.iterdir()} == {"project"}
    assert {path.name for path in project.iterdir()} == {"d.npz", "images", "mlflow.db", "mlruns"}
