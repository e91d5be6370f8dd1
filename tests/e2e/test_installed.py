"""The package as `pip install` leaves it, used in a folder that holds nothing of the project."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

ROOT = Path(__file__).resolve().parents[2]
SMALL = "--data own_data:load --model mlp --epochs 1 --seeds 1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the package was installed from a repository of its sources, without a network."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    as_ada = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "--quiet"), ("add", "."), (*as_ada, "commit", "--quiet", "--message", "sources")):
        subprocess.run(["git", *words], cwd=source, check=True)
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", site, f"git+{source.as_uri()}"], check=True
    )
    return site


def run(site: Path, folder: Path, *words: str) -> str:
    """Run `lr-pipeline` in a folder, check that it succeeds, and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    ended = subprocess.run(
        [site / "bin" / "lr-pipeline", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(site), "TMPDIR": str(site.parent)},  # others leave theirs in /tmp
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_ctrl_c_while_it_is_being_loaded(site: Path, tmp_path: Path) -> None:
    """It ends without a traceback."""
    (tmp_path / "pydantic.py").write_text("import os, signal\n\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run(
        [site / "bin" / "lr-pipeline", "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{site}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


@pytest.mark.slow
def test_the_command_works_in_any_folder(site: Path, tmp_path: Path) -> None:
    """It names itself as it was called, and needs no project folder: runs and report are left where it was started."""
    assert run(site, tmp_path, "--help").startswith("usage: lr-pipeline ")
    (tmp_path / "pipeline").mkdir()  # of the user's own
    (tmp_path / "pipeline" / "__init__.py").write_text("raise ImportError")
    (tmp_path / "own_data.py").write_text(
        "import numpy as np\ndef load():\n    x = np.random.default_rng(0).normal(size=(90, 3))\n"
        "    return x, (x[:, 0] > 0).astype(int)\n"
    )
    printed = run(site, tmp_path, "report", *SMALL.split(), "--scheme", "cosine", "--initial-lr", "0.1")
    assert "54 / 18 / 18" in printed
    assert "reports/report.html" in printed
    page = (tmp_path / "reports" / "report.html").read_text(encoding="utf-8")
    assert "lr-pipeline main --data own_data:load" in page
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("lr-pipeline")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (report,) = (one for one in runs if one.data.tags["pipeline.stage"] == "report")
    below = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == report.info.run_id]
    assert {one.data.tags["pipeline.stage"] for one in below} == {"prepare", "train"}
    assert all(one.data.tags["mlflow.project.entryPoint"] == one.data.tags["pipeline.stage"] for one in below)
    assert {one.data.tags["mlflow.source.name"] for one in below} == {str(tmp_path)}  # where doctor looks for lost ones
    assert all(one.info.status == "FINISHED" and one.data.params["data"] == "own_data:load" for one in below)
    assert run(site, tmp_path, "doctor")
