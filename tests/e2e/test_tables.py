"""A table as people have it, from the file to the answers of the registered model."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipeline.lr_pipeline_model.columns import load_columns
from tests.e2e.project import Project

pytestmark = pytest.mark.slow


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
    project = Project(tmp_path)
    table = shop()
    table.to_csv(project.folder / "shop.csv", sep=";", index=False, encoding="utf-8-sig")
    data: dict[str, Any] = {"data": "shop.csv", "target": "bought", "text_columns": "hash", "model": "mlp"}
    project.here("train", **data, scheme="constant", initial_lr=0.05, epochs=10, seeds=1)
    prepared = project.artifacts(project.runs("prepare")[0])
    x = load_columns(prepared / "columns.skops").transform(table).astype(np.float32)
    for name in ("x_train", "x_val", "x_test"):
        assert {row.tobytes() for row in np.load(prepared / "data.npz")[name]} <= {row.tobytes() for row in x}
    odd = table.head(3).assign(town=["Rome", "", "Ulm"], age=["?", "30", ""], income=["9,9", "0,1", "9,5"], since="")
    pd.concat([table.drop(columns="bought"), odd]).to_csv(project.folder / "rows.csv", sep=";", index=False)
    champion = project.client.get_model_version_by_alias("lr-pipeline-shop-csv", "champion")
    model = mlflow.pyfunc.load_model(project.client.get_model_version_download_uri(champion.name, champion.version))
    said = model.predict(pd.read_csv(project.folder / "rows.csv", sep=";")).idxmax(axis=1).to_numpy()
    assert (said[:300] == table["bought"]).mean() > 0.85
    assert said[300:].tolist() == ["yes", "no", "yes"]
