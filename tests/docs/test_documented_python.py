"""The Python code in the documentation runs as it stands there, on small data."""

from pathlib import Path
from typing import Any

import keras
import pytest

from tests.docs.pages import PAGES, ROOT, Page

pytestmark = pytest.mark.slow

DIGITS = """
import keras
import numpy as np
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
x, y = (x[:600] / 16).astype("float32"), y[:600]
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
"""

SERIES = """
from examples.series import network, windows

EPOCHS, budget = 2, 3
values = np.sin(np.arange(1500.0) / 9).astype("float32")
train, validation = windows(values[:1000]), windows(values[1000:])
"""

FALLING = """
from pipeline.schedules import sweep

def train_with(rate):
    return 2.3 - 2 / (1 + (0.003 / rate) ** 2) + (rate / 0.5) ** 4

losses = [train_with(rate) for rate in sweep(1e-6, 10.0, updates=250)]
"""

BEFORE = {
    "README.md": DIGITS,
    "coming-from.md": DIGITS + FALLING,
    "data.md": DIGITS + "x_test, y_test = x_val, y_val = x, y\n",
    "keras.md": DIGITS,
    "range_test.md": DIGITS + FALLING,
    "your-own.md": DIGITS + SERIES,
}
"""What the reader of a page brings: it runs before the page's blocks, which share one namespace."""

LEFT_OUT = {
    "import mlflow": "needs a registered model; tests/e2e/test_taking_away.py loads one so",
    'model = mlflow.pyfunc.load_model("models:/lr-pipeline-houses-parquet@champion")': "the same; test_tables.py",
    "from reports.schedule import Schedule": "needs the files of a chain; test_taking_away.py uses them so",
    "from schedule import Schedule": "needs the same files; tests/optimizers/test_optimizer_files.py uses them so",
    "from lr_multipliers import with_lr_multipliers": "the same files; tests/optimizers/test_optimizer_files.py",
    "from dask.distributed import SSHCluster": "needs an SSH server",
    "from dask_jobqueue import SLURMCluster": "needs Slurm",
    "from dask_kubernetes.operator import KubeCluster": "needs Kubernetes",
}
"""The first lines of blocks that are compiled only, and why."""

WITH_PYTHON = [path for path in PAGES if Page(path).python]


@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, after what the reader brings."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(BEFORE.get(path.name, ""), namespace)
    for block in Page(path).python:
        code = compile(block, str(path), "exec")
        if block.splitlines()[0] not in LEFT_OUT:
            exec(code, namespace)
    if path.name == "README.md":
        assert isinstance(namespace["resnet"]((8, 8, 1), 10, width=8), keras.Model)
        assert (tmp_path / "range_test.png").is_file()


def test_what_is_left_out_is_there() -> None:
    """So that no reason stays here without its block."""
    assert LEFT_OUT.keys() <= {block.splitlines()[0] for path in PAGES for block in Page(path).python}
