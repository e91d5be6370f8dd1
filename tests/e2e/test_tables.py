"""A table as people have it, from the file to the answers of the registered model."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.lr_pipeline_model.columns import load_columns
from tests.e2e.project import Project

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/lr-pipeline-shop-csv@champion")
print(model.predict(pd.read_csv(sys.argv[1], sep=";")).to_csv())
"""


def shop() -> pd.DataFrame:
    """Return customers who buy if their income is high, with gaps, dates, text, and columns of no use."""
    rng = np.random.default_rng(0)
    income = rng.normal(3, 1, 300).round(2)
    return pd.DataFrame(
        {
            "id": range(1, 301),
            "age": np.where(rng.random(300) < 0.1, "?", rng.integers(18, 80, 300).astype(str)),
            "since": pd.date_range("2023-01-01", periods=300, freq="7h").strftime("%d.%m.%Y %H:%M"),
            "income": [str(value).replace(".", ",") for value in income],
            "town": rng.choice(["Ulm", "Bonn", "NA", ""], 300),
            "note": [f"came by at noon, number {number}" for number in range(300)],
            "bought": np.where(income > 3, "yes", "no"),
        }
    )


def test_a_model_answers_rows_as_they_were_in_the_file(tmp_path: Path) -> None:
    """As the network answers the prepared ones, and with gaps and towns that it never saw."""
    project = Project.copied_to(tmp_path)
    table = shop()
    table.to_csv(project.folder / "shop.csv", sep=";", index=False, encoding="utf-8-sig")
    data = ["--data=shop.csv", "--target=bought", "--text-columns=hash", "--model=mlp"]
    schedule = ["--scheme=constant", "--initial-lr=0.05", "--epochs=10", "--seeds=1"]
    project.run("python", "-m", "pipeline", "train", *data, *schedule)
    prepared = project.artifacts(project.runs("prepare")[0])
    x = load_columns(prepared / "columns.skops").transform(table).astype(np.float32)
    for name in ("x_train", "x_val", "x_test"):
        assert {row.tobytes() for row in np.load(prepared / "data.npz")[name]} <= {row.tobytes() for row in x}
    odd = table.head(3).assign(town=["Rome", "", "Ulm"], age=["?", "30", ""], income=["9,9", "0,1", "9,5"], since="")
    pd.concat([table.drop(columns="bought"), odd]).to_csv(project.folder / "rows.csv", sep=";", index=False)
    printed = project.run("python", "-c", SCRIPT, "rows.csv").stdout
    answers = pd.read_csv(io.StringIO(printed[printed.index(",no,yes") :]), index_col=0)
    said = answers.idxmax(axis=1).to_numpy()
    assert (said[:300] == table["bought"]).mean() > 0.85
    assert said[300:].tolist() == ["yes", "no", "yes"]
