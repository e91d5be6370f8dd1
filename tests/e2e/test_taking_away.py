"""What users take away: the registered model and the schedule, without this project."""

import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.e2e.project import PATIENCE, Project

pytestmark = pytest.mark.slow

FLOWERS = """
import keras
import numpy as np
import pandas as pd
from keras import layers
from sklearn.datasets import load_iris


class Shifted(layers.Layer):
    def call(self, inputs):
        return inputs + 0.5


def data():
    iris = load_iris()
    frame = pd.DataFrame(iris.data, columns=["sepal", "width", "petal", "depth"])
    frame["width"] = frame["width"].where(np.arange(150) % 10 > 0)
    frame["seen"] = pd.date_range("2024-03-01", periods=150, freq="D").to_numpy()[np.arange(150) * 7 % 150]
    frame["garden"] = np.array(["north", "south", None], object)[np.arange(150) % 3]
    return frame, iris.target_names[iris.target]


def network(shape, outputs):
    return keras.Sequential([keras.Input(shape), Shifted(), layers.Dense(16, "relu"), layers.Dense(outputs)])
"""
MODEL = "models:/lr-pipeline-flowers-data@champion"
RAW: list[dict[str, Any]] = [
    {"sepal": 5.1, "width": 3.5, "petal": 1.4, "depth": 0.2, "seen": "2024-04-01", "garden": "north"},
    {"sepal": 6.0, "width": None, "petal": 4.2, "depth": 1.3, "seen": "2024-05-01", "garden": "unknown"},
    {"sepal": 6.7, "width": 3.0, "petal": 5.8, "depth": 2.3, "seen": None, "garden": None},
]
"""Rows as they are, with gaps, dates and a garden that no training example had."""

SPLIT = {"columns": list(RAW[0])[::-1], "data": [list(row.values())[::-1] for row in RAW]}
LINES = f"""
import mlflow, pandas
model = mlflow.pyfunc.load_model("{MODEL}")
print(model.predict(pandas.DataFrame({RAW})).to_json(orient="records"))
"""

SCRIPT = (
    FLOWERS
    + """
import json, sys
import numpy as np
from schedule import Schedule

split, prepared = np.load(sys.argv[1]), json.load(open(sys.argv[2]))
scale, offset = (np.array(prepared["scaling"][name]) for name in ("scale", "offset"))
x, x_val = (((split[name] - offset) / scale).astype("float32") for name in ("x_train", "x_val"))
y, y_val = split["y_train"], split["y_val"]


def val_loss(seed):
    keras.utils.set_random_seed(seed)
    model = network(x.shape[1:], 3)
    optimizer = keras.optimizers.SGD(Schedule(), momentum=0.9)
    model.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for epoch in range(10):
        rows = np.random.default_rng((seed, epoch)).permutation(len(x))
        model.fit(x[rows], y[rows], batch_size=10, shuffle=False, verbose=0)
    return model.evaluate(x_val, y_val, verbose=0)


print(json.dumps([val_loss(seed) for seed in (0, 1)]))
"""
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Train a network with a layer of its own on a table with text labels; leave only the store and `schedule.py`."""
    project = Project(tmp_path_factory.mktemp("flowers"))
    (project.folder / "flowers.py").write_text(FLOWERS, encoding="utf-8")
    own: dict[str, Any] = {"data": "flowers:data", "model": "flowers:network", "batch_size": 10}
    project.here("train", **own, scheme="cosine", initial_lr=0.1, epochs=10, seeds=2)
    shutil.copy(project.artifacts(project.runs("train")[0]) / "schedule.py", project.folder)
    (project.folder / "flowers.py").unlink()
    return project


@pytest.fixture(scope="module")
def answered(trained: Project) -> list[Any]:
    """Return what the three lines print, and after them a plain script, in a process without this project."""
    (trained.folder / "plain.py").write_text(LINES + SCRIPT, encoding="utf-8")
    prepare = trained.artifacts(trained.runs("prepare")[0])
    out = trained.run("python", "plain.py", str(prepare / "data.npz"), str(prepare / "result.json")).stdout
    return [json.loads(line) for line in out.splitlines()[-2:]]


@pytest.fixture
def address(trained: Project) -> Iterator[str]:
    """Serve the champion on loopback, and return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ("--env-manager", "local", "--host", "127.0.0.1", "--port", port)
    process = trained.start("mlflow", "models", "serve", "-m", MODEL, *options)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/invocations"
    for one in (*psutil.Process(process.pid).children(recursive=True), process):
        one.kill()
    process.communicate()


def check(answers: list[dict[str, float]]) -> None:
    """Check that each of the raw flowers has a probability for each name, and is what it is."""
    assert [max(answer, key=answer.__getitem__) for answer in answers] == ["setosa", "versicolor", "virginica"]
    assert all(sum(answer.values()) == pytest.approx(1, abs=1e-5) for answer in answers)


def test_three_lines_load_it(answered: list[Any]) -> None:
    """Without this project and without the user's module beside them."""
    check(answered[0])


def test_mlflow_serves_it(address: str) -> None:
    """Raw rows in any form and order of columns are answered with the names of the classes."""
    for body in ({"dataframe_records": RAW}, {"dataframe_split": SPLIT}):
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            check(json.load(answer)["predictions"])


def test_a_plain_keras_script_repeats_the_training(trained: Project, answered: list[Any]) -> None:
    """With `schedule.py` it ends at the same loss for each seed, given the order of the examples."""
    result = json.loads((trained.artifacts(trained.runs("train")[0]) / "result.json").read_text(encoding="utf-8"))
    assert answered[1] == pytest.approx([one["val_loss"] for one in result["seeds"]], rel=1e-4)
