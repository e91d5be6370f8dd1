"""No command waits for a library that it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

HELP = "from pipeline.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
PURE = (
    "import pipeline.schedules, pipeline.range_test, pipeline.statistics, pipeline.config, pipeline.results, "
    "pipeline.evaluation, pipeline.articles.judging, pipeline.articles.table, pipeline.articles.experiment"
)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (f"{PURE}\n{HELP}", ("tensorflow", "keras", "optuna", "mlflow")),
        ("import pipeline.stages.prepare, pipeline.stages.report, pipeline.chain", ("tensorflow", "keras", "optuna")),
    ],
    ids=["mathematics and help", "chain, data and report"],
)
def test_import_loads_nothing_heavy(code: str, heavy: tuple[str, ...]) -> None:
    """A fresh interpreter shows what an import loads."""
    report = f"{code}\nimport sys\nprint('LOADED', *(name for name in {heavy!r} if name in sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.splitlines()[-1] == "LOADED"
