"""The notebook among the examples runs from top to bottom, in a folder of its own."""

import os
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")  # an environment may be older than the lock
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]


def outputs(cells: list[Any], kind: str) -> str:
    """Return what the cells showed in a format."""
    shown = (output for cell in cells for output in cell.get("outputs", ()))
    return "\n".join(output.get("data", {}).get(kind, "") for output in shown)


def test_the_notebook_of_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows answer, leaderboard and figure; progress is one line, and the report is written where it runs."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(ROOT / "examples" / "find.ipynb", as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        cell.source = cell.source.replace("EPOCHS, BUDGET = 5, 15", "EPOCHS, BUDGET = 1, 10")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pages = outputs(notebook.cells, "text/html")
    assert ">Train Adam with the " in pages
    assert "behind_at_most" in pages
    assert outputs(notebook.cells, "image/png")
    printed = [
        output.text for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("name") == "stdout"
    ]
    assert any("\rfind" in text for text in printed)
    assert sum(text.count("\n") for text in printed) < 20
    assert (tmp_path / "find.html").is_file()
